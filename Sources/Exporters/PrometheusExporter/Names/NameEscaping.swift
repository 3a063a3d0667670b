/// How names that Prometheus before version 3 does not know are written for a scraper: its parameter `escaping`.
///
/// A legacy name is letters, digits, `_` and, for metrics, `:`, and does not begin with a digit. Pure, any thread.
enum NameEscaping: String, Sendable, Hashable, CaseIterable {
    /// As they are, in quotes.
    case allowUTF8 = "allow-utf-8"
    /// Each character that is not allowed becomes `_`.
    case underscores
    /// In a name with a character that is not allowed `.` becomes `_dot_`, `_` becomes `__`, any other such character
    /// becomes `__`.
    case dots
    /// A name with a character that is not allowed begins with `U__`; there `_` is `__`, and such a character is its
    /// number in hexadecimal between underscores. Nothing is lost.
    case values

    /// The name of a metric as this scraper wants it.
    func metricName(_ name: String) -> String {
        escaped(name, colons: true)
    }

    /// The name of a label as this scraper wants it.
    func labelName(_ name: String) -> String {
        escaped(name, colons: false)
    }

    /// Whether a name needs no quotes.
    static func isLegacy(_ name: String, colons: Bool) -> Bool {
        guard let first = name.utf8.first, !isDigitByte(first) else { return false }
        return name.utf8.allSatisfy { isLegacyByte($0, colons) }
    }

    private func escaped(_ name: String, colons: Bool) -> String {
        if self == .allowUTF8 || Self.isLegacy(name, colons: colons) { return name }
        var made = self == .values ? "U__" : ""
        for (index, scalar) in name.unicodeScalars.enumerated() {
            let isAllowed =
                scalar.isASCII && isLegacyByte(UInt8(scalar.value), colons)
                && (index > 0 || !isDigitByte(UInt8(scalar.value)))
            switch (self, scalar) {
            case (.dots, "_"), (.values, "_"): made += "__"
            case _ where isAllowed: made.unicodeScalars.append(scalar)
            case (.dots, "."): made += "_dot_"
            case (.dots, _): made += "__"
            case (.values, _): made += "_" + String(scalar.value, radix: 16) + "_"
            default: made += "_"
            }
        }
        return made
    }
}

private func isLegacyByte(_ byte: UInt8, _ colons: Bool) -> Bool {
    byte == UInt8(ascii: "_") || isNameByte(byte) && (colons || byte != UInt8(ascii: ":"))
}
