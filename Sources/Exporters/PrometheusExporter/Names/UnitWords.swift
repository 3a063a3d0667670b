/// A UCUM unit in the words that Prometheus names use.
///
/// `By/s` is `bytes` and `per_second`. The unit is divided at its first slash; spaces around a half do not count, and
/// a half with a brace in it is an annotation, not a unit. A unit without a word of its own stays as it is written.
struct UnitWords: Equatable {
    /// What is before the slash: `bytes`. Empty when there is nothing to say, as for the unit `1`.
    private(set) var main = ""
    /// What is behind the slash, with its `per_`: `per_second`. Empty when there is nothing.
    private(set) var per = ""

    /// Reads a unit as OTLP carries it; any text is one.
    init(_ unit: String) {
        let halves = unit.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if let half = Self.plain(halves[0]) {
            main = Self.mains[half] ?? half
        }
        if halves.count > 1, let half = Self.plain(halves[1]) {
            per = "per_" + (Self.pers[half] ?? half)
        }
    }

    /// The words with nothing but letters, digits, `:` and single underscores between them, none at an end.
    var escaped: UnitWords {
        var words = self
        words.main = Self.tokens(main)
        words.per = Self.tokens(per)
        if words.per == "per" { words.per = "" }
        return words
    }

    private static func tokens(_ text: String) -> String {
        nameTokens(text).joined(separator: "_")
    }

    /// The half without spaces around it; nil when it is empty or an annotation.
    private static func plain(_ half: Substring) -> String? {
        var scalars = half.unicodeScalars
        while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        if scalars.isEmpty || scalars.contains("{") || scalars.contains("}") { return nil }
        return String(scalars)
    }

    private static let mains: [String: String] = [
        "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
        "us": "microseconds", "ns": "nanoseconds",
        "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
        "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
        "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
        "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
    ]

    private static let pers: [String: String] = [
        "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
    ]
}

/// The runs of ASCII letters, digits and colons in a text: what underscores hold together in a name.
func nameTokens(_ text: String) -> [Substring] {
    text.utf8.split { !isNameByte($0) }.map { Substring($0) }
}

/// Letters, digits and the colon of ASCII.
func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: ":"):
        true
    default: false
    }
}

/// An ASCII digit.
func isDigitByte(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}
