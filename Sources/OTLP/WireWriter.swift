/// Writes protobuf fields, in the order of the calls. For small messages and headers; not for items.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A varint field. Zero, the default of proto3, is left out.
    mutating func integer(_ number: UInt32, _ value: Int64) {
        guard value != 0 else { return }
        varint(UInt64(number) << 3)
        varint(UInt64(bitPattern: value))
    }

    /// Tag and length of a field whose content the caller appends.
    mutating func lengthDelimited(_ number: UInt32, count: Int) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(count))
    }

    /// A message or bytes field, present even when empty.
    mutating func field(_ number: UInt32, _ content: [UInt8]) {
        lengthDelimited(number, count: content.count)
        bytes += content
    }

    /// A text field. Empty text, the default of proto3, is left out.
    mutating func text(_ number: UInt32, _ content: String) {
        guard !content.isEmpty else { return }
        lengthDelimited(number, count: content.utf8.count)
        bytes += content.utf8
    }
}
