internal import MetricBuilding
package import NIOCore
package import OTLP
package import RequestServing

/// Zipkin's second model in protobuf: `zipkin.proto3.ListOfSpans`. Any thread.
package struct ZipkinV2Protobuf: RequestTranslator {
    private let parsesTags: Bool

    /// - Parameter parsesTags: as of `ZipkinV2JSON`.
    package init(parsesTags: Bool) { self.parsesTags = parsesTags }

    package var growth: Int { 24 }

    package func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        var traces = try ZipkinTraces(parsesTags: parsesTags, limitBytes: limitBytes, bodyBytes: body.count)
        do throws(ZipkinFault) {
            try body.forEachField("ListOfSpans") { (field) throws(ZipkinFault) in
                if field.number == 1, field.isBytes { try traces.add(try ZipkinSpan(field.bytes)) }
            }
        } catch {
            switch error {
            case .json(let fault): throw .zipkin("\(fault)")
            case .translation(let fault): throw fault
            }
        }
        return try traces.finish()
    }
}

extension WireBytes {
    /// Gives the fields of a message whose name is for errors.
    fileprivate func forEachField(
        _ name: StaticString, _ body: (WireField) throws(ZipkinFault) -> Void
    ) throws(ZipkinFault) {
        var fields = fields
        while let field = fields.next() { try body(field) }
        if fields.isMalformed { throw .value("\(name) is malformed") }
    }
}

extension ZipkinSpan {
    /// Reads a `Span`.
    fileprivate init(_ message: WireBytes) throws(ZipkinFault) {
        var span = ZipkinSpan()
        try message.forEachField("Span") { (field) throws(ZipkinFault) in
            switch (field.number, field.isBytes) {
            case (1, true):
                let id = field.bytes.array
                guard id.count == 8 || id.count == 16 else {
                    throw .value("trace_id has \(id.count) bytes, not 8 or 16")
                }
                span.traceID = [UInt8](repeating: 0, count: 16 - id.count) + id
            case (2, true): span.parentID = try Self.spanID(field.bytes, "parent_id")
            case (3, true): span.id = try Self.spanID(field.bytes, "id")
            case (4, false):
                let kinds: [SpanDraft.Kind] = [.unspecified, .client, .server, .producer, .consumer]
                span.kind = field.bits < 5 ? kinds[Int(field.bits)] : .unspecified
            case (5, true): span.name = field.bytes.array
            case (6, false): span.timestamp = field.bits
            case (7, false): span.duration = field.bits
            case (8, true): span.local = try Endpoint(field.bytes)
            case (9, true): span.remote = try Endpoint(field.bytes)
            case (10, true): span.annotations.append(try Self.annotation(field.bytes))
            case (11, true):
                var (key, value) = ([] as [UInt8], [] as [UInt8])
                try field.bytes.forEachField("tags") { (field) throws(ZipkinFault) in
                    if field.number == 1, field.isBytes { key = field.bytes.array }
                    if field.number == 2, field.isBytes { value = field.bytes.array }
                }
                span.tags.put(key, .text(value))
            default: break
            }
        }
        self = span
    }

    private static func spanID(_ bytes: WireBytes, _ name: StaticString) throws(ZipkinFault) -> [UInt8] {
        guard bytes.count == 8 || bytes.count == 0 else {
            throw .value("\(name) has \(bytes.count) bytes, not 8")
        }
        return bytes.array
    }

    private static func annotation(
        _ message: WireBytes
    ) throws(ZipkinFault) -> (time: UInt64, value: [UInt8]) {
        var annotation = (time: 0 as UInt64, value: [] as [UInt8])
        try message.forEachField("Annotation") { (field) throws(ZipkinFault) in
            if field.number == 1, !field.isBytes { annotation.time = field.bits }
            if field.number == 2, field.isBytes { annotation.value = field.bytes.array }
        }
        return annotation
    }
}

extension ZipkinSpan.Endpoint {
    fileprivate init(_ message: WireBytes) throws(ZipkinFault) {
        var endpoint = ZipkinSpan.Endpoint()
        try message.forEachField("Endpoint") { (field) throws(ZipkinFault) in
            switch (field.number, field.isBytes) {
            case (1, true): endpoint.service = field.bytes.array
            case (2, true): endpoint.ipv4 = try Self.address(field.bytes, "ipv4", count: 4)
            case (3, true): endpoint.ipv6 = try Self.address(field.bytes, "ipv6", count: 16)
            case (4, false):
                guard field.bits <= 65535 else { throw .value("port is above 65535: \(field.bits)") }
                endpoint.port = Int(field.bits)
            default: break
            }
        }
        self = endpoint
    }

    private static func address(
        _ bytes: WireBytes, _ name: StaticString, count: Int
    ) throws(ZipkinFault) -> [UInt8] {
        if bytes.count == 0 { return [] }
        guard bytes.count == count,
            let address = try? SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes.array), port: 0),
            let text = address.ipAddress
        else { throw .value("\(name) has \(bytes.count) bytes, not \(count)") }
        return Array(text.utf8)
    }
}
