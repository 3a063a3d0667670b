package import OTLP
package import Pipeline

/// What stands around spans (resource, scope, schema URLs, fields unknown to the schema), each text once, however many
/// spans of however many traces stand in it.
///
/// Entries are counted references: who keeps a span keeps its scope's entry, which keeps its resource's. One thread.
package final class EnvelopeTable {
    package typealias ID = Int32

    private struct Key: Hashable {
        let low: UInt64
        let high: UInt64
    }

    private struct Entry {
        var bytes: [UInt8] = []
        var key = Key(low: 0, high: 0)
        /// The resource of a scope; -1 for a resource.
        var parent: ID = -1
        /// Its own bytes and those of its resource.
        var wireBytes = 0
        var references = 0
    }

    private let hasher = WireHasher()
    private let ledger: MemoryLedger?
    private var entries: [Entry] = []
    private var free: [ID] = []
    private var known: [Key: ID] = [:]

    package init(ledger: MemoryLedger?) {
        self.ledger = ledger
    }

    /// Entries in use.
    package var count: Int { known.count }

    /// What an entry takes beside its bytes.
    private static let overheadBytes = 120

    /// The entry of these fields, made when it is new, with one reference more.
    ///
    /// - Parameters:
    ///   - ranges: whole fields of the message, in order.
    ///   - parent: the resource's entry, which gets a reference from a new one; nil for a resource.
    func acquire(_ ranges: [Range<Int>], of message: WireBytes, parent: ID?) -> ID {
        // A scope differs from an equal one of another resource.
        let above = parent.map { entries[Int($0)].key } ?? Key(low: 0, high: 0)
        var hash = WireHash(low: above.low, high: above.high)
        for range in ranges {
            // SAFETY: the ranges are fields that a walk over the message found.
            let part = unsafe WireBytes(UnsafeRawBufferPointer(rebasing: message.unsafeBytes[range]))
            hash = hasher.hash(part, from: hash)
        }
        hash = hasher.hash(UInt64(ranges.count) << 1 | (parent == nil ? 0 : 1), from: hash)
        let key = Key(low: hash.low, high: hash.high)
        if let id = known[key] {
            entries[Int(id)].references += 1
            return id
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ranges.reduce(0) { $0 + $1.count })
        // SAFETY: as above.
        for range in ranges { unsafe bytes += message.unsafeBytes[range] }
        ledger?.charge(bytes.count + Self.overheadBytes)
        if let parent { entries[Int(parent)].references += 1 }
        let entry = Entry(
            bytes: bytes, key: key, parent: parent ?? -1,
            wireBytes: bytes.count + (parent.map { entries[Int($0)].bytes.count } ?? 0), references: 1)
        let id: ID
        if let reused = free.popLast() {
            id = reused
            entries[Int(id)] = entry
        } else {
            id = ID(entries.count)
            entries.append(entry)
        }
        known[key] = id
        return id
    }

    /// One reference more. Returns how many bytes the fields of a scope and of its resource have.
    func retain(_ id: ID) -> Int {
        // In one go: each access to what a class holds is checked for others that overlap it.
        Self.retain(&entries[Int(id)])
    }

    private static func retain(_ entry: inout Entry) -> Int {
        entry.references += 1
        return entry.wireBytes
    }

    /// How many bytes the fields of a scope and of its resource have.
    func wireBytes(_ id: ID) -> Int { entries[Int(id)].wireBytes }

    /// One reference less; the last one forgets the entry.
    package func release(_ id: ID) {
        let index = Int(id)
        guard Self.release(&entries[index]) else { return }
        let parent = entries[index].parent
        known[entries[index].key] = nil
        ledger?.release(entries[index].bytes.count + Self.overheadBytes)
        entries[index] = Entry()
        free.append(id)
        if parent >= 0 { release(parent) }
    }

    /// Whether it was the last one.
    private static func release(_ entry: inout Entry) -> Bool {
        entry.references -= 1
        return entry.references == 0
    }

    /// The resource of a scope.
    package func resource(of scope: ID) -> ID { entries[Int(scope)].parent }

    /// How many bytes its fields have.
    package func byteCount(_ id: ID) -> Int { entries[Int(id)].bytes.count }

    /// Lends the fields of an entry: those of a `ResourceSpans` or `ScopeSpans` but for what holds spans.
    package func withBytes<Result>(_ id: ID, _ body: (WireBytes) -> Result) -> Result {
        unsafe entries[Int(id)].bytes.withUnsafeBytes { unsafe body(WireBytes($0)) }
    }
}
