/// Bytes that are equal exactly where attribute values, or sets of attributes, are: what grouping by attributes keys its tables
/// with. The order of a map's keys does not count, of several entries with one key the first does.
package struct AttributeIdentity {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Adds a value: its type and the value itself.
    package mutating func add(_ value: AttributeValue, depth: Int = 0) {
        switch value {
        case .empty: bytes.append(0)
        case .string(let text): add(1, text)
        case .bool(let value): bytes += [2, value ? 1 : 0]
        case .int(let value): add(3, UInt64(bitPattern: value))
        case .double(let value): add(4, value.bitPattern)
        case .bytes(let content): add(5, content)
        case .array(let list):
            guard depth < 64 else { return add(6, list) }
            bytes.append(6)
            for field in list.fields where field.number == Field.List.values {
                add(AttributeValue(field.bytes), depth: depth + 1)
            }
            bytes.append(0xFF)
        case .keyValueList(let list):
            guard depth < 64 else { return add(7, list) }
            bytes.append(7)
            add(attributes: list, Field.List.values, depth: depth + 1)
        }
    }

    /// Adds text of a kind of its own, such as a name.
    package mutating func add(_ text: WireBytes) { add(8, text) }

    /// Adds a number of a kind of its own.
    package mutating func add(_ number: UInt64) { add(9, number) }

    /// Adds the attributes in the fields of a number.
    package mutating func add(attributes message: WireBytes, _ number: UInt32, depth: Int = 0) {
        var entries: [(key: WireBytes, value: AttributeValue, place: Int)] = []
        for field in message.fields where field.number == number && field.isBytes {
            guard entries.count < Self.readMax else { return addMany(message, number, depth) }
            let attribute = Attribute(field.bytes)
            entries.append((attribute.key, attribute.value, entries.count))
        }
        entries.sort { $0.key.isEqual(to: $1.key) ? $0.place < $1.place : $0.key.precedes($1.key) }
        var previous: WireBytes?
        for entry in entries {
            if let previous, previous.isEqual(to: entry.key) { continue }
            previous = entry.key
            add(10, entry.key)
            add(entry.value, depth: depth)
        }
        bytes.append(0xFF)
    }

    /// Attributes that are kept as they are read; more are read again where they are looked at: of millions that are empty the others
    /// would take many times the message.
    private static let readMax = 1_024

    private mutating func addMany(_ message: WireBytes, _ number: UInt32, _ depth: Int) {
        var starts: [UInt32] = []
        for field in message.fields where field.number == number && field.isBytes {
            starts.append(UInt32(field.start))
        }
        func attribute(_ start: UInt32) -> Attribute {
            var fields = message.fields(Int(start)..<message.count)
            return Attribute(fields.next()?.bytes ?? WireBytes.none)
        }
        starts.sort { one, other in
            let (key, otherKey) = (attribute(one).key, attribute(other).key)
            return key.isEqual(to: otherKey) ? one < other : key.precedes(otherKey)
        }
        var previous: WireBytes?
        for start in starts {
            let entry = attribute(start)
            if let previous, previous.isEqual(to: entry.key) { continue }
            previous = entry.key
            add(10, entry.key)
            add(entry.value, depth: depth)
        }
        bytes.append(0xFF)
    }

    private mutating func add(_ kind: UInt8, _ content: WireBytes) {
        add(kind, UInt64(content.count))
        unsafe bytes.append(contentsOf: content.unsafeBytes)
    }

    private mutating func add(_ kind: UInt8, _ number: UInt64) {
        bytes.append(kind)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}

extension WireBytes {
    /// The order of bytes, the shorter of two that begin alike first.
    package func precedes(_ other: WireBytes) -> Bool {
        for index in 0..<min(count, other.count) where self[index] != other[index] {
            return self[index] < other[index]
        }
        return count < other.count
    }
}
