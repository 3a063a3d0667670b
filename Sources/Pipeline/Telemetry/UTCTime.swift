/// A moment as calendar date and time of day, UTC, Gregorian.
package struct UTCTime: Equatable, Sendable {
    package let year: Int
    /// 1...12.
    package let month: Int
    /// 1...31.
    package let day: Int
    package let hour: Int
    package let minute: Int
    package let second: Int
    package let nanosecond: Int

    /// The date of a moment, given as nanoseconds since 1970; any value.
    package init(unixNanoseconds: Int64) {
        self.init(
            unixSeconds: unixNanoseconds.flooringDivided(by: 1_000_000_000),
            nanosecond: Int(unixNanoseconds.flooringRemainder(by: 1_000_000_000)))
    }

    /// The date of a moment, given as milliseconds since 1970; any value.
    package init(unixMilliseconds: Int64) {
        self.init(
            unixSeconds: unixMilliseconds.flooringDivided(by: 1000),
            nanosecond: Int(unixMilliseconds.flooringRemainder(by: 1000)) * 1_000_000)
    }

    private init(unixSeconds: Int64, nanosecond: Int) {
        let secondOfDay = Int(unixSeconds.flooringRemainder(by: 86_400))
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        self.nanosecond = nanosecond
        // Years are counted from March, so that the leap day is the last of a year; 400 years are 146 097 days,
        // and 1970-01-01 is day 719 468 after 0000-03-01.
        let days = unixSeconds.flooringDivided(by: 86_400) + 719_468
        let era = days.flooringDivided(by: 146_097)
        let dayOfEra = Int(days.flooringRemainder(by: 146_097))
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
    }

    /// ISO 8601 with milliseconds: `2026-11-23T10:00:00.000Z`.
    package var iso8601Milliseconds: String {
        "\(date)T\(timeOfDay).\(padded(nanosecond / 1_000_000, 3))Z"
    }

    /// RFC 3339 with as many digits of the second as there are, at most nine: `2026-11-23T10:00:00.5Z`.
    package var rfc3339: String {
        var fraction = nanosecond == 0 ? "" : "." + padded(nanosecond, 9)
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return "\(date)T\(timeOfDay)\(fraction)Z"
    }

    /// `2026-11-23`.
    package var date: String { "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))" }

    /// `10:00:00`.
    package var timeOfDay: String { "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))" }
}

private func padded(_ value: Int, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
}

extension Int64 {
    fileprivate func flooringDivided(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    fileprivate func flooringRemainder(by divisor: Int64) -> Int64 {
        let remainder = self % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
}
