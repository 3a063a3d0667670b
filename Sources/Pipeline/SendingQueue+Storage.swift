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
    var isFailing = false

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
        deposit.parts = disk.store.append(batch) { [self] fault in written(deposit, fault) }
        guard state.isTaking, isQuick, !disk.isFailing, hasRoom(for: batch.bytes), !deposit.parts.isEmpty
        else { return }
        conclude(deposit, .sending)
        let bound = NIOLoopBound((self, deposit), eventLoop: eventLoop)
        let delivery = Acknowledgement(stored: deposit.parts.count) { outcome, uncounted in
            let (queue, deposit) = bound.value
            queue.conclude(deposit, .delivered(outcome, uncounted: uncounted))
        }
        deposit.forEachPart { part, weight in hold(part.stored, part.batch, weight, delivery) }
    }

    /// The disk has a batch, or cannot take it.
    private func written(_ deposit: Deposit, _ fault: Refusal?) {
        eventLoop.preconditionInEventLoop()
        guard let disk else { return }
        disk.writing -= 1
        disk.writingBytes -= deposit.batch.bytes
        defer { wakeIfIdle() }
        note(fault, of: deposit, on: disk)
        guard case .storing = deposit.state else {
            return conclude(deposit, fault.map { .failed($0) } ?? .stored)
        }
        if let fault {
            size.subtract(deposit.weight, ordering: .relaxed)
            conclude(deposit, .failed(fault))
        } else {
            conclude(deposit, .stored)
            deposit.forEachPart { part, weight in take(part, weight: weight) }
        }
    }

    private func note(_ fault: Refusal?, of deposit: Deposit, on disk: DiskQueue) {
        // A request larger than the store says nothing of the disk.
        if let fault, !fault.isPermanent, !disk.isFailing {
            disk.isFailing = true
            logger.error(
                "Data cannot be stored. Refusing it until it can.", metadata: ["error": "\(fault.message)"])
        }
        // What was answered before need not have been written.
        if fault == nil, disk.isFailing, deposit.state != .answered {
            disk.isFailing = false
            logger.info("Data can be stored again.")
        }
    }

    private func conclude(_ deposit: Deposit, _ event: DepositState.Event) {
        let wasStoring = if case .storing = deposit.state { true } else { false }
        guard let answer = deposit.state.apply(event) else { return }
        counters.dropped.add(answer.lost)
        if !wasStoring { givenUp.add(answer.lost, ordering: .relaxed) }
        deposit.batch.settle(answer.outcome)
    }

    /// Whether stored batches may be in memory, too: nobody waits on disk, and so many bytes more are not too many.
    private func hasRoom(for bytes: Int) -> Bool {
        guard let disk, !state.isStopping, disk.backlog.isEmpty, disk.reading == 0 else { return false }
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
    /// - Parameter delivery: is told of that end, too.
    private func hold(
        _ stored: StoredBatch, _ batch: Batch, _ weight: Int, _ delivery: Acknowledgement? = nil
    ) {
        guard let disk else { return }
        disk.memoryBytes += stored.bytes
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let held = batch.acknowledged { shares in
            Acknowledgement(stored: shares) { outcome, uncounted in
                bound.value.ended(stored, outcome)
                delivery?.settle(outcome, uncounted: uncounted)
            }
        }
        admit(held, weight: weight)
    }

    private func ended(_ stored: StoredBatch, _ outcome: Outcome) {
        eventLoop.preconditionInEventLoop()
        guard let disk else { return }
        disk.memoryBytes -= stored.bytes
        if case .refused(let refusal) = outcome, refusal.reason == .shuttingDown { return }
        disk.store.remove(stored)
        load()
    }

    /// Reads what waits on disk, as long as memory has room.
    private func load() {
        guard let disk, !state.isStopping else { return }
        while disk.reading < DiskQueue.readsMax, disk.memoryBytes < DiskQueue.memoryBytesMax / 2,
            let next = disk.backlog.popFirst()
        {
            disk.reading += 1
            disk.store.read(next.stored) { [self] batch in
                disk.reading -= 1
                if let batch, !state.isStopping {
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
        forget(work)
        work.batch.settle(.refused(Refusal(.shuttingDown, "stays in the store")), isCounted: false)
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
