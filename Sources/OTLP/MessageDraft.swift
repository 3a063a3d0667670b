/// A protobuf message under construction, for processors that make new envelopes around items.
package struct MessageDraft {
    package private(set) var bytes: [UInt8]

    /// - Parameter bytes: fields that it begins with.
    package init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// Appends a text, bytes or message field.
    package mutating func append(_ number: UInt32, _ content: WireBytes) {
        begin(number, count: content.count)
        unsafe bytes.append(contentsOf: content.unsafeBytes)
    }

    /// Appends a text, bytes or message field.
    package mutating func append(_ number: UInt32, _ content: [UInt8]) {
        begin(number, count: content.count)
        bytes += content
    }

    /// Appends a varint field.
    package mutating func append(_ number: UInt32, varint value: UInt64) {
        append(varint: UInt64(number) << 3)
        append(varint: value)
    }

    /// Appends a field of eight bytes.
    package mutating func append(_ number: UInt32, fixed64 value: UInt64) {
        append(number, 1, value, count: 8)
    }

    /// Appends a copy of a field.
    package mutating func append(_ field: WireField) {
        switch field.kind {
        case .bytes: append(field.number, field.bytes)
        case .varint: append(field.number, varint: field.bits)
        case .fixed64: append(field.number, 1, field.bits, count: 8)
        case .fixed32: append(field.number, 5, field.bits, count: 4)
        }
    }

    private mutating func append(_ number: UInt32, _ wireType: UInt64, _ bits: UInt64, count: UInt64) {
        append(varint: UInt64(number) << 3 | wireType)
        for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * index))) }
    }

    private mutating func begin(_ number: UInt32, count: Int) {
        append(varint: UInt64(number) << 3 | 2)
        append(varint: UInt64(count))
    }

    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
