internal import Yams

/// Turns one YAML document into values with positions. All problems go to the diagnostics.
///
/// Beyond the YAML itself: `::` in a key opens a section (`processors::batch: {}`), `<<` merges a section (or a
/// list of them) below the keys that are written out, and a key may be written only once in a section.
struct YAMLReader {
    /// Values in one source, aliases counted as often as they are used: stops alias bombs.
    private static let mostValues = 200_000
    /// Sections within sections.
    private static let deepest = 100

    private let text: ConfigText
    private let diagnostics: Diagnostics
    private var values = 0
    private var gaveUp = false

    /// Reads a source. Never throws and never traps, whatever the text.
    ///
    /// - Returns: the document, a null value when it is empty; nil when an error was reported.
    static func read(_ source: String, _ text: ConfigText, _ diagnostics: Diagnostics) -> ConfigNode? {
        // The parser keeps a pointer into the string, which must therefore not live inside the String value,
        // as short ones do: line feeds at the end lengthen it and mean nothing.
        var padded = source.utf8.count < 64 ? source + String(repeating: "\n", count: 64) : source
        padded.makeContiguousUTF8()
        let root: Node?
        do {
            root = try Yams.compose(yaml: padded, .basic, .default, .utf8)
        } catch {
            report(error, text, diagnostics)
            return nil
        }
        guard let root else {
            return ConfigNode(.null, origin: ConfigOrigin(text: text, line: 1, column: 1, width: 1))
        }
        var reader = YAMLReader(text: text, diagnostics: diagnostics)
        let value = reader.value(root, depth: 0)
        return reader.gaveUp ? nil : value
    }

    private init(text: ConfigText, diagnostics: Diagnostics) {
        self.text = text
        self.diagnostics = diagnostics
    }

    private mutating func value(_ node: Node, depth: Int) -> ConfigNode {
        values += 1
        let origin = origin(node)
        guard values <= Self.mostValues, depth <= Self.deepest else {
            giveUp(
                depth > Self.deepest
                    ? "sections are nested deeper than \(Self.deepest)"
                    : "the source has more than \(Self.mostValues) values, aliases counted at each use",
                at: origin)
            return ConfigNode(.null, origin: origin)
        }
        switch node {
        case .scalar(let scalar):
            return ConfigNode(Self.typed(scalar), original: scalar.string, origin: origin)
        case .sequence(let sequence):
            var items: [ConfigNode] = []
            for item in sequence where !gaveUp { items.append(value(item, depth: depth + 1)) }
            return ConfigNode(.list(items), origin: origin)
        case .mapping(let mapping):
            return ConfigNode(.map(section(mapping, depth: depth)), origin: origin)
        case .alias:
            // The parser resolves aliases itself; one that is left over has no value.
            giveUp("found an alias without a value", at: origin)
            return ConfigNode(.null, origin: origin)
        }
    }

    private mutating func section(_ mapping: Node.Mapping, depth: Int) -> ConfigMap {
        var written = ConfigMap()
        var merged = ConfigMap()
        for (keyNode, valueNode) in mapping where !gaveUp {
            guard case .scalar(let keyScalar) = keyNode else {
                diagnostics.error("a key must be a single word", at: origin(keyNode))
                gaveUp = true
                break
            }
            let keyOrigin = origin(keyNode)
            let child = value(valueNode, depth: depth + 1)
            if keyScalar.string == "<<", keyScalar.style == .plain {
                merge(child, into: &merged)
                continue
            }
            let (key, nested) = Self.unfold(keyScalar.string, keyOrigin, child)
            // The parser refuses a key that is spelled twice; "::" can spell one in two ways.
            if let present = written.entry(key) {
                guard case .map = present.value.content, case .map = nested.content else {
                    duplicate(key, keyOrigin, present.keyOrigin)
                    continue
                }
            }
            var single = ConfigMap()
            single.set(key, keyOrigin, nested)
            written.merge(single)
        }
        guard !merged.entries.isEmpty else { return written }
        merged.merge(written)
        return merged
    }

    /// `a::b: v` as `a: {b: v}`.
    static func unfold(
        _ key: String, _ origin: ConfigOrigin, _ value: ConfigNode, separator: String = "::"
    ) -> (key: String, value: ConfigNode) {
        let parts = split(key, separator)
        guard parts.count > 1, !parts.contains("") else { return (key, value) }
        var nested = value
        for part in parts.dropFirst().reversed() {
            var map = ConfigMap()
            map.set(part, origin, nested)
            nested = ConfigNode(.map(map), origin: origin)
        }
        return (parts[0], nested)
    }

    private static func split(_ key: String, _ separator: String) -> [String] {
        var parts: [String] = [""]
        var rest = Substring(key)
        while let next = rest.first {
            if rest.hasPrefix(separator) {
                rest = rest.dropFirst(separator.count)
                parts.append("")
            } else {
                parts[parts.count - 1].append(next)
                rest = rest.dropFirst()
            }
        }
        return parts
    }

    /// Adds the sections of a `<<` key; the first of a list wins.
    private mutating func merge(_ value: ConfigNode, into merged: inout ConfigMap) {
        let sections: [ConfigNode]
        if case .list(let items) = value.content { sections = items } else { sections = [value] }
        for section in sections.reversed() {
            guard case .map(let map) = section.content else {
                diagnostics.error("\"<<\" needs a section, found \(section.inWords)", at: section.origin)
                gaveUp = true
                return
            }
            merged.merge(map)
        }
    }

    private func duplicate(_ key: String, _ origin: ConfigOrigin, _ first: ConfigOrigin) {
        diagnostics.error(
            "key \(quoted(key)) is already set on line \(first.line)", at: origin,
            help: "keep one of the two")
    }

    private mutating func giveUp(_ message: String, at origin: ConfigOrigin) {
        if !gaveUp { diagnostics.error(message, at: origin) }
        gaveUp = true
    }

    private func origin(_ node: Node) -> ConfigOrigin {
        var width = 0
        if case .scalar(let scalar) = node, scalar.style == .plain, !scalar.string.isEmpty,
            let mark = scalar.mark, let line = text.line(mark.line),
            line.unicodeScalars.dropFirst(mark.column - 1).starts(with: scalar.string.unicodeScalars)
        {
            width = scalar.string.unicodeScalars.count
        }
        return ConfigOrigin(
            text: text, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1, width: width)
    }

    private static func typed(_ scalar: Node.Scalar) -> ConfigNode.Content {
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        return scalar.tag.description == Tag.Name.str.rawValue
            ? .string(scalar.string) : typedScalar(scalar.string)
    }
}

extension YAMLReader {
    private static func report(_ error: any Error, _ text: ConfigText, _ diagnostics: Diagnostics) {
        guard let error = error as? YamlError else {
            diagnostics.error("cannot be read as YAML", at: place(nil, text))
            return
        }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let origin = place(mark, text)
            var message = "not valid YAML: " + problem
            if problem == "but found another document" {
                message = "a second document begins here"
            } else if let context, context.text != "while scanning for the next token" {
                message += " " + context.text
                if context.mark.line < origin.line { message += " that starts on line \(context.mark.line)" }
            }
            diagnostics.error(message, at: origin, help: help(problem, origin))
        case .reader(let problem, let offset, _, let yaml):
            diagnostics.error("not valid YAML: \(problem)", at: place(offset, yaml, text))
        case .duplicatedKeysInMapping(let keys, let context):
            for key in keys { reportDuplicate(key, context.mark, text, diagnostics) }
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            diagnostics.error("cannot be read as YAML", at: place(nil, text))
        }
    }

    private static func help(_ problem: String, _ origin: ConfigOrigin) -> String? {
        let line = origin.text.line(origin.line) ?? ""
        let indentation = line.prefix { $0 == " " || $0 == "\t" }
        if indentation.contains("\t") { return "indent with spaces; YAML does not allow tabs there" }
        switch problem {
        case "mapping values are not allowed in this context":
            return
                "check the indentation of this line and the one before; put texts that contain \": \" in quotes"
        case "did not find expected key", "could not find expected ':'":
            return "check the indentation of this line and the one before, and for a missing \":\""
        case "but found another document":
            return "write one document in a file; \"---\" starts a new one"
        default: return nil
        }
    }

    private static func place(_ mark: Mark?, _ text: ConfigText) -> ConfigOrigin {
        // A problem at the end of the text is shown on its last line that has something on it.
        var line = max(1, min(mark?.line ?? 1, text.lines.count))
        var column = max(1, mark?.column ?? 1)
        if let wanted = mark?.line, wanted > line || (text.line(line) ?? "").isEmpty {
            while line > 1, (text.line(line) ?? "").isEmpty { line -= 1 }
            column = (text.line(line) ?? "").unicodeScalars.count + 1
        }
        return ConfigOrigin(text: text, line: line, column: column, width: 1)
    }

    private static func place(_ offset: Int?, _ yaml: String, _ text: ConfigText) -> ConfigOrigin {
        guard let offset else { return place(nil, text) }
        let before = yaml.prefix(offset)
        let line = before.count { $0.isNewline } + 1
        let column = (before.split(omittingEmptySubsequences: false) { $0.isNewline }.last ?? "")
            .unicodeScalars.count
        return ConfigOrigin(text: text, line: line, column: column + 1, width: 1)
    }

    /// The parser names the first place of a repeated key; the message belongs to the second.
    private static func reportDuplicate(
        _ key: String, _ first: Mark, _ text: ConfigText, _ diagnostics: Diagnostics
    ) {
        let occurrences = text.lines.indices.filter { index in
            let line = text.lines[index]
            let body = line.drop { $0 == " " || $0 == "-" }
            let bare = body.first == "\"" || body.first == "'" ? body.dropFirst() : body
            guard bare.hasPrefix(key) else { return false }
            let after = bare.dropFirst(key.count).drop { $0 == " " || $0 == "\"" || $0 == "'" }
            return after.first == ":" && line.count - body.count == first.column - 1
        }
        let second = occurrences.first { $0 + 1 > first.line }
        let origin = ConfigOrigin(
            text: text, line: second.map { $0 + 1 } ?? first.line, column: first.column,
            width: key.unicodeScalars.count)
        let before = second == nil ? "more than once" : "on line \(first.line)"
        diagnostics.error(
            "key \(quoted(key)) is already set \(before)", at: origin, help: "keep one of the two")
    }
}
