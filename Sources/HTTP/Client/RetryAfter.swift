internal import Glibc
package import NIOCore

/// `Retry-After` (RFC 9110 §10.2.3).
package enum RetryAfter {
    /// How long to wait: seconds as they are, a date from now on; nil for anything else. A date that is past is zero.
    package static func delay(_ text: String) -> TimeAmount? {
        delay(text, unixSeconds: Int64(time(nil)))
    }

    /// As `delay`, at a given time.
    static func delay(_ text: String, unixSeconds now: Int64) -> TimeAmount? {
        if !text.isEmpty, text.utf8.allSatisfy(isDigit) {
            // Beyond a year it is as good as never.
            return .seconds(min(Int64(text) ?? .max, 366 * 86_400))
        }
        return date(text, unixSeconds: now).map { .seconds(min(max($0 - now, 0), 366 * 86_400)) }
    }

    /// The three forms of RFC 9110 section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`.
    private static func date(_ text: String, unixSeconds now: Int64) -> Int64? {
        var parts = text.split(separator: " ")
        if parts.count == 4 {
            // Its year is at most 50 years from now.
            parts.replaceSubrange(1...1, with: parts[1].split(separator: "-"))
            guard parts.count == 6, let year = number(parts[3], 0...99) else { return nil }
            let thisYear = 1970 + Int(now) / 31_556_952
            let century = thisYear - thisYear % 100
            let near = [century - 100, century, century + 100].last { $0 + year <= thisYear + 50 } ?? century
            parts[3] = "\(near + year)"
        } else if parts.count == 5 {
            parts = [parts[0], parts[2], parts[1], parts[4], parts[3], "GMT"]
        }
        guard parts.count == 6, parts[5] == "GMT", let day = number(parts[1], 1...31),
            let month = months.firstIndex(of: String(parts[2])), let year = number(parts[3], 1900...9999)
        else { return nil }
        let time = parts[4].split(separator: ":", omittingEmptySubsequences: false)
        guard time.count == 3, let hour = number(time[0], 0...23), let minute = number(time[1], 0...59),
            let second = number(time[2], 0...60)
        else { return nil }
        // Years from March on, so that the leap day is the last of one.
        let shifted = month < 2 ? year - 1 : year
        let dayOfYear = (153 * ((month + 10) % 12) + 2) / 5 + day - 1
        let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        return Int64(days * 86_400 + hour * 3600 + minute * 60 + second)
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func number(_ text: Substring, _ range: ClosedRange<Int>) -> Int? {
        guard text.utf8.allSatisfy(isDigit), let value = Int(text), range.contains(value) else { return nil }
        return value
    }
}
