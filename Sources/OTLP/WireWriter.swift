/// Writes protobuf fields, in the order of the calls. For small messages and headers, and for the gateway's own telemetry;
/// not for items of clients.
package struct WireWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A varint field. Zero, the default of proto3, is left out.
    package mutating func integer(_ number: UInt32, _ value: Int64) {
        guard value != 0 else { return }
        varint(UInt64(number) << 3)
        varint(UInt64(bitPattern: value))
    }

    /// A varint field, present even when zero: one of a `oneof`.
    package mutating func whole(_ number: UInt32, _ value: Int64) {
        varint(UInt64(number) << 3)
        varint(UInt64(bitPattern: value))
    }

    /// Tag and length of a field whose content the caller appends.
    mutating func lengthDelimited(_ number: UInt32, count: Int) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(count))
    }

    /// A message or bytes field, present even when empty.
    package mutating func field(_ number: UInt32, _ content: [UInt8]) {
        lengthDelimited(number, count: content.count)
        bytes += content
    }

    /// A text field. Empty text, the default of proto3, is left out.
    package mutating func text(_ number: UInt32, _ content: String) {
        guard !content.isEmpty else { return }
        lengthDelimited(number, count: content.utf8.count)
        bytes += content.utf8
    }

    /// A fixed64, sfixed64 or double field, present even when zero.
    package mutating func fixed64(_ number: UInt32, _ bits: UInt64) {
        varint(UInt64(number) << 3 | 1)
        append(bits)
    }

    /// A packed list of fixed64 or double values. An empty one is left out.
    package mutating func packed(_ number: UInt32, _ values: [UInt64]) {
        guard !values.isEmpty else { return }
        lengthDelimited(number, count: 8 * values.count)
        for value in values { append(value) }
    }

    private mutating func append(_ bits: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: bits >> shift)) }
    }
}

extension WireWriter {
    /// The bytes that `write` writes.
    package static func bytes(_ write: (inout WireWriter) -> Void) -> [UInt8] {
        var writer = WireWriter()
        write(&writer)
        return writer.bytes
    }
}
