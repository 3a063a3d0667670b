internal import MetricBuilding
internal import NIOCore
internal import RequestServing

/// A span of Jaeger's model, in which form it came apart. Times are nanoseconds since 1970.
struct JaegerSpan {
    struct Reference {
        var traceID: [UInt8] = []
        var spanID: [UInt8] = []
        var isChildOf = false
    }

    struct Log {
        var time: UInt64 = 0
        var fields = TagList()
    }

    /// 16 and 8 bytes.
    var traceID = [UInt8](repeating: 0, count: 16)
    var spanID = [UInt8](repeating: 0, count: 8)
    /// Where it says so itself; empty: the references say.
    var parentID: [UInt8] = []
    var name: [UInt8] = []
    var references: [Reference] = []
    var start: UInt64 = 0
    var end: UInt64 = 0
    var tags = TagList()
    var logs: [Log] = []

    /// The parent: what the span says, else the first reference to its own trace, of children before others.
    private var parent: [UInt8] {
        if parentID.contains(where: { $0 != 0 }) { return parentID }
        let own = references.filter { $0.traceID == traceID }
        return (own.first(where: \.isChildOf) ?? own.first)?.spanID ?? []
    }

    /// The span of OTLP, as the Collector makes it.
    func draft() -> SpanDraft {
        var draft = SpanDraft()
        draft.traceID = traceID
        draft.spanID = spanID
        let parent = parent
        if parent.contains(where: { $0 != 0 }) { draft.parentID = parent }
        draft.name = name
        (draft.start, draft.end) = (start, end)
        draft.tags = tags
        if let kind = draft.tags.take("span.kind") { draft.kind = SpanDraft.Kind(jaeger: kind.text ?? []) }
        JaegerStatus.set(&draft)
        draft.traceState = draft.tags.take("w3c.tracestate")?.text ?? []
        for log in logs {
            var event = SpanDraft.Event(time: log.time, name: [])
            event.tags = log.fields
            event.name = event.tags.take("event")?.text ?? []
            draft.events.append(event)
        }
        for reference in references where !(reference.isChildOf && reference.spanID == parent) {
            var link = SpanDraft.Link(traceID: reference.traceID, spanID: reference.spanID)
            let type = reference.isChildOf ? "child_of" : "follows_from"
            link.tags.put("opentracing.ref_type", .text(Array(type.utf8)))
            draft.links.append(link)
        }
        return draft
    }
}

extension SpanDraft.Kind {
    fileprivate init(jaeger name: [UInt8]) {
        switch String(decoding: name, as: UTF8.self) {
        case "client": self = .client
        case "server": self = .server
        case "producer": self = .producer
        case "consumer": self = .consumer
        case "internal": self = .internal
        default: self = .unspecified
        }
    }
}

/// Who reports spans.
struct JaegerProcess {
    var service: [UInt8] = []
    var tags = TagList()

    /// Different for different processes.
    var key: [UInt8] { service + [0] + tags.attributes.bytes }

    /// The attributes of its resource.
    var attributes: AttributeList {
        if service.elementsEqual("OTLPResourceNoServiceName".utf8) { return AttributeList() }
        var attributes = TagList()
        if !service.isEmpty { attributes.put("service.name", .text(service)) }
        tags.each { attributes.put($0, $1) }
        if attributes["host.name"] == nil, let host = attributes.take("hostname") {
            attributes.put("host.name", host)
        }
        if attributes["opencensus.exporterversion"] == nil, let version = attributes.take("jaeger.version") {
            attributes.put("opencensus.exporterversion", .text(Array("Jaeger-".utf8) + (version.text ?? [])))
        }
        return attributes.attributes
    }
}

/// The status of a span by its tags: `error` before `otel.status_code` before HTTP.
private enum JaegerStatus {
    static func set(_ draft: inout SpanDraft) {
        var isKnown = false
        if draft.tags["error"] == .bool(true) {
            draft.tags.take("error")
            isKnown = true
            draft.status = .error
            draft.statusMessage =
                draft.tags.take("otel.status_description")?.text ?? draft.tags["http.status_message"]?.text
                ?? []
        }
        if let code = draft.tags.take("otel.status_code") {
            guard !isKnown else { return }
            switch String(decoding: code.text ?? [], as: UTF8.self).uppercased() {
            case "OK": draft.status = .ok
            case "ERROR": draft.status = .error
            default: break
            }
            draft.statusMessage = draft.tags.take("otel.status_description")?.text ?? []
        } else if !isKnown, let code = httpCode(draft.tags["http.status_code"]), isFailed(code, draft.kind) {
            draft.status = .error
            draft.statusMessage = draft.tags["http.status_message"]?.text ?? []
        }
    }

    private static func httpCode(_ value: TagValue?) -> Int64? {
        switch value {
        case .int(let code): code
        case .text(let text): Int64(String(decoding: text, as: UTF8.self))
        default: nil
        }
    }

    /// A server has answered well when its client was wrong.
    private static func isFailed(_ code: Int64, _ kind: SpanDraft.Kind) -> Bool {
        if (400..<500).contains(code), kind == .server { return false }
        return !(100..<400).contains(code)
    }
}

/// A request that is put together of Jaeger's spans. One thread.
struct JaegerTraces {
    private var request = TraceRequest()
    private let limitBytes: Int
    private let parts: PartsLimit

    /// A message of OTLP cannot be larger than what is written here.
    private static let bodyBytesMax = 48 << 20

    /// - Throws: the body is larger than any that is translated.
    init(limitBytes: Int, bodyBytes: Int) throws(TranslationError) {
        guard bodyBytes <= Self.bodyBytesMax else { throw .tooLarge }
        self.limitBytes = limitBytes
        parts = PartsLimit(bodyBytes: bodyBytes)
    }

    /// The resource of a process.
    mutating func resource(_ process: JaegerProcess) -> Int {
        request.resource(process.key) { process.attributes }
    }

    /// - Parameter readsScope: the scope is in tags, which are then no attributes.
    mutating func add(
        _ span: JaegerSpan, to place: Int, readsScope: Bool = false
    ) throws(TranslationError) {
        try parts.check(span.logs.count + span.references.count)
        var span = span
        var (name, version) = ([] as [UInt8], [] as [UInt8])
        if readsScope, let scope = span.tags.take("otel.scope.name") {
            name = scope.text ?? []
            version = span.tags.take("otel.scope.version")?.text ?? []
        }
        request.add(span.draft(), to: place, scope: name, version: version)
        guard request.bytes <= limitBytes else { throw .tooLarge }
    }

    mutating func finish() throws(TranslationError) -> ByteBuffer {
        let bytes = request.finish()
        guard bytes.readableBytes <= limitBytes else { throw .tooLarge }
        return bytes
    }
}
