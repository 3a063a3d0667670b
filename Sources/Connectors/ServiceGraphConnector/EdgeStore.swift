internal import NIOCore
internal import OTLP
internal import Pipeline

/// Edges that wait for their other half, the oldest first. One thread.
struct EdgeStore {
    private struct Slot {
        var key = HashKey(low: 0, high: 0)
        var edge = Edge()
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
    private var queue = CircularBuffer<Ticket>()
    /// Bytes that the ledger does not know of: it is told once a request, not with each edge.
    private var uncharged = 0

    /// Charged for an edge beside its names and labels.
    private static let edgeBytes = 400

    init(most: Int, ledger: MemoryLedger?) {
        self.most = most
        self.ledger = ledger
    }

    var count: Int { indices.count }

    func find(_ key: HashKey) -> Int32? {
        let index = indices.find(key.low, key.high)
        return index < 0 ? nil : index
    }

    /// Changes an edge where it is; whether it is whole then.
    mutating func update(_ index: Int32, _ change: (inout Edge) -> Void) -> Bool {
        let before = slots[Int(index)].edge.keptBytes
        change(&slots[Int(index)].edge)
        uncharged += slots[Int(index)].edge.keptBytes - before
        return slots[Int(index)].edge.isComplete
    }

    /// Keeps a new edge until `due`; false when there is no room.
    mutating func add(_ key: HashKey, _ edge: Edge, due: UInt64) -> Bool {
        guard indices.count < most else { return false }
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(slots.count)
            slots.append(Slot())
        }
        slots[Int(index)].key = key
        slots[Int(index)].edge = edge
        indices.set(key.low, key.high, to: index)
        queue.append(Ticket(index: index, generation: slots[Int(index)].generation, due: due))
        uncharged += Self.edgeBytes + edge.keptBytes
        return true
    }

    /// Takes an edge out.
    mutating func remove(_ index: Int32) -> Edge {
        let key = slots[Int(index)].key
        indices.remove(key.low, key.high)
        var edge = Edge()
        swap(&edge, &slots[Int(index)].edge)
        uncharged -= Self.edgeBytes + edge.keptBytes
        slots[Int(index)].generation &+= 1
        free.append(index)
        return edge
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
