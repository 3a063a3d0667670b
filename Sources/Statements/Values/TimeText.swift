/// Moments as text.
enum TimeText {
    /// RFC 3339 with as many digits of the second as there are.
    static func rfc3339(_ time: Timestamp) -> String {
        let civil = CivilTime(time)
        var text = pad(civil.year, 4) + "-" + pad(civil.month, 2) + "-" + pad(civil.day, 2) + "T"
        text += pad(civil.hour, 2) + ":" + pad(civil.minute, 2) + ":" + pad(civil.second, 2)
        if civil.nanosecond > 0 {
            var digits = Substring(pad(civil.nanosecond, 9))
            while digits.last == "0" { digits = digits.dropLast() }
            text += "." + digits
        }
        return text + (time.offset == 0 ? "Z" : zone(time.offset, separator: ":"))
    }

    /// As Go prints a moment: `2024-03-05 06:07:08.5 +0100 CET`.
    static func shown(_ time: Timestamp) -> String {
        let text = rfc3339(Timestamp(seconds: time.seconds + time.offset, nanoseconds: time.nanoseconds))
        return text.dropLast().replacing("T", with: " ") + " " + zone(time.offset, separator: "") + " "
            + zoneName(time)
    }

    /// `UTC`, the zone's abbreviation, or its offset where it has none.
    static func zoneName(_ time: Timestamp) -> String {
        if !time.abbreviation.isNone { return time.abbreviation.text }
        return time.offset == 0 ? "UTC" : zone(time.offset, separator: "")
    }

    /// - Parameter parts: hours; minutes, too; seconds, too.
    static func zone(_ offset: Int64, separator: String, parts: Int = 2) -> String {
        let magnitude = abs(offset)
        let numbers = [magnitude / 3600, magnitude / 60 % 60, magnitude % 60]
        let shown = numbers.prefix(parts).map { pad($0, 2) }
        return (offset < 0 ? "-" : "+") + shown.joined(separator: separator)
    }

    static func pad(_ value: Int64, _ width: Int, _ filler: String = "0") -> String {
        let text = "\(value)"
        return String(repeating: filler, count: max(0, width - text.count)) + text
    }

    static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November",
        "December",
    ]
    static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
}
