internal import AuditLog
internal import Configuration
package import NIOCore
internal import OTLP
package import Pipeline
internal import PostgreSQLAuditStore
internal import SQLiteAuditStore

extension ComponentType {
    /// `audit`.
    package static let auditExporter = exporter("audit", signals: [.logs], AuditConfig.self) {
        try AuditExporter($0, $1)
    }
}

/// Keeps audit events in a log that nobody can change unseen: `audit`. A client has its answer when its events are committed.
package final class AuditExporter: Consumer, PipelineComponent {
    private let queue: SendingQueue
    private let keeper: LogKeeper
    private let sender: AuditSender
    private let checkpointInterval: Duration

    package init(_ config: AuditConfig, _ context: ComponentContext) throws {
        let keys: [SigningKey]
        do throws(KeyError) {
            var found = [try SigningKey(path: config.keyFile, name: config.origin)]
            if let path = config.previousKeyFile {
                found.append(try SigningKey(path: path, name: config.origin))
            }
            keys = found
        } catch {
            throw ComponentError("key_file: \(error)")
        }
        guard let store = config.store else {
            throw ComponentError("a store is missing; write sqlite or postgresql")
        }
        let metrics = AuditMetrics(context.registry, exporter: context.name)
        keeper = LogKeeper(config, keys: keys, metrics: metrics, logger: context.logger) {
            switch store {
            case .sqlite(let path): SQLiteAuditStore(path: path)
            case .postgresql(let connection): PostgreSQLAuditStore(conninfo: connection)
            }
        }
        if let timestamp = config.timestamp {
            keeper.timestamper = try Timestamper(timestamp, context, metrics: metrics) { [weak keeper] in
                keeper?.saveTimestamp($0, $1, in: timestamp.folder, $2)
            }
        }
        if let id = config.checkpointExporter { keeper.notices = CheckpointNotices(id, context) }
        sender = AuditSender(keeper, eventLoop: context.eventLoop)
        checkpointInterval = config.checkpointInterval
        queue = SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure, sender: sender, context)
    }

    /// Keeps an event of the gateway itself, also before `start`. Any thread.
    /// - Parameter kind: for events that others bring about, as often as they like: of one kind one is kept in ten seconds, the last
    ///   one, with the attribute `sluice.events`, how many it stands for. Few kinds: each is remembered.
    package func record(_ event: OwnEvent, boundedAs kind: String? = nil) {
        keeper.record(event, boundedAs: kind)
    }

    package var input: PipelineInput {
        let behind = queue.input
        return PipelineInput(self, admission: behind.admission, answersLater: behind.answersLater)
    }

    package func start() async throws {
        try await keeper.open()
        sender.begin(every: checkpointInterval)
        try await queue.start()
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        sender.stops(by: deadline)
        return await queue.stop(until: deadline)
    }

    /// Takes a batch even when the queue is full, and refuses it then: behind a fan-out the client would otherwise hear that all is
    /// well, since another exporter took the same data.
    package func consume(_ batch: Batch) -> Refusal? {
        guard let refusal = queue.consume(batch) else { return nil }
        guard batch.isAwaited, refusal.reason == .queueFull else { return refusal }
        batch.seal()
        batch.enter()
        // Not `queueFull`, which is no refusal for the client as long as another destination has the data.
        queue.drop(batch, because: Refusal(.unavailable, refusal.message))
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) { queue.drop(batch, because: refusal) }
}

/// Hands batches to the log's thread: the last stage of `audit`. Event loop of its queue only.
///
/// An attempt has no time limit (`deadline` is not observed): a commit cannot be called back.
final class AuditSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    private let keeper: LogKeeper
    private let eventLoop: any EventLoop
    private var timers: [RepeatedTask] = []
    private var deadline: NIODeadline?

    /// A stop does not wait longer for a store that does not answer.
    private static let closeTimeout = TimeAmount.seconds(5)

    init(_ keeper: LogKeeper, eventLoop: any EventLoop) {
        self.keeper = keeper
        self.eventLoop = eventLoop
    }

    /// Makes checkpoints from now on until `close`. Any thread.
    func begin(every interval: Duration) {
        let jobs: [(TimeAmount, @Sendable (LogKeeper) -> Void)] = [
            (TimeAmount(interval), { $0.checkpoint() }), (OwnEvents.interval, { $0.recordWaiting() }),
        ]
        eventLoop.execute { [self] in
            for (period, job) in jobs {
                timers.append(
                    eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { [keeper] _ in
                        job(keeper)
                    })
            }
        }
    }

    /// Says until when `close` may wait for the last checkpoint's timestamp. Any thread.
    func stops(by deadline: NIODeadline) {
        eventLoop.execute { [self] in self.deadline = deadline }
    }

    func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        keeper.keep(batch) { [eventLoop] result in
            eventLoop.execute { bound.value(result) }
        }
    }

    func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        for timer in timers { timer.cancel() }
        let closed = eventLoop.makePromise(of: Void.self)
        let timeout = eventLoop.scheduleTask(in: Self.closeTimeout) { closed.succeed() }
        keeper.close { [eventLoop] in
            eventLoop.execute {
                timeout.cancel()
                closed.succeed()
            }
        }
        return closed.futureResult.flatMap { [self] in
            keeper.timestamper?.close(by: deadline ?? .now() + Self.closeTimeout)
                ?? eventLoop.makeSucceededVoidFuture()
        }
    }
}
