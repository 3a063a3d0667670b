/// A `google.rpc.Status`: the body of a failed OTLP/HTTP answer, and `grpc-status-details-bin` of a gRPC one.
package struct RPCStatus: Error, Sendable, Equatable {
    /// A gRPC status code; any number, as it came.
    package var code: Int32
    package var message: String
    /// How long the client shall wait before it tries again: the `RetryInfo` detail.
    package var retryDelay: Duration?

    package init(code: Int32, message: String, retryDelay: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryDelay = retryDelay
    }

    package init(_ code: GRPCCode, _ message: String, retryDelay: Duration? = nil) {
        self.init(code: code.rawValue, message: message, retryDelay: retryDelay)
    }

    static let retryInfoType = "type.googleapis.com/google.rpc.RetryInfo"

    /// The protobuf encoding.
    package func encode() -> [UInt8] {
        var status = WireWriter()
        status.integer(1, Int64(code))
        status.text(2, message)
        if let retryDelay {
            let (seconds, attoseconds) = retryDelay.components
            var duration = WireWriter()
            duration.integer(1, seconds)
            duration.integer(2, attoseconds / 1_000_000_000)
            var retryInfo = WireWriter()
            retryInfo.field(1, duration.bytes)
            var detail = WireWriter()
            detail.text(1, Self.retryInfoType)
            detail.field(2, retryInfo.bytes)
            status.field(3, detail.bytes)
        }
        return status.bytes
    }

    /// Reads the protobuf encoding; nil when it is malformed. Details of other types are skipped.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        self.init(code: 0, message: "")
        var fields = unsafe WireBytes(bytes).fields
        while let field = fields.next() {
            switch (field.number, field.kind) {
            case (1, .varint): code = Int32(truncatingIfNeeded: field.bits)
            case (2, .bytes): message = field.bytes.text
            case (3, .bytes): retryDelay = Self.retryDelay(detail: field.bytes) ?? retryDelay
            default: break
            }
        }
        if fields.isMalformed { return nil }
    }

    private static func retryDelay(detail: WireBytes) -> Duration? {
        var type = ""
        var value = WireBytes.none
        for field in detail.fields {
            switch field.number {
            case 1: type = field.bytes.text
            case 2: value = field.bytes
            default: break
            }
        }
        guard type == retryInfoType else { return nil }
        var delay: Duration?
        for field in value.fields where field.number == 1 && field.kind == .bytes {
            delay = duration(field.bytes)
        }
        return delay
    }

    /// Reads a `google.protobuf.Duration`; a negative one is none at all.
    private static func duration(_ message: WireBytes) -> Duration? {
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        for field in message.fields where field.kind == .varint {
            switch field.number {
            case 1: seconds = field.int64
            case 2: nanoseconds = Int64(Int32(truncatingIfNeeded: field.bits))
            default: break
            }
        }
        guard seconds >= 0 && nanoseconds >= 0 else { return nil }
        return .seconds(seconds) + .nanoseconds(nanoseconds)
    }
}

extension RPCStatus {
    /// As `init(decoding:)`, from an array.
    package init?(decoding bytes: [UInt8]) {
        let read = unsafe bytes.withUnsafeBytes { unsafe Self(decoding: $0) }
        guard let read else { return nil }
        self = read
    }
}
