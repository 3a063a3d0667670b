/// The fields of one header section, in order, as bytes.
///
/// One flat store, reused from message to message: adding a field allocates nothing once the store has grown. Names are
/// lower case, as HTTP/2 demands (RFC 9113 §8.2.1); an HTTP/1.1 reader lowers them. Event loop only.
package struct HeaderBlock {
    private struct Field {
        var nameStart: UInt32
        var valueStart: UInt32
        var end: UInt32
    }

    private var store: [UInt8] = []
    private var fields: [Field] = []

    /// An empty block.
    package init() {}

    /// How many fields there are.
    package var count: Int { fields.count }

    /// Names and values together, in bytes.
    package var byteCount: Int { store.count }

    /// Forgets the fields and keeps the room.
    package mutating func removeAll() {
        store.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    /// Appends a field. The bytes are copied.
    package mutating func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let start = UInt32(store.count)
        unsafe store.append(contentsOf: name)
        let middle = UInt32(store.count)
        unsafe store.append(contentsOf: value)
        fields.append(Field(nameStart: start, valueStart: middle, end: UInt32(store.count)))
    }

    /// Appends a field of an HTTP/1.1 message.
    package mutating func append(name: String, value: String) {
        let start = UInt32(store.count)
        store.append(contentsOf: name.utf8.lazy.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 })
        let middle = UInt32(store.count)
        store.append(contentsOf: value.utf8)
        fields.append(Field(nameStart: start, valueStart: middle, end: UInt32(store.count)))
    }

    /// The value of the first field of that name, as a range into `bytes`.
    private func find(_ name: StaticString) -> Range<Int>? {
        for field in fields where Int(field.valueStart - field.nameStart) == name.utf8CodeUnitCount {
            if equal(Int(field.nameStart), name) { return Int(field.valueStart)..<Int(field.end) }
        }
        return nil
    }

    private func equal(_ start: Int, _ text: StaticString) -> Bool {
        let wanted = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        for index in 0..<wanted.count where unsafe store[start + index] != wanted[index] { return false }
        return true
    }

    /// The value of the first field of that name as text; allocates.
    package subscript(_ name: StaticString) -> String? {
        find(name).map { String(decoding: store[$0], as: UTF8.self) }
    }

    /// Whether the first field of that name has exactly this value; nil when there is none. Allocates nothing.
    package func field(_ name: StaticString, is value: StaticString) -> Bool? {
        guard let range = find(name) else { return nil }
        return range.count == value.utf8CodeUnitCount && equal(range.lowerBound, value)
    }

    /// Whether the first field of that name starts with these bytes; nil when there is none. Allocates nothing.
    package func field(_ name: StaticString, hasPrefix prefix: StaticString) -> Bool? {
        guard let range = find(name) else { return nil }
        return range.count >= prefix.utf8CodeUnitCount && equal(range.lowerBound, prefix)
    }

    /// Whether the first field of that name equals `bytes`. Allocates nothing.
    package func field(_ name: StaticString, equals bytes: [UInt8]) -> Bool {
        guard let range = find(name), range.count == bytes.count else { return false }
        for index in 0..<bytes.count where store[range.lowerBound + index] != bytes[index] { return false }
        return true
    }

    /// All fields as text; allocates.
    package var all: [(name: String, value: String)] {
        fields.map {
            (
                String(decoding: store[Int($0.nameStart)..<Int($0.valueStart)], as: UTF8.self),
                String(decoding: store[Int($0.valueStart)..<Int($0.end)], as: UTF8.self)
            )
        }
    }
}
