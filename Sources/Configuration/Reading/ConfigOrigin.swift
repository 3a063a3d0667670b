/// The text of one configuration source: a file, an environment variable, an override.
///
/// Immutable, shared by every value that was read from it, so that a message about a value can show the line
/// that it came from. Safe to use from any thread.
package final class ConfigText: Sendable {
    /// What messages call the source: a path as the operator wrote it, `env:NAME`, `--set`.
    package let name: String
    /// Position among the sources of one load; messages come out in this order.
    package let order: Int
    /// The lines without their line ends; line 1 is at index 0.
    package let lines: [String]

    package init(name: String, order: Int, text: String) {
        self.name = name
        self.order = order
        self.lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
    }

    /// The line with this 1-based number, or nil when the source has no such line.
    func line(_ number: Int) -> String? {
        number >= 1 && number <= lines.count ? lines[number - 1] : nil
    }
}

/// Where a key or a value stands. Line and column start at 1; columns count Unicode scalars.
package struct ConfigOrigin: Sendable {
    package let text: ConfigText
    package let line: Int
    package let column: Int
    /// Number of Unicode scalars to underline; 0 = find the end of the token in the line.
    package let width: Int

    package init(text: ConfigText, line: Int, column: Int, width: Int) {
        self.text = text
        self.line = line
        self.column = column
        self.width = width
    }
}
