internal import Compression
internal import HTTP
internal import Logging
internal import NIOCore
internal import Pipeline
internal import Synchronization

/// What one protocol of a receiver is made of. Immutable; any thread.
final class ProtocolService: Sendable {
    let routes: Routes
    let writer: AnswerWriter
    let cors: CORSPolicy?
    /// Who says which requests come in; nil: all may.
    let door: Door?
    let logger: Logger
    let resets: StreamResets
    let ends: ConnectionEnds
    /// Of the whole receiver.
    let memory: IncompleteMemory
    let foreign: ForeignClients
    /// What a connection takes while nothing is under way.
    let connectionBytes: Int
    /// In plain text 2.2 KiB before its first byte, 7.3 after a request; with TLS 22 to 25.
    static let (plainConnectionBytes, tlsConnectionBytes) = (8 << 10, 28 << 10)

    init(
        routes: Routes, writer: AnswerWriter, cors: CORSPolicy? = nil, door: Door? = nil, logger: Logger,
        resets: StreamResets,
        ends: ConnectionEnds,
        memory: IncompleteMemory, isTLS: Bool = false
    ) {
        connectionBytes = isTLS ? Self.tlsConnectionBytes : Self.plainConnectionBytes
        self.resets = resets
        self.ends = ends
        self.memory = memory
        self.routes = routes
        self.writer = writer
        self.cors = cors
        self.door = door
        foreign = ForeignClients(logger: logger)
        self.logger = logger
    }

    /// Judges a request's head.
    func judge(_ head: HeaderBlock) -> Judgement {
        if let cors, cors.isPreflight(head) { return Judgement(.failure(.plain(204, ""))) }
        let isGRPC = routes.limits.isGRPC
        do throws(Answer.Failure) {
            // As in the Collector: over HTTP strangers learn nothing of what is served, over gRPC the protocol comes first.
            var check: CredentialCheck?
            if !isGRPC { check = try door?.check(head) }
            let judged = routes.judge(head)
            switch judged {
            case .success:
                if isGRPC { check = try door?.check(head) }
            case .failure:
                if !isGRPC, Routes.isGRPC(head) { foreign.tell(.grpc) }
            }
            return Judgement(judged, check)
        } catch {
            return Judgement(.failure(error))
        }
    }
}

/// What becomes of a request, by its head.
struct Judgement {
    /// Where its body goes, or why nowhere.
    typealias Way = Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure>

    let way: Way
    /// What has to come out well before; nil: nothing.
    let check: CredentialCheck?

    init(_ way: Way, _ check: CredentialCheck? = nil) {
        self.way = way
        self.check = check
    }
}

/// A request that does not move, and how it is ended.
struct StalledRequest {
    /// How much of it has come, 0 to 1.
    let fullness: Double
    /// Returns bytes that are free then, or will be with what is sent next, and that are still in `IncompleteMemory.bytes`.
    let end: () -> Int
}

/// A connection as its receiver sees it. Event loop only.
protocol ReceiverConnection: AnyObject {
    /// What it takes while nothing is under way. Always the same.
    var connectionBytes: Int { get }
    /// The first handler, before TLS; nil before the first byte.
    var gate: ReadGate? { get }
    /// Since when no request has been under way, of which the whole head has come; nil while one is.
    var idleSince: NIODeadline? { get }
    /// The requests of which nothing worth the name has come for `Connections.shortStallLimit`.
    func stalledRequests(_ now: NIODeadline) -> [StalledRequest]
    /// Looks at the limits that time sets: stalled requests give back the memory they reserved, silent clients are
    /// pinged, and so on.
    func check(_ now: NIODeadline)
    /// Lets the requests under way end, then closes.
    func drain()
    /// Closes, with the farewell of its protocol.
    func close()
}

extension ReceiverConnection {
    var gate: ReadGate? { nil }
    func stalledRequests(_ now: NIODeadline) -> [StalledRequest] { [] }
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
    /// How many connections were closed when the time to end was over.
    private var cut: Int?

    private let checkInterval: TimeAmount
    private var wasSilent = true

    /// A body that does not move for this long is given up.
    static let stallLimit = TimeAmount.seconds(60)
    /// The same when incomplete requests hold much memory; then the emptiest go first.
    static let shortStallLimit = TimeAmount.seconds(2)
    /// How often that is looked at.
    private static let relieveInterval = TimeAmount.milliseconds(500)
    /// Requests that are ended in one turn of a loop: for 2 000 with 16 KB of metadata each it took 50 ms, most of it when that is sent.
    static let endedAtOnce = 64
    /// Connections that are looked at to find one that is idle.
    private static let idleLookMax = 256
    /// A connection that was busy more recently is not idle.
    private static let idleLimit = TimeAmount.seconds(1)

    /// What ten thousand sessions take until they are put away.
    private static let putAwayTime = TimeAmount.seconds(3)

    private let memory: IncompleteMemory?
    private var relief: RepeatedTask?
    /// Requests that are being ended, the emptiest last.
    private var stalled: [StalledRequest] = []

    /// - Parameter checkInterval: between two looks at every connection; limits of time are kept to this precision.
    init(
        eventLoop: any EventLoop, tools: LoopTools, checkInterval: TimeAmount, memory: IncompleteMemory? = nil
    ) {
        self.memory = memory
        self.eventLoop = eventLoop
        self.tools = tools
        self.checkInterval = checkInterval
        tools.whenNoneBeside = { [weak self] in self?.endIfEmpty() }
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: checkInterval, delay: checkInterval) { _ in
            bound.value.check()
        }
        guard let memory, memory.limitBytes < .max else { return }
        relief = eventLoop.scheduleRepeatedTask(
            initialDelay: Self.relieveInterval, delay: Self.relieveInterval
        ) { _ in
            if memory.isShort { bound.value.relieve(bound.value.eventLoop.now) }
        }
    }

    /// Ends requests that do not move, the emptiest first, until those that are left hold no more than they should: some in each turn
    /// of the loop.
    func relieve(_ now: NIODeadline) {
        guard memory != nil, stalled.isEmpty else { return }
        stalled = open.values.flatMap { $0.stalledRequests(now) }
        stalled.sort { $0.fullness > $1.fullness }
        endStalled()
    }

    private func endStalled() {
        guard let memory else { return }
        var (freed, ended) = (0, 0)
        while memory.bytes - freed > memory.limitBytes / 4, let request = stalled.popLast() {
            freed += request.end()
            ended += 1
            guard ended == Self.endedAtOnce else { continue }
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            return eventLoop.executeInTurn { bound.value.endStalled() }
        }
        stalled = []
    }

    /// Closes a connection that is idle, to make room for another.
    /// - Returns: whether there was one.
    func closeIdlest(_ now: NIODeadline) -> Bool {
        var idlest: (connection: any ReceiverConnection, since: NIODeadline)?
        for connection in open.values.prefix(Self.idleLookMax) {
            guard let since = connection.idleSince, now - since >= Self.idleLimit else { continue }
            if idlest.map({ since < $0.since }) ?? true { idlest = (connection, since) }
        }
        guard let idlest = idlest?.connection else { return false }
        closeAtOnce(idlest)
        // It is not asked again, and has made room, before the channel tells.
        remove(idlest)
        return true
    }

    /// TLS would wait for the client's farewell.
    private func closeAtOnce(_ connection: any ReceiverConnection) {
        let gate = connection.gate
        connection.close()
        gate?.close()
    }

    private func check() {
        let now = eventLoop.now
        // Buffers of requests that nobody sends. Before idle connections are put away, which then fit into the gaps.
        let isSilent = now - tools.now >= ReadGate.idleLimit
        if isSilent { tools.pool.trim() }
        for connection in open.values { connection.check(now) }
        // Once a silence, when sessions have been put away.
        if isSilent, !wasSilent {
            eventLoop.scheduleTask(in: Self.putAwayTime) { ResidentSize.giveBackFreedSoon() }
        }
        wasSilent = isSilent
    }

    private func stopTimers() {
        sweep?.cancel()
        relief?.cancel()
    }

    /// How many connections are open.
    var count: Int { open.count }

    func add(_ connection: any ReceiverConnection) {
        eventLoop.preconditionInEventLoop()
        if open.updateValue(connection, forKey: ObjectIdentifier(connection)) == nil {
            memory?.opened(bytes: connection.connectionBytes)
        }
        if draining { connection.drain() }
    }

    func remove(_ connection: any ReceiverConnection) {
        eventLoop.preconditionInEventLoop()
        if open.removeValue(forKey: ObjectIdentifier(connection)) != nil {
            memory?.closed(bytes: connection.connectionBytes)
        }
        endIfEmpty()
    }

    /// Whether nothing is under way: what is worked on beside the loop may outlive its connection.
    private var isEmpty: Bool { (open.isEmpty || cut != nil) && tools.besideRequests == 0 }

    private func endIfEmpty() {
        guard draining, isEmpty else { return }
        stopTimers()
        whenEmpty?.succeed()
        whenEmpty = nil
    }

    /// Asks all connections to end; the future succeeds when the last one has, and all that it sent.
    func drain() -> EventLoopFuture<Void> {
        draining = true
        let promise = whenEmpty ?? eventLoop.makePromise(of: Void.self)
        whenEmpty = promise
        endIfEmpty()
        for connection in open.values { connection.drain() }
        return promise.futureResult
    }

    /// Lets the connections end until `deadline`, then closes what is left. Any thread.
    /// - Returns: how many connections were cut.
    func end(at deadline: NIODeadline) -> EventLoopFuture<Int> {
        let promise = eventLoop.makePromise(of: Int.self)
        eventLoop.execute {
            let timer = self.eventLoop.scheduleTask(deadline: deadline) {
                self.cut = self.closeAll()
                self.endIfEmpty()
            }
            self.drain().whenSuccess {
                timer.cancel()
                promise.succeed(self.cut ?? 0)
            }
        }
        return promise.futureResult
    }

    private func closeAll() -> Int {
        stopTimers()
        let count = open.count
        for connection in open.values { closeAtOnce(connection) }
        return count
    }
}
