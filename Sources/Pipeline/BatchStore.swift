package import NIOCore

/// A batch in a store, as the queue knows it while its bytes are on disk only.
package struct StoredBatch: Sendable, Equatable {
    /// The store's own name for it; grows from batch to batch, also from process to process.
    package let id: UInt64
    /// Spans, data points or log records.
    package let items: Int
    /// Bytes of the request.
    package let bytes: Int

    /// Describes a stored batch.
    package init(id: UInt64, items: Int, bytes: Int) {
        self.id = id
        self.items = items
        self.bytes = bytes
    }
}

/// Keeps the batches of one queue on disk until the destination has them (`sending_queue.storage`).
///
/// All calls and all answers on the queue's event loop; the store does its reading and writing elsewhere.
package protocol BatchStore: AnyObject {
    /// Opens the store.
    /// - Returns: what an earlier process left, oldest first.
    func open() -> EventLoopFuture<[StoredBatch]>
    /// Writes a batch. `done` is called once, later: with nil when it is as safe as the configuration promises, or with
    /// why it is not, and nothing is stored then.
    /// - Returns: the stored batches that it becomes, which may be sent, and removed, before they are written.
    func append(_ batch: Batch, done: @escaping (Refusal?) -> Void) -> [StoredPart]
    /// Reads a stored batch; nil when it cannot be read any more, which the store reports.
    func read(_ stored: StoredBatch, done: @escaping (Batch?) -> Void)
    /// Forgets a stored batch: the destination has it, or nobody ever will. Not awaited: a crash may bring it back. What
    /// waits to be written need not be written any more; `done` is called all the same.
    func remove(_ stored: StoredBatch)
    /// Writes what was forgotten and closes the files. What is stored stays.
    func close() -> EventLoopFuture<Void>
}

/// A part of an appended batch that is a stored batch of its own.
package struct StoredPart {
    /// What the store knows.
    package let stored: StoredBatch
    /// The same in memory; owes no acknowledgements.
    package let batch: Batch

    /// Describes a part.
    package init(stored: StoredBatch, batch: Batch) {
        self.stored = stored
        self.batch = batch
    }
}
