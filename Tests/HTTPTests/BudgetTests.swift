import NIOCore
import Testing

@testable import HTTP

/// Without these a client that keeps the gateway busy with nothing is never ended, or one with much to say is.
@Suite struct BudgetTests {
    private let start = NIODeadline.now()

    private let limits = WorkBudget.Limits()

    /// Guarantees: nothing but work makes debt; it is paid by time, a tenth of it.
    @Test func timeThatIsTakenForNothingIsPaidByWaiting() {
        var budget = WorkBudget(limits, slowness: 1, now: start)
        #expect(budget.isInCredit)
        budget.spend(.milliseconds(12), now: start)
        #expect(!budget.isInCredit && !budget.isOverdrawn)
        budget.spend(.zero, now: start + .milliseconds(99))
        #expect(!budget.isInCredit)
        budget.spend(.zero, now: start + .milliseconds(102))
        #expect(budget.isInCredit)
    }

    /// Guarantees: who has only waited is served with those who have earned nothing; before, an attacker's connections that
    /// rested a moment were taken for those of clients.
    @Test func waitingEarnsNothingBeyondTheBeginning() {
        var budget = WorkBudget(limits, slowness: 1, now: start)
        budget.spend(.milliseconds(1), now: start + .seconds(60))
        #expect(budget.isLow && budget.credit == limits.start && !budget.isProven)
        budget.earn(bytes: 0)
        #expect(!budget.isLow && budget.isProven)
        // A little more than it had: it is no stranger yet.
        budget.spend(.milliseconds(1), now: start + .seconds(60))
        #expect(budget.isLow && budget.isProven)
        budget.spend(.milliseconds(5), now: start + .seconds(60))
        budget.spend(.zero, now: start + .seconds(120))
        #expect(budget.isInCredit && !budget.isProven)
    }

    /// Scenario: half of a loop's time for nothing. Guarantees: the connection is overdrawn after less than a second.
    @Test func aFloodIsOverdrawn() {
        var budget = WorkBudget(limits, slowness: 1, now: start)
        var now = start
        var steps = 0
        while !budget.isOverdrawn {
            now = now + .milliseconds(10)
            budget.spend(.milliseconds(5), now: now)
            steps += 1
        }
        #expect((50..<100).contains(steps))
    }

    /// Scenario: a connection that takes a whole loop, for requests of 45 kB at 100 µs each. Guarantees: never in debt.
    @Test func requestsPayForThemselves() {
        var budget = WorkBudget(limits, slowness: 1, now: start)
        for step in 0..<100_000 {
            budget.spend(.microseconds(100), now: start + .microseconds(Int64(step) * 100))
            budget.earn(bytes: 45_000)
            #expect(budget.isInCredit)
        }
        // What was earned long ago is not kept for a flood.
        budget.spend(.milliseconds(21), now: start + .seconds(10))
        #expect(!budget.isInCredit)
    }

    /// Scenario: a machine so slow, or pipelines so long, that requests take a hundred times what they are worth.
    /// Guarantees: whoever completes requests waits for his turn, but is never ended; what pipelines take is no debt.
    @Test func whoCompletesRequestsIsNotEnded() {
        var budget = WorkBudget(limits, slowness: 1, now: start)
        for step in 1..<1_000 {
            budget.spend(.milliseconds(7), now: start + .milliseconds(Int64(step) * 7))
            #expect(!budget.isOverdrawn)
            budget.earn(bytes: 500)
        }
        #expect(!budget.isInCredit)
        var excused = WorkBudget(limits, slowness: 1, now: start)
        for _ in 1..<1_000 {
            excused.excuse(.milliseconds(7), bytes: 60_000)
            excused.spend(.milliseconds(7), now: start)
            #expect(excused.isInCredit)
        }
        // 18 MB in 18 KB.
        excused.excuse(.milliseconds(50), bytes: 18_000)
        excused.spend(.milliseconds(50), now: start)
        #expect(!excused.isInCredit)
    }

    /// Guarantees: a slow machine ends nobody whom a fast one would not end.
    @Test func aSlowMachineCountsTheSameWork() {
        var fast = WorkBudget(limits, slowness: 1, now: start)
        var slow = WorkBudget(limits, slowness: 40, now: start)
        fast.spend(.milliseconds(3), now: start + .milliseconds(3))
        slow.spend(.milliseconds(120), now: start + .milliseconds(120))
        #expect(fast.credit == slow.credit)
    }

    /// Guarantees: a burst, then a rate; what a request brings does not outlast the burst.
    @Test func framesThatCarryNothingHaveARate() {
        var limits = FrameBudget.Limits()
        limits.burst = 100
        limits.perSecond = 10
        /// What each of these takes, so many seconds after the start, is there.
        func takes(_ frames: [(count: Int, second: Int64)], earning: Bool = false) -> [Bool] {
            var budget = FrameBudget(limits, now: start)
            return frames.map {
                if earning { budget.earn() }
                return budget.take($0.count, now: start + .seconds($0.second))
            }
        }
        #expect(takes([(100, 0), (1, 0)]) == [true, false])
        #expect(takes([(100, 0), (10, 1), (1, 1)]) == [true, true, false])
        #expect(takes(Array(repeating: (8, 0), count: 1000), earning: true).allSatisfy { $0 })
        var budget = FrameBudget(limits, now: start)
        for _ in 0..<1000 { budget.earn() }
        let isMore = budget.take(101, now: start)
        #expect(!isMore)
    }
}

/// Without these frames pass that nghttp2 is silent about: floods without end, and streams that nobody answers.
@Suite struct HTTP2FrameScannerTests {
    private func scan(_ bytes: [UInt8], step: Int) -> HTTP2FrameScanner.Findings {
        var scanner = HTTP2FrameScanner()
        var all = HTTP2FrameScanner.Findings()
        for at in stride(from: 0, to: bytes.count, by: step) {
            let found = Array(bytes[at..<min(at + step, bytes.count)]).withUnsafeBytes { scanner.scan($0) }
            all.lightFrames += found.lightFrames
            all.streamWentBack = all.streamWentBack || found.streamWentBack
        }
        return all
    }

    /// However the bytes are cut, the same frames are counted; DATA that carries something is not.
    @Test(arguments: [1, 2, 8, 9, 10, 1000, 100_000]) func lightFramesAreCounted(step: Int) {
        let bytes =
            Frame.preface + Frame.settings() + Frame.request(1, end: false)
            + Frame.data(1, pattern(64)) + Frame.data(1, pattern(63)) + Frame.data(1, [])
            + Frame.ping + Frame.windowUpdate(1, 1) + Frame.raw(0x77, [1, 2, 3])
            + Frame.raw(2, stream: 9, [0, 0, 0, 0, 1])
            + Frame.data(1, pattern(20_000))
        #expect(scan(bytes, step: step) == .init(lightFrames: 8, streamWentBack: false))
    }

    /// RFC 9113 §5.1.1. Guarantees: streams that were open before (trailers, late frames) are no fault, nor are numbers
    /// that were passed over.
    @Test(
        arguments: [
            ([1, 3, 5], false), ([5, 3], true), ([1, 5, 7, 3], true), ([1, 1], false), ([1, 3, 1], false),
            ([1, 101, 103, 101], false), ([1, 101, 99], true), ([3, 1], true),
        ] as [([UInt32], Bool)])
    func aNumberThatGoesBackIsAFault(streams: [UInt32], isFault: Bool) {
        let bytes = Frame.preface + Frame.settings() + streams.flatMap { Frame.request($0) }
        #expect(scan(bytes, step: 1000).streamWentBack == isFault)
    }
}

/// Without these an idle connection costs what a busy one does, or its first request is lost.
@Suite struct HTTP2GreetingTests {
    private func receive(_ greeting: inout HTTP2Greeting, _ bytes: [UInt8]) -> (HTTP2Greeting.Step, [UInt8]) {
        var answer = ByteBuffer()
        let step = bytes.withUnsafeBytes { greeting.receive($0, answer: &answer) }
        return (step, Array(answer.readableBytesView))
    }

    private let settings = Frame.settings([(3, 100), (4, 1 << 20), (5, 16_384), (6, 8192), (0xA1A1, 7)])

    /// What clients send when they connect needs no session, however it is cut.
    @Test func aConnectionThatOnlyConnectsNeedsNoSession() {
        let bytes = Frame.preface + settings + Frame.windowUpdate(0, 1 << 20) + Frame.settingsAcknowledged
        for step in [1, 7, 100, 1000] {
            var greeting = HTTP2Greeting()
            var answers: [UInt8] = []
            for at in stride(from: 0, to: bytes.count, by: step) {
                let (next, answer) = receive(&greeting, Array(bytes[at..<min(at + step, bytes.count)]))
                #expect(next == .wait)
                answers += answer
            }
            #expect(answers == Frame.settingsAcknowledged)
            #expect(greeting.hasPeerSettings && greeting.seen == bytes && greeting.rest.isEmpty)
        }
    }

    private static let unusual: [[UInt8]] = [
        Array("GET / HTTP/1.1\r\n".utf8), Frame.preface + Frame.ping, Frame.preface + Frame.request(1),
        Frame.preface + Frame.settings([(2, 2)]), Frame.preface + Frame.settings([(4, 1 << 31)]),
        Frame.preface + Frame.settings([(5, 16_383)]), Frame.preface + Frame.raw(4, [0, 4, 0]),
        Frame.preface + Frame.raw(4, stream: 1), Frame.preface + Frame.settingsAcknowledged,
        Frame.preface + Frame.settings() + Frame.windowUpdate(0, 0),
        Frame.preface + Frame.settings() + Frame.windowUpdate(0, 1 << 30),
        Frame.preface + Frame.settings() + Frame.settingsAcknowledged + Frame.settingsAcknowledged,
        Frame.preface + Frame.settings() + Frame.raw(0x77, [1]),
        Frame.preface + Frame.settings(Array(repeating: (3, 1), count: 100)),
    ]

    /// Whatever may be wrong, or is a request, is the session's to judge, with all bytes that came.
    @Test(arguments: unusual) func theRestIsLeftToTheSession(bytes: [UInt8]) {
        var greeting = HTTP2Greeting()
        let step = receive(&greeting, bytes).0
        #expect(step == .begin)
        #expect(greeting.seen + greeting.rest == bytes)
    }
}
