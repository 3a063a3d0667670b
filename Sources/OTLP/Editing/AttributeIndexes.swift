internal import COTLP

/// What is known of messages with very many fields, of which much is asked while they stay as they are: a resource is asked for the
/// same attributes for each of its items. Without it one request of 50 000 attributes and as many items takes minutes. Not
/// thread safe.
final class AttributeIndexes {
    /// Rows of fewer fields are searched: that is as fast.
    static let fieldsMin = 32
    /// A resource, a scope, an item and a part of it, with a few fields of each.
    private static let slotsMax = 8
    /// An index takes as long as a few searches.
    static let searchesMin = 2
    /// Stands in the number of a slot that knows where the last field of that number is. No field has such a number.
    static let scannedBit: UInt32 = 1 << 31

    /// The attributes of one message.
    struct Slot {
        let message: Int32
        let number: UInt32
        /// Whether none of them is open as a message, by which it could change.
        let isUsable: Bool
        /// Another one whenever a field changes.
        var generation: Int
        var searches = 0
        /// By hash, the first position; -1 for none. Empty until there is an index.
        var heads: [Int32] = []
        /// Of each position, the next one of the same hash.
        var next: [Int32] = []
        /// Where the last field of the number stands.
        var last: Int32?

        var bytes: Int { (heads.capacity + next.capacity) * MemoryLayout<Int32>.stride }
    }

    var slots: [Slot] = []
    /// Whether there are slots.
    private(set) var isUsed = false
    private var generations = 0

    /// Bytes held.
    var bytes: Int { slots.reduce(0) { $0 + $1.bytes } }

    func find(_ message: Int32, _ number: UInt32) -> Int? {
        slots.firstIndex { $0.message == message && $0.number == number }
    }

    /// - Returns: its place.
    func add(_ message: Int32, _ number: UInt32, isUsable: Bool) -> Int {
        // The innermost one goes: it is asked least.
        if slots.count == Self.slotsMax,
            let inner = slots.indices.max(by: { slots[$0].message < slots[$1].message })
        {
            slots.remove(at: inner)
        }
        generations += 1
        slots.append(Slot(message: message, number: number, isUsable: isUsable, generation: generations))
        isUsed = true
        return slots.count - 1
    }

    /// Says that a field of a message was changed or removed; one that is an attribute keeps its key.
    func changed(_ message: Int32) {
        for index in slots.indices where slots[index].message == message {
            generations += 1
            slots[index].generation = generations
        }
    }

    /// Says that the field at a position was removed.
    func removed(_ message: Int32, _ position: Int) {
        for index in slots.indices
        where slots[index].message == message && slots[index].last == Int32(truncatingIfNeeded: position) {
            slots[index].last = nil
        }
    }

    /// Says that a field of a number was added, or came into being.
    func added(_ message: Int32, _ number: UInt32) {
        changed(message)
        if let index = find(message, number | Self.scannedBit) { slots[index].last = nil }
    }

    /// Says that a field of a number is open as a message, and may change by that.
    func opened(_ message: Int32, _ number: UInt32) {
        guard let index = find(message, number) else { return }
        slots.remove(at: index)
        isUsed = !slots.isEmpty
    }

    /// Says that all may have changed.
    func forget(_ message: Int32) {
        slots.removeAll { $0.message == message }
        isUsed = !slots.isEmpty
    }

    /// Says that messages are open no more.
    func forget(from message: Int32) {
        slots.removeAll { $0.message >= message }
        isUsed = !slots.isEmpty
    }
}

extension RequestEditor {
    /// The slot of attributes; nil: one of them is open.
    private func slot(_ table: AttributeTable, _ row: Message) -> Int? {
        let index =
            indexes.find(table.message.index, table.number)
            ?? indexes.add(
                table.message.index, table.number,
                isUsable: (row.first..<row.first + row.count).allSatisfy { entries[Int($0)].child < 0 })
        return indexes.slots[index].isUsable ? index : nil
    }

    /// A number that stays the same while all attributes of a message do, and that no others have; nil: there are few.
    public func generation(of table: AttributeTable) -> Int? {
        let row = row(table.message)
        guard row.count > AttributeIndexes.fieldsMin else { return nil }
        return slot(table, row).map { indexes.slots[$0].generation }
    }

    /// The position of the first attribute with a key, from a position on, of a message with many fields.
    /// - Returns: nil: they are to be searched.
    @inline(never)
    func findIndexed(_ key: WireBytes, in table: AttributeTable, from start: Int, _ row: Message) -> Int?? {
        guard let slot = slot(table, row) else { return nil }
        indexes.slots[slot].searches += 1
        guard indexes.slots[slot].searches > AttributeIndexes.searchesMin else { return nil }
        index(slot, table, row)
        let bucket = bucket(of: key, indexes.slots[slot].heads.count)
        let wanted =
            key.count < KeyValueParts.unusual ? UInt8(truncatingIfNeeded: key.count) : KeyValueParts.unusual
        var position = indexes.slots[slot].heads[bucket]
        // What was removed is not passed again.
        while position >= 0, entries[Int(row.first + position)].number != table.number {
            position = indexes.slots[slot].next[Int(position)]
            indexes.slots[slot].heads[bucket] = position
        }
        while position >= 0 {
            let entry = entries[Int(row.first + position)]
            if position >= start, entry.number == table.number,
                entry.key_count == wanted || entry.key_count == KeyValueParts.unusual,
                isKey(key, of: entry, in: table.message, at: Int(position))
            {
                return .some(Int(position))
            }
            position = indexes.slots[slot].next[Int(position)]
        }
        return .some(nil)
    }

    private func bucket(of key: WireBytes, _ count: Int) -> Int {
        // Clients choose the keys: nobody outside may know where they fall.
        var hasher = Hasher()
        unsafe hasher.combine(bytes: key.unsafeBytes)
        return hasher.finalize() & (count - 1)
    }

    /// Brings an index up to all fields of a row.
    private func index(_ slot: Int, _ table: AttributeTable, _ row: Message) {
        let (known, count) = (indexes.slots[slot].next.count, Int(row.count))
        guard known < count else { return }
        func bucket(_ position: Int, _ buckets: Int) -> Int? {
            let entry = entries[Int(row.first) + position]
            guard entry.number == table.number else { return nil }
            return self.bucket(of: KeyValueParts.key(of: content(of: entry, in: table.message)), buckets)
        }
        if count <= 2 * indexes.slots[slot].heads.count {
            // New ones come behind all others.
            let buckets = indexes.slots[slot].heads.count
            for position in known..<count {
                indexes.slots[slot].next.append(-1)
                guard let bucket = bucket(position, buckets) else { continue }
                var last = indexes.slots[slot].heads[bucket]
                guard last >= 0 else {
                    indexes.slots[slot].heads[bucket] = Int32(truncatingIfNeeded: position)
                    continue
                }
                while indexes.slots[slot].next[Int(last)] >= 0 { last = indexes.slots[slot].next[Int(last)] }
                indexes.slots[slot].next[Int(last)] = Int32(truncatingIfNeeded: position)
            }
            return
        }
        var buckets = 64
        while buckets < count { buckets *= 2 }
        guard budget.allows(kept.bytes + (buckets + count) * MemoryLayout<Int32>.stride) else {
            // Nothing is found; the request is refused.
            indexes.slots[slot].heads = [-1]
            indexes.slots[slot].next = [Int32](repeating: -1, count: count)
            return
        }
        var heads = [Int32](repeating: -1, count: buckets)
        var next = [Int32](repeating: -1, count: count)
        // The first of equal keys comes first.
        for position in (0..<count).reversed() {
            guard let bucket = bucket(position, buckets) else { continue }
            next[position] = heads[bucket]
            heads[bucket] = Int32(truncatingIfNeeded: position)
        }
        indexes.slots[slot].heads = heads
        indexes.slots[slot].next = next
        holdLists()
    }

    /// `lastPosition` where the last field of this number is not that of its last four bits, or is behind hundreds of others. It
    /// is remembered then.
    @inline(never)
    func scannedPosition(_ message: MessageID, _ row: Message, _ number: UInt32, virtual: Bool) -> Int? {
        func scan() -> Int? {
            var position = Int(row.count) - 1
            while position >= 0 {
                let entry = entries[Int(row.first) + position]
                if entry.number == number, virtual || !entry.isVirtual { return position }
                position -= 1
            }
            return nil
        }
        guard !virtual, row.count > Int32(LastPositions.far) else { return scan() }
        // Apart from the slot of attributes.
        let name = number | AttributeIndexes.scannedBit
        let slot =
            indexes.find(message.index, name) ?? indexes.add(message.index, name, isUsable: false)
        if let last = indexes.slots[slot].last { return last < 0 ? nil : Int(last) }
        let found = scan()
        indexes.slots[slot].last = Int32(truncatingIfNeeded: found ?? -1)
        return found
    }
}
