/// A strptime format, of the directives that the Collector knows: what it writes and reads is what Go's layouts do that the
/// Collector makes of them. Immutable.
struct TimeLayout {
    enum Part: Equatable {
        case text([UInt8])
        case directive(UInt8)
        /// Fractions of a second behind a dot or a comma; the digits that are written at most.
        case fraction(separator: UInt8, digits: Int)
        /// `%D`, `%x`: parts of a date whose year may have two digits when it is read.
        case shortDate
    }

    let format: String
    private(set) var parts: [Part] = []

    init(_ format: String) throws(FunctionError) {
        self.format = format
        if format.utf8.contains(where: \.isDigit) {
            throw FunctionError("format string should not contain decimals")
        }
        try append(Array(format.utf8))
    }

    private mutating func append(_ format: [UInt8]) throws(FunctionError) {
        var rest = format[...]
        var literal: [UInt8] = []
        func directiveText(_ letter: UInt8) -> String { "%\(Character(UnicodeScalar(letter)))" }
        while let byte = rest.popFirst() {
            // A percent sign at the end stands for itself.
            guard byte == UInt8(ascii: "%"), let directive = rest.popFirst() else {
                literal.append(byte)
                continue
            }
            switch directive {
            case UInt8(ascii: "%"): literal.append(directive)
            case UInt8(ascii: "n"): literal.append(10)
            case UInt8(ascii: "t"): literal.append(9)
            case UInt8(ascii: "L"), UInt8(ascii: "f"), UInt8(ascii: "s"):
                guard let separator = literal.last, ".,".utf8.contains(separator) else {
                    throw FunctionError(
                        "invalid fractional seconds directive: '"
                            + "\(String(decoding: literal.suffix(1), as: UTF8.self))\(directiveText(directive))'"
                            + ". must be preceded with '.' or ','")
                }
                literal.removeLast()
                close(&literal)
                let digits = directive == UInt8(ascii: "L") ? 3 : directive == UInt8(ascii: "f") ? 6 : 9
                parts.append(.fraction(separator: separator, digits: digits))
            case UInt8(ascii: "D"), UInt8(ascii: "x"):
                close(&literal)
                parts.append(.shortDate)
            default:
                close(&literal)
                if let composite = Self.composites[directive] {
                    try append(Array(composite.utf8))
                } else if Self.directives.contains(directive) {
                    parts.append(.directive(directive))
                } else {
                    throw FunctionError(
                        "invalid strptime format: unsupported directive: \(directiveText(directive))")
                }
            }
        }
        close(&literal)
    }

    private mutating func close(_ literal: inout [UInt8]) {
        if !literal.isEmpty { parts.append(.text(literal)) }
        literal = []
    }

    private static let directives = Set("YymoqbhBdegaAHIlpPMSZzwijk".utf8)
    private static let composites: [UInt8: String] = [
        UInt8(ascii: "F"): "%Y-%m-%d", UInt8(ascii: "T"): "%H:%M:%S", UInt8(ascii: "X"): "%H:%M:%S",
        UInt8(ascii: "r"): "%I:%M:%S %P", UInt8(ascii: "R"): "%H:%M",
        UInt8(ascii: "c"): "%a %b %d %H:%M:%S %Y",
    ]

    // MARK: - Writing

    func text(_ time: Timestamp) -> String {
        let civil = CivilTime(time)
        return parts.map { part in
            switch part {
            case .text(let bytes): String(decoding: bytes, as: UTF8.self)
            case .directive(UInt8(ascii: "Z")): TimeText.zoneName(time)
            case .directive(let letter): Self.text(letter, civil, time.offset)
            case .fraction(let separator, let digits):
                Self.fraction(civil.nanosecond, digits, Character(UnicodeScalar(separator)))
            case .shortDate:
                "\(TimeText.pad(civil.month, 2))/\(TimeText.pad(civil.day, 2))/\(TimeText.pad(civil.year, 4))"
            }
        }.joined()
    }

    /// Without zeros at the end; without the separator, too, when nothing is left.
    private static func fraction(_ nanoseconds: Int64, _ digits: Int, _ separator: Character) -> String {
        var text = TimeText.pad(nanoseconds, 9).prefix(digits)
        while text.last == "0" { text = text.dropLast() }
        return text.isEmpty ? "" : "\(separator)\(text)"
    }

    private static func text(_ letter: UInt8, _ civil: CivilTime, _ offset: Int64) -> String {
        let twelve = civil.hour % 12 == 0 ? 12 : civil.hour % 12
        return switch Character(UnicodeScalar(letter)) {
        case "Y": TimeText.pad(civil.year, 4)
        case "y": TimeText.pad(civil.year % 100, 2)
        case "m": TimeText.pad(civil.month, 2)
        // Go knows no month padded with a space: the Collector writes an underscore.
        case "o": "_\(civil.month)"
        case "q": "\(civil.month)"
        case "b", "h": String(TimeText.months[Int(civil.month) - 1].prefix(3))
        case "B": TimeText.months[Int(civil.month) - 1]
        case "d": TimeText.pad(civil.day, 2)
        case "e": TimeText.pad(civil.day, 2, " ")
        case "g": "\(civil.day)"
        case "a": String(TimeText.days[Int(civil.weekday)].prefix(3))
        case "A": TimeText.days[Int(civil.weekday)]
        case "H": TimeText.pad(civil.hour, 2)
        case "I": TimeText.pad(twelve, 2)
        case "l": "\(twelve)"
        case "p": civil.hour < 12 ? "AM" : "PM"
        case "P": civil.hour < 12 ? "am" : "pm"
        case "M": TimeText.pad(civil.minute, 2)
        case "S": TimeText.pad(civil.second, 2)
        case "z": offset == 0 ? "Z" : TimeText.zone(offset, separator: "")
        case "i": TimeText.zone(offset, separator: "", parts: 1)
        case "j": TimeText.zone(offset, separator: ":")
        case "k": TimeText.zone(offset, separator: ":", parts: 3)
        case "w": TimeText.zone(offset, separator: "", parts: 3)
        default: ""
        }
    }
}
