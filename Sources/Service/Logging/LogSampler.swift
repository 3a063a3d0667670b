internal import Logging

/// Thins out repetitions, so that a failing destination cannot flood the log. Owned by one `LogOutput`.
struct LogSampler {
    /// Distinct messages told apart within one tick; what comes beyond shares one count.
    private static let messagesMax = 4096

    private struct Key: Hashable {
        let level: Logger.Level
        let message: String
    }

    private let tickMilliseconds: Int64
    private let initial: Int
    private let thereafter: Int
    private var counts: [Key: Int] = [:]
    private var tickEnd = Int64.min

    init(_ sampling: LogSettings.Sampling) {
        let (seconds, attoseconds) = sampling.tick.components
        tickMilliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        initial = sampling.initial
        thereafter = sampling.thereafter
    }

    /// Whether this occurrence of the message is written.
    mutating func admits(_ level: Logger.Level, _ message: String, atUnixMilliseconds now: Int64) -> Bool {
        // A clock that was set back starts a new tick as well.
        if now >= tickEnd || now < tickEnd - tickMilliseconds {
            counts.removeAll(keepingCapacity: true)
            tickEnd = now + tickMilliseconds
        }
        var key = Key(level: level, message: message)
        if counts.count >= Self.messagesMax, counts[key] == nil {
            key = Key(level: .critical, message: "")
        }
        let count = counts[key, default: 0] + 1
        counts[key] = count
        return count <= initial || (thereafter > 0 && (count - initial) % thereafter == 0)
    }
}
