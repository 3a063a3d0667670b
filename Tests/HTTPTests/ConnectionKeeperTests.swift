import NIOCore
import Testing

@testable import HTTP

/// Without these dead clients hold connections for ever, load balancers never see a connection end, or clients that ping
/// as agreed are thrown out.
@Suite struct ConnectionKeeperTests {
    private let zero = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func check(
        _ keeper: inout ConnectionKeeper, _ seconds: Int64, read: Int64 = 0, requests: Int = 0, open: Int = 0,
        greeted: Bool = true
    ) -> ConnectionKeeper.Action {
        keeper.check(
            now: zero + .seconds(seconds), lastRead: zero + .seconds(read), requests: requests,
            openStreams: open,
            isGreeted: greeted)
    }

    @Test func defaultsLeaveAConnectionAloneForTwoHours() {
        var keeper = ConnectionKeeper(ConnectionKeeper.Limits(), now: zero, jitter: 0)
        for seconds in stride(from: Int64(0), to: 7200, by: 100) { #expect(check(&keeper, seconds) == .none) }
        #expect(check(&keeper, 7200) == .ping)
        #expect(check(&keeper, 7210) == .none)
        #expect(check(&keeper, 7220) == .close("no answer to a keepalive ping within the timeout"))
    }

    @Test func anySignOfLifeAnswersAPing() {
        var limits = ConnectionKeeper.Limits()
        limits.pingAfter = .seconds(10)
        limits.pingTimeout = .seconds(5)
        var keeper = ConnectionKeeper(limits, now: zero, jitter: 0)
        #expect(check(&keeper, 9) == .none)
        #expect(check(&keeper, 10) == .ping)
        #expect(check(&keeper, 20, read: 11) == .none)
        #expect(check(&keeper, 21, read: 11) == .ping)
        #expect(check(&keeper, 25, read: 11) == .none)
        #expect(check(&keeper, 26, read: 11) != .none)
    }

    /// If it failed, the gateway would end with the first client that connects.
    @Test(arguments: [-1.0, 0, 1]) func anAgeOfCenturiesIsNone(jitter: Double) {
        var limits = ConnectionKeeper.Limits()
        limits.age = .nanoseconds(.max)
        limits.pingAfter = nil
        var keeper = ConnectionKeeper(limits, now: zero, jitter: jitter)
        #expect(check(&keeper, 1_000_000_000) == .none)
    }

    @Test func aClientThatNeverGreetsIsClosed() {
        var keeper = ConnectionKeeper(ConnectionKeeper.Limits(), now: zero, jitter: 0)
        #expect(check(&keeper, 59, greeted: false) == .none)
        #expect(check(&keeper, 60, greeted: false) == .close("the client did not speak HTTP/2 in time"))
        var other = ConnectionKeeper(ConnectionKeeper.Limits(), now: zero, jitter: 0)
        #expect(check(&other, 60) == .none)
    }

    @Test func idlenessIsTimeWithoutStreams() {
        var limits = ConnectionKeeper.Limits()
        limits.idle = .seconds(30)
        var keeper = ConnectionKeeper(limits, now: zero, jitter: 0)
        #expect(check(&keeper, 29) == .none)
        // A request that came and went between two looks counts.
        #expect(check(&keeper, 31, requests: 1) == .none)
        #expect(check(&keeper, 60, requests: 1) == .none)
        #expect(check(&keeper, 70, requests: 2, open: 1) == .none)
        #expect(check(&keeper, 200, requests: 2, open: 1) == .none)
        #expect(check(&keeper, 229, requests: 2) == .none)
        #expect(check(&keeper, 230, requests: 2) == .drain("max_connection_idle"))
        #expect(check(&keeper, 300, requests: 2) == .none)
    }

    @Test(arguments: [(-1.0, Int64(90)), (0, 100), (1, 110)])
    func ageIsSpreadByATenth(jitter: Double, expected: Int64) {
        var limits = ConnectionKeeper.Limits()
        limits.age = .seconds(100)
        limits.ageGrace = .seconds(7)
        var keeper = ConnectionKeeper(limits, now: zero, jitter: jitter)
        #expect(check(&keeper, expected - 1, open: 1) == .none)
        #expect(check(&keeper, expected, open: 1) == .drain("max_connection_age"))
        #expect(check(&keeper, expected + 6, open: 1) == .none)
        #expect(check(&keeper, expected + 7, open: 1) == .close("max_connection_age_grace ended"))
    }

    @Test func withoutGraceStreamsHaveAllTheTime() {
        var limits = ConnectionKeeper.Limits()
        limits.age = .seconds(100)
        var keeper = ConnectionKeeper(limits, now: zero, jitter: 0)
        #expect(check(&keeper, 100, open: 1) == .drain("max_connection_age"))
        #expect(check(&keeper, 5000, open: 1) == .none)
    }

    @Test func aConnectionThatIsDrainedOtherwiseIsNotDrainedAgain() {
        var limits = ConnectionKeeper.Limits()
        limits.age = .seconds(100)
        limits.idle = .seconds(50)
        var keeper = ConnectionKeeper(limits, now: zero, jitter: 0)
        keeper.drained()
        #expect(check(&keeper, 50) == .none)
        #expect(check(&keeper, 100) == .none)
    }

    /// Scenario: times of pings in seconds, with streams or without, and which of them is one too many.
    @Test(arguments: pings)
    func pingsTooManyAreCounted(times: [Int64], streams: Bool, permitted: Bool, tooMany: Int?) {
        var limits = ConnectionKeeper.Limits()
        limits.pingsWithoutStreams = permitted
        var keeper = ConnectionKeeper(limits, now: zero, jitter: 0)
        var verdicts: [Bool] = []
        for time in times {
            verdicts.append(keeper.pingReceived(openStreams: streams ? 1 : 0, now: zero + .seconds(time)))
        }
        #expect(verdicts.firstIndex(of: true) == tooMany)
    }

    /// Clients measure the way with a ping for each answer.
    @Test func answersForgivePings() {
        var keeper = ConnectionKeeper(ConnectionKeeper.Limits(), now: zero, jitter: 0)
        for second in 0..<100 {
            let isTooMany = keeper.pingReceived(openStreams: 1, now: zero + .seconds(Int64(second)))
            #expect(!isTooMany)
            if second % 2 == 0 { keeper.answered() }
        }
    }

    @Test func looksAreAsOftenAsTheLimitsNeed() {
        var limits = ConnectionKeeper.Limits()
        #expect(limits.checkInterval == .milliseconds(2500))
        limits.idle = .milliseconds(1)
        #expect(limits.checkInterval == .milliseconds(10))
    }
}

private let pings: [([Int64], Bool, Bool, Int?)] = [
    ([0, 300, 600, 900, 1200], true, false, nil), ([0, 299, 598, 897], true, false, 3),
    ([0, 1, 2, 3], true, false, 3), ([0, 1, 400, 401, 402], true, false, 4),
    ([0, 300, 600, 900], false, false, 3), ([0, 7200, 14_400, 21_600], false, false, nil),
    ([0, 300, 600, 900], false, true, nil), ([0, 10, 20, 30], false, true, 3),
]
