internal import OTLP

/// The labels of a stream while they are gathered. Each name once; the last value counts.
struct Labels: Equatable, Sendable {
    struct Pair: Equatable, Sendable {
        var name: [UInt8]
        var value: [UInt8]
    }

    /// In the order in which the names came.
    private(set) var pairs: [Pair] = []

    init() {}

    /// Adds a label, or gives one that is there another value. A label without a value is no label.
    mutating func set(_ name: [UInt8], _ value: [UInt8]) {
        if let index = pairs.firstIndex(where: { $0.name == name }) {
            if value.isEmpty { pairs.remove(at: index) } else { pairs[index].value = value }
        } else if !value.isEmpty {
            pairs.append(Pair(name: name, value: value))
        }
    }

    mutating func set(_ name: StaticString, _ value: [UInt8]) { set(Array("\(name)".utf8), value) }

    /// Takes out what Loki would refuse, as `LokiLimits` says, and counts it.
    mutating func applyLimits(_ limits: LokiLimits, _ changes: inout LokiLimits.Changes) -> [Pair] {
        var kept: [Pair] = []
        var removed: [Pair] = []
        // The service is what people look for first.
        let service = Array("service_name".utf8)
        let hasService = pairs.contains { $0.name == service && $0.value.count <= limits.labelValueBytes }
        for pair in pairs {
            let room = limits.labels - kept.count
            let isServiceToCome = hasService && !kept.contains { $0.name == service }
            if pair.name.count > limits.labelNameBytes {
                changes.add(.labelNameLength)
            } else if pair.value.count > limits.labelValueBytes {
                changes.add(.labelValueLength)
            } else if room <= 0 || (room == 1 && isServiceToCome && pair.name != service) {
                changes.add(.labelCount)
            } else {
                kept.append(pair)
                continue
            }
            removed.append(pair)
        }
        pairs = kept
        return removed
    }

    /// The labels as Loki reads them: `{a="b", c="d"}`, sorted by name. A stream must have one.
    var text: [UInt8] {
        var draft = ByteDraft(capacity: 256)
        draft.append("{")
        var isFirst = true
        for pair in pairs.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            if !isFirst { draft.append(", ") }
            isFirst = false
            draft.append(pair.name)
            draft.append("=\"")
            unsafe pair.value.withUnsafeBytes { unsafe draft.appendEscaped($0) }
            draft.append("\"")
        }
        if isFirst { draft.append("service_name=\"unknown_service\"") }
        draft.append("}")
        return draft.array
    }
}
