internal import MetricBuilding
internal import OTLP

/// A span of Zipkin's first model, in which form it came apart. Times are microseconds since 1970.
struct ZipkinV1Span {
    struct Endpoint {
        var service: [UInt8] = []
        var ipv4: [UInt8] = []
        var ipv6: [UInt8] = []
        var port = 0

        /// Different for different endpoints.
        var key: [UInt8] { service + [0] + ipv4 + [0] + ipv6 + [0] + Array("\(port)".utf8) }

        /// Of its resource.
        var attributes: TagList {
            var tags = TagList()
            tags.put("service.name", .text(service))
            if !ipv4.isEmpty { tags.put("ipv4", .text(ipv4)) }
            if !ipv6.isEmpty { tags.put("ipv6", .text(ipv6)) }
            if port != 0 { tags.put("port", .text(Array("\(port)".utf8))) }
            return tags
        }
    }

    struct Annotation {
        var time: UInt64 = 0
        var key: [UInt8] = []
        var value: [UInt8] = []
        var endpoint = Endpoint()
    }

    /// The service of spans that name none.
    static let unknownService = Array("unknown-service".utf8)

    var traceID: [UInt8] = []
    var id: [UInt8] = []
    var parentID: [UInt8] = []
    var name: [UInt8] = []
    var timestamp: UInt64 = 0
    var duration: UInt64 = 0
    var annotations: [Annotation] = []
    var binaryAnnotations: [Annotation] = []

    init(_ reader: inout JSONReader) throws(ZipkinFault) {
        var span = ZipkinV1Span()
        try reader.object { (reader, key) throws(ZipkinFault) in
            switch key.text {
            case "traceId": span.traceID = try reader.id("traceId", bytes: 16)
            case "id": span.id = try reader.id("id", bytes: 8)
            case "parentId": span.parentID = try reader.id("parentId", bytes: 8)
            case "name": span.name = try reader.bytes()
            case "timestamp": span.timestamp = try reader.count("timestamp")
            case "duration": span.duration = try reader.count("duration")
            case "annotations": span.annotations = try Self.annotations(&reader)
            case "binaryAnnotations": span.binaryAnnotations = try Self.annotations(&reader)
            default: try reader.skip()
            }
        }
        self = span
    }

    private init() {}

    private static func annotations(_ reader: inout JSONReader) throws(ZipkinFault) -> [Annotation] {
        var annotations: [Annotation] = []
        try reader.list { (reader) throws(ZipkinFault) in
            var annotation = Annotation()
            try reader.object { (reader, key) throws(ZipkinFault) in
                switch key.text {
                case "timestamp": annotation.time = try reader.count("annotations::timestamp")
                case "key": annotation.key = try reader.bytes()
                case "value": annotation.value = try reader.scalar()
                case "endpoint": annotation.endpoint = try endpoint(&reader)
                default: try reader.skip()
                }
            }
            annotations.append(annotation)
        }
        return annotations
    }

    private static func endpoint(_ reader: inout JSONReader) throws(ZipkinFault) -> Endpoint {
        var endpoint = Endpoint()
        try reader.object { (reader, key) throws(ZipkinFault) in
            switch key.text {
            case "serviceName": endpoint.service = try reader.bytes()
            case "ipv4": endpoint.ipv4 = try reader.bytes()
            case "ipv6": endpoint.ipv6 = try reader.bytes()
            case "port": endpoint.port = Int(clamping: try reader.count("port"))
            default: try reader.skip()
            }
        }
        return endpoint
    }
}

extension JSONReader {
    /// A text; numbers and booleans, which old clients wrote, as they stand.
    fileprivate mutating func scalar() throws(ZipkinFault) -> [UInt8] {
        switch try json({ () throws(JSONError) in try peek() }) {
        case .number: return try json { () throws(JSONError) in try readNumber().bytes.array }
        case .boolean:
            return Array((try json { () throws(JSONError) in try readBool() }) ? "true".utf8 : "false".utf8)
        default: return try bytes()
        }
    }
}

extension SpanDraft.Kind {
    init(zipkinV1 value: [UInt8]) {
        switch String(decoding: value, as: UTF8.self) {
        case "cs", "cr": self = .client
        case "ms": self = .producer
        case "mr": self = .consumer
        case "ss", "sr": self = .server
        default: self = .unspecified
        }
    }
}

/// The status of a span by its binary annotations: that of OpenCensus before that of OpenTelemetry, `error` and HTTP.
struct ZipkinV1Status {
    private var census: Int64?
    private var censusMessage: [UInt8] = []
    private var own: Int64?
    private var ownMessage: [UInt8] = []
    private var isError = false
    private var http: Int64?
    private var httpMessage: [UInt8] = []

    /// Whether the annotation is nothing else.
    mutating func take(_ key: [UInt8], _ value: [UInt8]) -> Bool {
        let code = Int32(String(decoding: value, as: UTF8.self)).map { Int64($0) }
        switch String(decoding: key, as: UTF8.self) {
        case "census.status_code": census = code ?? census
        case "census.status_description", "opencensus.status_description": censusMessage = value
        case "otel.status_code": own = code ?? own
        case "otel.status_description": ownMessage = value
        case "error": isError = true
        case "http.status_code":
            http = code ?? http
            return false
        case "http.status_message":
            httpMessage = value
            return false
        default: return false
        }
        return true
    }

    func set(_ draft: inout SpanDraft) {
        if let census {
            draft.status = census == 0 ? .ok : .error
            draft.statusMessage = censusMessage
        } else if let own {
            draft.status = SpanDraft.Status(rawValue: UInt64(bitPattern: own)) ?? .unset
            draft.statusMessage = ownMessage
        } else if isError {
            draft.status = .error
            draft.statusMessage = censusMessage.isEmpty ? ownMessage : censusMessage
        } else if let http {
            draft.status = (100..<400).contains(http) ? .unset : .error
            draft.statusMessage = httpMessage
        }
    }
}
