internal import NIOCore
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
    private var indices: [HashKey: Int32] = [:]
    private var queue = CircularBuffer<Ticket>()

    /// Charged for an edge beside its names and labels.
    private static let edgeBytes = 400

    init(most: Int, ledger: MemoryLedger?) {
        self.most = most
        self.ledger = ledger
    }

    var count: Int { indices.count }

    func find(_ key: HashKey) -> Int32? { indices[key] }

    subscript(index: Int32) -> Edge {
        get { slots[Int(index)].edge }
        set {
            let grown = newValue.keptBytes - slots[Int(index)].edge.keptBytes
            if grown >= 0 { ledger?.charge(grown) } else { ledger?.release(-grown) }
            slots[Int(index)].edge = newValue
        }
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
        indices[key] = index
        queue.append(Ticket(index: index, generation: slots[Int(index)].generation, due: due))
        ledger?.charge(Self.edgeBytes + edge.keptBytes)
        return true
    }

    mutating func remove(_ index: Int32) {
        indices[slots[Int(index)].key] = nil
        ledger?.release(Self.edgeBytes + slots[Int(index)].edge.keptBytes)
        slots[Int(index)].edge = Edge()
        slots[Int(index)].generation &+= 1
        free.append(index)
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
            let edge = slots[Int(ticket.index)].edge
            remove(ticket.index)
            return edge
        }
        return nil
    }
}
