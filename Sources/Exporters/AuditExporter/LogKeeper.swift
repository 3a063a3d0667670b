internal import AuditLog
internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import OTLP
internal import Pipeline
import Synchronization

/// Keeps one audit log, on a thread of its own: what comes while a commit is under way is committed together afterwards. Any thread.
final class LogKeeper: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Thread only` are touched by jobs of `thread` only, which runs one at a
    // time; `inbox`, `timestamper` and `notices` are set before any
    // other thread sees this.
    private let config: AuditConfig
    private let keys: [SigningKey]
    private let makeStore: @Sendable () -> any AuditStore
    private let metrics: AuditMetrics
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let ownEvents: OwnEvents
    /// Not `let` only because its closures need what it is part of.
    private var inbox: EventInbox!

    // Thread only.
    /// Nil while the store cannot be used.
    private var writer: AuditWriter?
    /// Whether what was found damaged is among the own events: once, however often it is tried again.
    private var isDamageReported = false
    private var failure = "it was not opened"
    private let clock: @Sendable () -> Int64
    /// The clock's time before which it is not opened again.
    private var opensAgain: Int64 = 0

    /// Between two openings of a store that is away.
    private static let openingInterval: Int64 = 1_000_000_000

    /// - Parameter clock: monotonic time, nanoseconds.
    init(
        _ config: AuditConfig, keys: [SigningKey], metrics: AuditMetrics, logger: Logger,
        clock: @escaping @Sendable () -> Int64 = SystemClock.monotonicNanoseconds,
        makeStore: @escaping @Sendable () -> any AuditStore
    ) {
        self.clock = clock
        self.config = config
        self.keys = keys
        self.metrics = metrics
        self.logger = logger
        self.makeStore = makeStore
        ownEvents = OwnEvents(target: config.origin, logger: logger)
        inbox = EventInbox(owner: self, recordsMax: config.maxCommitRecords) { [unowned self] in
            thread.submit { [self] _ in commit(inbox.next()) }
        } refuse: { [unowned self] in
            refuse($0, $1)
        }
        // Never shut down: it lives as long as the process, and a disk that hangs holds up no other.
        thread.start()
    }

    /// Opens the log. A store that is away is no error: it is opened when it is back, and clients are asked to wait.
    /// - Throws: another writer has the log, it was changed, or the configuration is wrong.
    func open() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            thread.submit { _ in
                do throws(AuditStoreError) {
                    try self.openNow()
                    continuation.resume()
                } catch {
                    if error.kind == .unavailable {
                        continuation.resume()
                    } else {
                        continuation.resume(throwing: ComponentError("\(error)"))
                    }
                }
            }
        }
    }

    /// Keeps the events of a batch.
    /// - Parameter done: called once, by a thread of the log.
    func keep(_ batch: Batch, done: @escaping @Sendable (SendResult) -> Void) {
        inbox.add(EventInbox.Job(batch: batch, done: done))
    }

    /// Keeps an event of the gateway itself, which waits for a log that is not open; of one kind not too often.
    func record(_ event: OwnEvent, boundedAs kind: String? = nil) {
        ownEvents.keep()
        if ownEvents.add(event, boundedAs: kind, now: clock()) { recordWaiting() }
    }

    /// Keeps those that wait and whose turn it is.
    func recordWaiting() {
        thread.submit { _ in self.commitOwn() }
    }

    /// Makes a checkpoint, if there is anything new.
    func checkpoint() {
        thread.submit { _ in
            // After an outage without any traffic, too.
            _ = self.isOpen()
            self.commitOwn()
            self.makeCheckpoint()
        }
    }

    /// Makes the last checkpoint and closes the log.
    /// - Parameter done: called once, by the log's thread.
    func close(done: @escaping @Sendable () -> Void) {
        thread.submit { _ in
            self.ownEvents.addBounded(now: self.clock(), isEnd: true)
            self.commitOwn()
            let lost = self.ownEvents.waiting.count
            if lost > 0 {
                self.logger.error("Own audit events are lost.", metadata: ["events": "\(lost)"])
            }
            self.makeCheckpoint()
            self.writer?.close()
            self.writer = nil
            self.failure = "the gateway is stopping"
            self.opensAgain = .max
            done()
        }
    }

    // MARK: - On the thread

    private func openNow() throws(AuditStoreError) {
        let writer = AuditWriter(makeStore(), origin: config.origin, keys: keys) {
            UInt64(max(0, SystemClock.unixNanoseconds()))
        }
        do throws(AuditStoreError) {
            try writer.open(after: keptCheckpoint())
        } catch {
            fail(error)
            throw error
        }
        self.writer = writer
        if writer.isKeptForeign {
            warnOfCheckpointFile("it has no checkpoint of this log that one of the keys signed")
        }
        if writer.isKeyNew {
            let keys = keys.map(\.verifier.text).joined(separator: " ")
            let event = OwnEvent("audit.key.rotated", action: "ROTATE", [("sluice.audit.keys", keys)])
            ownEvents.add(event, now: clock())
        }
        commitOwn()
        // Closed again when that failed.
        guard self.writer === writer else { return }
        isDamageReported = false
        metrics.show(size: writer.size, uncovered: writer.uncovered)
        logger.info(
            "The audit log is open.", metadata: ["origin": "\(config.origin)", "entries": "\(writer.size)"])
    }

    /// What `checkpoint_file` has of an earlier process, or of this one; nil for nothing that can be read.
    private func keptCheckpoint() -> AuditWriter.KeptCheckpoint? {
        // SAFETY: the path is a C string for the call.
        guard let path = config.checkpointFile, unsafe access(path, F_OK) == 0 || errno != ENOENT else {
            return nil
        }
        do throws(KeyError) {
            return AuditWriter.KeptCheckpoint(note: try KeyFile.read(path, isPrivate: false), place: path)
        } catch {
            warnOfCheckpointFile("\(error)")
            return nil
        }
    }

    private func warnOfCheckpointFile(_ reason: String) {
        logger.warning(
            "The store was not compared with checkpoint_file: whether it was put back to an older state is not known.",
            metadata: ["checkpoint_file": "\(config.checkpointFile ?? "")", "reason": "\(reason)"])
    }

    /// After this the store is closed: whether the last commit took place is known when it is open again.
    private func fail(_ error: AuditStoreError) {
        writer?.close()
        writer = nil
        failure = "\(error)"
        opensAgain = clock() + Self.openingInterval
        metrics.failedCommits.add(1)
        logger.error("The audit log takes no events.", metadata: ["error": "\(error)"])
        if error.kind == .damaged {
            metrics.verifyFailures.add(1)
            guard !isDamageReported else { return }
            isDamageReported = true
            ownEvents.add(
                OwnEvent(
                    "audit.verify.failed", action: "VERIFY", outcome: "failure",
                    [("sluice.audit.error", "\(error)")]), now: clock())
        }
    }

    private func isOpen() -> Bool {
        if writer != nil { return true }
        guard clock() >= opensAgain else { return false }
        do throws(AuditStoreError) {
            try openNow()
            return writer != nil
        } catch {
            return false
        }
    }

    private func refuse(_ job: EventInbox.Job, _ problem: EventProblem) {
        metrics.invalid.add(rejected(job.batch.items))
        job.done(.refused("\(problem)", code: .invalidArgument))
    }

    private func commit(_ pending: [EventInbox.Pending]) {
        guard !pending.isEmpty else { return }
        guard isOpen(), let writer else {
            for each in pending {
                each.job.done(.retryable("the audit log takes no events: \(failure)", after: nil))
            }
            return
        }
        let start = SystemClock.unixNanoseconds()
        do throws(AuditStoreError) {
            let results = try writer.append(pending.map(\.events))
            metrics.commitSeconds.observe(Double(max(0, SystemClock.unixNanoseconds() - start)) / 1e9)
            metrics.show(size: writer.size, uncovered: writer.uncovered)
            for (each, result) in zip(pending, results) { each.job.done(answer(result, each.events.count)) }
        } catch {
            fail(error)
            for each in pending {
                each.job.done(.retryable("the audit log takes no events: \(error)", after: nil))
            }
            return
        }
        if writer.uncovered >= UInt64(config.checkpointRecords) { makeCheckpoint() }
    }

    /// Commits what waits of the gateway's own events; what fails is tried again by the next checkpoint.
    private func commitOwn() {
        guard let writer else { return }
        ownEvents.addBounded(now: clock())
        let events = ownEvents.waiting
        guard !events.isEmpty else { return }
        do throws(AuditStoreError) {
            _ = try writer.append(events.map { [$0] })
            ownEvents.remove(events.count)
            metrics.appended.add(events.count)
            metrics.show(size: writer.size, uncovered: writer.uncovered)
        } catch {
            fail(error)
        }
    }

    private func answer(_ result: AuditWriter.Result, _ count: Int) -> SendResult {
        switch result {
        case .committed(let new, let known):
            metrics.appended.add(new)
            metrics.known.add(known)
            return .sent(rejectedItems: 0, message: "")
        case .conflict(let id, let sequence):
            metrics.conflicting.add(rejected(count))
            let place = sequence.map { "in the log as entry \($0)" } ?? "twice in the request"
            return .refused(
                "audit.record.id \(id) is \(place), with other content; a record cannot be changed, give a new one an id of "
                    + "its own", code: .alreadyExists)
        }
    }

    /// How many records a refusal of so many is the end of: of more than one, the queue tries the others without the culprit.
    private func rejected(_ count: Int) -> Int {
        count == 1 || !config.sendingQueue.dividesRefused ? count : 0
    }

    private func makeCheckpoint() {
        guard let writer else { return }
        do throws(AuditStoreError) {
            guard let checkpoint = try writer.checkpoint() else { return }
            metrics.show(size: writer.size, uncovered: writer.uncovered)
            logger.info(
                "Audit checkpoint.",
                metadata: ["size": "\(checkpoint.size)", "note": "\(checkpoint.note)"])
            push(checkpoint)
        } catch {
            fail(error)
        }
    }

    /// Gets every checkpoint. Set before `open`.
    var timestamper: Timestamper?
    /// Gets every checkpoint. Set before `open`.
    var notices: CheckpointNotices?

    /// Writes a timestamped checkpoint and its timestamp. Any thread.
    /// - Parameter done: hears what went wrong, on the log's thread; nil when both files are there.
    func saveTimestamp(
        _ checkpoint: StoredCheckpoint, _ answer: [UInt8], in folder: String,
        _ done: @escaping @Sendable (String?) -> Void
    ) {
        thread.submit { _ in
            do throws(KeyError) {
                let path = "\(folder)/\(checkpoint.size)"
                try KeyFile.replace(path + ".checkpoint", Array(checkpoint.note.utf8))
                try KeyFile.replace(path + ".tsr", answer)
                done(nil)
            } catch {
                done("\(error)")
            }
        }
    }

    private func push(_ checkpoint: StoredCheckpoint) {
        timestamper?.offer(checkpoint)
        notices?.send(checkpoint, origin: config.origin)
        guard let path = config.checkpointFile else { return }
        do throws(KeyError) {
            try KeyFile.replace(path, Array(checkpoint.note.utf8))
        } catch {
            // The store has it; the next one is written again.
            logger.error(
                "The audit checkpoint was not written to checkpoint_file.", metadata: ["error": "\(error)"])
        }
    }
}
