internal import Dispatch
internal import Glibc
import Synchronization

/// Reads and checks ranges of a log's rows on several threads, each with a reader of its own: while one waits for its server, another
/// checks what it has got, so that no processor is idle. Few rows are held at a time. `next` and `stop` by one thread.
final class RangeChecker: Sendable {
    typealias Open = @Sendable () throws(AuditStoreError) -> any AuditStore

    /// A range that was checked.
    struct Checked: Sendable {
        /// The last sequence that it was to have.
        let end: UInt64
        /// By sequence.
        var chunks: [CheckedChunk] = []
        /// The kept tiles of level 0 with these rows.
        var tiles: [HashTile] = []
    }

    private struct State {
        /// Ranges that a thread has taken on, from the first one.
        var begun = 0
        /// By range; taken away by `next`.
        var results: [Int: Result<Checked, AuditStoreError>] = [:]
        /// Threads that could not open the log.
        var failed = 0
        var isStopped = false
    }

    private let state = Mutex(State())
    private let open: Open
    private let sequences: ClosedRange<UInt64>
    private let signed: UInt64
    private let queues: [DispatchQueue]
    /// From 0 on: Dispatch traps where one ends below the value that it began with.
    private let free = DispatchSemaphore(value: 0)
    private let ready = DispatchSemaphore(value: 0)
    private let taken = Mutex(0)

    /// Of a command: it is planned anew for each, over all months.
    private static let rowsAtATime: UInt64 = 32 * UInt64(HashTile.width)
    private static let threadsMax = 8
    /// Ranges that were begun and not taken by `next`, for each thread.
    private static let rangesAhead = 4

    /// - Parameters:
    ///   - open: opens the log for reading, by each thread once.
    ///   - signed: entries that a checkpoint covers.
    init(_ open: @escaping Open, _ sequences: ClosedRange<UInt64>, signed: UInt64) {
        self.open = open
        self.sequences = sequences
        self.signed = signed
        let ranges = Self.ranges(in: sequences)
        // One more than there are processors is not enough: checking and waiting take about as long.
        let threads = min(2 * sysconf(Int32(_SC_NPROCESSORS_ONLN)), Self.threadsMax, ranges)
        queues = (0..<max(1, threads)).map { DispatchQueue(label: "audit log rows \($0)") }
        for _ in 0..<Self.rangesAhead * queues.count { free.signal() }
        for queue in queues { queue.async { self.work() } }
    }

    private static func ranges(in sequences: ClosedRange<UInt64>) -> Int {
        Int((sequences.upperBound - 1) / rowsAtATime - (sequences.lowerBound - 1) / rowsAtATime) + 1
    }

    /// Waits for the next range; nil after the last one.
    /// - Parameter own: the caller's store of the same log, which is read where no thread could open one.
    /// - Throws: the store cannot be read. Not again after that.
    func next(_ own: any AuditStore) throws(AuditStoreError) -> Checked? {
        let range = taken.withLock { count in
            defer { count += 1 }
            return count
        }
        guard range < Self.ranges(in: sequences) else { return nil }
        while true {
            if let result = state.withLock({ $0.results.removeValue(forKey: range) }) {
                free.signal()
                return try result.get()
            }
            // Slower, but a server may have no connection left beside that one.
            if state.withLock({ $0.failed }) == queues.count {
                var page = RowPage()
                return try check(sequences(range), own, &page)
            }
            ready.wait()
        }
    }

    /// Ends it, and waits until it is over. Once.
    func stop() {
        state.withLock { $0.isStopped = true }
        for _ in queues { free.signal() }
        for queue in queues { queue.sync {} }
    }

    private func work() {
        let store: any AuditStore
        do throws(AuditStoreError) {
            store = try open()
        } catch {
            // Where a server has no connection left for this thread, the others do its work; without any, `next`.
            state.withLock { $0.failed += 1 }
            ready.signal()
            return
        }
        defer { store.close() }
        var page = RowPage()
        while true {
            free.wait()
            let range: Int? = state.withLock { state in
                guard !state.isStopped, state.begun < Self.ranges(in: sequences) else { return nil }
                defer { state.begun += 1 }
                return state.begun
            }
            guard let range else { return }
            do throws(AuditStoreError) {
                finish(range, .success(try check(sequences(range), store, &page)))
            } catch {
                // `next` ends with it, and a store that is away must not be asked again.
                finish(range, .failure(error))
                return
            }
        }
    }

    private func check(
        _ sequences: ClosedRange<UInt64>, _ store: any AuditStore, _ page: inout RowPage
    ) throws(AuditStoreError) -> Checked {
        let columns = store.copiedColumns
        var checked = Checked(end: sequences.upperBound)
        let tile = (sequences.lowerBound - 1) / UInt64(HashTile.width)
        checked.tiles = try store.tiles(
            level: 0, from: tile, limit: Int(Self.rowsAtATime) / HashTile.width)
        try store.read(sequences, &page) { page in
            if checked.chunks.last?.isFull ?? true {
                checked.chunks.append(CheckedChunk(first: page.rows[0].sequence))
            }
            checked.chunks[checked.chunks.count - 1].add(page, signed: signed, columns)
        }
        return checked
    }

    private func finish(_ range: Int, _ result: Result<Checked, AuditStoreError>) {
        state.withLock { $0.results[range] = result }
        ready.signal()
    }

    /// Whole tiles, but for the first range and the last one.
    private func sequences(_ range: Int) -> ClosedRange<UInt64> {
        let first = ((sequences.lowerBound - 1) / Self.rowsAtATime + UInt64(range)) * Self.rowsAtATime + 1
        return max(first, sequences.lowerBound)...min(first + Self.rowsAtATime - 1, sequences.upperBound)
    }
}
