/// Turns one YAML document into values with positions. All problems go to the diagnostics.
///
/// Beyond the YAML itself: `::` in a key opens a section (`processors::batch: {}`), `<<` merges a section (or
/// a list of them) below the keys that are written out, and a key may be written only once in a section.
///
/// The parsing is libyaml's; the composing is by hand, as each value keeps its place for messages, and aliases and depth are
/// bounded while it is made. Yams 6.2 does neither, and brings Foundation: 52 MB more of static binary, three times the memory.
struct YAMLReader {
    /// Values in one source, aliases counted as often as they are used: stops alias bombs.
    private static let mostValues = 200_000
    /// Sections within sections.
    private static let deepest = 100
    /// Sections within sections in a text that is refused already and read on for mistakes only: the parser's
    /// time for each character grows with the depth.
    private static let deepestToReadOn = 1000

    private let parser: YAMLParser
    private let text: ConfigText
    private let diagnostics: Diagnostics
    private var values = 0
    /// What `&name` stands for: the latest value of that name that is complete.
    private var anchors: [String: Value] = [:]
    /// The limit that the text exceeds; said when it is valid YAML otherwise.
    private var refusal: (message: String, origin: ConfigOrigin)?
    /// The document has an error that leaves no value to go on with.
    private var failed = false

    /// A value and what an alias for it counts.
    private struct Value {
        var node: ConfigNode
        /// Written without quotes.
        var isPlain = false
        /// Values in it, itself included.
        var count = 1
        /// Levels below it.
        var height = 0
    }

    /// Keys that may stand in a section once each.
    private struct Key: Hashable {
        let text: String
        /// A `<<` without quotes.
        let isMerge: Bool
    }

    /// Reads a source. Never throws and never traps, whatever the text.
    ///
    /// - Returns: the document, a null value when it is empty; nil when an error was reported.
    static func read(_ source: String, _ text: ConfigText, _ diagnostics: Diagnostics) -> ConfigNode? {
        do throws(YAMLFault) {
            // A byte order mark in front is an editor's, not the text's.
            let marked = source.unicodeScalars.first == "\u{FEFF}"
            let yaml = marked ? String(source.unicodeScalars.dropFirst()) : source
            var reader = YAMLReader(parser: try YAMLParser(yaml), text: text, diagnostics: diagnostics)
            return try reader.document()
        } catch {
            report(error, source, text, diagnostics)
            return nil
        }
    }

    private init(parser: YAMLParser, text: ConfigText, diagnostics: Diagnostics) {
        self.parser = parser
        self.text = text
        self.diagnostics = diagnostics
    }

    private mutating func document() throws(YAMLFault) -> ConfigNode? {
        _ = try parser.next()  // the start of the stream
        if case .streamEnd = try parser.next().content {
            return ConfigNode(.null, origin: ConfigOrigin(text: text, line: 1, column: 1, width: 1))
        }
        let root = try value(parser.next(), depth: 0)
        _ = try parser.next()  // the end of the document
        let rest = try parser.next()
        try warnOfFurtherDocuments(rest)
        if let refusal { diagnostics.error(refusal.message, at: refusal.origin) }
        return failed || refusal != nil ? nil : root.node
    }

    /// Only the first document is the configuration, as it is for the Collector; an operator should know.
    private func warnOfFurtherDocuments(_ start: YAMLEvent) throws(YAMLFault) {
        guard case .documentStart = start.content else { return }
        // What is wrong in it is nobody's concern.
        guard let first = try? parser.next() else { return }
        if case .scalar(let scalar) = first.content, scalar.isPlain, scalar.text.isEmpty { return }
        diagnostics.warning(
            "a second document begins here; it is not read", at: origin(start),
            help: "remove it, or give it as a file of its own with a further --config")
    }

    // MARK: Values

    /// The value that begins with an event, read to its end; null after a refusal.
    private mutating func value(_ event: YAMLEvent, depth: Int) throws(YAMLFault) -> Value {
        let origin = origin(event)
        let before = values
        values += 1
        guard admits(depth: depth, at: origin) else { return try skip(event, depth: depth, origin) }
        var result: Value
        switch event.content {
        case .alias(let name):
            guard let anchored = anchors[name] else {
                throw .syntax(problem: "found undefined alias", event.mark)
            }
            values = before + anchored.count
            return admits(depth: depth + anchored.height, at: origin)
                ? anchored : Value(node: ConfigNode(.null, origin: origin))
        case .listStart:
            result = try list(depth: depth, origin)
        case .sectionStart:
            result = try section(depth: depth, origin)
        case .scalar(let scalar):
            let content =
                scalar.isPlain && !scalar.isTaggedText ? typedScalar(scalar.text) : .string(scalar.text)
            result = Value(
                node: ConfigNode(content, original: scalar.text, origin: origin), isPlain: scalar.isPlain)
            result.node.isTime = scalar.isPlain && !scalar.isTaggedText && isTime(scalar.text)
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .listEnd, .sectionEnd:
            throw .unreadable  // the parser's grammar puts none of them where a value begins
        }
        result.count = values - before
        if let anchor = event.anchor { anchors[anchor] = result }
        return result
    }

    /// The items up to the end of the list.
    private mutating func list(depth: Int, _ origin: ConfigOrigin) throws(YAMLFault) -> Value {
        var items: [ConfigNode] = []
        var height = 0
        while true {
            let event = try parser.next()
            if case .listEnd = event.content { break }
            let item = try value(event, depth: depth + 1)
            items.append(item.node)
            height = max(height, item.height + 1)
        }
        return Value(node: ConfigNode(.list(items), origin: origin), height: height)
    }

    /// The keys and values up to the end of the section.
    private mutating func section(depth: Int, _ origin: ConfigOrigin) throws(YAMLFault) -> Value {
        var written = ConfigMap()
        var indices: [String: Int] = [:]
        var merged = ConfigMap()
        var seen: [Key: ConfigOrigin] = [:]
        var height = 0
        while true {
            let event = try parser.next()
            if case .sectionEnd = event.content { break }
            let before = values
            let keyValue = try value(event, depth: depth + 1)
            values = before  // keys are not counted
            let child = try value(parser.next(), depth: depth + 1)
            if refusal != nil { continue }
            height = max(height, child.height + 1)
            let keyOrigin = self.origin(event)
            guard keyValue.node.isScalar else {
                let isTemplate = keyOrigin.text.line(keyOrigin.line)?.contains("{{") == true
                fail(
                    "a key must be a single word", at: keyOrigin,
                    help: isTemplate
                        ? "{{ … }} is a template: render the file first, as helm template does" : nil)
                continue
            }
            let text = keyValue.node.original
            let key = Key(text: text, isMerge: text == "<<" && keyValue.isPlain)
            if let first = seen[key] {
                duplicate(text, keyOrigin, first)
                failed = true
                continue
            }
            seen[key] = keyOrigin
            if key.isMerge {
                merge(child.node, into: &merged)
            } else {
                let (name, nested) = Self.unfold(text, keyOrigin, child.node)
                add(name, keyOrigin, nested, to: &written, &indices)
            }
        }
        if !merged.entries.isEmpty {
            merged.replace(with: written)
            written = merged
        }
        return Value(node: ConfigNode(.map(written), origin: origin), height: height)
    }

    /// Adds a key to a section in which "::" may have spelled it already.
    private func add(
        _ key: String, _ origin: ConfigOrigin, _ value: ConfigNode, to section: inout ConfigMap,
        _ indices: inout [String: Int]
    ) {
        guard let index = indices[key] else {
            indices[key] = section.entries.count
            section.entries.append(ConfigMap.Entry(key: key, keyOrigin: origin, value: value))
            return
        }
        let present = section.entries[index]
        guard case .map(var both) = present.value.content, case .map(let new) = value.content else {
            duplicate(key, origin, present.keyOrigin)
            return
        }
        both.merge(new)
        var value = value
        value.content = .map(both)
        section.entries[index] = ConfigMap.Entry(key: key, keyOrigin: origin, value: value)
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
                fail("\"<<\" needs a section, found \(section.inWords)", at: section.origin)
                return
            }
            merged.replace(with: map)
        }
    }

    private func origin(_ event: YAMLEvent) -> ConfigOrigin {
        ConfigOrigin(text: text, line: event.mark.line, column: event.mark.column, width: event.width)
    }

    // MARK: Mistakes

    private mutating func fail(_ message: String, at origin: ConfigOrigin, help: String? = nil) {
        diagnostics.error(message, at: origin, help: help)
        failed = true
    }

    private func duplicate(_ key: String, _ origin: ConfigOrigin, _ first: ConfigOrigin) {
        diagnostics.error(
            "key \(quoted(key)) is already set on line \(first.line)", at: origin,
            help: "keep one of the two")
    }

    /// False when the values so far or this depth are beyond a limit, now or before.
    private mutating func admits(depth: Int, at origin: ConfigOrigin) -> Bool {
        if refusal == nil, depth > Self.deepest {
            refusal = ("sections are nested deeper than \(Self.deepest)", origin)
        } else if refusal == nil, values > Self.mostValues {
            refusal = (
                "the source has more than \(Self.mostValues) values, aliases counted at each use", origin
            )
        }
        return refusal == nil
    }

    /// Reads over a value without keeping it: a mistake in the YAML may be why it is beyond a limit.
    private func skip(_ first: YAMLEvent, depth: Int, _ origin: ConfigOrigin) throws(YAMLFault) -> Value {
        var event = first
        var open = 0
        while true {
            switch event.content {
            case .listStart, .sectionStart: open += 1
            case .listEnd, .sectionEnd: open -= 1
            case .streamStart, .streamEnd, .documentStart, .documentEnd, .alias, .scalar: break
            }
            guard open > 0 else { return Value(node: ConfigNode(.null, origin: origin)) }
            guard depth + open <= Self.deepestToReadOn else {
                throw .syntax(problem: "nested deeper than \(Self.deepestToReadOn)", event.mark)
            }
            event = try parser.next()
        }
    }
}

extension YAMLReader {
    private static func report(
        _ fault: YAMLFault, _ source: String, _ text: ConfigText, _ diagnostics: Diagnostics
    ) {
        switch fault {
        case .syntax(let problem, let mark, let context, let contextMark):
            let origin = place(mark, text)
            var message = "not valid YAML: " + problem
            if let context, context != "while scanning for the next token" {
                message += " " + context
                if let contextMark, contextMark.line < origin.line {
                    message += " that starts on line \(contextMark.line)"
                }
            }
            diagnostics.error(message, at: origin, help: help(problem, origin))
        case .character(let problem, let offset):
            diagnostics.error(
                "not valid YAML: \(problem)", at: place(offset, source, text),
                help: "remove it, or write it as an escape in double quotes")
        case .unreadable:
            diagnostics.error(
                "cannot be read as YAML", at: place(YAMLMark(line: 1, column: 1), text))
        }
    }

    private static func help(_ problem: String, _ origin: ConfigOrigin) -> String {
        let line = origin.text.line(origin.line) ?? ""
        let indentation = line.prefix { $0 == " " || $0 == "\t" }
        if indentation.contains("\t") { return "indent with spaces; YAML does not allow tabs there" }
        switch problem {
        case "mapping values are not allowed in this context":
            return
                "check the indentation of this line and the one before; put texts that contain \": \" in quotes"
        case "did not find expected key", "could not find expected ':'":
            return "check the indentation of this line and the one before, and for a missing \":\""
        case _ where problem.hasPrefix("did not find expected ',' or") && line.contains("${"):
            return "put ${…} in quotes inside of { } and [ ], where braces have a meaning of their own"
        default: return "check the quotes and brackets of this line and those before it"
        }
    }

    private static func place(_ mark: YAMLMark, _ text: ConfigText) -> ConfigOrigin {
        // A problem at the end of the text is shown on its last line that has something on it.
        var line = max(1, min(mark.line, text.lines.count))
        var column = mark.column
        if mark.line > line || (text.line(line) ?? "").isEmpty {
            while line > 1, (text.line(line) ?? "").isEmpty { line -= 1 }
            column = (text.line(line) ?? "").unicodeScalars.count + 1
        }
        return ConfigOrigin(text: text, line: line, column: column, width: 1)
    }

    private static func place(_ offset: Int, _ source: String, _ text: ConfigText) -> ConfigOrigin {
        let before = String(decoding: source.utf8.prefix(offset), as: UTF8.self)
            .split(omittingEmptySubsequences: false) { $0.isNewline }
        let column = (before.last ?? "").unicodeScalars.count
        return ConfigOrigin(text: text, line: before.count, column: column + 1, width: 1)
    }
}
