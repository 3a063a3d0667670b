internal import OTLP
internal import Pipeline

/// Texts that edges and series are made of, each kept once, however many name it. Entries are counted references. One thread.
struct NameTable {
    /// Which text. 0 is the empty one, of which nothing is counted.
    typealias ID = UInt32

    private struct Entry {
        var bytes: [UInt8]
        var key: HashKey
        var references: Int
    }

    /// Below this, four of them, and what else tells series apart, fit into one key.
    private static let most = 1 << 28
    /// Charged for a text beside its bytes.
    private static let entryBytes = 100

    private let hasher = WireHasher()
    private var entries: ContiguousArray<Entry>
    private var free: [ID] = []
    private var indices = HashIndex()
    private let ledger: MemoryLedger?

    init(ledger: MemoryLedger?) {
        self.ledger = ledger
        entries = [Entry(bytes: [], key: HashKey(low: 0, high: 0), references: 0)]
    }

    /// Texts in use.
    var count: Int { indices.count }

    subscript(id: ID) -> [UInt8] { entries[Int(id)].bytes }

    /// The text's number, with one reference more.
    mutating func acquire(_ text: WireBytes) -> ID {
        guard text.count > 0 else { return 0 }
        let hash = hasher.hash(text, from: WireHash(low: 0, high: 0))
        let known = indices.find(hash.low, hash.high)
        if known >= 0 {
            entries[Int(known)].references &+= 1
            return ID(known)
        }
        let entry = Entry(
            bytes: text.array, key: HashKey(low: hash.low, high: hash.high), references: 1)
        ledger?.charge(text.count + Self.entryBytes)
        let id: ID
        if let reused = free.popLast() {
            id = reused
            entries[Int(id)] = entry
        } else {
            id = ID(entries.count)
            precondition(entries.count < Self.most, "\(Self.most) names of services are too many")
            entries.append(entry)
        }
        indices.set(hash.low, hash.high, to: Int32(id))
        return id
    }

    mutating func acquire(_ bytes: [UInt8]) -> ID {
        unsafe bytes.withUnsafeBytes { unsafe acquire(WireBytes($0)) }
    }

    /// One reference more.
    mutating func retain(_ id: ID) {
        if id > 0 { entries[Int(id)].references &+= 1 }
    }

    /// One reference less; the last one forgets the text.
    @inline(__always)
    mutating func release(_ id: ID) {
        guard id > 0 else { return }
        entries[Int(id)].references &-= 1
        if entries[Int(id)].references == 0 { forget(id) }
    }

    @inline(never)
    private mutating func forget(_ id: ID) {
        let entry = entries[Int(id)]
        indices.remove(entry.key.low, entry.key.high)
        ledger?.release(entry.bytes.count + Self.entryBytes)
        entries[Int(id)].bytes = []
        free.append(id)
    }

    /// Puts a text, with its reference, in the place of another one.
    mutating func replace(_ old: inout ID, by new: ID) {
        release(old)
        old = new
    }
}

/// 128 bits that stand for something.
struct HashKey: Equatable {
    let low: UInt64
    let high: UInt64
}
