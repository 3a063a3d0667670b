/// A text with its place, for languages inside of the configuration whose messages point at a part of it.
package struct LocatedText: Sendable {
    package let text: String
    package let origin: ConfigOrigin
    /// The way from the top.
    package let path: String

    package init(_ text: String, origin: ConfigOrigin, path: String) {
        self.text = text
        self.origin = origin
        self.path = path
    }
}

/// One entry of a list that may hold texts as well as sections.
package enum ConfigItem {
    case text(LocatedText)
    case section(ConfigSection)
    /// `null`, or nothing behind the dash.
    case empty(LocatedText)
}

extension ConfigSection {
    /// The entries of a list of texts and sections; nil when the key is absent. Other entries are reported.
    package func items(_ key: String) -> [ConfigItem]? {
        guard let nodes = list(key) else { return nil }
        return nodes.enumerated().compactMap { index, node in
            let path = path(of: key) + "::\(index)"
            switch node.content {
            case .map(let map): return .section(child(key, path, map, node.origin))
            case .null: return .empty(LocatedText("", origin: node.origin, path: path))
            default:
                return text(node, path).map { .text(LocatedText($0, origin: node.origin, path: path)) }
            }
        }
    }

    /// A list of texts, each with its place; nil when absent. Unlike `stringList`, a text is a list of one, whatever
    /// commas it has.
    package func locatedTexts(_ key: String) -> [LocatedText]? {
        guard let nodes = list(key) else { return nil }
        return nodes.enumerated().compactMap { index, node in
            let path = path(of: key) + "::\(index)"
            return text(node, path).map { LocatedText($0, origin: node.origin, path: path) }
        }
    }

    /// A text with its place; nil when absent.
    package func locatedText(_ key: String) -> LocatedText? {
        guard let text = optionalString(key), let entry = takeText(key) else { return nil }
        return LocatedText(text, origin: entry.value.origin, path: path(of: key))
    }

    private func list(_ key: String) -> [ConfigNode]? {
        guard let entry = take(key) else { return nil }
        switch entry.value.content {
        case .list(let nodes): return nodes
        case .string: return [entry.value]
        default:
            wrongType(entry, expected: "a list", help: "begin each entry with \"- \"")
            return nil
        }
    }

    private func text(_ node: ConfigNode, _ path: String) -> String? {
        if case .string(let text) = node.content { return text }
        if node.isExpanded, !node.isNull { return node.original }
        diagnostics.error(
            "expected a text, found \(node.inWords)", path: path, at: node.origin,
            help: node.isScalar && !node.isNull ? "put it in quotes: \"\(node.original)\"" : nil)
        return nil
    }
}

extension LocatedText {
    /// Where a part of the text stands in the source: follows quotes, escapes, `$$` and line breaks. The place of the whole
    /// text when it cannot be followed, for example because of an expansion.
    /// - Parameter offset: in the UTF-8 of the text.
    package func origin(at offset: Int) -> ConfigOrigin {
        var walk = SourceWalk(origin)
        for scalar in String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars {
            guard walk.pass(scalar) else { return origin }
        }
        return walk.place(width: offset < text.utf8.count ? 0 : 1)
    }
}

/// Follows the characters of a value through the lines in which it was written.
private struct SourceWalk {
    private let text: ConfigText
    private var line: Int
    private var scalars: [Unicode.Scalar]
    private var index: Int
    private var quote: Unicode.Scalar?
    /// Where the lines of a block begin; nil for other texts, whose lines begin behind their white space.
    private var indent: Int?
    /// A `$` was passed that the next one in the source may belong to.
    private var mayDouble = false

    init(_ origin: ConfigOrigin) {
        text = origin.text
        line = origin.line
        scalars = Array((text.line(line) ?? "").unicodeScalars)
        index = origin.column - 1
        guard index < scalars.count else { return }
        switch scalars[index] {
        case "\"", "'":
            quote = scalars[index]
            index += 1
        case "|", ">":
            nextLine()
            indent = index
        default: break
        }
    }

    func place(width: Int) -> ConfigOrigin {
        ConfigOrigin(text: text, line: line, column: min(index, scalars.count) + 1, width: max(1, width))
    }

    private mutating func nextLine() {
        line += 1
        scalars = Array((text.line(line) ?? "").unicodeScalars)
        index = min(scalars.firstIndex { $0 != " " && $0 != "\t" } ?? scalars.count, indent ?? .max)
    }

    /// Steps over one character of the value; false when something else stands there.
    mutating func pass(_ scalar: Unicode.Scalar) -> Bool {
        let isSpace = scalar == " " || scalar == "\n"
        if mayDouble, scalar != "$", index < scalars.count, scalars[index] == "$" { index += 1 }
        mayDouble = false
        if index >= scalars.count || (isSpace && scalars[index...].allSatisfy { $0 == " " }) {
            guard isSpace, text.line(line + 1) != nil else { return false }
            nextLine()
            return true
        }
        let found = scalars[index]
        if found == "\\", quote == "\"" {
            guard index + 1 < scalars.count, let meant = Self.escapes[scalars[index + 1]], meant == scalar
            else {
                return false
            }
            index += 2
            return true
        }
        guard found == scalar else { return false }
        index += 1
        // `''` in single quotes is one character, and so is `$$` unless the text has both.
        if found == "'", quote == "'", index < scalars.count, scalars[index] == found { index += 1 }
        mayDouble = found == "$"
        return true
    }

    private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
        "\\": "\\", "\"": "\"", "n": "\n", "t": "\t", "/": "/", " ": " ", "0": "\0",
    ]
}
