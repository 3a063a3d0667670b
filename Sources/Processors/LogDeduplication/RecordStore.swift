internal import OTLP
internal import Statements

/// Records that are held, by what makes them the same. Not thread safe.
struct RecordStore {
    private struct Entry {
        /// The first record, without the fields that were excluded.
        let record: [UInt8]
        var count: Int
        let first: Int64
        var last: Int64
    }

    private struct Group {
        let message: [UInt8]
        /// Places of scopes or records, in the order in which they came.
        var members: [Int] = []
    }

    private enum Kind: UInt64 { case resource, scope, record }

    private var resources: [Group] = []
    private var scopes: [Group] = []
    /// Nil once it was taken out.
    private var entries = BlockArray<Entry?>()
    /// Places by kind, by that of what is around, and by identity.
    private var index = HashIndex()
    private let hasher = WireHasher()
    /// Where `takeRequest` goes on: a resource, a scope of it, a record of that.
    private var (nextResource, nextScope, nextRecord) = (0, 0, 0)
    /// Bytes held, about.
    private(set) var bytes = 0

    /// Records and bytes.
    var size: (count: Int, bytes: Int) { (count, bytes) }

    /// Different records that were added.
    var count: Int { entries.count }

    private func key(_ kind: Kind, in place: Int, _ identity: AttributeIdentity) -> WireHash {
        unsafe identity.bytes.withUnsafeBytes {
            // SAFETY: borrowed for the call.
            let content = unsafe WireBytes($0)
            let start = hasher.hash(UInt64(place), from: WireHash(low: kind.rawValue, high: UInt64($0.count)))
            return hasher.hash(content, from: start)
        }
    }

    /// The place of a resource.
    mutating func resource(_ identity: AttributeIdentity, _ message: WireBytes) -> Int {
        let key = key(.resource, in: 0, identity)
        let known = index.find(key.low, key.high)
        guard known < 0 else { return Int(known) }
        index.set(key.low, key.high, to: Int32(resources.count))
        resources.append(Group(message: message.array))
        bytes += message.count + 128
        return resources.count - 1
    }

    /// The place of a scope in a resource.
    mutating func scope(_ identity: AttributeIdentity, _ message: WireBytes, in resource: Int) -> Int {
        let key = key(.scope, in: resource, identity)
        let known = index.find(key.low, key.high)
        guard known < 0 else { return Int(known) }
        index.set(key.low, key.high, to: Int32(scopes.count))
        resources[resource].members.append(scopes.count)
        scopes.append(Group(message: message.array))
        bytes += message.count + 128
        return scopes.count - 1
    }

    /// Adds a record of a scope that was seen at a moment, in Unix nanoseconds.
    mutating func add(_ identity: AttributeIdentity, _ message: WireBytes, in scope: Int, at now: Int64) {
        let key = key(.record, in: scope, identity)
        let known = index.find(key.low, key.high)
        guard known < 0 else {
            entries[Int(known)]?.count += 1
            entries[Int(known)]?.last = now
            return
        }
        index.set(key.low, key.high, to: Int32(entries.count))
        scopes[scope].members.append(entries.count)
        entries.append(Entry(record: message.array, count: 1, first: now, last: now))
        bytes += message.count + Self.entryBytes
    }

    private static let entryBytes = 128

    // MARK: - Sending on

    /// What a record that stands for many says.
    struct Style {
        let countAttribute: String
        let zone: TimeZone
        /// Nil: the first record's time stays.
        let timestamp: Int64?
    }

    /// A request has no more records, and, but for its last record, no more bytes.
    static let (requestRecords, requestBytes) = (1000, 1 << 20)

    /// Takes records out, as a request, and how many each of them stands for. Nothing is added after that.
    /// - Returns: nil when all were taken out.
    mutating func takeRequest(_ style: Style) -> (bytes: [UInt8], counts: [Int])? {
        var request = MessageDraft()
        var (counts, size) = ([Int](), 0)
        func hasRoom() -> Bool { counts.count < Self.requestRecords && size < Self.requestBytes }
        while nextResource < resources.count, hasRoom() {
            var entry = MessageDraft()
            entry.append(Field.ResourceEntry.resource, resources[nextResource].message)
            size += resources[nextResource].message.count
            while nextScope < resources[nextResource].members.count, hasRoom() {
                let group = scopes[resources[nextResource].members[nextScope]]
                var scope = MessageDraft()
                scope.append(Field.ScopeEntry.scope, group.message)
                size += group.message.count
                repeat {
                    let place = group.members[nextRecord]
                    nextRecord += 1
                    guard let taken = entries[place].take() else { continue }
                    bytes -= taken.record.count + Self.entryBytes
                    size += taken.record.count
                    counts.append(taken.count)
                    scope.append(Field.ScopeEntry.entries, Self.message(taken, style))
                } while nextRecord < group.members.count && hasRoom()
                entry.append(Field.ResourceEntry.scopes, scope.bytes)
                if nextRecord == group.members.count { (nextScope, nextRecord) = (nextScope + 1, 0) }
            }
            request.append(Field.Request.resources, entry.bytes)
            if nextScope == resources[nextResource].members.count {
                (nextResource, nextScope) = (nextResource + 1, 0)
            }
        }
        return counts.isEmpty ? nil : (request.bytes, counts)
    }

    private static func message(_ entry: Entry, _ style: Style) -> [UInt8] {
        let source = OwnedBytes(entry.record)
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
        draft.append(Field.LogRecord.observedTime, fixed64: UInt64(bitPattern: entry.first))
        var count = MessageDraft()
        count.append(Field.AnyValue.int, varint: UInt64(entry.count))
        draft.append(Field.LogRecord.attributes, keyValue(ours[0], count.bytes))
        for (key, time) in [(ours[1], entry.first), (ours[2], entry.last)] {
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
