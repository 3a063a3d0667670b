internal import OTLP
internal import Statements

/// Records that are held, by what makes them the same. Not thread safe.
struct RecordStore {
    /// How often a record came, and when.
    private struct Tally {
        var count = 1
        let first: Int64
        var last: Int64
    }

    private enum Kind: UInt64 { case resource, scope, record }

    /// First records, without the fields that were excluded; each one's mark is the place of its tally.
    private var tree = RequestTree()
    private var tallies = BlockArray<Tally>()
    private let hasher = WireHasher()

    private static let tallyBytes = MemoryLayout<Tally>.stride

    /// Records that are held.
    var count: Int { tree.count }

    /// What they take, about.
    var bytes: Int { tree.bytes + tree.count * Self.tallyBytes }

    /// By what is around it, and what makes it the same as others.
    private func key(_ kind: Kind, in place: Int32, _ identity: AttributeIdentity) -> WireHash {
        unsafe identity.bytes.withUnsafeBytes {
            // SAFETY: borrowed for the call.
            let content = unsafe WireBytes($0)
            let start = hasher.hash(UInt64(place), from: WireHash(low: kind.rawValue, high: UInt64($0.count)))
            return hasher.hash(content, from: start)
        }
    }

    /// The place of a resource.
    mutating func resource(_ identity: AttributeIdentity, _ message: WireBytes) -> Int32 {
        tree.message(
            key(.resource, in: RequestTree.root, identity), Field.Request.resources, in: RequestTree.root,
            Self.entry(Field.ResourceEntry.resource, message))
    }

    /// The place of a scope in a resource.
    mutating func scope(_ identity: AttributeIdentity, _ message: WireBytes, in resource: Int32) -> Int32 {
        tree.message(
            key(.scope, in: resource, identity), Field.ResourceEntry.scopes, in: resource,
            Self.entry(Field.ScopeEntry.scope, message))
    }

    private static func entry(_ number: UInt32, _ message: WireBytes) -> [UInt8] {
        var entry = MessageDraft()
        entry.append(number, message)
        return entry.bytes
    }

    /// Adds a record of a scope that was seen at a moment, in Unix nanoseconds.
    mutating func add(_ identity: AttributeIdentity, _ message: WireBytes, in scope: Int32, at now: Int64) {
        let key = key(.record, in: scope, identity)
        if let known = tree.find(key) {
            let tally = Int(tree.mark(of: known))
            tallies[tally].count += 1
            tallies[tally].last = now
            return
        }
        tree.addItem(
            key, Field.ScopeEntry.entries, in: scope, message.array, mark: UInt64(tallies.count))
        tallies.append(Tally(first: now, last: now))
    }

    // MARK: - Sending on

    /// What a record that stands for many says.
    struct Style {
        let countAttribute: String
        let zone: TimeZone
        /// Nil: the first record's time stays.
        let timestamp: Int64?
    }

    /// Takes records out, as a request, and how many each of them stands for. Nothing is added after that.
    /// - Returns: nil when all were taken out.
    mutating func takeRequest(_ style: Style) -> (bytes: [UInt8], counts: [Int])? {
        var counts: [Int] = []
        let tallies = tallies
        let request = tree.takeRequest { content, mark in
            let tally = tallies[Int(mark)]
            counts.append(tally.count)
            return Self.message(content, tally, style)
        }
        return request.map { ($0.bytes, counts) }
    }

    private static func message(_ record: [UInt8], _ tally: Tally, _ style: Style) -> [UInt8] {
        let source = OwnedBytes(record)
        var draft = MessageDraft()
        let ours = [style.countAttribute, "first_observed_timestamp", "last_observed_timestamp"].map {
            OwnedBytes($0)
        }
        for field in source.bytes.fields {
            switch field.number {
            case Field.LogRecord.observedTime: continue
            case Field.LogRecord.time where style.timestamp != nil: continue
            case Field.LogRecord.attributes:
                let key = Attribute(field.bytes).key
                if ours.contains(where: { $0.bytes.isEqual(to: key) }) { continue }
                draft.append(field)
            default: draft.append(field)
            }
        }
        withExtendedLifetime(source) {}
        if let time = style.timestamp {
            draft.append(Field.LogRecord.time, fixed64: UInt64(bitPattern: time))
        }
        draft.append(Field.LogRecord.observedTime, fixed64: UInt64(bitPattern: tally.first))
        var count = MessageDraft()
        count.append(Field.AnyValue.int, varint: UInt64(tally.count))
        draft.append(Field.LogRecord.attributes, keyValue(ours[0], count.bytes))
        for (key, time) in [(ours[1], tally.first), (ours[2], tally.last)] {
            var text = MessageDraft()
            text.append(Field.AnyValue.string, Array(rfc3339(time, style.zone).utf8))
            draft.append(Field.LogRecord.attributes, keyValue(key, text.bytes))
        }
        return draft.bytes
    }

    private static func keyValue(_ key: OwnedBytes, _ value: [UInt8]) -> [UInt8] {
        var entry = MessageDraft()
        entry.append(Field.KeyValue.key, key.bytes)
        entry.append(Field.KeyValue.value, value)
        return entry.bytes
    }
}
