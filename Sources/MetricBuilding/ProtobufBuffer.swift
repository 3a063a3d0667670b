package import NIOCore
package import OTLP

/// Protobuf fields, written one behind the other. Messages get a length of five bytes, which is filled in when they end:
/// legal, and nothing is copied.
package struct ProtobufBuffer {
    package private(set) var bytes = ByteBuffer()
    private var open: [Int] = []

    package init() {}

    /// Messages that have not ended.
    package var depth: Int { open.count }

    /// Begins a message. Five bytes hold the length of whatever a buffer has room for.
    package mutating func begin(_ number: UInt32) {
        varint(UInt64(number) << 3 | 2)
        open.append(bytes.writerIndex)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger(0 as UInt8)
    }

    /// Ends the message that was begun last.
    package mutating func end() {
        guard let start = open.popLast() else { preconditionFailure("no message was begun") }
        let count = bytes.writerIndex - start - 5
        for place in 0..<5 {
            let seven = UInt8(truncatingIfNeeded: count >> (7 * place)) & 0x7F
            bytes.setInteger(place < 4 ? seven | 0x80 : seven, at: start + place)
        }
    }

    /// Ends messages until so many are open.
    package mutating func end(to depth: Int) {
        while open.count > depth { end() }
    }

    package mutating func message(_ number: UInt32, _ body: (inout ProtobufBuffer) -> Void) {
        begin(number)
        body(&self)
        end()
    }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    package mutating func integer(_ number: UInt32, _ value: UInt64) {
        varint(UInt64(number) << 3)
        varint(value)
    }

    package mutating func fixed64(_ number: UInt32, _ value: UInt64) {
        varint(UInt64(number) << 3 | 1)
        bytes.writeInteger(value, endianness: .little)
    }

    package mutating func double(_ number: UInt32, _ value: Double) { fixed64(number, value.bitPattern) }

    package mutating func field(_ number: UInt32, _ content: some Collection<UInt8>) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(content.count))
        bytes.writeBytes(content)
    }

    package mutating func field(_ number: UInt32, _ content: WireBytes) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(content.count))
        _ = unsafe bytes.writeBytes(content.unsafeBytes)
    }

    package mutating func text(_ number: UInt32, _ text: String) {
        guard !text.isEmpty else { return }
        field(number, text.utf8)
    }

    /// The fields as they are, with their tags.
    package mutating func raw(_ fields: [UInt8]) { bytes.writeBytes(fields) }

    /// The fields as they are, with their tags.
    package mutating func raw(_ fields: ByteBuffer) { bytes.writeImmutableBuffer(fields) }

    /// Makes room for so many bytes.
    package mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

    /// A packed list of eight-byte numbers.
    package mutating func packed(_ number: UInt32, _ values: some Collection<UInt64>) {
        guard !values.isEmpty else { return }
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(values.count * 8))
        for value in values { bytes.writeInteger(value, endianness: .little) }
    }

    /// A packed list of varints.
    package mutating func packedVarints(_ number: UInt32, _ values: some Collection<UInt64>) {
        guard !values.isEmpty else { return }
        begin(number)
        for value in values { varint(value) }
        end()
    }
}
