internal import OTLP

/// What expressions give and setters take. Reading attributes and literals allocates nothing; functions that make new
/// texts, lists and maps own them.
enum Value {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(Bytes)
    case bytes(Bytes)
    case list(List)
    case map(Map)
    case time(Timestamp)
    case duration(Nanoseconds)
    /// 16 bytes.
    case traceID(Bytes)
    /// 8 bytes.
    case spanID(Bytes)
    /// A part of a record that has no kind of its own among attribute values.
    case object(RecordObject)

    /// As they came, or owned.
    enum List {
        /// An `ArrayValue`.
        case wire(WireBytes)
        case items([Value])
    }

    enum Map {
        /// A `KeyValueList`.
        case wire(WireBytes)
        case entries([MapEntry])
    }

    static func text(_ text: String) -> Value { .string(Bytes(text)) }
}

struct MapEntry {
    var key: Bytes
    var value: Value
}

/// A duration in nanoseconds; negative ones occur.
struct Nanoseconds: Equatable {
    var count: Int64
}

/// Events, links, points, buckets and the like as a whole: to be counted, to be set from one record to another.
struct RecordObject {
    enum Kind: String {
        case events = "ptrace.SpanEventSlice"
        case links = "ptrace.SpanLinkSlice"
        case status = "ptrace.Status"
        case gauge = "pmetric.NumberDataPointSlice"
        case exemplars = "pmetric.ExemplarSlice"
        case quantiles = "pmetric.SummaryDataPointValueAtQuantileSlice"
        case buckets = "pmetric.ExponentialHistogramDataPointBuckets"
        case counts = "[]uint64"
        case bounds = "[]float64"
    }

    let kind: Kind
    /// Items, for the kinds that are lists.
    let count: Int
    /// The contents of the fields that hold it, one per item of a list of messages.
    let parts: [Bytes]
    /// Numbers of `counts` and `bounds`.
    let numbers: [Value]
}

extension Value {
    /// Go's name of the type, which messages of the Collector hold.
    var typeName: String {
        switch self {
        case .null: "nil"
        case .bool: "bool"
        case .int: "int64"
        case .double: "float64"
        case .string: "string"
        case .bytes: "[]uint8"
        case .list: "pcommon.Slice"
        case .map: "pcommon.Map"
        case .time: "time.Time"
        case .duration: "time.Duration"
        case .traceID: "pcommon.TraceID"
        case .spanID: "pcommon.SpanID"
        case .object(let object): object.kind.rawValue
        }
    }

    /// The name of the attribute kind, for messages about indexing.
    var kindName: String {
        switch self {
        case .null: "Empty"
        case .bool: "Bool"
        case .int: "Int"
        case .double: "Double"
        case .string: "Str"
        case .bytes: "Bytes"
        case .list: "Slice"
        case .map: "Map"
        default: typeName
        }
    }

    /// Whether lists and maps in it lie in each other deeper than so.
    func isDeeper(than depth: Int) -> Bool {
        guard depth > 0 else { return true }
        switch self {
        case .list(let list): return list.items.contains { $0.isDeeper(than: depth - 1) }
        case .map(let map): return map.entries.contains { $0.value.isDeeper(than: depth - 1) }
        default: return false
        }
    }

    /// Bytes that it takes when it is written, a few more for each value; counted until they are more than the limit: of a list
    /// that holds itself twice, and so on, there is no end in sight.
    func bytes(upTo limit: Int) -> Int {
        var bytes = 0
        count(&bytes, limit)
        return bytes
    }

    private func count(_ bytes: inout Int, _ limit: Int) {
        switch self {
        case .string(let text), .bytes(let text): bytes += text.count
        case .list(.wire(let message)), .map(.wire(let message)): bytes += message.count
        case .list(.items(let items)):
            for item in items where bytes <= limit { item.count(&bytes, limit) }
        case .map(.entries(let entries)):
            for entry in entries where bytes <= limit {
                bytes += entry.key.count
                entry.value.count(&bytes, limit)
            }
        default: bytes += 11
        }
    }

    var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// Whether it may be the value of an attribute.
    var isAttributeValue: Bool {
        switch self {
        case .time, .duration, .traceID, .spanID, .object: false
        default: true
        }
    }

}

extension Value.List {
    /// The items; those of a list as it came are borrowed.
    var items: [Value] {
        switch self {
        case .items(let items): return items
        case .wire(let message):
            var items: [Value] = []
            for field in message.fields where field.number == 1 { items.append(Value(anyValue: field.bytes)) }
            return items
        }
    }

    var count: Int {
        switch self {
        case .items(let items): return items.count
        case .wire(let message):
            var count = 0
            for field in message.fields where field.number == 1 && field.isBytes { count += 1 }
            return count
        }
    }

    /// The item at an index; nil when there is none.
    func item(_ index: Int64) -> Value? {
        guard index >= 0 else { return nil }
        switch self {
        case .items(let items): return index < items.count ? items[Int(index)] : nil
        case .wire(let message):
            var rest = index
            for field in message.fields where field.number == 1 {
                if rest == 0 { return Value(anyValue: field.bytes) }
                rest -= 1
            }
            return nil
        }
    }
}

extension Value.Map {
    /// The entries; those of a map as it came are borrowed. Of duplicate keys, the first stands for all.
    var entries: [MapEntry] {
        switch self {
        case .entries(let entries): return entries
        case .wire(let message):
            var entries: [MapEntry] = []
            for field in message.fields where field.number == 1 {
                entries.append(MapEntry(keyValue: field.bytes))
            }
            return entries
        }
    }

    var count: Int {
        switch self {
        case .entries(let entries): return entries.count
        case .wire(let message):
            var count = 0
            for field in message.fields where field.number == 1 && field.isBytes { count += 1 }
            return count
        }
    }

    /// The value of a key; nil when there is none.
    func value(_ key: Bytes) -> Value? {
        switch self {
        case .entries(let entries): return entries.first { $0.key == key }?.value
        case .wire(let message):
            for field in message.fields where field.number == 1 {
                let entry = MapEntry(keyValue: field.bytes)
                if entry.key == key { return entry.value }
            }
            return nil
        }
    }
}

extension [MapEntry] {
    /// Sets the value of a key, at the end when it is new.
    mutating func put(_ key: Bytes, _ value: Value) {
        if let index = firstIndex(where: { $0.key == key }) {
            self[index].value = value
        } else {
            append(MapEntry(key: key, value: value))
        }
    }

    mutating func put(_ key: String, _ value: Value) { put(Bytes(key), value) }
}
