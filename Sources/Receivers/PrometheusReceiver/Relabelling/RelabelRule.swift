internal import Hashing
internal import RegularExpression

/// One entry of `relabel_configs` or `metric_relabel_configs`.
struct RelabelRule: Sendable, Equatable {
    /// Key `action`.
    enum Action: String, Sendable, CaseIterable {
        case replace, keep, drop, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase, keepequal,
            dropequal
    }

    /// What is done.
    let action: Action
    /// Whose values are joined to what is looked at. Key `source_labels`.
    let sourceLabels: [String]
    /// Between the joined values. Default `;`. Key `separator`.
    let separator: String
    /// The label that is set or compared. A template with `replace`. Key `target_label`.
    let targetLabel: RegularExpression.Template
    /// Matched against the whole joined value, or against names of labels. Default `(.*)`. Key `regex`.
    let regex: RegularExpression
    /// Default `$1`. Key `replacement`.
    let replacement: RegularExpression.Template
    /// Of `hashmod`. Key `modulus`.
    let modulus: UInt64

    /// Describes a rule. Defaults are Prometheus'.
    init(
        action: Action = .replace, sourceLabels: [String] = [], separator: String = ";",
        targetLabel: String = "",
        regex: RegularExpression, replacement: String = "$1", modulus: UInt64 = 0
    ) {
        self.action = action
        self.sourceLabels = sourceLabels
        self.separator = separator
        self.targetLabel = RegularExpression.Template(targetLabel, for: regex)
        self.regex = regex
        self.replacement = RegularExpression.Template(replacement, for: regex)
        self.modulus = modulus
    }

    /// The last eight bytes of the MD5 as a big-endian number: the shards are those that Prometheus makes.
    static func shard(_ text: String) -> UInt64 {
        Digest.md5.bytes(of: Array(text.utf8)).suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Applies the rule.
    /// - Returns: false when the target or series is to be dropped.
    func apply(to set: inout LabelSet) -> Bool {
        switch action {
        case .replace: replace(&set)
        case .keep: return regex.matches(joined(set))
        case .drop: return !regex.matches(joined(set))
        case .keepequal: return set[constantTarget] == joined(set)
        case .dropequal: return set[constantTarget] != joined(set)
        case .hashmod: set[constantTarget] = "\(Self.shard(joined(set)) % modulus)"
        case .lowercase: set[constantTarget] = joined(set).lowercased()
        case .uppercase: set[constantTarget] = joined(set).uppercased()
        case .labelmap: map(&set)
        case .labeldrop: set.removeAll { regex.matches($0.name) }
        case .labelkeep: set.removeAll { !regex.matches($0.name) }
        }
        return true
    }

    private var constantTarget: String { targetLabel.constant ?? "" }

    private func joined(_ set: LabelSet) -> String {
        switch sourceLabels.count {
        case 0: ""
        case 1: set[sourceLabels[0]]
        default: sourceLabels.map { set[$0] }.joined(separator: separator)
        }
    }

    private func replace(_ set: inout LabelSet) {
        let value = joined(set)
        // What does not match, and what gives no name, stays as it is.
        guard
            let name = targetLabel.constant.map({ regex.matches(value) ? $0 : "" })
                ?? regex.replace(value, with: targetLabel), !name.isEmpty, Self.isLabelName(name)
        else { return }
        set[name] = replacement.constant ?? regex.replace(value, with: replacement) ?? ""
    }

    private func map(_ set: inout LabelSet) {
        for label in set.labels {
            guard let name = regex.replace(label.name, with: replacement), !name.isEmpty else { continue }
            set[name] = label.value
        }
    }

    /// Whether the text may be the name of a label: any but an empty one, since names are UTF-8.
    static func isLabelName(_ name: String) -> Bool { !name.isEmpty }
}

extension [RelabelRule] {
    /// Applies all rules in order.
    /// - Returns: false when the target or series is to be dropped.
    func apply(to set: inout LabelSet) -> Bool {
        for rule in self where !rule.apply(to: &set) { return false }
        return true
    }
}
