internal import Dispatch
import Synchronization

/// A store that two threads use by turns: who checks its rows, and who reads them ahead.
final class SharedStore: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the store is used under the lock only.
    private let lock = Mutex(())
    private let store: any AuditStore
    /// See `AuditStore`.
    let copiedColumns: (any CopiedColumns)?

    init(_ store: any AuditStore) {
        self.store = store
        copiedColumns = store.copiedColumns
    }

    /// Waits for its turn.
    func use<Value: Sendable>(
        _ body: (any AuditStore) throws(AuditStoreError) -> Value
    ) throws(AuditStoreError) -> Value {
        try lock.withLock { _ throws(AuditStoreError) in try body(store) }
    }
}

/// Reads a log's rows ahead of who checks them, on a thread of its own: the store, which may be a server with a processor of its own, has
/// something to do all the time. `next`, `giveBack` and `stop` by one thread.
final class PageReader: Sendable {
    /// What is read at a time, or why it was not.
    struct Page: Sendable {
        var rows = RowPage()
        /// The kept tiles of level 0 with these rows.
        var tiles: [HashTile] = []
        var problem: AuditStoreError?
    }

    private struct State {
        /// Read and not taken yet.
        var ready: [Page] = []
        /// To be used again, for their buffers.
        var used: [Page] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let store: SharedStore
    private let queue = DispatchQueue(label: "audit log pages")
    /// From 0 on: Dispatch traps where one ends below the value that it began with.
    private let free = DispatchSemaphore(value: 0)
    private let filled = DispatchSemaphore(value: 0)

    /// Pages that are being read or wait, each of up to 256 MiB where all entries are as large as they may be.
    private static let pagesAhead = 2
    /// Whole tiles, but for what is before the first one.
    private static let rowsAtATime = 16 * HashTile.width

    /// - Parameters:
    ///   - first: the sequence to begin with.
    ///   - last: the one to end with. The last page is one that is empty or has a problem.
    init(_ store: SharedStore, from first: UInt64, to last: UInt64) {
        self.store = store
        for _ in 0..<Self.pagesAhead { free.signal() }
        queue.async { self.read(from: first, to: last) }
    }

    /// Waits for the next page. Not after the last one.
    func next() -> Page {
        filled.wait()
        return state.withLock { $0.ready.removeFirst() }
    }

    /// Says that a page is not needed any more.
    func giveBack(_ page: consuming Page) {
        let page = page
        state.withLock { $0.used.append(page) }
        free.signal()
    }

    /// Ends it, and waits until it is over. Once.
    func stop() {
        state.withLock { $0.isStopped = true }
        free.signal()
        queue.sync {}
    }

    private func read(from first: UInt64, to last: UInt64) {
        var next = first
        while true {
            free.wait()
            let (isStopped, used) = state.withLock { ($0.isStopped, $0.used.popLast()) }
            if isStopped { return }
            var page = used ?? Page()
            page.rows.removeAll()
            page.tiles = []
            if next <= last {
                do throws(AuditStoreError) {
                    try read(&page, from: next, to: last)
                } catch {
                    page.problem = error
                }
            }
            next += UInt64(page.rows.rows.count)
            let isLast = page.problem != nil || page.rows.rows.isEmpty
            state.withLock { $0.ready.append(page) }
            filled.signal()
            if isLast { return }
        }
    }

    private func read(_ page: inout Page, from first: UInt64, to last: UInt64) throws(AuditStoreError) {
        let toTileEnd = UInt64(Self.rowsAtATime) - (first - 1) % UInt64(HashTile.width)
        let limit = Int(min(toTileEnd, last - first + 1))
        var rows = page.rows
        page.rows = RowPage()
        (page.rows, page.tiles) = try store.use { store throws(AuditStoreError) in
            try store.read(&rows, from: first, limit: limit)
            return (
                rows,
                try store.tiles(
                    level: 0, from: (first - 1) / UInt64(HashTile.width), limit: limit / HashTile.width + 1)
            )
        }
    }
}
