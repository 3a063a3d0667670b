internal import MetricStreams
internal import OTLP
internal import RegularExpression

/// Which metrics, and which of their points, one of `transforms` is about.
struct MetricMatcher: Sendable {
    private struct Label: Sendable {
        let key: KeptText
        let value: KeptText
        let expression: RegularExpression?
    }

    private let name: KeptText
    private let expression: RegularExpression?
    private let template: RegularExpression.Template?
    private let newName: KeptText
    private let labels: [Label]
    /// What the groups of the expression are called as attributes, from the first on.
    private let groupLabels: [KeptText]

    init(_ config: MetricsTransformConfig.Transform) {
        name = KeptText(config.include)
        expression = config.expression
        newName = KeptText(config.newName)
        template = config.expression.map { RegularExpression.Template(config.newName, for: $0) }
        labels = config.labels.map {
            Label(key: KeptText($0.key), value: KeptText($0.value), expression: $0.expression)
        }
        var names: [Int: String] = [:]
        for (name, group) in config.expression?.groupNames ?? [] where !name.isEmpty { names[group] = name }
        groupLabels = (0..<(config.expression?.groupCount ?? 0)).map {
            KeptText(names[$0 + 1] ?? "$\($0 + 1)")
        }
    }

    var hasLabels: Bool { !labels.isEmpty }

    /// Whether the metric is meant by its name.
    func matches(name: WireBytes) -> Bool {
        guard let expression else { return name.isEqual(to: self.name.bytes) }
        return Self.occurs(expression, in: name)
    }

    /// Whether a point has the attributes.
    func matches(_ attributes: AttributeTable, of editor: RequestEditor) -> Bool {
        labels.allSatisfy { label in
            // Other values than texts compare as an empty text, as absent ones do.
            var value = WireBytes.none
            if case .string(let text) = editor.value(label.key.bytes, in: attributes) { value = text }
            guard let expression = label.expression else { return value.isEqual(to: label.value.bytes) }
            return Self.occurs(expression, in: value)
        }
    }

    /// What the metric of a name is to be called; nil when it keeps its name.
    func newName(for name: WireBytes, in editor: RequestEditor) -> WireBytes? {
        guard !newName.text.isEmpty else { return nil }
        guard let expression, let template else { return newName.bytes }
        let expanded = expression.expandFirst(name.array, with: template) ?? []
        return expanded.isEmpty ? newName.bytes : editor.keep(expanded)
    }

    /// The groups of the expression in a name, as attributes. Empty ones are none.
    func groupAttributes(of name: WireBytes, in editor: RequestEditor) -> [(key: WireBytes, value: WireBytes)]
    {
        guard let expression, expression.groupCount > 0 else { return [] }
        let text = name.array
        return zip(groupLabels, expression.firstMatch(in: text).dropFirst()).compactMap { label, range in
            guard let range, !range.isEmpty else { return nil }
            return (label.bytes, editor.keep(Array(text[range])))
        }
    }

    private static func occurs(_ expression: RegularExpression, in text: WireBytes) -> Bool {
        // SAFETY: the bytes are borrowed for the call.
        unsafe text.unsafeBytes.withMemoryRebound(to: UInt8.self) { unsafe expression.occurs(in: $0) }
    }
}
