package import OTLP
package import Pipeline

/// `redaction`: removes attributes whose keys are not allowed, and masks what must not be seen in the others and in bodies.
package final class RedactionTransform: RequestTransform {
    private let rules: RedactionRules
    private let level: RedactionConfig.Summary
    private let sanitizers: Sanitizers

    /// - Throws: a pattern is none.
    package init(_ config: RedactionConfig) throws {
        rules = try RedactionRules(config)
        level = config.summary
        sanitizers = Sanitizers(config)
    }

    package var changesItems: Bool { false }
    /// Patterns take up to 50 ns a byte.
    package var largeBytes: Int { 128 << 10 }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        request.forEachResource { resource in
            redact(request, request.attributes(resource.resource, Field.Resource.attributes))
            request.forEachScope(of: resource) { scope in
                request.forEachItem(of: scope) { place in
                    redact(place.item, of: request, context.signal)
                    return .keep
                }
                return .keep
            }
            return .keep
        }
    }

    private func redact(_ item: MessageID, of request: RequestEditor, _ signal: Signal) {
        switch signal {
        case .traces:
            let table = request.attributes(item, Field.Span.attributes)
            sanitizers.sanitizeName(of: item, request, table)
            redact(request, table)
            request.forEachChild(item, Field.Span.events) { event in
                redact(request, request.attributes(event, Field.SpanEvent.attributes))
                return .keep
            }
        case .metrics:
            request.forEachPoint(item) { point in
                redact(request, point.attributes)
                return .keep
            }
        case .logs:
            let table = request.attributes(item, Field.LogRecord.attributes)
            redact(request, table)
            redactBody(of: item, request, table)
        }
    }

    private func redact(_ request: RequestEditor, _ table: AttributeTable) {
        var summary = RedactionSummary(level)
        let system = sanitizers.system(of: table, request)
        for position in 0..<request.fieldCount(table.message)
        where request.number(table.message, at: position) == table.number {
            let key = request.key(table, at: position)
            switch rules.judge(key, request.value(table, at: position), request) {
            case .kept:
                if case .string(let text) = request.value(table, at: position),
                    let clean = sanitizers.sanitize(key, text, system)
                {
                    request.setValue(table, at: position, to: .string(request.keep(clean)))
                }
            case .ignored: summary.ignored()
            case .allowed: summary.allowed(key.array)
            case .redacted:
                summary.redacted(key.array)
                request.removeAttribute(table, at: position)
            case .masked(let text):
                summary.masked(key.array)
                request.setValue(table, at: position, to: .string(text))
            }
        }
        summary.write(RedactionSummary.attributeNames, to: request, table)
    }

    // MARK: - Bodies

    private func redactBody(of record: MessageID, _ request: RequestEditor, _ table: AttributeTable) {
        guard request.has(record, Field.LogRecord.body) else { return }
        var summary = RedactionSummary(level)
        let body = request.child(record, Field.LogRecord.body)
        redact(value: body, Array("body".utf8), isBody: true, request, &summary)
        request.close(body)
        summary.write(RedactionSummary.bodyNames, to: request, table)
    }

    /// - Parameters:
    ///   - value: an `AnyValue` message.
    ///   - path: its place, for the summary.
    private func redact(
        value: MessageID, _ path: [UInt8], isBody: Bool = false, _ request: RequestEditor,
        _ summary: inout RedactionSummary
    ) {
        let content = AttributeValue(request.content(value))
        switch content {
        case .keyValueList:
            let list = request.child(value, Field.AnyValue.keyValueList)
            for position in 0..<request.fieldCount(list)
            where request.number(list, at: position) == Field.List.values {
                let prefix = isBody ? [] : Self.place(path, [UInt8(ascii: ".")])
                redact(entry: list, at: position, prefix, request, &summary)
            }
            request.close(list)
        case .array:
            let list = request.child(value, Field.AnyValue.array)
            var index = 0
            for position in 0..<request.fieldCount(list)
            where request.number(list, at: position) == Field.List.values {
                let element = request.child(list, at: position)
                let place = Self.place(isBody ? [] : path, Array("\(isBody ? "" : ".")[\(index)]".utf8))
                redact(value: element, place, request, &summary)
                request.close(element)
                index += 1
            }
            request.close(list)
        case .empty: break
        default:
            let text: WireBytes
            if case .string(let bytes) = content {
                text = bytes
            } else {
                text = request.keep(AttributeText(content).bytes)
            }
            if rules.allows(text) {
                summary.allowed(path)
            } else if let masked = rules.mask(text, request) {
                summary.masked(path)
                set(value, to: masked, request)
            }
        }
    }

    /// Longer places are cut: each value of a list in a map of long keys would be given a copy of all of them.
    private static let placeBytesMax = 1024

    private static func place(_ path: [UInt8], _ next: [UInt8]) -> [UInt8] {
        Array((path + next.prefix(placeBytesMax)).prefix(placeBytesMax))
    }

    private func redact(
        entry list: MessageID, at position: Int, _ prefix: [UInt8], _ request: RequestEditor,
        _ summary: inout RedactionSummary
    ) {
        let entry = request.child(list, at: position)
        defer { request.close(entry) }
        let key = request.content(entry, Field.KeyValue.key)
        if rules.ignores(key) { return summary.ignored() }
        if rules.redacts(key) {
            summary.redacted(prefix + key.array)
            return request.remove(list, at: position)
        }
        let value = request.child(entry, Field.KeyValue.value)
        if rules.masks(key) {
            summary.masked(prefix + key.array)
            let text = request.keep(AttributeText(AttributeValue(request.content(value))).bytes)
            set(value, to: rules.wholeMask(text, request), request)
        } else {
            redact(value: value, Self.place(prefix, key.array), request, &summary)
        }
        request.close(value)
    }

    private func set(_ value: MessageID, to text: WireBytes, _ request: RequestEditor) {
        request.removeAll(value)
        request.setContent(value, Field.AnyValue.string, text)
    }
}
