internal import Logging
package import NIOCore
import Synchronization

/// What a queue knows of its store. Event loop only.
final class DiskQueue {
    let store: any BatchStore
    let recovered: Counter
    /// On disk only, oldest first, with the room that each takes in the queue.
    var backlog = CircularBuffer<(stored: StoredBatch, weight: Int)>()
    /// Bytes of stored batches that are in memory too.
    var memoryBytes = 0
    /// Batches on their way to the disk.
    var writing = 0
    /// Batches on their way from it.
    var reading = 0
    /// Whether the last batch could not be written.
    var refusing = false

    /// Stored batches beyond this are kept on disk only.
    static let memoryBytesMax = 32 << 20
    /// Reads at a time.
    static let readsMax = 4

    init(_ store: any BatchStore, recovered: Counter) {
        self.store = store
        self.recovered = recovered
    }

    /// Whether nothing is on its way.
    var isQuiet: Bool { writing == 0 && reading == 0 }
}

// The stage before all others when `storage` is set. Event loop only, but for `openStore`.

extension SendingQueue {
    /// Opens the store, if there is one, and takes what an earlier process left. Once, before the first batch.
    /// - Returns: the batches that were found.
    package func openStore() -> EventLoopFuture<Int> {
        eventLoop.flatSubmit { [self] in
            guard let disk else { return eventLoop.makeSucceededFuture(0) }
            return disk.store.open().assumeIsolated().map { [self] found in
                for stored in found {
                    let weight = weight(items: stored.items, bytes: stored.bytes)
                    size.add(weight, ordering: .relaxed)
                    disk.recovered.add(stored.items)
                    disk.backlog.append((stored, weight))
                }
                load()
                return found.count
            }.nonisolated()
        }
    }

    func persist(_ batch: Batch, weight: Int) {
        guard let disk else { return }
        disk.writing += 1
        disk.store.append(batch) { [self] result in
            disk.writing -= 1
            switch result {
            case .success(let parts):
                if disk.refusing {
                    disk.refusing = false
                    logger.info("Data can be stored again.")
                }
                batch.settle(.accepted, by: speaker)
                var weightLeft = weight
                for (index, part) in parts.enumerated() {
                    let share = index == parts.count - 1 ? weightLeft : weight / parts.count
                    weightLeft -= share
                    take(part, weight: share)
                }
            case .failure(let refusal):
                if !disk.refusing {
                    disk.refusing = true
                    logger.error(
                        "Data cannot be stored. Refusing it until it can.",
                        metadata: ["error": "\(refusal.message)"])
                }
                counters.dropped.add(batch.items)
                size.subtract(weight, ordering: .relaxed)
                batch.settle(.refused(refusal), by: speaker)
            }
            wakeIfIdle()
        }
    }

    /// A batch is safe: sends it, or, when others wait on disk or memory is full, leaves it there.
    private func take(_ part: StoredPart, weight: Int) {
        guard let disk else { return }
        if stopping || !disk.backlog.isEmpty || disk.reading > 0
            || disk.memoryBytes + part.stored.bytes > max(DiskQueue.memoryBytesMax, part.stored.bytes)
        {
            disk.backlog.append((part.stored, weight))
            return
        }
        hold(part.stored, part.batch, weight)
    }

    /// Sends a stored batch; its end is the end of the stored copy.
    private func hold(_ stored: StoredBatch, _ batch: Batch, _ weight: Int) {
        guard let disk else { return }
        disk.memoryBytes += stored.bytes
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let whole = Acknowledgement { outcome in bound.value.ended(stored, outcome) }
        admit(batch.acknowledged(by: whole), weight: weight)
    }

    private func ended(_ stored: StoredBatch, _ outcome: Outcome) {
        guard let disk else { return }
        disk.memoryBytes -= stored.bytes
        if case .refused(let refusal) = outcome, refusal.reason == .shuttingDown { return }
        disk.store.remove(stored)
        load()
    }

    /// Reads what waits on disk, as long as memory has room.
    private func load() {
        guard let disk, !stopping else { return }
        while disk.reading < DiskQueue.readsMax, disk.memoryBytes < DiskQueue.memoryBytesMax / 2,
            let next = disk.backlog.popFirst()
        {
            disk.reading += 1
            disk.store.read(next.stored) { [self] batch in
                disk.reading -= 1
                if let batch, !stopping {
                    hold(next.stored, batch, next.weight)
                } else {
                    if batch == nil {
                        counters.failed.add(next.stored.items)
                        disk.store.remove(next.stored)
                    }
                    size.subtract(next.weight, ordering: .relaxed)
                }
                load()
                wakeIfIdle()
            }
        }
    }

    /// Lets go of a batch that stays on disk.
    func release(_ work: Work) {
        // What the destination has of it is sent once more after the restart.
        _ = sender.itemsDelivered(of: work.batch)
        work.timer?.cancel()
        work.timer = nil
        active[ObjectIdentifier(work)] = nil
        size.subtract(work.weight, ordering: .relaxed)
        work.batch.settle(.refused(Refusal(.shuttingDown, "stays in the store")), by: speaker)
        wakeIfIdle()
    }

    /// Lets go of everything that is not being sent right now.
    func releaseWaiting() {
        while let work = waiting.popFirst() { release(work) }
        for work in active.values where work.timer != nil { release(work) }
    }

    /// Closes the store and says how much is in it.
    func closeDisk() -> EventLoopFuture<Void> {
        guard let disk else { return eventLoop.makeSucceededVoidFuture() }
        return disk.store.close()
    }
}
