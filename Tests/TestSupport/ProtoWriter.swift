/// Writes protobuf by hand, so that tests do not check the code under test with itself.
package struct ProtoWriter {
    package var bytes: [UInt8] = []

    package init() {}

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func tag(_ number: Int, _ wireType: Int) { varint(UInt64(number << 3 | wireType)) }

    package mutating func integer(_ number: Int, _ value: UInt64) {
        tag(number, 0)
        varint(value)
    }

    package mutating func fixed64(_ number: Int, _ value: UInt64) {
        tag(number, 1)
        append(value)
    }

    package mutating func fixed32(_ number: Int, _ value: UInt32) {
        tag(number, 5)
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(value >> UInt32(shift) & 0xFF)) }
    }

    package mutating func double(_ number: Int, _ value: Double) { fixed64(number, value.bitPattern) }

    package mutating func field(_ number: Int, _ content: [UInt8]) {
        tag(number, 2)
        varint(UInt64(content.count))
        bytes += content
    }

    package mutating func text(_ number: Int, _ content: String) { field(number, Array(content.utf8)) }

    package mutating func message(_ number: Int, _ build: (inout ProtoWriter) -> Void) {
        var inner = ProtoWriter()
        build(&inner)
        field(number, inner.bytes)
    }

    package mutating func packedFixed64(_ number: Int, _ values: [UInt64]) {
        var inner = ProtoWriter()
        for value in values { inner.append(value) }
        field(number, inner.bytes)
    }

    package mutating func packedVarint(_ number: Int, _ values: [UInt64]) {
        var inner = ProtoWriter()
        for value in values { inner.varint(value) }
        field(number, inner.bytes)
    }

    private mutating func append(_ value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(value >> UInt64(shift) & 0xFF)) }
    }
}

extension ProtoWriter {
    /// A `KeyValue` with a string.
    package mutating func attribute(_ number: Int, _ key: String, _ value: String) {
        message(number) {
            $0.text(1, key)
            $0.message(2) { $0.text(1, value) }
        }
    }

    /// A `KeyValue` with an integer.
    package mutating func attribute(_ number: Int, _ key: String, _ value: Int) {
        message(number) {
            $0.text(1, key)
            $0.message(2) { $0.integer(3, UInt64(bitPattern: Int64(value))) }
        }
    }
}

/// The same numbers for the same seed, on every machine (SplitMix64).
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
