internal import Logging
internal import NIOCore
internal import Pipeline

/// What one protocol of a receiver is made of. Immutable; any thread.
final class ProtocolService: Sendable {
    let routes: Routes
    let writer: AnswerWriter
    let logger: Logger
    let resets: StreamResets

    init(routes: Routes, writer: AnswerWriter, logger: Logger, resets: StreamResets) {
        self.resets = resets
        self.routes = routes
        self.writer = writer
        self.logger = logger
    }
}

/// A connection as its receiver sees it. Event loop only.
protocol ReceiverConnection: AnyObject {
    /// Looks at the limits that time sets: stalled requests give back the memory they reserved, silent clients are
    /// pinged, and so on.
    func check(_ now: NIODeadline)
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

    private let checkInterval: TimeAmount

    /// A body that does not move for this long is given up.
    static let stallLimit = TimeAmount.seconds(60)

    /// - Parameter checkInterval: between two looks at every connection; limits of time are kept to this precision.
    init(eventLoop: any EventLoop, tools: LoopTools, checkInterval: TimeAmount) {
        self.eventLoop = eventLoop
        self.tools = tools
        self.checkInterval = checkInterval
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: checkInterval, delay: checkInterval) { _ in
            bound.value.check()
        }
    }

    private func check() {
        let now = eventLoop.now
        for connection in open.values { connection.check(now) }
    }

    /// How many connections are open.
    var count: Int { open.count }

    func add(_ connection: any ReceiverConnection) {
        eventLoop.preconditionInEventLoop()
        open[ObjectIdentifier(connection)] = connection
        if draining { connection.drain() }
    }

    func remove(_ connection: any ReceiverConnection) {
        eventLoop.preconditionInEventLoop()
        open[ObjectIdentifier(connection)] = nil
        if open.isEmpty, draining {
            sweep?.cancel()
            whenEmpty?.succeed()
            whenEmpty = nil
        }
    }

    /// Asks all connections to end; the future succeeds when the last one has.
    func drain() -> EventLoopFuture<Void> {
        draining = true
        let promise = whenEmpty ?? eventLoop.makePromise(of: Void.self)
        if open.isEmpty {
            sweep?.cancel()
            promise.succeed()
            return promise.futureResult
        }
        whenEmpty = promise
        for connection in open.values { connection.drain() }
        return promise.futureResult
    }

    /// Lets the connections end until `deadline`, then closes what is left. Any thread.
    /// - Returns: how many connections were cut.
    func end(at deadline: NIODeadline) -> EventLoopFuture<Int> {
        let promise = eventLoop.makePromise(of: Int.self)
        eventLoop.execute {
            let timer = self.eventLoop.scheduleTask(deadline: deadline) { promise.succeed(self.closeAll()) }
            self.drain().whenSuccess {
                timer.cancel()
                // Nothing happens when the deadline was first.
                promise.succeed(0)
            }
        }
        return promise.futureResult
    }

    private func closeAll() -> Int {
        sweep?.cancel()
        let count = open.count
        for connection in open.values { connection.close() }
        return count
    }
}
