internal import OTLP

/// The labels of a stream while they are gathered. Each name once; the last value counts, and those that it displaces
/// are kept beside the labels.
struct Labels: Equatable, Sendable {
    struct Pair: Hashable, Sendable {
        var name: [UInt8]
        var value: [UInt8]
    }

    /// In the order in which the names came.
    private(set) var pairs: [Pair] = []
    /// What labels of the same name had before: of attributes `a.b` and `a_b`, or of a hint.
    private var displaced: [Pair] = []

    init() {}

    /// Adds a label, or gives one that is there another value. A label without a value is no label.
    mutating func set(_ name: [UInt8], _ value: [UInt8]) {
        guard !value.isEmpty else { return }
        guard let index = pairs.firstIndex(where: { $0.name == name }) else {
            pairs.append(Pair(name: name, value: value))
            return
        }
        guard pairs[index].value != value else { return }
        displaced.append(pairs[index])
        pairs[index].value = value
    }

    mutating func set(_ name: StaticString, _ value: [UInt8]) { set(Array("\(name)".utf8), value) }

    /// Takes out what Loki would refuse, as `LokiLimits` says, and what was displaced, and counts it.
    ///
    /// `service_name` is not among the labels that are limited: Loki does not count it, because it adds it itself.
    mutating func applyLimits(_ limits: LokiLimits, _ changes: inout LokiLimits.Changes) -> [Pair] {
        var kept: [Pair] = []
        var removed = displaced
        changes.add(.labelCollision, displaced.count)
        displaced = []
        var room = limits.labels
        let service = Array("service_name".utf8)
        for pair in pairs {
            if pair.name.count > limits.labelNameBytes {
                changes.add(.labelNameLength)
            } else if pair.value.count > limits.labelValueBytes {
                changes.add(.labelValueLength)
            } else if pair.name != service, room == 0 {
                changes.add(.labelCount)
            } else {
                if pair.name != service { room -= 1 }
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
