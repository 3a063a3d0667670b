internal import MetricStreams
internal import OTLP
internal import RegularExpression

/// Which metrics are converted, by `include` and `exclude`.
struct MetricChoice: Sendable {
    private struct Match: Sendable {
        let names: [KeptText]
        let expressions: [RegularExpression]
        let kinds: [UInt32]

        init(_ config: CumulativeToDeltaConfig.Match) {
            names = config.names.map(KeptText.init)
            expressions = config.expressions
            kinds = config.kinds
        }

        func hasName(_ name: WireBytes) -> Bool {
            names.contains { $0.bytes.isEqual(to: name) }
                // SAFETY: the bytes are borrowed for the call.
                || expressions.contains { expression in
                    unsafe name.unsafeBytes.withMemoryRebound(to: UInt8.self) {
                        unsafe expression.occurs(in: $0)
                    }
                }
        }

        var hasNames: Bool { !names.isEmpty || !expressions.isEmpty }
    }

    private let include: Match
    private let exclude: Match

    init(_ config: CumulativeToDeltaConfig) {
        include = Match(config.include)
        exclude = Match(config.exclude)
    }

    /// Whether metrics of a name and a kind are converted.
    func converts(_ name: WireBytes, kind: UInt32) -> Bool {
        if include.hasNames, !include.hasName(name) { return false }
        if exclude.hasNames, exclude.hasName(name) { return false }
        if !include.kinds.isEmpty, !include.kinds.contains(kind) { return false }
        return !exclude.kinds.contains(kind)
    }
}
