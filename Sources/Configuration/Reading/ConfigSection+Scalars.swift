// Configuration in the words of programs that take a number, a boolean or a date wherever a text is meant, such as
// Prometheus.

extension ConfigSection {
    /// A text, from any scalar as it is written; nil when absent.
    package func scalar(_ key: String) -> String? {
        guard let entry = takeText(key) else { return nil }
        guard entry.value.isScalar else {
            wrongType(entry, expected: "a text or a number")
            return nil
        }
        return Self.text(entry.value)
    }

    /// A list of texts, each from any scalar; nil when absent.
    package func scalarList(_ key: String) -> [String]? {
        guard let entry = take(key) else { return nil }
        guard case .list(let items) = entry.value.content else {
            wrongType(
                entry, expected: "a list",
                help: entry.value.isScalar ? "write [\(entry.value.original)]" : nil)
            return nil
        }
        return items.enumerated().compactMap { index, item in
            if item.isScalar { return Self.text(item) }
            diagnostics.error(
                "expected a text or a number, found \(item.inWords)", path: path(of: key) + "::\(index)",
                at: item.origin)
            return nil
        }
    }

    /// The sections of a YAML or JSON text that is a list of them; nil when it is none, which is reported.
    ///
    /// - Parameters:
    ///   - name: What messages call the text.
    package static func list(yaml: String, name: String, diagnostics: Diagnostics) -> [ConfigSection]? {
        let text = ConfigText(name: name, order: 0, text: yaml)
        let origin = ConfigOrigin(text: text, line: 1, column: 1, width: 0)
        guard let node = YAMLReader.read(yaml, text, diagnostics) else { return nil }
        guard !diagnostics.hasErrors else { return nil }
        guard case .list = node.content else {
            if node.isNull { return [] }
            diagnostics.error("expected a list of sections, found \(node.inWords)", at: origin)
            return nil
        }
        var map = ConfigMap()
        map.set("", origin, node)
        let section = ConfigSection(
            path: "", map: map, origin: origin, diagnostics: diagnostics, paths: ReadPaths())
        return section.sectionList("")
    }

    private static func text(_ value: ConfigNode) -> String {
        if case .string(let text) = value.content { return text }
        return value.isNull && !value.isExpanded ? "" : value.original
    }
}
