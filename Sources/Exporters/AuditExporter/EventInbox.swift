internal import AuditLog
internal import NIOCore
internal import NIOPosix
internal import OTLP
internal import Pipeline
import Synchronization

/// Batches that wait for the log's thread, whose records a thread of its own reads meanwhile: one commit is written while the events
/// of the next are read. Any thread.
final class EventInbox: Sendable {
    struct Job: Sendable {
        let batch: Batch
        let done: @Sendable (SendResult) -> Void
    }

    /// A job whose records were read.
    struct Pending: Sendable {
        let job: Job
        let events: [AuditEvent]
    }

    private struct State {
        var jobs = CircularBuffer<Job>()
        var pending = CircularBuffer<Pending>()
        /// Records of `pending`.
        var records = 0
        var isReading = false
        /// Whether the log's thread was told that there is something.
        var isAnnounced = false
    }

    private let state = Mutex(State())
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private unowned let owner: any AnyObject & Sendable
    private let recordsMax: Int
    private let announce: @Sendable () -> Void
    private let refuse: @Sendable (Job, EventProblem) -> Void

    /// - Parameters:
    ///   - owner: who has the inbox, and whom the closures may therefore refer to without keeping it: while a thread reads, it does.
    ///   - recordsMax: of one commit; no more than these are read ahead of it, a batch that has more by itself excepted.
    ///   - announce: called when there is something for `next`, and not again until `next` was called.
    ///   - refuse: called with a job whose records are no events.
    init(
        owner: any AnyObject & Sendable, recordsMax: Int, announce: @escaping @Sendable () -> Void,
        refuse: @escaping @Sendable (Job, EventProblem) -> Void
    ) {
        self.owner = owner
        self.recordsMax = recordsMax
        self.announce = announce
        self.refuse = refuse
        // Never shut down: it lives as long as the process.
        thread.start()
    }

    /// Adds a job behind the others.
    func add(_ job: Job) {
        let mustRead = state.withLock { state in
            state.jobs.append(job)
            return Self.mustRead(&state, recordsMax)
        }
        if mustRead { startReading() }
    }

    /// Takes what one commit may have: whole jobs, one at least, if any was read.
    func next() -> [Pending] {
        let (taken, mustRead, isMore) = state.withLock { state in
            var taken: [Pending] = []
            var records = 0
            while let first = state.pending.first, taken.isEmpty || records + first.events.count <= recordsMax
            {
                records += first.events.count
                taken.append(state.pending.removeFirst())
            }
            state.records -= records
            state.isAnnounced = !state.pending.isEmpty
            return (taken, Self.mustRead(&state, recordsMax), state.isAnnounced)
        }
        if mustRead { startReading() }
        if isMore { announce() }
        return taken
    }

    private static func mustRead(_ state: inout State, _ recordsMax: Int) -> Bool {
        guard !state.isReading, !state.jobs.isEmpty, state.records < recordsMax else { return false }
        state.isReading = true
        return true
    }

    private func startReading() {
        thread.submit { [owner] _ in withExtendedLifetime(owner) { self.read() } }
    }

    private func read() {
        while true {
            let job = state.withLock { state -> Job? in
                guard state.records < recordsMax, let job = state.jobs.popFirst() else {
                    state.isReading = false
                    return nil
                }
                return job
            }
            guard let job else { return }
            do throws(EventProblem) {
                let pending = Pending(job: job, events: try Self.events(of: job.batch))
                let mustAnnounce = state.withLock { state in
                    state.pending.append(pending)
                    state.records += pending.events.count
                    defer { state.isAnnounced = true }
                    return !state.isAnnounced
                }
                if mustAnnounce { announce() }
            } catch {
                refuse(job, error)
            }
        }
    }

    private static func events(of batch: Batch) throws(EventProblem) -> [AuditEvent] {
        let result: Result<[AuditEvent], EventProblem>
        if batch.sliceCount == 1, let slice = batch.slices.first {
            result = unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                // SAFETY: borrowed for the call.
                Result { () throws(EventProblem) in try AuditEventReader.events(of: unsafe WireBytes(bytes)) }
            }
        } else {
            var request: [UInt8] = []
            request.reserveCapacity(batch.bytes)
            for slice in batch.slices { request += slice.bytes.readableBytesView }
            result = unsafe request.withUnsafeBytes { bytes in
                // SAFETY: borrowed for the call.
                Result { () throws(EventProblem) in try AuditEventReader.events(of: unsafe WireBytes(bytes)) }
            }
        }
        return try result.get()
    }
}
