extension TimeLayout {
    private struct Read {
        var year: Int64?
        var month: Int64?
        var day: Int64?
        var hour: Int64 = 0
        var minute: Int64 = 0
        var second: Int64 = 0
        var nanosecond: Int64 = 0
        var isAfternoon: Bool?
        var offset: Int64?
        var zoneName: String?
    }

    /// A text in a zone, unless it names one. Numbers may have spaces before them and lack leading zeros. Without a year it is
    /// this one, or the last if it were more than a week ahead; without a date it is today.
    func parse(
        _ text: String, zone: TimeZone, locale: TimeLocale = .english
    ) throws(EvaluationError) -> Timestamp {
        var rest = Array(text.utf8)[...]
        var read = Read()
        for (index, part) in parts.enumerated() {
            let before = rest
            let next = index + 1 < parts.count ? parts[index + 1] : nil
            guard Self.read(part, next, locale, &rest, &read) else {
                throw failure(text, before, Self.name(part))
            }
            if locale.hasDots, part.isShortName, rest.first == UInt8(ascii: "."), next?.startsWithDot != true
            {
                rest = rest.dropFirst()
            }
        }
        guard rest.isEmpty else {
            throw EvaluationError(
                "parsing time \(GoFormat.quoted(text)) as \(GoFormat.quoted(format)): extra text: "
                    + GoFormat.quoted(String(decoding: rest, as: UTF8.self)))
        }
        if let isAfternoon = read.isAfternoon {
            if isAfternoon, read.hour < 12 { read.hour += 12 }
            if !isAfternoon, read.hour == 12 { read.hour = 0 }
        }
        return try moment(read, text, zone)
    }

    private func moment(_ read: Read, _ text: String, _ zone: TimeZone) throws(EvaluationError) -> Timestamp {
        let now = TimeConverters.now()
        let today = CivilTime(now)
        let isTimeOnly = read.year == nil && read.month == nil && read.day == nil
        let (month, day) = isTimeOnly ? (today.month, today.day) : (read.month ?? 1, read.day ?? 1)
        // The year 0 was a leap year, and only years above it count as one that was told.
        let check = CivilTime.date(days: CivilTime.days(year: read.year ?? 0, month: month, day: day))
        guard check.month == month, check.day == day else {
            throw EvaluationError("parsing time \(GoFormat.quoted(text)): day out of range")
        }
        func time(_ year: Int64) throws(EvaluationError) -> Timestamp {
            let local =
                CivilTime.days(year: year, month: month, day: day) * 86_400
                + read.hour * 3600 + read.minute * 60 + read.second
            let offset: Int64
            if let told = read.offset {
                offset = told
            } else if let name = read.zoneName {
                offset = try Self.offset(of: name, atLocal: local, zone)
            } else {
                offset = zone.offset(atLocal: local)
            }
            // What is told as the zone's own offset is in the zone.
            let moment = local - offset
            let own = zone.offset(at: moment) == offset ? zone.abbreviation(at: moment) : .none
            return Timestamp(
                seconds: moment, nanoseconds: read.nanosecond, offset: offset,
                abbreviation: read.zoneName.map(Abbreviation.init) ?? own)
        }
        if let year = read.year, year > 0 { return try time(year) }
        let this = try time(today.year)
        let isAhead = !isTimeOnly && this.seconds > now.seconds + 7 * 86_400
        return isAhead ? try time(today.year - 1) : this
    }

    /// The offset of an abbreviation: the zone's own, or that of a zone which has this name.
    private static func offset(
        of name: String, atLocal seconds: Int64, _ zone: TimeZone
    ) throws(EvaluationError) -> Int64 {
        if let offset = zone.offset(named: name) { return offset }
        if name.hasPrefix("GMT"), let hours = Int64(name.dropFirst(3)) { return hours * 3600 }
        do throws(TimeZone.Unknown) { return try TimeZone(name).offset(atLocal: seconds) } catch {
            throw EvaluationError("failed to load location \(name): \(error)")
        }
    }

    private static func name(_ part: Part) -> String {
        switch part {
        case .text(let literal): String(decoding: literal, as: UTF8.self)
        case .directive(let letter): "%\(Character(UnicodeScalar(letter)))"
        case .fraction: "%L"
        case .shortDate: "%D"
        }
    }

    private func failure(_ text: String, _ rest: ArraySlice<UInt8>, _ expected: String) -> EvaluationError {
        EvaluationError(
            "parsing time \(GoFormat.quoted(text)) as \(GoFormat.quoted(format)): cannot parse "
                + "\(GoFormat.quoted(String(decoding: rest, as: UTF8.self))) as \(GoFormat.quoted(expected))")
    }

    // MARK: - Parts

    private static func read(
        _ part: Part, _ next: Part?, _ locale: TimeLocale, _ rest: inout ArraySlice<UInt8>,
        _ read: inout Read
    ) -> Bool {
        switch part {
        case .text(let literal): return skip(literal, &rest)
        case .fraction:
            fraction(&rest, &read.nanosecond)
            return true
        case .shortDate:
            return number(&rest, 1...12, &read.month) && skip([UInt8(ascii: "/")], &rest)
                && number(&rest, 0...99, &read.day) && skip([UInt8(ascii: "/")], &rest)
                && (year(&rest, 4, &read.year) || year(&rest, 2, &read.year))
        case .directive(UInt8(ascii: "S")):
            var value: Int64? = nil
            guard number(&rest, 0...59, &value) else { return false }
            read.second = value ?? 0
            // A fraction that the format does not speak of is read all the same.
            if case .fraction = next { return true }
            fraction(&rest, &read.nanosecond)
            return true
        case .directive(let letter): return Self.read(letter, locale, &rest, &read)
        }
    }

    private static func read(
        _ letter: UInt8, _ locale: TimeLocale, _ rest: inout ArraySlice<UInt8>, _ read: inout Read
    ) -> Bool {
        var value: Int64?
        switch Character(UnicodeScalar(letter)) {
        case "Y": return year(&rest, 4, &read.year)
        case "y": return year(&rest, 2, &read.year)
        case "m", "o", "q": return number(&rest, 1...12, &read.month)
        case "d", "e", "g": return number(&rest, 0...99, &read.day)
        case "b", "h": return TimeLocale.name(&rest, locale.shortMonths, &read.month)
        case "B": return TimeLocale.name(&rest, locale.months, &read.month)
        case "a": return TimeLocale.name(&rest, locale.shortDays, &value)
        case "A": return TimeLocale.name(&rest, locale.days, &value)
        case "H", "I", "l":
            let range: ClosedRange<Int64> = letter == UInt8(ascii: "H") ? 0...23 : 0...12
            guard number(&rest, range, &value) else { return false }
            read.hour = value ?? 0
            return true
        case "M":
            guard number(&rest, 0...59, &value) else { return false }
            read.minute = value ?? 0
            return true
        case "p", "P":
            if let halves = locale.halves { return TimeLocale.half(&rest, halves, &read.isAfternoon) }
            let words = letter == UInt8(ascii: "p") ? ["AM", "PM"] : ["am", "pm"]
            guard let word = words.firstIndex(of: String(decoding: rest.prefix(2), as: UTF8.self)) else {
                return false
            }
            read.isAfternoon = word == 1
            rest = rest.dropFirst(2)
            return true
        case "z":
            rest = rest.drop(while: \.isSpace)
            if rest.first == UInt8(ascii: "Z") {
                read.offset = 0
                rest = rest.dropFirst()
                return true
            }
            return zone(&rest, &read, 2, separated: false) || zone(&rest, &read, 2, separated: true)
                || zone(&rest, &read, 1, separated: false)
        case "i": return zone(&rest, &read, 1, separated: false)
        case "j": return zone(&rest, &read, 2, separated: true)
        case "k": return zone(&rest, &read, 3, separated: true)
        case "w": return zone(&rest, &read, 3, separated: false)
        case "Z":
            guard let count = zoneNameCount(rest) else { return false }
            read.zoneName = String(decoding: rest.prefix(count), as: UTF8.self)
            rest = rest.dropFirst(count)
            return true
        default: return false
        }
    }

    /// As Go: a space stands for any number of them, one at least unless the text ends.
    private static func skip(_ literal: [UInt8], _ rest: inout ArraySlice<UInt8>) -> Bool {
        var literal = literal[...]
        while let byte = literal.first {
            if byte == UInt8(ascii: " ") {
                guard rest.isEmpty || rest.first == byte else { return false }
                literal = literal.drop { $0 == byte }
                rest = rest.drop { $0 == byte }
            } else {
                guard rest.first == byte else { return false }
                literal.removeFirst()
                rest.removeFirst()
            }
        }
        return true
    }

    /// One digit or two.
    private static func number(
        _ rest: inout ArraySlice<UInt8>, _ range: ClosedRange<Int64>, _ value: inout Int64?
    ) -> Bool {
        let text = rest.drop(while: \.isSpace)
        let digits = text.prefix(2).prefix(while: \.isDigit)
        let number = integer(digits)
        guard !digits.isEmpty, range.contains(number) else { return false }
        value = number
        rest = text.dropFirst(digits.count)
        return true
    }

    private static func year(_ rest: inout ArraySlice<UInt8>, _ width: Int, _ value: inout Int64?) -> Bool {
        let text = rest.drop(while: \.isSpace)
        let digits = text.prefix(width)
        guard digits.count == width, digits.allSatisfy(\.isDigit) else { return false }
        let number = integer(digits)
        value = width == 4 ? number : number >= 69 ? 1900 + number : 2000 + number
        rest = text.dropFirst(width)
        return true
    }

    private static func integer(_ digits: ArraySlice<UInt8>) -> Int64 {
        digits.reduce(Int64(0)) { $0 * 10 + Int64($1) - 48 }
    }

    /// A dot or a comma and digits, of which nine count; nothing is none.
    private static func fraction(_ rest: inout ArraySlice<UInt8>, _ nanoseconds: inout Int64) {
        guard let separator = rest.first, ".,".utf8.contains(separator) else { return }
        let digits = rest.dropFirst().prefix(while: \.isDigit)
        guard !digits.isEmpty else { return }
        var value = integer(digits.prefix(9))
        for _ in min(digits.count, 9)..<9 { value *= 10 }
        nanoseconds = value
        rest = rest.dropFirst(1 + digits.count)
    }

    private static func zone(
        _ rest: inout ArraySlice<UInt8>, _ read: inout Read, _ parts: Int, separated: Bool
    ) -> Bool {
        guard let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            return false
        }
        var text = rest.dropFirst()
        var offset: Int64 = 0
        for index in 0..<parts {
            if index > 0, separated {
                guard text.first == UInt8(ascii: ":") else { return false }
                text = text.dropFirst()
            }
            let digits = text.prefix(2)
            let value = integer(digits)
            guard digits.count == 2, digits.allSatisfy(\.isDigit), value <= (index == 0 ? 24 : 60) else {
                return false
            }
            offset += value * (index == 0 ? 3600 : index == 1 ? 60 : 1)
            text = text.dropFirst(2)
        }
        read.offset = sign == UInt8(ascii: "-") ? -offset : offset
        rest = text
        return true
    }

    /// How many bytes are the name of a zone, as Go tells them: three to five capitals, `GMT+3`, `ChST`, `MeST`.
    private static func zoneNameCount(_ rest: ArraySlice<UInt8>) -> Int? {
        let four = String(decoding: rest.prefix(4), as: UTF8.self)
        if four == "ChST" || four == "MeST" { return 4 }
        let word = rest.prefix(6).prefix { $0.isUpper }
        if word.starts(with: "UTC".utf8) { return 3 }
        if rest.starts(with: "GMT".utf8) {
            let sign = rest.dropFirst(3).first
            let digits = rest.dropFirst(4).prefix(2).prefix(while: \.isDigit)
            let isSigned = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-")
            return isSigned && !digits.isEmpty ? 4 + digits.count : 3
        }
        switch word.count {
        case 3: return 3
        case 4: return word.last == UInt8(ascii: "T") || word.elementsEqual("WITA".utf8) ? 4 : nil
        case 5: return word.last == UInt8(ascii: "T") ? 5 : nil
        default: return nil
        }
    }
}

extension UInt8 {
    fileprivate var isSpace: Bool { self == 32 || self == 9 || self == 10 || self == 12 || self == 13 }
}
