package import NIOCore

/// Keeps a log readable when the same thing happens with every batch: each kind once a minute, few kinds at a time.
/// Confined to its owner.
package struct LogLimiter {
    private static let interval = TimeAmount.minutes(1)
    private static let kindsMax = 64

    private var last: [String: (time: NIODeadline, unsaid: Int)] = [:]

    package init() {}

    /// How many of a kind were not logged since the last that was; nil when this one is not to be logged either.
    package mutating func admit(_ kind: String, at now: NIODeadline) -> Int? {
        guard let known = last[kind] else {
            if last.count >= Self.kindsMax { last = last.filter { now - $0.value.time < Self.interval } }
            guard last.count < Self.kindsMax else { return nil }
            last[kind] = (now, 0)
            return 0
        }
        guard now - known.time >= Self.interval else {
            last[kind]?.unsaid += 1
            return nil
        }
        last[kind] = (now, 0)
        return known.unsaid
    }
}
