/// Why a statement or condition is not taken: what is wrong, where in its text, and what may have been meant.
package struct StatementError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, without the place.
    package var message: String
    /// Where: an offset in the UTF-8 of `text`, its length at most.
    package var offset: Int
    /// The whole statement; empty until the statement's parser or checker adds it.
    package var text: String
    /// What may have been meant, for example `did you mean "attributes"?`.
    package var help: String?

    package init(_ message: String, at offset: Int, help: String? = nil) {
        self.message = message
        self.offset = offset
        self.text = ""
        self.help = help
    }

    package func inside(_ text: String) -> StatementError {
        var copy = self
        copy.text = text
        copy.offset = min(max(offset, 0), text.utf8.count)
        return copy
    }

    /// Line and column, from 1; the column counts characters.
    package var place: (line: Int, column: Int) {
        let before = text.utf8.prefix(offset)
        let line = before.count { $0 == UInt8(ascii: "\n") }
        let start =
            before.lastIndex(of: UInt8(ascii: "\n")).map { before.index(after: $0) } ?? before.startIndex
        return (line + 1, String(decoding: before[start...], as: UTF8.self).count + 1)
    }

    /// `1:9: message` and the help on the first line, the line of the statement on the second and a caret under the
    /// place on the third.
    package var description: String {
        let (line, column) = place
        var first = "\(line):\(column): \(message)"
        if let help { first += " (\(help))" }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard line <= lines.count else { return first }
        let shown = lines[line - 1].map { $0 == "\t" ? " " : String($0) }.joined()
        return first + "\n    " + shown + "\n    " + String(repeating: " ", count: column - 1) + "^"
    }
}

/// The nearest of some names, for a message.
func suggestion(for name: String, among names: some Sequence<String>) -> String? {
    let limit = max(1, name.count / 3)
    var best: (name: String, distance: Int)?
    for candidate in names.sorted() where abs(candidate.count - name.count) <= limit {
        let distance = editDistance(Array(name.lowercased().utf8), Array(candidate.lowercased().utf8))
        if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best.map { "did you mean \"\($0.name)\"?" }
}

private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in right.indices {
            let replaced = diagonal + (byte == right[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
        }
    }
    return row[right.count]
}
