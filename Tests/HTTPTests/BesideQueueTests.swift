import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP

/// Without these a flood of long works holds up everybody else's.
@Suite struct BesideQueueTests {
    private let loop = EmbeddedEventLoop()

    /// A connection of the loop; one that is known has completed a request.
    private func connect(isKnown: Bool = false) throws -> ConnectionAccount {
        // What work takes on a slow or instrumented machine is no matter here.
        let account = ConnectionAccount(slowness: 1_000_000, now: loop.now)
        let channel = EmbeddedChannel(loop: loop)
        let gate = ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account)
        try channel.pipeline.syncOperations.addHandler(gate)
        if isKnown { account.earn(bytes: 0) }
        return account
    }

    /// Scenario: many new connections have each sent one long work when a known one comes with three.
    /// Guarantees: those are done next, also while the new ones' rest; then the new ones, in their order.
    @Test func newConnectionsDoNotHoldUpAKnownOne() throws {
        var order: [Int] = []
        let new = try (0..<5).map { _ in try connect() }
        for (index, account) in new.enumerated() {
            account.doBeside({ nil }, done: { order.append(index) })
        }
        let known = try connect(isKnown: true)
        for index in 100..<103 { known.doBeside({ nil }, done: { order.append(index) }) }
        #expect(known.isHeld && order == [])
        loop.advanceTime(by: .seconds(10))
        #expect(order.filter { $0 < 100 } == [0, 1, 2, 3, 4])
        #expect(order.filter { $0 >= 100 } == [100, 101, 102])
        // One of the new ones may have its turn between them, not more.
        #expect(order.dropFirst().first == 100 && order.prefix(5).contains(102), "\(order)")
        #expect(!known.isHeld)
    }

    /// Scenario: a known connection sends many long works at once, and the first brings it into debt.
    /// Guarantees: the others wait as a new one's do, behind another known connection's.
    @Test func whoIsNoLongerProvenWaits() throws {
        var order: [Int] = []
        let first = try connect(isKnown: true)
        let second = try connect(isKnown: true)
        let now = loop.now
        let spend = {
            order.append(0)
            first.work.spend(.seconds(10_000), now: now)
        }
        first.doBeside({ nil }, done: spend)
        first.doBeside({ nil }, done: { order.append(1) })
        second.doBeside({ nil }, done: { order.append(2) })
        loop.advanceTime(by: .seconds(10))
        #expect(order == [0, 2, 1] && !first.work.isProven && !first.work.isOverdrawn)
    }
}
