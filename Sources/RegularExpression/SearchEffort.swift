internal import Glibc

/// What it costs to find one match after the other in a text. RE2 finds each in a time that grows with the text; but it reads to the
/// end each time where the match to the left of all could still come about, as that of `secret=[^&]*&|token` behind each `secret=`,
/// and all together take the square of the length. Nothing says how far it has read: the time is looked at, of the thread alone,
/// and only where reading to the end each time would take long.
struct SearchEffort {
    private static let (bytesMin, bytesPerByte) = (4 << 20, 8)
    private static let searchesBetween = 64
    /// No usual pattern takes a twentieth of that.
    private static let (nanosecondsMin, nanosecondsPerByte, nanosecondsPerSearch) = (20_000_000, 400, 8_000)

    private let textBytes: Int
    /// What may be read before the time is looked at.
    private var bytesLeft: Int
    private var searches = 0
    private var start = 0

    init(textBytes: Int) {
        self.textBytes = textBytes
        bytesLeft = Self.bytesMin + Self.bytesPerByte * textBytes
    }

    /// Whether one more search, of so many bytes at most, may be made.
    @inline(__always)
    mutating func allows(_ bytes: Int) -> Bool {
        bytesLeft -= bytes
        return bytesLeft >= 0 || looks()
    }

    /// Runs what takes its time beside the search.
    mutating func without<Result>(_ body: () -> Result) -> Result {
        guard start != 0 else { return body() }
        let before = Self.now
        defer { start += Self.now - before }
        return body()
    }

    private mutating func looks() -> Bool {
        if start == 0 { start = Self.now }
        searches += 1
        guard searches % Self.searchesBetween == 0 else { return true }
        return Self.now - start
            <= Self.nanosecondsMin + Self.nanosecondsPerByte * textBytes + Self.nanosecondsPerSearch
            * searches
    }

    private static var now: Int {
        var time = timespec()
        // SAFETY: the time is written to what is ours.
        guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

extension RegularExpression {
    /// Matches are found too slowly to find all of them.
    package struct TooSlow: Error, CustomStringConvertible {
        let pattern: String
        let textBytes: Int

        package var description: String {
            "the pattern \(pattern) takes too long to be replaced in a text of \(textBytes) bytes: it reads on to the end behind each match"
        }
    }
}
