/// Appends protobuf fields.
struct WireBuffer {
    private(set) var bytes: [UInt8] = []

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count }

    /// Takes everything away and keeps the memory.
    mutating func clear() { bytes.removeAll(keepingCapacity: true) }

    mutating func append(_ encoded: [UInt8]) { bytes += encoded }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func integer(_ number: UInt32, _ value: UInt64) {
        varint(UInt64(number) << 3)
        varint(value)
    }

    mutating func zigzag(_ number: UInt32, _ value: Int32) {
        integer(number, UInt64(UInt32(bitPattern: value << 1 ^ value >> 31)))
    }

    mutating func fixed64(_ number: UInt32, _ value: UInt64) {
        varint(UInt64(number) << 3 | 1)
        word(value)
    }

    mutating func double(_ number: UInt32, _ value: Double) { fixed64(number, value.bitPattern) }

    /// Eight bytes, little endian, without a tag.
    mutating func word(_ value: UInt64) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes += $0 }
    }

    /// Tag and length of a field whose content follows.
    mutating func lengthDelimited(_ number: UInt32, count: Int) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(count))
    }

    mutating func field(_ number: UInt32, _ content: [UInt8]) {
        lengthDelimited(number, count: content.count)
        bytes += content
    }

    /// A text field; an empty text is left out.
    mutating func text(_ number: UInt32, _ text: String) {
        guard !text.isEmpty else { return }
        lengthDelimited(number, count: text.utf8.count)
        bytes += text.utf8
    }

    /// A `KeyValue` with a text as a field.
    mutating func attribute(_ number: UInt32, _ key: String, _ value: String) {
        let keyCount = key.utf8.count
        let valueCount = value.utf8.count
        let anyCount = 1 + Self.varintCount(valueCount) + valueCount
        lengthDelimited(
            number,
            count: 1 + Self.varintCount(keyCount) + keyCount + 1 + Self.varintCount(anyCount) + anyCount)
        lengthDelimited(1, count: keyCount)
        bytes += key.utf8
        lengthDelimited(2, count: anyCount)
        // An empty text is written, too: without it the value would be none at all.
        lengthDelimited(1, count: valueCount)
        bytes += value.utf8
    }

    /// The labels as attributes, each key once: `others` win, and come behind.
    mutating func attributes(_ number: UInt32, _ labels: [Label], overridden others: [Label]) {
        let overridden = Set(others.map(\.name))
        for label in labels where !overridden.contains(label.name) {
            attribute(number, label.name, label.value)
        }
        for label in others { attribute(number, label.name, label.value) }
    }

    private static func varintCount(_ value: Int) -> Int {
        max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7)
    }
}
