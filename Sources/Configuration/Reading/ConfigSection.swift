/// A section of the configuration while it is read: a cursor at its keys.
///
/// Ask for each key that the section may have, give back problems with `report`, then call `finish()` once at the
/// outermost section. Reading never throws: a value of the wrong type or out of range is reported with its place
/// and the default is returned. A key whose value is empty (or `null`) counts as absent. Confined to the thread
/// that loads; keep the values, not the section.
package final class ConfigSection {
    /// The way from the top, joined by `::`; empty for the top.
    package let path: String
    package let diagnostics: Diagnostics

    let map: ConfigMap
    /// Where messages about the section itself point: the key that opens it.
    let origin: ConfigOrigin
    let paths: ReadPaths
    private weak var parent: ConfigSection?
    private var asked: [String] = []
    private var defaults: [String: String] = [:]
    private var children: [String: [ConfigSection]] = [:]
    private var misplacedKeys: [String: String] = [:]
    private var broken: Set<String> = []
    private var isFinished = false
    private var acceptsAnyKey = false

    init(
        path: String, map: ConfigMap, origin: ConfigOrigin, diagnostics: Diagnostics, paths: ReadPaths,
        parent: ConfigSection? = nil
    ) {
        self.path = path
        self.map = map
        self.origin = origin
        self.diagnostics = diagnostics
        self.paths = paths
        self.parent = parent
    }

    /// A section from a YAML text by itself, for tests and tools. Errors in the text go to the diagnostics and
    /// leave the section empty.
    ///
    /// - Parameters:
    ///   - yaml: The keys of the section, no `${…}` expansion.
    ///   - path: What messages call the section, such as `processors::batch`.
    ///   - name: What messages call the text.
    package convenience init(
        yaml: String, path: String = "", name: String = "config.yaml", diagnostics: Diagnostics
    ) {
        let text = ConfigText(name: name, order: 0, text: yaml)
        let origin = ConfigOrigin(text: text, line: 1, column: 1, width: 0)
        var map = ConfigMap()
        switch YAMLReader.read(yaml, text, diagnostics)?.content {
        case .map(let read): map = read
        case .null, nil: break
        default: diagnostics.error("expected a section", path: path, at: origin)
        }
        self.init(path: path, map: map, origin: origin, diagnostics: diagnostics, paths: ReadPaths())
    }

    // MARK: Keys

    /// All keys that are written, in order.
    package var keys: [String] { map.entries.map(\.key) }

    /// True when the key is written and its value is not empty. Does not make the key known to `finish()`.
    package func has(_ key: String) -> Bool {
        map.entry(key).map { !$0.value.isNull } ?? false
    }

    /// True when the key is written, with or without a value. Does not make the key known to `finish()`.
    package func isWritten(_ key: String) -> Bool {
        map.entry(key) != nil
    }

    /// The path of a key of this section.
    package func path(of key: String) -> String {
        path.isEmpty ? key : path + "::" + key
    }

    /// The written, non-empty entry of a key; the key is known from here on.
    func take(_ key: String) -> ConfigMap.Entry? {
        if !asked.contains(key) { asked.append(key) }
        guard let entry = map.entry(key), !entry.value.isNull else { return nil }
        return entry
    }

    /// Remembers what a key means when it is not written, for `keysAsked`.
    package func note<Value>(_ key: String, default value: Value) {
        defaults[key] = "\(value)"
    }

    /// Every key that was asked for here and in the sections that were opened from here, joined by `::`, with its default
    /// where it has one. What a component's README must tell.
    package var keysAsked: [(key: String, default: String?)] {
        asked.flatMap { key in
            let inside = (children[key] ?? []).flatMap(\.keysAsked).map { (key + "::" + $0.key, $0.default) }
            return [(key, defaults[key])] + inside
        }
    }

    /// Like `take`, for keys that want a text: what came out of an expansion and looks like nothing in YAML (`null`, `~`,
    /// `!x`, `# x`) is a text there.
    func takeText(_ key: String) -> ConfigMap.Entry? {
        if let entry = take(key) { return entry }
        guard let entry = map.entry(key), entry.value.isNull, entry.value.isExpanded,
            !entry.value.original.isEmpty
        else { return nil }
        return entry
    }

    // MARK: Sections

    /// A section that can be off: nil when the key is not written, has no value, or the section says `enabled: false`,
    /// which every optional section of the Collector may.
    package func optionalSection(_ key: String) -> ConfigSection? {
        guard has(key) else {
            accept(key)
            return nil
        }
        guard let section = section(key) else { return nil }
        guard section.bool("enabled", default: true) else {
            section.allowAnyKey()
            return nil
        }
        return section
    }

    /// The section under a key: nil when the key is not written; an empty section when it has no value.
    package func section(_ key: String) -> ConfigSection? {
        if !asked.contains(key) { asked.append(key) }
        if let known = children[key] { return known.first }
        guard let entry = map.entry(key) else { return nil }
        switch entry.value.content {
        case .map(let map): return child(key, path(of: key), map, entry.keyOrigin)
        case .null: return child(key, path(of: key), ConfigMap(), entry.keyOrigin)
        default:
            wrongType(entry, expected: "a section", help: "write its keys below it, indented")
            return nil
        }
    }

    /// The sections below a key whose own keys are free, such as the metrics of `count`, in the order in which they are
    /// written; nil when the key is absent. An empty value is an empty section.
    package func sectionMap(_ key: String) -> [(name: String, section: ConfigSection)]? {
        guard let entry = take(key) else { return nil }
        guard case .map(let map) = entry.value.content else {
            wrongType(entry, expected: "a section", help: "write names below it, indented")
            return nil
        }
        children[key] = []
        return map.entries.compactMap { item in
            let path = path(of: key) + "::" + item.key
            switch item.value.content {
            case .map(let keys): return (item.key, child(key, path, keys, item.keyOrigin))
            case .null: return (item.key, child(key, path, ConfigMap(), item.keyOrigin))
            default:
                diagnostics.error(
                    "expected a section, found \(item.value.inWords)", path: path, at: item.keyOrigin)
                return nil
            }
        }
    }

    /// Like `section`, though not finished together with this one: its reader finishes it.
    func detached(_ key: String) -> ConfigSection? {
        guard let section = section(key) else { return nil }
        children[key] = nil
        return section
    }

    /// The sections in the list under a key; nil when the key is absent. An empty list is an empty array.
    package func sectionList(_ key: String) -> [ConfigSection]? {
        guard let entry = take(key) else { return nil }
        if let known = children[key] { return known }
        guard case .list(let items) = entry.value.content else {
            wrongType(entry, expected: "a list of sections", help: "begin each section with \"- \"")
            return nil
        }
        children[key] = []
        for (index, item) in items.enumerated() {
            switch item.content {
            case .map(let map): _ = child(key, path(of: key) + "::\(index)", map, item.origin)
            case .null: _ = child(key, path(of: key) + "::\(index)", ConfigMap(), item.origin)
            default:
                diagnostics.error(
                    "expected a section, found \(item.inWords)", path: path(of: key) + "::\(index)",
                    at: item.origin)
            }
        }
        return children[key]
    }

    func child(
        _ key: String, _ path: String, _ map: ConfigMap, _ origin: ConfigOrigin
    ) -> ConfigSection {
        let child = ConfigSection(
            path: path, map: map, origin: origin, diagnostics: diagnostics, paths: paths, parent: self)
        children[key, default: []].append(child)
        return child
    }

    // MARK: Problems

    /// Where a message about a key points: its value, its key when the value is a list or a section or empty, the
    /// section when it is not written.
    func place(of key: String?) -> ConfigOrigin {
        guard let key, let entry = map.entry(key) else { return origin }
        return entry.value.isScalar && !entry.value.isNull ? entry.value.origin : entry.keyOrigin
    }

    /// Reports a broken rule.
    ///
    /// - Parameters:
    ///   - key: The key whose value breaks it; nil for the section as a whole.
    ///   - message: What is wrong, with the value seen and the limit.
    ///   - help: What to write instead.
    ///   - showsLine: false when a secret may stand there.
    package func report(
        _ key: String?, error message: String, help: String? = nil, showsLine: Bool = true
    ) {
        if let key { broken.insert(key) }
        diagnostics.error(
            message, path: key.map(path(of:)) ?? path, at: place(of: key), help: help, showsLine: showsLine,
            section: section(of: key))
    }

    /// The section that a problem with a key is about: the key's when it opens one, this one when the key is not there, none
    /// when it has a value of its own.
    private func section(of key: String?) -> String? {
        guard let key, let entry = map.entry(key), !entry.value.isNull else { return path }
        return entry.value.isScalar ? nil : path(of: key)
    }

    /// Reports something that works, though probably not as meant. Parameters as for an error.
    package func report(_ key: String?, warning message: String, help: String? = nil) {
        diagnostics.warning(message, path: key.map(path(of:)) ?? path, at: place(of: key), help: help)
    }

    /// Reports a problem with the key itself, whatever its value.
    func pointAtKey(_ key: String, error message: String, help: String? = nil) {
        diagnostics.error(message, path: path, at: map.entry(key)?.keyOrigin ?? origin, help: help)
    }

    /// Reports something doubtful about the key itself.
    func pointAtKey(_ key: String, warning message: String, help: String? = nil) {
        diagnostics.warning(message, path: path, at: map.entry(key)?.keyOrigin ?? origin, help: help)
    }

    /// A key that the Collector has and this version does not: known, an error when set.
    ///
    /// - Parameters:
    ///   - key: The key. An empty value, `false`, `0` and empty lists and sections count as not set.
    ///   - reason: Follows "is not supported yet; ": why, or what to do instead. nil leaves it out.
    package func notSupportedYet(_ key: String, _ reason: String? = nil) {
        guard let entry = take(key), entry.value.isSomething else { return }
        let rest = reason.map { "; " + $0 } ?? ""
        diagnostics.error(
            "is not supported yet" + rest, path: path(of: key), at: entry.keyOrigin,
            help: "remove \(quoted(key))")
    }

    /// A key that may be written and that nobody reads here.
    package func accept(_ key: String) {
        _ = take(key)
    }

    /// A key that is read and has no effect here: known, a warning when set.
    package func ignored(_ key: String, _ reason: String) {
        guard let entry = take(key) else { return }
        diagnostics.warning("has no effect: " + reason, path: path(of: key), at: entry.keyOrigin)
    }

    /// Warns about a key that was read, so that its value is checked, and has no effect here.
    package func withoutEffect(_ key: String, _ reason: String) {
        if has(key) { report(key, warning: "has no effect: " + reason) }
    }

    /// True when a key's value asks for something: it is neither empty nor false, 0, or an empty list or section.
    package func asksForSomething(_ key: String) -> Bool {
        map.entry(key)?.value.isSomething ?? false
    }

    /// Names keys that people write here and that belong somewhere else, such as `insecure` under `tls`.
    package func misplaced(_ keys: [String], under section: String) {
        for key in keys { misplacedKeys[key] = "write it under \"\(section):\"" }
    }

    /// Says what is written today instead of keys of older Collectors: such a key is unknown, with this help.
    package func formerly(_ keys: [String: String]) {
        misplacedKeys.merge(keys) { own, _ in own }
    }

    /// Takes all keys as they are; `finish()` will not complain about any.
    package func allowAnyKey() {
        acceptsAnyKey = true
    }

    /// True when reading the key's value has reported an error, so that a follow-up error would only repeat it.
    package func isBroken(_ key: String) -> Bool { broken.contains(key) }

    /// Whether that is so of any key.
    package var hasBrokenKeys: Bool { !broken.isEmpty }

    func wrongType(_ entry: ConfigMap.Entry, expected: String, help: String? = nil) {
        broken.insert(entry.key)
        let origin = entry.value.isScalar ? entry.value.origin : entry.keyOrigin
        diagnostics.error(
            "expected \(expected), found \(entry.value.inWords)", path: path(of: entry.key), at: origin,
            help: help)
    }

    /// Reports every key that was never asked for, here and in all sections that were opened from here.
    /// Calling it again does nothing.
    package func finish() {
        guard !isFinished else { return }
        isFinished = true
        for child in children.values.joined() { child.finish() }
        guard !acceptsAnyKey else { return }
        for entry in map.entries where !asked.contains(entry.key) {
            // What is said to be missing is here, under another name or at another place.
            if misplacedKeys[entry.key] != nil || nearest(entry.key, in: asked) != nil {
                diagnostics.noteIncomplete(path)
            }
            for child in children.values.joined() where child.asked.contains(entry.key) {
                diagnostics.noteIncomplete(child.path)
            }
            diagnostics.error(
                "unknown key \(quoted(entry.key))", path: path, at: entry.keyOrigin,
                help: help(for: entry.key))
        }
    }

    private func help(for key: String) -> String? {
        if let place = misplacedKeys[key] { return place }
        for (section, opened) in children.sorted(by: { $0.key < $1.key })
        where opened.contains(where: { $0.asked.contains(key) }) {
            return "indent it under \"\(section):\""
        }
        if let near = nearest(key, in: asked) { return "did you mean \"\(near)\"?" }
        if let parent, parent.asked.contains(key), parent.map.entry(key) == nil {
            return "it belongs one level up, beside \"\(path.split(separator: ":").last ?? "")\""
        }
        guard !asked.isEmpty else { return "this section takes no keys" }
        let shown = asked.sorted().prefix(20).joined(separator: ", ")
        return "known keys: " + shown + (asked.count > 20 ? ", …" : "")
    }
}

/// What reading found out about values, for printing them. Confined to the loading thread.
final class ReadPaths {
    /// Paths of values that must not be shown.
    var secrets: Set<String> = []
    /// Paths of numbers and the like that came out of an expansion and were read as texts.
    var texts: Set<String> = []
}

extension ConfigNode {
    /// False for what means "off" or "nothing" in every field: null, false, 0, empty texts, lists and sections.
    fileprivate var isSomething: Bool {
        switch content {
        case .null: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let items): !items.isEmpty
        case .map(let map): map.entries.contains { $0.value.isSomething }
        }
    }
}
