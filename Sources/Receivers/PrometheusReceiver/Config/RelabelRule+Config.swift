internal import Configuration
internal import RegularExpression

extension RelabelRule {
    /// Reads a list of rules; those that are wrong are reported and left out.
    static func list(_ section: ConfigSection, _ key: String) -> [RelabelRule] {
        (section.sectionList(key) ?? []).compactMap { RelabelRule($0) }
    }

    private init?(_ section: ConfigSection) {
        let word = (section.scalar("action") ?? "replace").lowercased()
        let known = Action.allCases.map(\.rawValue)
        let sources = section.scalarList("source_labels") ?? []
        let separator = section.scalar("separator") ?? ";"
        let target = section.scalar("target_label") ?? ""
        let pattern = section.scalar("regex") ?? "(.*)"
        let replacement = section.scalar("replacement") ?? "$1"
        let modulus = section.int("modulus", default: 0)
        guard let action = Action(rawValue: word) else {
            section.report(
                "action", error: "unknown value \"\(word)\"; must be one of \(known.joined(separator: ", "))",
                help: nearest(word, in: known).map { "did you mean \"\($0)\"?" })
            return nil
        }
        guard let regex = Self.compile(pattern, section) else { return nil }
        if Self.needsTarget.contains(action), target.isEmpty {
            section.report(nil, error: "action \(word) requires \"target_label\"")
            return nil
        }
        if action == .hashmod, modulus == 0 {
            section.report(
                section.has("modulus") ? "modulus" : nil,
                error: "action hashmod requires \"modulus\" of at least 1")
            return nil
        }
        self.init(
            action: action, sourceLabels: sources, separator: separator, targetLabel: target, regex: regex,
            replacement: replacement, modulus: UInt64(modulus))
        if action != .replace, Self.needsTarget.contains(action), targetLabel.constant == nil {
            section.report(
                "target_label", error: "action \(word) takes no groups such as $1 in \"target_label\"")
        }
    }

    private static let needsTarget: [Action] = [
        .replace, .hashmod, .lowercase, .uppercase, .keepequal, .dropequal,
    ]

    private static func compile(_ pattern: String, _ section: ConfigSection) -> RegularExpression? {
        do throws(RegularExpressionError) {
            return try RegularExpression(pattern)
        } catch {
            section.report("regex", error: "\"\(pattern)\" is not a valid regular expression: \(error)")
            return nil
        }
    }
}
