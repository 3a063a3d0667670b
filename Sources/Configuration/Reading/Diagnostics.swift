/// Everything that is wrong or doubtful in a configuration, collected while it is read.
///
/// Nothing that reads configuration throws or stops at the first problem: it reports here and goes on with the
/// default, so that an operator sees all problems in one run. Confined to the thread that loads.
package final class Diagnostics {
    /// How bad a problem is.
    package enum Severity: String, Sendable {
        /// The configuration cannot be used.
        case error
        /// The configuration is used, though probably not as meant.
        case warning
    }

    /// One problem.
    package struct Item: Sendable {
        package let severity: Severity
        /// The key's way from the top, joined by `::`; empty for the whole source.
        package let path: String
        /// What is wrong, with the value seen and the limit.
        package let message: String
        /// What to write instead; nil when there is nothing useful to say.
        package let help: String?
        /// Where; nil for a problem that belongs to no text.
        package let origin: ConfigOrigin?
        /// False when the line may hold a secret.
        let showsLine: Bool
        /// The section that it is about as a whole, such as one in which something is missing; nil for a single value.
        var section: String?
    }

    private var collected: [Item] = []
    private var seen: Set<String> = []
    private var saidOnce: Set<String> = []
    /// Sections of which a key is misspelt or has no value for another reason that is told.
    private var incomplete: Set<String> = []
    /// Whether a file that is missing is a warning: where a configuration is only checked, its files may be elsewhere.
    package var toleratesMissingFiles = false

    package init() {}

    /// True as soon as one error (not: warning) was reported.
    package var hasErrors: Bool { collected.contains { $0.severity == .error } }

    /// All problems in the order of the sources and their lines.
    package var items: [Item] {
        collected.enumerated().sorted { left, right in
            let leftKey = Self.position(left.element)
            let rightKey = Self.position(right.element)
            return leftKey == rightKey ? left.offset < right.offset : leftKey < rightKey
        }.map(\.element)
    }

    /// Collects an error. The same problem reported twice is kept once.
    ///
    /// - Parameters:
    ///   - showsLine: false leaves out the source line, which may hold a secret.
    ///   - section: the section that the error is about as a whole: it is left out when a misspelt key there explains it.
    package func error(
        _ message: String, path: String = "", at origin: ConfigOrigin? = nil, help: String? = nil,
        showsLine: Bool = true, section: String? = nil
    ) {
        if let section, incomplete.contains(section) { return }
        add(
            Item(
                severity: .error, path: path, message: message, help: help ?? Self.help(for: path),
                origin: origin, showsLine: showsLine, section: section))
    }

    /// Says that an error has been told about a key of a section: what that section seems to lack, or the one in whose list
    /// it is an item, is no second error.
    func noteIncomplete(_ section: String) {
        var sections = [section]
        let parts = section.split(separator: "::", omittingEmptySubsequences: false)
        if parts.count > 2, Int(parts[parts.count - 1]) != nil {
            sections += [1, 2].map { parts.dropLast($0).joined(separator: "::") }
        }
        incomplete.formUnion(sections)
        collected.removeAll { $0.section.map(sections.contains) ?? false }
    }

    /// What to do about an error whose reporter knows nothing better: every error says something.
    private static func help(for path: String) -> String {
        guard let key = path.split(separator: ":").last(where: { Int($0) == nil }) else {
            return "correct it; sluice validate shows whether all is well then"
        }
        return "correct \(quoted(String(key))), or remove it"
    }

    /// Collects a warning. The same problem reported twice is kept once.
    package func warning(
        _ message: String, path: String = "", at origin: ConfigOrigin? = nil, help: String? = nil
    ) {
        add(
            Item(
                severity: .warning, path: path, message: message, help: help, origin: origin, showsLine: true)
        )
    }

    /// Whether this is asked for the first time: for what need not be said of every section.
    func isFirst(_ topic: String) -> Bool { saidOnce.insert(topic).inserted }

    /// Forgets the warnings about a section that is refused as a whole.
    func dropWarnings(under path: String) {
        collected.removeAll { $0.severity == .warning && $0.path.hasPrefix(path + "::") }
    }

    /// All problems as text, each with its source line and a marker under the place; empty when there are none.
    package func render() -> String {
        items.map { $0.rendered }.joined()
    }

    private func add(_ item: Item) {
        let place = item.origin.map { "\($0.text.order):\($0.line):\($0.column)" } ?? ""
        // One place is one mistake, also where anchors and merge keys make it part of several sections.
        let whose = place.isEmpty ? item.path : ""
        guard seen.insert("\(item.severity.rawValue)|\(place)|\(whose)|\(item.message)").inserted else {
            return
        }
        collected.append(item)
    }

    private static func position(_ item: Item) -> (Int, Int, Int) {
        guard let origin = item.origin else { return (Int.max, 0, 0) }
        return (origin.text.order, origin.line, origin.column)
    }
}

extension Diagnostics.Item {
    /// Lines longer than this many scalars are cut around the marked place.
    private static let widestLine = 160

    /// The problem as text: a headline, the source line, a marker, the help. Ends with a line feed.
    package var rendered: String {
        var out = ""
        if let origin {
            out += "\(origin.text.name):\(origin.line):\(origin.column): "
        }
        out += severity.rawValue + ": "
        if !path.isEmpty { out += path + ": " }
        out += message + "\n"
        if let origin, showsLine, let line = origin.text.line(origin.line) {
            out += Self.excerpt(SecretLines.masked(line, origin), origin)
        }
        if let help {
            let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
            out += "   help: " + lines.joined(separator: "\n         ") + "\n"
        }
        return out
    }

    private static func excerpt(_ line: String, _ origin: ConfigOrigin) -> String {
        var scalars = Array(line.unicodeScalars)
        var start = min(max(origin.column - 1, 0), scalars.count)
        let wanted = origin.width > 0 ? origin.width : tokenWidth(scalars, start)
        if scalars.count > widestLine {
            let first = max(0, min(start - 40, scalars.count - widestLine))
            scalars = Array(scalars[first..<min(scalars.count, first + widestLine)])
            start -= first
        }
        let width = max(1, min(wanted, scalars.count - start))
        let number = String(origin.line)
        let gutter = String(repeating: " ", count: number.count)
        // A tab keeps its place in the padding, so that the marker stands under its token.
        let padding = String(
            String.UnicodeScalarView(scalars[..<start].map { $0 == "\t" ? "\t" : " " }))
        let marker = "^" + String(repeating: "~", count: width - 1)
        let text = String(String.UnicodeScalarView(scalars))
        return "   \(number) | \(text)\n   \(gutter) | \(padding)\(marker)\n"
    }

    /// Number of scalars of the YAML token that begins at `start`.
    private static func tokenWidth(_ line: [Unicode.Scalar], _ start: Int) -> Int {
        guard start < line.count else { return 1 }
        let quote = line[start]
        if quote == "\"" || quote == "'" {
            var index = start + 1
            while index < line.count, line[index] != quote {
                index += line[index] == "\\" && quote == "\"" ? 2 : 1
            }
            return min(index + 1, line.count) - start
        }
        var index = start
        while index < line.count {
            let next = index + 1 < line.count ? line[index + 1] : " "
            if line[index] == ":" && (next == " " || next == "\t") { break }
            if line[index] == " " && next == "#" { break }
            index += 1
        }
        while index > start + 1, line[index - 1] == " " { index -= 1 }
        return index - start
    }
}
