/// An `Export*ServiceResponse`, the answer to a request that was taken; the same bytes for every signal.
package struct ExportResponse: Sendable, Equatable {
    /// Items that were refused for good; the client must not send them again.
    package var rejected: Int64
    /// Why, or a warning when nothing was refused.
    package var message: String

    package init(rejected: Int64 = 0, message: String = "") {
        self.rejected = rejected
        self.message = message
    }

    /// The protobuf encoding: no bytes when everything was accepted.
    package func encode() -> [UInt8] {
        var partialSuccess = WireWriter()
        partialSuccess.integer(1, rejected)
        partialSuccess.text(2, message)
        guard !partialSuccess.bytes.isEmpty else { return [] }
        var response = WireWriter()
        response.field(1, partialSuccess.bytes)
        return response.bytes
    }

    /// Reads the protobuf encoding; nil when it is malformed.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        self.init()
        var fields = unsafe WireBytes(bytes).fields
        while let field = fields.next() {
            guard field.number == 1 && field.kind == .bytes else { continue }
            var partialSuccess = field.bytes.fields
            while let field = partialSuccess.next() {
                switch (field.number, field.kind) {
                case (1, .varint): rejected = field.int64
                case (2, .bytes): message = field.bytes.text
                default: break
                }
            }
            if partialSuccess.isMalformed { return nil }
        }
        if fields.isMalformed { return nil }
    }
}

extension ExportResponse {
    /// As `init(decoding:)`, from an array.
    package init?(decoding bytes: [UInt8]) {
        let read = unsafe bytes.withUnsafeBytes { unsafe Self(decoding: $0) }
        guard let read else { return nil }
        self = read
    }
}
