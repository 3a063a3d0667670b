internal import Logging
internal import NIOCore
internal import Pipeline

/// What one protocol of a receiver is made of. Immutable; any thread.
final class ProtocolService: Sendable {
    let routes: Routes
    let writer: AnswerWriter
    let logger: Logger

    init(routes: Routes, writer: AnswerWriter, logger: Logger) {
        self.routes = routes
        self.writer = writer
        self.logger = logger
    }
}

/// A connection as its receiver sees it. Event loop only.
protocol ReceiverConnection: AnyObject {
    /// Ends requests whose body has not moved since then, so that they give back the memory they reserved.
    func resetStalled(since oldest: NIODeadline)
    /// Lets the requests under way end, then closes.
    func drain()
    /// Closes at once.
    func close()
}

/// The connections of one receiver on one event loop. Event loop only, but for `init`.
final class Connections: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but `eventLoop` is touched on that loop only.
    let eventLoop: any EventLoop
    let tools: LoopTools
    private var open: [ObjectIdentifier: any ReceiverConnection] = [:]
    private var sweep: RepeatedTask?
    private var whenEmpty: EventLoopPromise<Void>?
    private(set) var draining = false

    /// A body that does not move for this long is given up.
    private static let stallLimit = TimeAmount.seconds(60)

    init(eventLoop: any EventLoop, tools: LoopTools) {
        self.eventLoop = eventLoop
        self.tools = tools
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let interval = TimeAmount.seconds(15)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let oldest = NIODeadline.now() - Self.stallLimit
            for connection in bound.value.open.values { connection.resetStalled(since: oldest) }
        }
    }

    func add(_ connection: any ReceiverConnection) {
        open[ObjectIdentifier(connection)] = connection
        if draining { connection.drain() }
    }

    func remove(_ connection: any ReceiverConnection) {
        open[ObjectIdentifier(connection)] = nil
        if open.isEmpty {
            whenEmpty?.succeed()
            whenEmpty = nil
        }
    }

    /// Asks all connections to end; the future succeeds when the last one has.
    func drain() -> EventLoopFuture<Void> {
        draining = true
        sweep?.cancel()
        let promise = whenEmpty ?? eventLoop.makePromise(of: Void.self)
        if open.isEmpty {
            promise.succeed()
            return promise.futureResult
        }
        whenEmpty = promise
        for connection in open.values { connection.drain() }
        return promise.futureResult
    }

    /// Closes what is still open; returns how many that were.
    func closeAll() -> Int {
        let count = open.count
        for connection in open.values { connection.close() }
        return count
    }
}
