import Configuration
import MemoryLimiter
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// A limiter of 1000 bytes, soft from 800 on, with measures that the test sets.
private final class Rig {
    let loop = EmbeddedEventLoop()
    let ledger = MemoryLedger()
    let resident = Noted<Int?>(0)
    let measured = Noted(0)
    let health: HealthState
    let refused: Counter
    let limiter: MemoryLimiter

    init(
        overhead: Int = 0, hard: Int = 1000, soft: Int = 800, checkInterval: Duration = .seconds(1),
        health: HealthState = HealthState()
    ) {
        self.health = health
        refused = MetricRegistry().counter("refused", help: "")
        limiter = MemoryLimiter(
            limits: MemoryLimiter.Limits(hardBytes: hard, softBytes: soft), overheadBytes: overhead,
            checkInterval: checkInterval, ledger: ledger,
            measureResident: { [resident, measured] in
                measured.change { $0 += 1 }
                return resident.value
            }, health: health, refusedRequests: refused, eventLoop: loop, logger: makeSilentLogger())
    }

    /// Puts the ledger on this many bytes.
    func hold(_ bytes: Int) { ledger.charge(bytes - ledger.bytes) }

    func tick(atMilliseconds time: UInt64) { limiter.tick(.uptimeNanoseconds(time * 1_000_000)) }

    /// pauses, admits one byte more, is refusing for the health page.
    var state: [Bool] { [limiter.shouldPause, limiter.admit(bytes: 1) == nil, health.isRefusing] }
}

private let open = [false, true, false]
private let pausing = [true, true, false]
private let refusing = [false, false, true]

@Suite("MemoryLimiter")
struct MemoryLimiterTests {
    @Test("the health page says that data is refused while one of several limiters refuses it")
    func severalLimiters() {
        let health = HealthState()
        let (full, empty) = (Rig(health: health), Rig(health: health))
        full.hold(900)
        for time in stride(from: UInt64(0), through: 1000, by: 50) {
            full.tick(atMilliseconds: time)
            empty.tick(atMilliseconds: time)
        }
        #expect(health.isRefusing)
        empty.hold(900)
        for time in [1050, 2050] as [UInt64] { empty.tick(atMilliseconds: time) }
        full.hold(0)
        full.tick(atMilliseconds: 2100)
        #expect(health.isRefusing)
        empty.hold(0)
        empty.tick(atMilliseconds: 2150)
        #expect(!health.isRefusing)
    }

    @Test(
        "memory stays bounded: over the soft limit clients are slowed, after a second refused, below it welcome again"
    )
    func course() {
        let rig = Rig()
        let course: [(held: Int, time: UInt64, state: [Bool])] = [
            (0, 0, open), (800, 50, open), (801, 100, pausing), (900, 1099, pausing), (900, 1100, refusing),
            (810, 5000, refusing), (800, 5050, open), (850, 5100, pausing), (799, 5150, open),
            // Time spent over the limit before does not count again.
            (801, 6000, pausing), (801, 6999, pausing), (801, 7000, refusing), (0, 7050, open),
        ]
        for step in course {
            rig.hold(step.held)
            rig.tick(atMilliseconds: step.time)
            #expect(rig.state == step.state, "at \(step.time) ms, \(step.held) bytes")
        }
    }

    @Test("a single request never takes the ledger over the hard limit, and what fits is taken")
    func hard() {
        let rig = Rig()
        #expect(rig.limiter.admit(bytes: 1000) == nil && rig.refused.value == 0)
        // What does not even fit alone must not be asked to come again.
        let never = rig.limiter.admit(bytes: 1001)
        #expect(never?.reason == .tooLarge && never?.isPermanent == true)
        rig.hold(700)
        #expect(rig.limiter.admit(bytes: 300) == nil)
        let refusal = rig.limiter.admit(bytes: 301)
        #expect(
            refusal?.reason == .memory && refusal?.isPermanent == false && refusal?.retryAfterSeconds == 1)
        #expect(rig.refused.value == 2)
    }

    @Test("memory that was given back is used at once, before the next look")
    func atOnce() {
        let rig = Rig()
        rig.hold(900)
        rig.tick(atMilliseconds: 0)
        rig.tick(atMilliseconds: 1000)
        #expect(rig.state == refusing)
        rig.hold(100)
        #expect(rig.limiter.admit(bytes: 1) == nil && !rig.limiter.shouldPause)
    }

    @Test(
        "a process that has grown over its limit while it holds requests refuses, until it has shrunk or they are gone"
    )
    func resident() {
        let rig = Rig()
        rig.hold(500)
        rig.resident.value = 1001
        rig.tick(atMilliseconds: 0)
        #expect(rig.state == refusing)
        rig.resident.value = 1000
        rig.tick(atMilliseconds: 999)
        #expect(rig.state == refusing)
        rig.tick(atMilliseconds: 1000)
        #expect(rig.state == open)
        rig.resident.value = 2000
        rig.tick(atMilliseconds: 2000)
        #expect(rig.state == refusing)
        rig.hold(10)
        rig.tick(atMilliseconds: 3000)
        #expect(rig.state == open)
        rig.resident.value = nil
        rig.tick(atMilliseconds: 4000)
        #expect(rig.state == open)
    }

    @Test("the resident size is measured every check_interval, not more often")
    func interval() {
        let rig = Rig(checkInterval: .milliseconds(500))
        for time in stride(from: 0 as UInt64, to: 5000, by: 50) { rig.tick(atMilliseconds: time) }
        #expect(rig.measured.value == 10)
    }

    @Test(
        "what the process needs besides requests is taken off the limits, but for a quarter",
        arguments: [0, 300, 5000])
    func overhead(bytes: Int) {
        let rig = Rig(overhead: bytes)
        let hard = [0: 1000, 300: 700, 5000: 250][bytes]!
        let soft = [0: 800, 300: 500, 5000: 200][bytes]!
        #expect(rig.limiter.admit(bytes: hard) == nil && rig.limiter.admit(bytes: hard + 1) != nil)
        rig.hold(soft)
        #expect(!rig.limiter.shouldPause)
        rig.hold(soft + 1)
        #expect(rig.limiter.shouldPause)
    }

    @Test("the limiter watches by itself once it was started, and no longer after it was stopped")
    func timer() async throws {
        let rig = Rig()
        let loop = rig.loop
        await rig.limiter.start()
        loop.run()
        #expect(rig.measured.value == 1)
        rig.hold(900)
        loop.advanceTime(by: .milliseconds(50))
        _ = await rig.limiter.stop(until: .now())
        loop.run()
        rig.hold(0)
        loop.advanceTime(by: .seconds(10))
        #expect(rig.measured.value <= 2)
    }

    @Test("items are counted as accepted when the next stage took them, and only then")
    func stage() {
        let next = FakeConsumer()
        let rig = Rig()
        let context = ComponentContext.alone(.processor, "memory_limiter", on: rig.loop)
        let stage = MemoryLimiterStage(rig.limiter, context, next: PipelineInput(next))
        var passed: UInt64 { context.account.read().left }
        #expect(stage.consume(makeBatch(items: 5)) == nil && passed == 5)
        let full = Refusal(.queueFull, "full")
        next.refusal = full
        #expect(stage.consume(makeBatch(items: 5)) == full && passed == 5)
        stage.drop(makeBatch(items: 2), because: full)
        #expect(next.dropped.map(\.items) == [2] && passed == 5)
    }
}
