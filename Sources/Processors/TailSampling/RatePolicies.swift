// Policies that look at a trace's id or size.

internal import NIOCore
internal import TraceStore

/// A share of all traces, always the same for an id and a salt: FNV-1a of both, as the Collector's.
final class Probabilistic: SamplingPolicy {
    private let start: UInt64
    private let threshold: UInt64

    /// - Parameter salt: empty for the default one.
    init(salt: String, percentage: Double) {
        start = Self.hash(
            Array((salt.isEmpty ? "default-hash-seed" : salt).utf8), from: 0xCBF2_9CE4_8422_2325)
        // A double cannot hold 2^64 - 1; it and everything above take all.
        let boundary = percentage / 100 * 0x1p64
        threshold = boundary >= 0x1p64 ? .max : boundary > 0 ? UInt64(boundary) : 0
    }

    private static let prime: UInt64 = 0x0000_0100_0000_01B3

    private static func hash(_ bytes: [UInt8], from start: UInt64) -> UInt64 {
        bytes.reduce(start) { ($0 ^ UInt64($1)) &* prime }
    }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        var hash = start
        trace.trace.forEachByte { hash = (hash ^ UInt64($0)) &* Self.prime }
        return Verdict(hash <= threshold)
    }
}

final class SpanCount: SamplingPolicy {
    private let least: Int
    private let most: Int

    /// - Parameter most: 0 for any number.
    init(least: Int, most: Int) {
        self.least = least
        self.most = most == 0 ? .max : most
    }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        Verdict(trace.spans >= least && trace.spans <= most)
    }
}

/// A token bucket: so much a second, and so much at once.
struct TokenBucket {
    private let perSecond: Double
    private let burst: Double
    private var tokens: Double
    private var last: NIODeadline?

    init(perSecond: Int, burst: Int) {
        self.perSecond = Double(perSecond)
        self.burst = Double(burst)
        tokens = Double(burst)
    }

    /// Takes so many, if they are there.
    mutating func take(_ count: Int, now: NIODeadline) -> Bool {
        if let last {
            let seconds = Double((now - last).nanoseconds) / 1e9
            tokens = min(burst, tokens + max(0, seconds) * perSecond)
        }
        last = now
        guard Double(count) <= tokens else { return false }
        tokens -= Double(count)
        return true
    }
}

/// So many spans, or bytes, a second. What is larger than the bucket never passes.
final class RateLimiting: SamplingPolicy {
    enum Unit {
        case spans
        case bytes
    }

    private var bucket: TokenBucket
    private let unit: Unit

    init(_ unit: Unit, perSecond: Int, burst: Int) {
        self.unit = unit
        bucket = TokenBucket(perSecond: perSecond, burst: burst)
    }

    var isStateful: Bool { true }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        Verdict(bucket.take(unit == .spans ? trace.spans : trace.wireBytes, now: now))
    }
}
