internal import MetricBuilding
package import NIOCore
package import OTLP
package import RequestServing

/// Zipkin's second model in JSON: a list of spans. Any thread.
package struct ZipkinV2JSON: RequestTranslator {
    private let parsesTags: Bool

    /// - Parameter parsesTags: makes numbers and booleans of tags that look like ones.
    package init(parsesTags: Bool) { self.parsesTags = parsesTags }

    package var growth: Int { 24 }

    package func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        var traces = try ZipkinTraces(parsesTags: parsesTags, limitBytes: limitBytes, bodyBytes: body.count)
        try readSpans(body) { (reader) throws(ZipkinFault) in
            try traces.add(try ZipkinSpan(&reader))
        }
        return try traces.finish()
    }
}

/// What ends the reading of a body.
enum ZipkinFault: Error {
    case json(JSONError)
    case translation(TranslationError)

    static func value(_ message: String) -> ZipkinFault { .translation(.zipkin(message)) }
}

/// Gives a reader before each of the spans in a list.
func readSpans(
    _ body: WireBytes, _ read: (inout JSONReader) throws(ZipkinFault) -> Void
) throws(TranslationError) {
    do throws(ZipkinFault) {
        // SAFETY: lent for the call.
        var reader = try json { () throws(JSONError) in try unsafe JSONReader(body.unsafeBytes) }
        if try json({ () throws(JSONError) in try reader.readNull() }) { return }
        try json { () throws(JSONError) in try reader.beginList() }
        while try json({ () throws(JSONError) in try reader.nextElement() }) {
            if try json({ () throws(JSONError) in try reader.readNull() }) { continue }
            try read(&reader)
        }
        try json { () throws(JSONError) in try reader.finish() }
    } catch {
        switch error {
        case .json(let fault): throw .zipkin("\(fault)")
        case .translation(let fault): throw fault
        }
    }
}

/// Makes a fault of an error in the JSON.
@inline(__always)
func json<Value>(_ body: () throws(JSONError) -> Value) throws(ZipkinFault) -> Value {
    do throws(JSONError) { return try body() } catch { throw .json(error) }
}

extension JSONReader {
    /// Reads an object, whose values that are `null` are left out.
    mutating func object(
        _ body: (inout JSONReader, JSONString) throws(ZipkinFault) -> Void
    ) throws(ZipkinFault) {
        try json { () throws(JSONError) in try beginObject() }
        while let key = try json({ () throws(JSONError) in try nextKey() }) {
            if try json({ () throws(JSONError) in try readNull() }) { continue }
            try body(&self, key)
        }
    }

    /// Reads a list, whose elements that are `null` are left out.
    mutating func list(_ body: (inout JSONReader) throws(ZipkinFault) -> Void) throws(ZipkinFault) {
        try json { () throws(JSONError) in try beginList() }
        while try json({ () throws(JSONError) in try nextElement() }) {
            if try json({ () throws(JSONError) in try readNull() }) { continue }
            try body(&self)
        }
    }

    mutating func bytes() throws(ZipkinFault) -> [UInt8] {
        try json { () throws(JSONError) in try readString().array }
    }

    mutating func skip() throws(ZipkinFault) { try json { () throws(JSONError) in try skipValue() } }

    /// Reads a whole number that is not negative, of a field for the message.
    mutating func count(_ name: StaticString) throws(ZipkinFault) -> UInt64 {
        let number = try json { () throws(JSONError) in try readNumber() }
        if let value = number.uint64 { return value }
        guard let value = UInt64(exactly: number.double) else {
            throw .value("\(name) is no whole number that is not negative: \(number.bytes.text)")
        }
        return value
    }

    /// Reads an id of so many bytes.
    mutating func id(_ name: StaticString, bytes: Int) throws(ZipkinFault) -> [UInt8] {
        let text = try self.bytes()
        guard let id = ZipkinText.id(text, bytes: bytes) else {
            throw .value(
                "\(name) is not 1 to \(bytes * 2) hexadecimal digits: \"\(String(decoding: text.prefix(64), as: UTF8.self))\""
            )
        }
        return id
    }
}

extension ZipkinSpan {
    /// Reads a span.
    init(_ reader: inout JSONReader) throws(ZipkinFault) {
        var span = ZipkinSpan()
        try reader.object { (reader, key) throws(ZipkinFault) in
            switch key.text {
            case "traceId": span.traceID = try reader.id("traceId", bytes: 16)
            case "id": span.id = try reader.id("id", bytes: 8)
            case "parentId": span.parentID = try reader.id("parentId", bytes: 8)
            case "name": span.name = try reader.bytes()
            case "kind": span.kind = SpanDraft.Kind(zipkin: try reader.bytes())
            case "timestamp": span.timestamp = try reader.count("timestamp")
            case "duration": span.duration = try reader.count("duration")
            case "localEndpoint": span.local = try Endpoint(&reader)
            case "remoteEndpoint": span.remote = try Endpoint(&reader)
            case "tags":
                try reader.object { (reader, key) throws(ZipkinFault) in
                    span.tags.put(key.array, .text(try reader.bytes()))
                }
            case "annotations":
                try reader.list { (reader) throws(ZipkinFault) in
                    var annotation = (time: 0 as UInt64, value: [] as [UInt8])
                    try reader.object { (reader, key) throws(ZipkinFault) in
                        switch key.text {
                        case "timestamp": annotation.time = try reader.count("annotations::timestamp")
                        case "value": annotation.value = try reader.bytes()
                        default: try reader.skip()
                        }
                    }
                    span.annotations.append(annotation)
                }
            default: try reader.skip()
            }
        }
        self = span
    }
}

extension ZipkinSpan.Endpoint {
    init(_ reader: inout JSONReader) throws(ZipkinFault) {
        var endpoint = ZipkinSpan.Endpoint()
        try reader.object { (reader, key) throws(ZipkinFault) in
            switch key.text {
            case "serviceName": endpoint.service = try reader.bytes()
            case "ipv4": endpoint.ipv4 = try reader.address("ipv4", isIPv6: false)
            case "ipv6": endpoint.ipv6 = try reader.address("ipv6", isIPv6: true)
            case "port":
                let port = try reader.count("port")
                guard port <= 65535 else { throw .value("port is above 65535: \(port)") }
                endpoint.port = Int(port)
            default: try reader.skip()
            }
        }
        self = endpoint
    }
}

extension JSONReader {
    fileprivate mutating func address(_ name: StaticString, isIPv6: Bool) throws(ZipkinFault) -> [UInt8] {
        let text = try bytes()
        if text.isEmpty { return [] }
        guard let address = ZipkinText.address(text, isIPv6: isIPv6) else {
            throw .value(
                "\(name) is no such address: \"\(String(decoding: text.prefix(64), as: UTF8.self))\"")
        }
        return address
    }
}

extension SpanDraft.Kind {
    init(zipkin name: [UInt8]) {
        switch String(decoding: name, as: UTF8.self) {
        case "CLIENT": self = .client
        case "SERVER": self = .server
        case "PRODUCER": self = .producer
        case "CONSUMER": self = .consumer
        default: self = .unspecified
        }
    }
}
