/// Writes protobuf fields into memory whose size was counted before; every write checks that there is room.
@safe
struct FieldWriter {
    private var rest: UnsafeMutableRawBufferPointer

    /// Borrows the memory for its own life.
    init(_ output: UnsafeMutableRawBufferPointer) {
        unsafe rest = unsafe output
    }

    /// Whether all room was used.
    var isFull: Bool { unsafe rest.isEmpty }

    // MARK: - Lengths

    static func varintCount(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }

    /// Tag, length and content.
    static func count(_ number: UInt32, content: Int) -> Int {
        varintCount(UInt64(number) << 3) + varintCount(UInt64(content)) + content
    }

    /// Tag and value of a varint or fixed field.
    static func count(_ number: UInt32, _ kind: WireKind, _ bits: UInt64) -> Int {
        let tag = varintCount(UInt64(number) << 3)
        switch kind {
        case .varint: return tag + varintCount(bits)
        case .fixed64: return tag + 8
        case .fixed32: return tag + 4
        case .bytes: return tag + 1
        }
    }

    // MARK: - Writing

    mutating func copy(_ source: WireBytes, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        precondition(
            range.lowerBound >= 0 && range.upperBound <= source.count, "range is outside of the bytes")
        // SAFETY: the range was checked, `advance` checks the room.
        unsafe advance(range.count).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: source.unsafeBytes[range]))
    }

    /// Tag and length of a field whose content follows.
    mutating func begin(_ number: UInt32, content: Int) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(content))
    }

    mutating func number(_ number: UInt32, _ kind: WireKind, _ bits: UInt64) {
        switch kind {
        case .varint:
            varint(UInt64(number) << 3)
            varint(bits)
        case .fixed64:
            varint(UInt64(number) << 3 | 1)
            little(bits, count: 8)
        case .fixed32:
            varint(UInt64(number) << 3 | 5)
            little(bits, count: 4)
        case .bytes: begin(number, content: 0)
        }
    }

    mutating func varint(_ value: UInt64) {
        let count = Self.varintCount(value)
        let room = unsafe advance(count)
        var rest = value
        for index in 0..<count - 1 {
            // SAFETY: `room` has `count` bytes.
            unsafe room[index] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
        }
        unsafe room[count - 1] = UInt8(truncatingIfNeeded: rest)
    }

    private mutating func little(_ bits: UInt64, count: Int) {
        let room = unsafe advance(count)
        // SAFETY: `room` has `count` bytes.
        for index in 0..<count { unsafe room[index] = UInt8(truncatingIfNeeded: bits >> (8 * UInt64(index))) }
    }

    private mutating func advance(_ count: Int) -> UnsafeMutableRawBufferPointer {
        precondition(unsafe count <= rest.count, "more is written than was counted")
        // SAFETY: there is room.
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: rest[..<count])
        unsafe rest = unsafe UnsafeMutableRawBufferPointer(rebasing: rest[count...])
        return unsafe room
    }
}
