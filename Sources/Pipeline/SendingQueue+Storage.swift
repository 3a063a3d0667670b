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
    /// Their bytes, delivered or not.
    var writingBytes = 0
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

/// A batch on its way to the disk. Event loop only.
private final class Deposit {
    let batch: Batch
    let weight: Int
    var parts: [StoredPart] = []
    /// Whether it is on its way to the destination at the same time.
    var isSending = false
    /// Parts that are on that way.
    var open = 0
    /// Items that the destination does not have because the gateway stops.
    var keptItems = 0
    /// What the destination says.
    var refusal: Refusal?
    /// Why the disk does not have it.
    var fault: Refusal?
    var isAnswered = false

    init(_ batch: Batch, weight: Int) {
        self.batch = batch
        self.weight = weight
    }

    /// Each part with its share of the weight.
    func forEachPart(_ body: (StoredPart, Int) -> Void) {
        var left = weight
        for (index, part) in parts.enumerated() {
            let share = index == parts.count - 1 ? left : weight / parts.count
            left -= share
            body(part, share)
        }
    }
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

    /// Stores a batch, and meanwhile sends it: a destination that is quicker than the disk spares the disk the work. The
    /// client has its answer when the first of the two has the batch. Unless both worked the last time, and nobody waits,
    /// the disk has it first.
    func persist(_ batch: Batch, weight: Int) {
        guard let disk else { return }
        disk.writing += 1
        // A disk that stands still must not gather what the destination takes meanwhile: beyond this it has the first word.
        let isQuick = disk.writingBytes + batch.bytes <= DiskQueue.memoryBytesMax
        disk.writingBytes += batch.bytes
        let deposit = Deposit(batch, weight: weight)
        deposit.parts = disk.store.append(batch) { [self] refusal in written(deposit, refusal) }
        guard isTaking, isQuick, !disk.refusing, hasRoom(for: batch.bytes), !deposit.parts.isEmpty else {
            return
        }
        deposit.isSending = true
        deposit.open = deposit.parts.count
        deposit.forEachPart { part, weight in hold(part.stored, part.batch, weight, deposit) }
    }

    /// The disk has a batch, or cannot take it.
    private func written(_ deposit: Deposit, _ fault: Refusal?) {
        guard let disk else { return }
        disk.writing -= 1
        disk.writingBytes -= deposit.batch.bytes
        defer { wakeIfIdle() }
        if let fault {
            // A request larger than the store says nothing of the disk.
            if !disk.refusing, !fault.isPermanent {
                disk.refusing = true
                logger.error(
                    "Data cannot be stored. Refusing it until it can.",
                    metadata: ["error": "\(fault.message)"])
            }
            deposit.fault = fault
            return conclude(deposit)
        }
        // What was answered before need not have been written.
        if disk.refusing, !deposit.isAnswered {
            disk.refusing = false
            logger.info("Data can be stored again.")
        }
        answer(deposit, .accepted)
        guard !deposit.isSending else { return }
        deposit.forEachPart { part, weight in take(part, weight: weight) }
    }

    /// Answers for a batch that is not stored when nothing of it is with the destination any more.
    private func conclude(_ deposit: Deposit) {
        guard !deposit.isAnswered, deposit.open == 0 else { return }
        if !deposit.isSending, let fault = deposit.fault {
            counters.dropped.add(deposit.batch.items)
            size.subtract(deposit.weight, ordering: .relaxed)
            answer(deposit, .refused(fault))
        } else if deposit.keptItems > 0 {
            // Held back for the next start: the disk has the last word.
            guard let fault = deposit.fault else { return }
            counters.dropped.add(deposit.keptItems)
            givenUp.add(deposit.keptItems, ordering: .relaxed)
            answer(deposit, .refused(fault))
        } else if let refusal = deposit.refusal, deposit.fault != nil {
            answer(deposit, .refused(refusal))
        } else {
            answer(deposit, .accepted)
        }
    }

    private func answer(_ deposit: Deposit, _ outcome: Outcome) {
        guard !deposit.isAnswered else { return }
        deposit.isAnswered = true
        deposit.batch.settle(outcome, by: speaker)
    }

    /// Whether stored batches may be in memory, too: nobody waits on disk, and so many bytes more are not too many.
    private func hasRoom(for bytes: Int) -> Bool {
        guard let disk, !stopping, disk.backlog.isEmpty, disk.reading == 0 else { return false }
        return disk.memoryBytes + bytes <= max(DiskQueue.memoryBytesMax, bytes)
    }

    /// A batch is safe: sends it, or, when others wait on disk or memory is full, leaves it there.
    private func take(_ part: StoredPart, weight: Int) {
        guard hasRoom(for: part.stored.bytes) else {
            disk?.backlog.append((part.stored, weight))
            return
        }
        hold(part.stored, part.batch, weight)
    }

    /// Sends a stored batch; its end is the end of the stored copy.
    private func hold(_ stored: StoredBatch, _ batch: Batch, _ weight: Int, _ deposit: Deposit? = nil) {
        guard let disk else { return }
        disk.memoryBytes += stored.bytes
        let bound = NIOLoopBound((self, deposit), eventLoop: eventLoop)
        let whole = Acknowledgement { outcome in
            let (queue, deposit) = bound.value
            queue.ended(stored, outcome, deposit)
        }
        admit(batch.acknowledged(by: whole), weight: weight)
    }

    private func ended(_ stored: StoredBatch, _ outcome: Outcome, _ deposit: Deposit?) {
        guard let disk else { return }
        disk.memoryBytes -= stored.bytes
        deposit?.open -= 1
        defer { if let deposit { conclude(deposit) } }
        if case .refused(let refusal) = outcome {
            if refusal.reason == .shuttingDown {
                deposit?.keptItems += stored.items
                return
            }
            deposit?.refusal = refusal
        }
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
