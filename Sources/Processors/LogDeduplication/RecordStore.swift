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
        /// Keys in the order in which they came.
        var members: [Int] = []
    }

    /// A record, resource or scope as it is added.
    struct Part {
        let identity: [UInt8]
        let message: WireBytes
    }

    private var resources: [Group] = []
    private var scopes: [Group] = []
    private var entries: [Entry] = []
    private var resourceIndex: [[UInt8]: Int] = [:]
    private var scopeIndex: [[UInt8]: Int] = [:]
    private var entryIndex: [[UInt8]: Int] = [:]
    /// Bytes held, about.
    private(set) var bytes = 0

    /// Different records.
    var count: Int { entries.count }

    /// Adds a record that was seen at a moment, in Unix nanoseconds. A scope's identity holds that of its resource, and a
    /// record's that of its scope.
    mutating func add(_ record: Part, _ scope: Part, _ resource: Part, at now: Int64) {
        if let known = entryIndex[record.identity] {
            entries[known].count += 1
            entries[known].last = now
            return
        }
        let group = scopePlace(scope, resource)
        scopes[group].members.append(entries.count)
        entryIndex[record.identity] = entries.count
        entries.append(Entry(record: record.message.array, count: 1, first: now, last: now))
        bytes += record.identity.count + record.message.count + 128
    }

    private mutating func scopePlace(_ scope: Part, _ resource: Part) -> Int {
        if let known = scopeIndex[scope.identity] { return known }
        let known = resourceIndex[resource.identity]
        let place = known ?? resources.count
        if known == nil {
            resourceIndex[resource.identity] = place
            resources.append(Group(message: resource.message.array))
            bytes += resource.identity.count + resource.message.count + 64
        }
        resources[place].members.append(scopes.count)
        scopeIndex[scope.identity] = scopes.count
        scopes.append(Group(message: scope.message.array))
        bytes += scope.identity.count + scope.message.count + 64
        return scopes.count - 1
    }

    // MARK: - Sending on

    /// What a record that stands for many says.
    struct Style {
        let countAttribute: String
        let zone: TimeZone
        /// Nil: the first record's time stays.
        let timestamp: Int64?
    }

    /// One request of all records, and how many of them each stands for.
    func request(_ style: Style) -> (bytes: [UInt8], counts: [Int]) {
        var request = MessageDraft()
        for resource in resources {
            var entry = MessageDraft()
            entry.append(Field.ResourceEntry.resource, resource.message)
            for index in resource.members {
                var scope = MessageDraft()
                scope.append(Field.ScopeEntry.scope, scopes[index].message)
                for record in scopes[index].members {
                    scope.append(Field.ScopeEntry.entries, Self.message(entries[record], style))
                }
                entry.append(Field.ResourceEntry.scopes, scope.bytes)
            }
            request.append(Field.Request.resources, entry.bytes)
        }
        return (request.bytes, entries.map(\.count))
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
