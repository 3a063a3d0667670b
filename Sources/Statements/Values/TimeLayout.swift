/// A strptime format, of the directives that the Collector knows.
struct TimeLayout {
    private enum Part {
        case text([UInt8])
        case directive(UInt8)
    }

    private let format: String
    private var parts: [Part] = []

    init(_ format: String) throws(FunctionError) {
        self.format = format
        var rest = Array(format.utf8)[...]
        var literal: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard !byte.isDigit else { throw FunctionError("format string should not contain decimals") }
                literal.append(byte)
                continue
            }
            guard let directive = rest.popFirst() else {
                throw FunctionError("invalid strptime format: the format ends in %")
            }
            if let composite = Self.composites[directive] {
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = []
                parts += try TimeLayout(composite).parts
                continue
            }
            switch directive {
            case UInt8(ascii: "%"): literal.append(directive)
            case UInt8(ascii: "n"): literal.append(10)
            case UInt8(ascii: "t"): literal.append(9)
            default:
                guard Self.directives.contains(directive) else {
                    throw FunctionError(
                        "invalid strptime format: unsupported directive: %\(Character(UnicodeScalar(directive)))"
                    )
                }
                if "fLs".utf8.contains(directive), literal.last != UInt8(ascii: "."),
                    literal.last != UInt8(ascii: ",")
                {
                    throw FunctionError(
                        "invalid fractional seconds directive: '\(String(decoding: literal, as: UTF8.self).suffix(1))"
                            + "%\(Character(UnicodeScalar(directive)))'. must be preceded with '.' or ','")
                }
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = []
                parts.append(.directive(directive))
            }
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
    }

    private static let directives = Set("YymoqbhBdegaAHIlpPMSLfszZijkw".utf8)
    private static let composites: [UInt8: String] = [
        UInt8(ascii: "D"): "%m/%d/%Y", UInt8(ascii: "x"): "%m/%d/%Y", UInt8(ascii: "F"): "%Y-%m-%d",
        UInt8(ascii: "T"): "%H:%M:%S", UInt8(ascii: "X"): "%H:%M:%S", UInt8(ascii: "r"): "%I:%M:%S %p",
        UInt8(ascii: "R"): "%H:%M", UInt8(ascii: "c"): "%a %b %d %H:%M:%S %Y",
    ]

    // MARK: - Writing

    func text(_ time: Timestamp) -> String {
        let civil = CivilTime(time)
        return parts.map { part in
            switch part {
            case .text(let bytes): String(decoding: bytes, as: UTF8.self)
            case .directive(let letter): Self.text(letter, civil, time)
            }
        }.joined()
    }

    private static func text(_ letter: UInt8, _ civil: CivilTime, _ time: Timestamp) -> String {
        let twelve = civil.hour % 12 == 0 ? 12 : civil.hour % 12
        return switch Character(UnicodeScalar(letter)) {
        case "Y": TimeText.pad(civil.year, 4)
        case "y": TimeText.pad(civil.year % 100, 2)
        case "m": TimeText.pad(civil.month, 2)
        case "o": TimeText.pad(civil.month, 2, " ")
        case "q": "\(civil.month)"
        case "b", "h": String(TimeText.months[Int(civil.month) - 1].prefix(3))
        case "B": TimeText.months[Int(civil.month) - 1]
        case "d": TimeText.pad(civil.day, 2)
        case "e": TimeText.pad(civil.day, 2, " ")
        case "g": "\(civil.day)"
        case "a": String(TimeText.days[Int(civil.weekday)].prefix(3))
        case "A": TimeText.days[Int(civil.weekday)]
        case "H": TimeText.pad(civil.hour, 2)
        case "k": TimeText.pad(civil.hour, 2, " ")
        case "I": TimeText.pad(twelve, 2)
        case "l": "\(twelve)"
        case "p": civil.hour < 12 ? "AM" : "PM"
        case "P": civil.hour < 12 ? "am" : "pm"
        case "M": TimeText.pad(civil.minute, 2)
        case "S": TimeText.pad(civil.second, 2)
        case "L": TimeText.pad(civil.nanosecond / 1_000_000, 3)
        case "f": TimeText.pad(civil.nanosecond / 1_000, 6)
        case "s": TimeText.pad(civil.nanosecond, 9)
        case "z": TimeText.zone(time.offset, separator: "")
        case "i": TimeText.zone(time.offset, separator: ":")
        case "j": TimeText.zone(time.offset, separator: "").prefix(3).description
        case "w": TimeText.zone(time.offset, separator: ":") + ":00"
        case "Z": time.offset == 0 ? "UTC" : TimeText.zone(time.offset, separator: "")
        default: ""
        }
    }

    // MARK: - Reading

    private struct Read {
        var year: Int64 = 1970
        var month: Int64 = 1
        var day: Int64 = 1
        var hour: Int64 = 0
        var minute: Int64 = 0
        var second: Int64 = 0
        var nanosecond: Int64 = 0
        var isAfternoon: Bool?
        var offset: Int64?
    }

    /// A text in a zone, unless it names one.
    func parse(_ text: String, zone: TimeZone) throws(EvaluationError) -> Timestamp {
        var rest = Array(text.utf8)[...]
        var read = Read()
        for part in parts {
            let before = rest
            switch part {
            case .text(let literal):
                guard rest.starts(with: literal) else {
                    throw failure(text, before, String(decoding: literal, as: UTF8.self))
                }
                rest = rest.dropFirst(literal.count)
            case .directive(let letter):
                guard Self.read(letter, &rest, &read) else {
                    throw failure(text, before, "%\(Character(UnicodeScalar(letter)))")
                }
            }
        }
        guard rest.isEmpty else {
            throw EvaluationError(
                "parsing time \(GoFormat.quoted(text)) as \(GoFormat.quoted(format)): extra text: "
                    + GoFormat.quoted(String(decoding: rest, as: UTF8.self)))
        }
        if let isAfternoon = read.isAfternoon {
            read.hour = read.hour % 12 + (isAfternoon ? 12 : 0)
        }
        let days = CivilTime.days(year: read.year, month: read.month, day: read.day)
        let check = CivilTime.date(days: days)
        guard check.month == read.month, check.day == read.day else {
            throw EvaluationError("parsing time \(GoFormat.quoted(text)): day out of range")
        }
        let local = days * 86_400 + read.hour * 3600 + read.minute * 60 + read.second
        let offset = read.offset ?? zone.offset(atLocal: local)
        return Timestamp(seconds: local - offset, nanoseconds: read.nanosecond, offset: offset)
    }

    private func failure(_ text: String, _ rest: ArraySlice<UInt8>, _ expected: String) -> EvaluationError {
        EvaluationError(
            "parsing time \(GoFormat.quoted(text)) as \(GoFormat.quoted(format)): cannot parse "
                + "\(GoFormat.quoted(String(decoding: rest, as: UTF8.self))) as \(GoFormat.quoted(expected))")
    }

    private static func read(_ letter: UInt8, _ rest: inout ArraySlice<UInt8>, _ read: inout Read) -> Bool {
        switch Character(UnicodeScalar(letter)) {
        case "Y": return number(&rest, 4...4, 0...9999, &read.year)
        case "y":
            guard number(&rest, 2...2, 0...99, &read.year) else { return false }
            read.year += read.year >= 69 ? 1900 : 2000
            return true
        case "m": return number(&rest, 2...2, 1...12, &read.month)
        case "o", "q": return spaced(&rest, 1...12, &read.month)
        case "d": return number(&rest, 2...2, 1...31, &read.day)
        case "e", "g": return spaced(&rest, 1...31, &read.day)
        case "b", "h": return name(&rest, TimeText.months.map { String($0.prefix(3)) }, &read.month)
        case "B": return name(&rest, TimeText.months, &read.month)
        case "a":
            var ignored: Int64 = 0
            return name(&rest, TimeText.days.map { String($0.prefix(3)) }, &ignored)
        case "A":
            var ignored: Int64 = 0
            return name(&rest, TimeText.days, &ignored)
        case "H": return number(&rest, 2...2, 0...23, &read.hour)
        case "k": return spaced(&rest, 0...23, &read.hour)
        case "I": return number(&rest, 2...2, 1...12, &read.hour)
        case "l": return spaced(&rest, 1...12, &read.hour)
        case "M": return number(&rest, 2...2, 0...59, &read.minute)
        case "S": return number(&rest, 2...2, 0...59, &read.second)
        case "p", "P":
            let word = String(decoding: rest.prefix(2), as: UTF8.self).lowercased()
            guard word == "am" || word == "pm" else { return false }
            read.isAfternoon = word == "pm"
            rest = rest.dropFirst(2)
            return true
        case "L", "f", "s": return fraction(&rest, &read.nanosecond)
        case "z": return zone(&rest, &read, separators: false, parts: 2, acceptsZ: true)
        case "i": return zone(&rest, &read, separators: true, parts: 2, acceptsZ: true)
        case "j": return zone(&rest, &read, separators: false, parts: 1, acceptsZ: false)
        case "w": return zone(&rest, &read, separators: false, parts: 3, acceptsZ: false)
        case "Z":
            let word = rest.prefix { $0.isUpper }
            guard (3...5).contains(word.count) else { return false }
            // A name without an offset: as Go, UTC's.
            read.offset = 0
            rest = rest.dropFirst(word.count)
            return true
        default: return false
        }
    }

    private static func number(
        _ rest: inout ArraySlice<UInt8>, _ widths: ClosedRange<Int>, _ range: ClosedRange<Int64>,
        _ value: inout Int64
    ) -> Bool {
        let digits = rest.prefix(widths.upperBound).prefix(while: \.isDigit)
        guard widths.contains(digits.count) else { return false }
        let number = digits.reduce(Int64(0)) { $0 * 10 + Int64($1) - 48 }
        guard range.contains(number) else { return false }
        value = number
        rest = rest.dropFirst(digits.count)
        return true
    }

    private static func spaced(
        _ rest: inout ArraySlice<UInt8>, _ range: ClosedRange<Int64>, _ value: inout Int64
    ) -> Bool {
        if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        return number(&rest, 1...2, range, &value)
    }

    private static func name(_ rest: inout ArraySlice<UInt8>, _ names: [String], _ value: inout Int64) -> Bool
    {
        let text = String(decoding: rest, as: UTF8.self).lowercased()
        guard let index = names.firstIndex(where: { text.hasPrefix($0.lowercased()) }) else { return false }
        value = Int64(index) + 1
        rest = rest.dropFirst(names[index].utf8.count)
        return true
    }

    private static func fraction(_ rest: inout ArraySlice<UInt8>, _ nanoseconds: inout Int64) -> Bool {
        let digits = rest.prefix(while: \.isDigit)
        guard (1...9).contains(digits.count) else { return false }
        var value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1) - 48 }
        for _ in digits.count..<9 { value *= 10 }
        nanoseconds = value
        rest = rest.dropFirst(digits.count)
        return true
    }

    private static func zone(
        _ rest: inout ArraySlice<UInt8>, _ read: inout Read, separators: Bool, parts: Int, acceptsZ: Bool
    ) -> Bool {
        if acceptsZ, rest.first == UInt8(ascii: "Z") {
            read.offset = 0
            rest = rest.dropFirst()
            return true
        }
        guard let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            return false
        }
        rest = rest.dropFirst()
        var offset: Int64 = 0
        for index in 0..<parts {
            if index > 0, separators {
                guard rest.first == UInt8(ascii: ":") else { return false }
                rest = rest.dropFirst()
            }
            var value: Int64 = 0
            guard number(&rest, 2...2, 0...(index == 0 ? 23 : 59), &value) else { return false }
            offset += value * (index == 0 ? 3600 : index == 1 ? 60 : 1)
        }
        read.offset = sign == UInt8(ascii: "-") ? -offset : offset
        return true
    }
}
