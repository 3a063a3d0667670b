internal import MetricBuilding
package import NIOCore
package import OTLP
package import RequestServing

/// Zipkin's first model in JSON: a list of spans with annotations. Any thread.
package struct ZipkinV1JSON: RequestTranslator {
    private let parsesTags: Bool
    private let now: @Sendable () -> Int64

    /// - Parameters:
    ///   - parsesTags: as of `ZipkinV2JSON`.
    ///   - now: nanoseconds since 1970, for spans without any time.
    package init(parsesTags: Bool, now: @escaping @Sendable () -> Int64) {
        self.parsesTags = parsesTags
        self.now = now
    }

    package var growth: Int { 24 }

    package func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        guard body.count <= ZipkinTraces.bodyBytesMax else { throw .tooLarge }
        let parts = PartsLimit(bodyBytes: body.count)
        var request = TraceRequest()
        try readSpans(body) { (reader) throws(ZipkinFault) in
            let span = try ZipkinV1Span(&reader)
            guard !span.traceID.allSatisfy({ $0 == 0 }) else { throw .value("a span has no traceId") }
            guard !span.id.allSatisfy({ $0 == 0 }) else { throw .value("a span has no id") }
            do throws(TranslationError) {
                try parts.check(span.annotations.count + span.binaryAnnotations.count)
            } catch {
                throw .translation(error)
            }
            let (draft, endpoint) = draft(span)
            let place = request.resource(endpoint.key) { endpoint.attributes.attributes }
            request.add(draft, to: place)
            guard request.bytes <= limitBytes else { throw .translation(.tooLarge) }
        }
        let bytes = request.finish()
        guard bytes.readableBytes <= limitBytes else { throw .tooLarge }
        return bytes
    }

    private func draft(_ span: ZipkinV1Span) -> (SpanDraft, ZipkinV1Span.Endpoint) {
        var draft = SpanDraft()
        draft.traceID = span.traceID
        draft.spanID = span.id
        if !span.parentID.allSatisfy({ $0 == 0 }) { draft.parentID = span.parentID }
        draft.name = span.name
        var endpoint = Self.read(span.annotations, into: &draft)
        var status = ZipkinV1Status()
        var fallback: [UInt8] = []
        var component: [UInt8] = []
        for annotation in span.binaryAnnotations {
            if !annotation.endpoint.service.isEmpty { fallback = annotation.endpoint.service }
            var key = annotation.key
            if key.elementsEqual("lc".utf8) {
                key = Array("component".utf8)
                component = annotation.value
            }
            if status.take(key, annotation.value) { continue }
            draft.tags.put(key, ZipkinText.value(annotation.value, parses: parsesTags))
        }
        status.set(&draft)
        if fallback.isEmpty { fallback = component }
        if endpoint.service == ZipkinV1Span.unknownService, !fallback.isEmpty { endpoint.service = fallback }
        if span.timestamp > 0 {
            draft.start = ZipkinText.nanoseconds(span.timestamp)
            let (end, overflow) = span.timestamp.addingReportingOverflow(span.duration)
            draft.end = ZipkinText.nanoseconds(overflow ? .max : end)
        }
        if draft.start == 0 {
            draft.start = UInt64(clamping: now())
            draft.end = draft.start
            draft.tags.put("otel.zipkin.absentField.startTime", .bool(true))
        }
        return (draft, endpoint)
    }

    /// Kind, times and events of annotations; and the endpoint that the first one of a kind names.
    private static func read(
        _ annotations: [ZipkinV1Span.Annotation], into draft: inout SpanDraft
    ) -> ZipkinV1Span.Endpoint {
        var endpoint: ZipkinV1Span.Endpoint?
        var (earliest, latest): (UInt64?, UInt64?)
        for annotation in annotations where !annotation.value.isEmpty {
            let kind = SpanDraft.Kind(zipkinV1: annotation.value)
            if kind != .unspecified {
                if endpoint == nil, !annotation.endpoint.service.isEmpty { endpoint = annotation.endpoint }
                if draft.kind == .unspecified { draft.kind = kind }
            }
            let time = ZipkinText.nanoseconds(annotation.time)
            if earliest.map({ annotation.time < $0 }) ?? true {
                (earliest, draft.start) = (annotation.time, time)
            }
            if latest.map({ annotation.time > $0 }) ?? true { (latest, draft.end) = (annotation.time, time) }
            if kind == .unspecified {
                draft.events.append(SpanDraft.Event(time: time, name: annotation.value))
            }
        }
        if let endpoint { return endpoint }
        var unknown = ZipkinV1Span.Endpoint()
        unknown.service = ZipkinV1Span.unknownService
        return unknown
    }
}
