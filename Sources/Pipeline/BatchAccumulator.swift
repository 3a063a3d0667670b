package import NIOCore
package import OTLP

/// Gathers batches until they are worth sending: what the `batch` processor and `sending_queue.batch` have in common.
///
/// Merging appends slices; bytes are not copied. With `metadata_keys` the clients' batches are kept apart by the values
/// of those fields; a combination takes room only while something of it waits. Event loop only.
package final class BatchAccumulator {
    /// What the sizes count.
    package enum Sizer: Sendable {
        case items
        case bytes
    }

    /// Why a batch left.
    package enum Trigger: Sendable {
        case size
        case timeout
    }

    /// When a batch leaves.
    package struct Limits: Sendable {
        /// So long after its first item at the latest; 0: at once.
        package var timeout: TimeAmount
        /// With so much in it; 0: at once.
        package var minSize: Int
        /// More is split; 0: never.
        package var maxSize: Int
        package var sizer: Sizer = .items
        /// Names, in lower case, of the metadata whose values keep batches apart.
        package var metadataKeys: [String] = []
        /// Combinations of those values that may wait at a time.
        package var combinationsMax = 1000
        /// With one too many the combination that has waited longest leaves, instead of the new one being rejected.
        package var makesRoom = false

        /// Describes limits.
        package init(timeout: TimeAmount, minSize: Int, maxSize: Int) {
            self.timeout = timeout
            self.minSize = minSize
            self.maxSize = maxSize
        }
    }

    /// What waits of one combination of metadata.
    private final class Partition {
        let key: [[String]]
        /// Whether it was forgotten.
        var isGone = false
        var pending: Batch
        var weight = 0
        var timer: Scheduled<Void>?
        /// Of the timer: a loop that has found it due calls it though it was cancelled meanwhile.
        var timerNumber = 0

        init(_ key: [[String]], _ signal: Signal) {
            self.key = key
            pending = Batch(signal)
        }
    }

    private let limits: Limits
    private let signal: Signal
    private let eventLoop: any EventLoop
    private let emit: (Batch, _ weight: Int, Trigger) -> Void
    private let whenDue: (() -> Void) -> Void
    /// The only one without `metadata_keys`.
    private let common: Partition
    private var partitions: [[[String]]: Partition] = [:]
    /// Those of `metadata_keys`, oldest first, with some that are gone.
    private var order = CircularBuffer<Partition>()
    private var slicesExpected = 0

    /// - Parameters:
    ///   - whenDue: called with what sends a batch whose time has come; may append to it before.
    ///   - emit: takes each batch that leaves, with its share of the weights of what went in.
    package init(
        _ limits: Limits, signal: Signal, eventLoop: any EventLoop,
        whenDue: @escaping (() -> Void) -> Void = { $0() },
        emit: @escaping (Batch, _ weight: Int, Trigger) -> Void
    ) {
        self.limits = limits
        self.signal = signal
        self.eventLoop = eventLoop
        self.whenDue = whenDue
        self.emit = emit
        common = Partition([], signal)
    }

    /// Combinations of metadata of which something waits.
    package var combinations: Int { partitions.count }

    /// Items that can be added without a batch leaving for its size, and before one leaves for its time: 0 when nothing waits,
    /// or with `metadata_keys`, whose combinations have each their own time.
    package var itemsToCome: Int {
        guard limits.metadataKeys.isEmpty, limits.sizer == .items, common.pending.sliceCount > 0 else {
            return 0
        }
        return max(limits.minSize - common.pending.items - 1, 0)
    }

    /// Adds a batch; whatever is enough by that leaves within the call.
    /// - Parameters:
    ///   - weight: any measure of the caller's; what leaves has, together, as much as went in.
    ///   - reject: takes what belongs to one combination of metadata too many; not called with `makesRoom`.
    package func append(_ batch: Batch, weight: Int = 0, reject: (Batch, _ weight: Int) -> Void) {
        eventLoop.preconditionInEventLoop()
        guard !limits.metadataKeys.isEmpty else {
            add(batch, weight, to: common)
            return
        }
        var parts: [(metadata: ClientMetadata?, batch: Batch)] = []
        for slice in batch.slices {
            if let last = parts.last, last.metadata === slice.payload.metadata {
                last.batch.append(slice)
            } else {
                parts.append((slice.payload.metadata, Batch(signal)))
                parts[parts.count - 1].batch.append(slice)
            }
        }
        var weightLeft = weight
        for (index, part) in parts.enumerated() {
            let share = index == parts.count - 1 ? weightLeft : weight / parts.count
            weightLeft -= share
            let key = limits.metadataKeys.map { part.metadata?.values($0) ?? [] }
            if let partition = partitions[key] {
                add(part.batch, share, to: partition)
            } else if !limits.makesRoom, partitions.count >= limits.combinationsMax {
                reject(part.batch, share)
            } else {
                while partitions.count >= limits.combinationsMax, let oldest = order.popFirst() {
                    if !oldest.isGone { flush(oldest, .size) }
                }
                add(part.batch, share, to: makePartition(key))
            }
        }
    }

    /// Sends everything that waits.
    package func flush() {
        eventLoop.preconditionInEventLoop()
        for partition in partitions.values { flush(partition, .timeout) }
        if common.pending.sliceCount > 0 { flush(common, .timeout) }
    }

    private func makePartition(_ key: [[String]]) -> Partition {
        let partition = Partition(key, signal)
        partitions[key] = partition
        if order.count > 2 * partitions.count + Self.goneMax { order.removeAll { $0.isGone } }
        order.append(partition)
        return partition
    }

    /// Combinations that are gone and not yet forgotten, beside as many as wait.
    private static let goneMax = 64

    private func size(_ batch: Batch) -> Int {
        limits.sizer == .items ? batch.items : batch.bytes
    }

    /// Without a time or a size to wait for, nothing waits: what is left over of a split does not, either.
    private var sendsAtOnce: Bool { limits.timeout == .zero || limits.minSize == 0 }

    private func add(_ batch: Batch, _ weight: Int, to partition: Partition) {
        if partition.pending.sliceCount == 0 {
            partition.pending = Batch(signal, reservingSlices: slicesExpected)
            if !sendsAtOnce { startTimer(partition) }
        }
        partition.pending.append(contentsOf: batch)
        partition.weight += weight
        if sendsAtOnce {
            flush(partition, .size)
        } else if size(partition.pending) >= limits.minSize {
            flush(partition, .size, leaving: limits.minSize)
        }
    }

    /// Sends what a partition holds, but for a remainder smaller than `leaving` that a split left over.
    private func flush(_ partition: Partition, _ trigger: Trigger, leaving: Int = 0) {
        partition.timer?.cancel()
        partition.timer = nil
        partition.timerNumber += 1
        let batch = partition.pending
        var weight = partition.weight
        slicesExpected = batch.sliceCount
        partition.pending = Batch(signal)
        partition.weight = 0
        guard limits.maxSize > 0, size(batch) > limits.maxSize else {
            leave(partition)
            emit(batch, weight, trigger)
            return
        }
        // Counted in items, every piece but the last has exactly the greatest size.
        let pieces =
            limits.sizer == .items
            ? batch.cut(maxItems: limits.maxSize) : batch.cut(maxItems: .max, maxBytes: limits.maxSize)
        let whole = weight
        for (index, piece) in pieces.enumerated() {
            let isLast = index == pieces.count - 1
            let share = isLast ? weight : whole / pieces.count
            weight -= share
            if isLast, size(piece) < leaving {
                partition.pending = piece
                partition.weight = share
                startTimer(partition)
            } else {
                if isLast { leave(partition) }
                emit(piece, share, trigger)
            }
        }
    }

    /// Forgets a combination of which nothing waits.
    private func leave(_ partition: Partition) {
        guard partition !== common else { return }
        partitions[partition.key] = nil
        partition.isGone = true
    }

    private func startTimer(_ partition: Partition) {
        let bound = NIOLoopBound((self, partition), eventLoop: eventLoop)
        let number = partition.timerNumber
        partition.timer = eventLoop.scheduleTask(in: limits.timeout) {
            let (accumulator, partition) = bound.value
            // Cancelled, and whose accumulator this is may be gone.
            guard partition.timerNumber == number else { return }
            partition.timer = nil
            accumulator.whenDue {
                // Not what was begun just now, behind a batch that became large enough.
                guard partition.timer == nil, partition.pending.sliceCount > 0 else { return }
                accumulator.flush(partition, .timeout)
            }
        }
    }
}
