internal import NIOCore
internal import OTLP
internal import Pipeline
internal import Synchronization

/// A batch on its way into the store. Used by one thread at a time: who brought it, then the exporter's event loop.
final class Intake {
    let batch: Batch
    private var slice = 0
    private var position = ReadPosition()
    /// Points that are in their series.
    private(set) var kept = 0

    init(_ batch: Batch) { self.batch = batch }

    /// Reads on while the store has work left; under its lock.
    /// - Returns: whether all is read.
    func read(into store: SeriesStore, now: UInt32) -> Bool {
        let slices = batch.slices
        while slice < slices.count {
            guard store.work > 0 else { return false }
            let isDone = unsafe slices[slice].bytes.withUnsafeReadableBytes { bytes in
                // SAFETY: the buffer lends its bytes for the call; what is kept for the next one are offsets.
                store.read(unsafe WireBytes(bytes), from: &position, now: now, kept: &kept)
            }
            guard isDone else { return false }
            slice += 1
            position = ReadPosition()
        }
        return true
    }
}

/// Batches that were too large to be read in one go, and those that came behind them: a delta must not overtake another.
/// Any thread.
final class IntakeQueue: Sendable {
    private struct State: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): an intake that waits is used by the event loop only.
        var waiting = CircularBuffer<Intake>()
    }

    private let state = Mutex(State())

    var isEmpty: Bool { count == 0 }

    /// How many wait.
    var count: Int { state.withLock { $0.waiting.count } }

    /// The one that is read next.
    var first: Intake? { state.withLock { $0.waiting.first } }

    /// Puts a batch behind those that wait; false when none does.
    func appendBehindOthers(_ intake: Intake) -> Bool {
        state.withLock { state in
            guard !state.waiting.isEmpty else { return false }
            state.waiting.append(intake)
            return true
        }
    }

    /// Puts a batch at the end.
    /// - Returns: whether it is the only one, so that reading must be begun.
    func append(_ intake: Intake) -> Bool {
        state.withLock { state in
            state.waiting.append(intake)
            return state.waiting.count == 1
        }
    }

    /// Takes the first one away.
    func removeFirst() { _ = state.withLock { $0.waiting.removeFirst() } }
}
