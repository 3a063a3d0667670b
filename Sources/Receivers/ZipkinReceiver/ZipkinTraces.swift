internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import RequestServing

/// Makes OTLP of spans of Zipkin's second model, as the Collector does. One thread.
struct ZipkinTraces {
    private let parsesTags: Bool
    private let limitBytes: Int
    private let parts: PartsLimit
    private var request = TraceRequest()

    /// A message of OTLP cannot be larger than what is written here.
    static let bodyBytesMax = 48 << 20

    /// - Throws: the body is larger than any that is translated.
    init(parsesTags: Bool, limitBytes: Int, bodyBytes: Int) throws(TranslationError) {
        guard bodyBytes <= Self.bodyBytesMax else { throw .tooLarge }
        self.parsesTags = parsesTags
        self.limitBytes = limitBytes
        parts = PartsLimit(bodyBytes: bodyBytes)
    }

    mutating func finish() throws(TranslationError) -> ByteBuffer {
        let bytes = request.finish()
        guard bytes.readableBytes <= limitBytes else { throw .tooLarge }
        return bytes
    }

    /// Stands for the service of spans that name none.
    private static let noService = Array("OTLPResourceNoServiceName".utf8)

    mutating func add(_ span: ZipkinSpan) throws(ZipkinFault) {
        guard !span.traceID.allSatisfy({ $0 == 0 }) else { throw .value("a span has no traceId") }
        guard !span.id.allSatisfy({ $0 == 0 }) else { throw .value("a span has no id") }
        do throws(TranslationError) {
            try parts.check(span.annotations.count)
        } catch {
            throw .translation(error)
        }
        var tags = span.tags
        let service = span.local.service.isEmpty ? Self.noService : span.local.service
        let isNew = !request.hasResource(service)
        let attributes = isNew ? Self.resource(service, &tags) : nil
        let place = request.resource(service) { attributes ?? AttributeList() }
        var scope = tags.take("otel.scope.name")?.text ?? []
        var version = tags.take("otel.scope.version")?.text ?? []
        let library = tags.take("otel.library.name")?.text ?? []
        let libraryVersion = tags.take("otel.library.version")?.text ?? []
        if scope.isEmpty { (scope, version) = (library, library.isEmpty ? [] : libraryVersion) }
        request.add(draft(span, &tags), to: place, scope: scope, version: scope.isEmpty ? [] : version)
        guard request.bytes <= limitBytes else { throw .translation(.tooLarge) }
    }

    /// What the first span of a service says of its resource.
    private static func resource(_ service: [UInt8], _ tags: inout TagList) -> AttributeList {
        var attributes = TagList()
        if service != noService {
            let source = tags.take("otlp.service.name.source")?.text ?? []
            attributes.put(source.isEmpty ? Array("service.name".utf8) : source, .text(service))
            for name in ZipkinResource.attributes {
                if let value = tags.take(name) { attributes.put(name, value) }
            }
        }
        return attributes.attributes
    }

    private func draft(_ span: ZipkinSpan, _ tags: inout TagList) -> SpanDraft {
        var draft = SpanDraft()
        draft.traceID = span.traceID
        draft.spanID = span.id
        draft.traceState = tags.take("w3c.tracestate")?.text ?? []
        if span.parentID != span.id, !span.parentID.allSatisfy({ $0 == 0 }) { draft.parentID = span.parentID }
        draft.name = span.name
        draft.kind = span.kind
        if draft.kind == .unspecified, let kind = tags.take("span.kind")?.text {
            if kind.elementsEqual("internal".utf8) { draft.kind = .internal }
        }
        Self.setStatus(&draft, &tags)
        draft.links = ZipkinLinks.take(from: &tags)
        tags.each { key, value in
            guard !ZipkinResource.isOfResource(key) else { return }
            draft.tags.put(key, value.text.map { ZipkinText.value($0, parses: parsesTags) } ?? value)
        }
        Self.put(span.local, "net.host", into: &draft.tags)
        if !span.remote.service.isEmpty { draft.tags.put("peer.service", .text(span.remote.service)) }
        Self.put(span.remote, "net.peer", into: &draft.tags)
        draft.start = ZipkinText.nanoseconds(span.timestamp)
        let (end, overflow) = span.timestamp.addingReportingOverflow(span.duration)
        draft.end = ZipkinText.nanoseconds(overflow ? .max : end)
        if span.timestamp == 0 { draft.tags.put("otel.zipkin.absentField.startTime", .bool(true)) }
        draft.events = span.annotations.map { ZipkinLinks.event(ZipkinText.nanoseconds($0.time), $0.value) }
        return draft
    }

    private static func put(_ endpoint: ZipkinSpan.Endpoint, _ prefix: String, into tags: inout TagList) {
        if !endpoint.ipv4.isEmpty { tags.put(prefix + ".ip", .text(endpoint.ipv4)) }
        if !endpoint.ipv6.isEmpty { tags.put(prefix + ".ip", .text(endpoint.ipv6)) }
        if endpoint.port > 0 { tags.put(prefix + ".port", .int(Int64(endpoint.port))) }
    }

    private static func setStatus(_ draft: inout SpanDraft, _ tags: inout TagList) {
        if let code = tags.take("otel.status_code")?.text {
            switch String(decoding: code, as: UTF8.self).uppercased() {
            case "OK", "STATUS_CODE_OK": draft.status = .ok
            case "ERROR", "STATUS_CODE_ERROR": draft.status = .error
            default: break
            }
            draft.statusMessage = tags.take("otel.status_description")?.text ?? []
        }
        if tags["error"] == .text(Array("true".utf8)) {
            draft.status = .error
            tags.take("error")
        }
    }
}

/// The links and the events of spans, which exporters of OpenTelemetry write into texts.
enum ZipkinLinks {
    private static let linksMax = 128
    private static let bar = UInt8(ascii: "|")

    /// Takes the tags `otlp.link.0` and so on: `traceid|spanid|tracestate|attributes|dropped`.
    static func take(from tags: inout TagList) -> [SpanDraft.Link] {
        var links: [SpanDraft.Link] = []
        for index in 0..<linksMax {
            guard let text = tags["otlp.link.\(index)"]?.text else { break }
            let parts = text.split(separator: bar, maxSplits: 3, omittingEmptySubsequences: false)
            // What is no link stays a tag.
            guard parts.count == 4, let last = parts[3].lastIndex(of: bar),
                let traceID = ZipkinText.id(parts[0], bytes: 16),
                let spanID = ZipkinText.id(parts[1], bytes: 8),
                let (attributes, dropped) = details(parts[3][..<last], parts[3][(last + 1)...])
            else { continue }
            tags.take("otlp.link.\(index)")
            var link = SpanDraft.Link(traceID: traceID, spanID: spanID)
            link.traceState = Array(parts[2])
            (link.tags, link.droppedTags) = (attributes, dropped)
            links.append(link)
        }
        return links
    }

    /// An annotation: a name, or `name|attributes|dropped`.
    static func event(_ time: UInt64, _ value: [UInt8]) -> SpanDraft.Event {
        guard let first = value.firstIndex(of: bar), let last = value.lastIndex(of: bar), first < last,
            let (attributes, dropped) = details(value[(first + 1)..<last], value[(last + 1)...])
        else { return SpanDraft.Event(time: time, name: value) }
        var event = SpanDraft.Event(time: time, name: Array(value[..<first]))
        (event.tags, event.droppedTags) = (attributes, dropped)
        return event
    }

    /// Attributes in JSON, which may have bars of their own, and how many were left out before; nil when it is something else.
    private static func details(_ json: ArraySlice<UInt8>, _ dropped: ArraySlice<UInt8>) -> (TagList, UInt64)?
    {
        guard dropped.count <= 10, let dropped = UInt32(String(decoding: dropped, as: UTF8.self)),
            case .object(let entries)? = try? JSONTree(Array(json))
        else { return nil }
        var tags = TagList()
        for entry in entries {
            let key = Array(entry.key.utf8)
            switch entry.value {
            case .string(let text): tags.put(key, .text(Array(text.utf8)))
            case .bool(let flag): tags.put(key, .bool(flag))
            case .number(let text):
                guard let number = Double(text) else { continue }
                tags.put(key, Int64(exactly: number).map { .int($0) } ?? .double(number))
            default: break
            }
        }
        return (tags, UInt64(dropped))
    }
}
