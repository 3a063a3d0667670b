import NIOCore
import Pipeline
import Testing

@Suite("Backoff")
struct BackoffTests {
    /// The waits, in milliseconds, when every attempt fails at once.
    private func waits(_ config: RetryConfig, random: Double, hint: TimeAmount? = nil, at most: Int = 20)
        -> [Int64]
    {
        var now = NIODeadline.uptimeNanoseconds(7)
        var backoff = Backoff(config, now: now)
        var waits: [Int64] = []
        while waits.count < most, let wait = backoff.next(hint: hint, now: now, random: random) {
            waits.append(wait.nanoseconds / 1_000_000)
            now = now + wait
        }
        return waits
    }

    @Test(
        "a destination that is down is asked less and less often, clients' attempts spread",
        arguments: [
            (0.5, [5000, 7500, 11250, 16875, 25312, 30000, 30000, 30000]),
            (0.0, [2500, 3750, 5625, 8437, 12656, 15000, 15000, 15000]),
            (1.0, [7500, 11250, 16875, 25312, 37968, 45000, 45000, 45000]),
        ] as [(Double, [Int64])])
    func defaults(random: Double, expected: [Int64]) {
        #expect(waits(RetryConfig(), random: random, at: 8) == expected)
    }

    @Test("retrying ends with max_elapsed_time; 0 keeps the data for ever")
    func ends() {
        var config = RetryConfig()
        config.randomizationFactor = 0
        config.initialInterval = .seconds(10)
        config.multiplier = 1
        config.maxElapsedTime = .seconds(30)
        #expect(waits(config, random: 0.3) == [10000, 10000, 10000])
        config.maxElapsedTime = .milliseconds(29_999)
        #expect(waits(config, random: 0.3) == [10000, 10000])
        config.maxElapsedTime = .zero
        #expect(waits(config, random: 0.3, at: 200).count == 200)
    }

    @Test("time that an attempt took counts, too")
    func slowAttempts() {
        var config = RetryConfig()
        config.maxElapsedTime = .seconds(60)
        var backoff = Backoff(config, now: .uptimeNanoseconds(0))
        let late = NIODeadline.uptimeNanoseconds(55_000_000_001)
        #expect(backoff.next(hint: nil, now: late, random: 0.5) == nil)
    }

    @Test("the destination's wish is honoured when it is longer, and does not make later waits longer")
    func hints() {
        var backoff = Backoff(RetryConfig(), now: .uptimeNanoseconds(0))
        let now = NIODeadline.uptimeNanoseconds(0)
        #expect(backoff.next(hint: .seconds(60), now: now, random: 0.5) == .seconds(60))
        #expect(backoff.next(hint: .milliseconds(1), now: now, random: 0.5) == .milliseconds(7500))
        #expect(backoff.next(hint: .seconds(301), now: now, random: 0.5) == nil)
        #expect(backoff.next(hint: .nanoseconds(.max), now: now, random: 0.5) == nil)
    }

    @Test("the largest values that a configuration can hold do not crash the gateway")
    func extremes() {
        var config = RetryConfig()
        config.initialInterval = .nanoseconds(Int64.max)
        config.maxInterval = .nanoseconds(Int64.max)
        config.randomizationFactor = 1
        config.multiplier = .greatestFiniteMagnitude
        config.maxElapsedTime = .zero
        var backoff = Backoff(config, now: .now())
        for random in [0.999, 0.5, 0] {
            #expect(backoff.next(hint: nil, now: .now(), random: random)! >= .zero)
        }
        #expect(backoff.next(hint: .nanoseconds(.max), now: .now(), random: 0.1) == .nanoseconds(.max))
        config.initialInterval = .zero
        var eager = Backoff(config, now: .now())
        #expect(eager.next(hint: nil, now: .now(), random: 0.9) == .zero)
        #expect(eager.next(hint: nil, now: .now(), random: 0.9) == .zero)
    }
}
