/// A moment: seconds since 1970-01-01 UTC and nanoseconds, 0 to 999 999 999; with the zone that it was written in.
struct Timestamp: Equatable {
    var seconds: Int64
    var nanoseconds: Int64
    /// Seconds east of UTC, for its fields (`Hour`, `FormatTime`); no part of comparisons.
    var offset: Int64 = 0
    /// Of its zone, such as `CEST`; none for a mere offset.
    var abbreviation = Abbreviation.none

    init(seconds: Int64, nanoseconds: Int64, offset: Int64 = 0, abbreviation: Abbreviation = .none) {
        let carried = nanoseconds.floorDivided(by: 1_000_000_000)
        self.seconds = seconds &+ carried.quotient
        self.nanoseconds = carried.remainder
        (self.offset, self.abbreviation) = (offset, abbreviation)
    }

    init(unixNano: Int64) { self.init(seconds: 0, nanoseconds: unixNano) }

    /// Wraps beyond the years 1678 to 2262, as Go's does.
    var unixNano: Int64 { seconds &* 1_000_000_000 &+ nanoseconds }

    static func == (left: Timestamp, right: Timestamp) -> Bool { left.order(right) == 0 }

    func order(_ other: Timestamp) -> Int {
        if seconds != other.seconds { return seconds < other.seconds ? -1 : 1 }
        return nanoseconds == other.nanoseconds ? 0 : nanoseconds < other.nanoseconds ? -1 : 1
    }

    func adding(_ duration: Int64) -> Timestamp {
        let part = duration.floorDivided(by: 1_000_000_000)
        return Timestamp(
            seconds: seconds &+ part.quotient, nanoseconds: nanoseconds + part.remainder, offset: offset,
            abbreviation: abbreviation)
    }

    /// Clamped to what a duration holds.
    func since(_ other: Timestamp) -> Int64 {
        let (whole, overflow) = (seconds &- other.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds > other.seconds ? .max : .min }
        let (sum, over) = whole.addingReportingOverflow(nanoseconds - other.nanoseconds)
        return over ? (whole > 0 ? .max : .min) : sum
    }
}

/// The short name of a zone, eight bytes of it at most: kept without an allocation.
struct Abbreviation: Equatable {
    private let bytes: UInt64

    static let none = Abbreviation("")

    init(_ text: String) { bytes = text.utf8.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) } }

    var isNone: Bool { bytes == 0 }

    var text: String {
        let all = (0..<8).map { UInt8(truncatingIfNeeded: bytes >> (UInt64($0) * 8)) }
        return String(decoding: all.prefix { $0 != 0 }, as: UTF8.self)
    }
}

extension Int64 {
    /// Rounded down, so that the remainder is never negative.
    func floorDivided(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

/// The parts of a moment in its zone.
struct CivilTime {
    var year: Int64
    /// 1 to 12.
    var month: Int64
    /// 1 to 31.
    var day: Int64
    var hour: Int64
    var minute: Int64
    var second: Int64
    var nanosecond: Int64
    /// 0 is Sunday.
    var weekday: Int64
    /// 1 to 366.
    var yearDay: Int64

    init(_ time: Timestamp) {
        let local = (time.seconds &+ time.offset).floorDivided(by: 86_400)
        let date = Self.date(days: local.quotient)
        (year, month, day) = (date.year, date.month, date.day)
        hour = local.remainder / 3600
        minute = local.remainder / 60 % 60
        second = local.remainder % 60
        nanosecond = time.nanoseconds
        weekday = (local.quotient + 4).floorDivided(by: 7).remainder
        yearDay = local.quotient - Self.days(year: date.year, month: 1, day: 1) + 1
    }

    /// Days since 1970-01-01 of a date of the Gregorian calendar. Months beyond 12 and days beyond the month carry.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let carried = (month - 1).floorDivided(by: 12)
        // Years begin in March, so that the leap day is the last of one.
        let shifted = carried.remainder + 1 <= 2 ? year + carried.quotient - 1 : year + carried.quotient
        let monthIndex = (carried.remainder + 10) % 12
        let era = shifted.floorDivided(by: 400)
        let dayOfYear = (153 * monthIndex + 2) / 5 + day - 1
        let dayOfEra = era.remainder * 365 + era.remainder / 4 - era.remainder / 100 + dayOfYear
        return era.quotient * 146_097 + dayOfEra - 719_468
    }

    static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let era = (days + 719_468).floorDivided(by: 146_097)
        let of = era.remainder
        let yearOfEra = (of - of / 1460 + of / 36_524 - of / 146_096) / 365
        let dayOfYear = of - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (
            yearOfEra + era.quotient * 400 + (month <= 2 ? 1 : 0), month,
            dayOfYear - (153 * monthIndex + 2) / 5 + 1
        )
    }
}
