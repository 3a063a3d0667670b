import NIOCore
import NIOPosix
import Pipeline
import TestSupport
import Testing

/// Counts how often a loop has looked at its sockets.
private final class Looks: NIOEventLoopMetricsDelegate {
    let count = Noted(0)
    func processedTick(info: NIOEventLoopTickInfo) { count.change { $0 += 1 } }
}

@Suite("Long works of an event loop")
struct LoopTurnsTests {
    /// Works for a millisecond a turn.
    @Sendable private static func work(_ turns: Int, on loop: any EventLoop, done: EventLoopPromise<Void>) {
        let end = NIODeadline.now() + .milliseconds(1)
        while NIODeadline.now() < end {}
        guard turns > 1 else { return done.succeed() }
        loop.executeInTurn { work(turns - 1, on: loop, done: done) }
    }

    /// Otherwise clients wait for half a second while metrics of many series are sent and large requests come.
    @Test("a loop looks at its sockets after each turn of each of several works", arguments: [1, 2, 5])
    func looks(works: Int) async throws {
        let looks = Looks()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1, metricsDelegate: looks)
        let loop = group.next()
        let before = looks.count.value
        let done = (0..<works).map { _ in loop.makePromise(of: Void.self) }
        for promise in done { loop.executeInTurn { Self.work(20, on: loop, done: promise) } }
        for promise in done { try await promise.futureResult.get() }
        #expect(looks.count.value - before >= works * 20)
        try await group.shutdownGracefully()
    }
}
