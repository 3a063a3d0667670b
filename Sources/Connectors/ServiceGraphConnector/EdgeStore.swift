internal import NIOCore
internal import OTLP
internal import Pipeline

/// Edges that wait for their other half, the oldest first. One thread.
struct EdgeStore {
    /// 64 bytes: one line of the cache.
    private struct Slot: BitwiseCopyable {
        var low: UInt64
        var high: UInt64
        var edge: Edge
        var generation: UInt32 = 0
    }

    private struct Ticket {
        let index: Int32
        let generation: UInt32
        let due: UInt64
    }

    private let most: Int
    private let ledger: MemoryLedger?
    private var slots: ContiguousArray<Slot> = []
    private var free: [Int32] = []
    private var indices = HashIndex()
    /// At most twice as many as edges wait, and a thousand.
    private var queue = CircularBuffer<Ticket>()
    /// Bytes that the ledger does not know of: it is told once a request, not with each edge.
    private var uncharged = 0

    /// Tickets that are kept whatever waits.
    private static let ticketsMin = 1024

    /// Charged for an edge beside its names and labels: its slot, its place in the index and its tickets.
    private static let edgeBytes = 200

    init(most: Int, ledger: MemoryLedger?) {
        self.most = most
        self.ledger = ledger
    }

    var count: Int { indices.count }
    /// Edges that wait or have waited, as far as the queue knows of them.
    var tickets: Int { queue.count }

    func find(_ key: HashKey) -> Int32? {
        let index = indices.find(key.low, key.high)
        return index < 0 ? nil : index
    }

    /// Asks for what `find` will look at to be brought into the cache, by the hashes of the spans at hand.
    func prefetch(_ spans: borrowing SpanReader) { indices.prefetch(hashesOf: spans) }

    /// Asks for an edge to be brought into the cache, if it is there.
    func prefetchEdge(_ key: HashKey) {
        let index = Int(indices.find(key.low, key.high))
        guard index >= 0 else { return }
        unsafe slots.withUnsafeBufferPointer {
            unsafe OTLP.prefetch(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: $0[index...index])))
        }
    }

    /// Adds what a span tells to an edge where it is; whether it is whole then.
    mutating func add(_ half: EdgeHalf, to index: Int32, _ names: inout NameTable) -> Bool {
        slots[Int(index)].edge.add(half, &names)
        return slots[Int(index)].edge.isComplete
    }

    /// Keeps a new edge until `due`; false when there is no room.
    mutating func insert(_ key: HashKey, _ edge: Edge, due: UInt64) -> Bool {
        guard indices.count < most else { return false }
        uncharged += Self.edgeBytes
        let index: Int32
        if let reused = free.popLast() {
            index = reused
            slots[Int(index)].low = key.low
            slots[Int(index)].high = key.high
            slots[Int(index)].edge = edge
        } else {
            index = Int32(slots.count)
            slots.append(Slot(low: key.low, high: key.high, edge: edge))
        }
        indices.set(key.low, key.high, to: index)
        if queue.count >= 2 * indices.count + Self.ticketsMin { forgetTickets() }
        queue.append(Ticket(index: index, generation: slots[Int(index)].generation, due: due))
        return true
    }

    /// Edges that were taken out leave their tickets behind; these go when they are most of all.
    private mutating func forgetTickets() {
        queue = CircularBuffer(queue.filter { slots[Int($0.index)].generation == $0.generation })
    }

    /// Takes an edge out.
    mutating func remove(_ index: Int32) -> Edge {
        let slot = slots[Int(index)]
        indices.remove(slot.low, slot.high)
        uncharged -= Self.edgeBytes
        slots[Int(index)].generation = slot.generation &+ 1
        free.append(index)
        return slot.edge
    }

    /// Tells the ledger what has come and gone since it was told last.
    mutating func settle() {
        ledger?.charge(uncharged)
        uncharged = 0
    }

    /// Takes out the oldest edge whose time is over.
    mutating func popExpired(_ now: UInt64) -> Edge? {
        while let ticket = queue.first {
            guard slots[Int(ticket.index)].generation == ticket.generation else {
                queue.removeFirst()
                continue
            }
            guard ticket.due <= now else { return nil }
            queue.removeFirst()
            return remove(ticket.index)
        }
        return nil
    }
}
