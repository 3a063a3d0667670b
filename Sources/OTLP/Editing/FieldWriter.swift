/// Writes protobuf fields into memory whose size was counted before; every write checks that there is room.
@safe
struct FieldWriter {
    private var next: UnsafeMutableRawPointer
    private var left: Int

    /// Borrows the memory for its own life.
    init(_ output: UnsafeMutableRawBufferPointer) {
        // SAFETY: a buffer without an address has no room, so the stand-in is never written.
        unsafe next = unsafe output.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 1).unsafelyUnwrapped
        left = output.count
    }

    /// Whether all room was used.
    var isFull: Bool { left == 0 }

    /// Bytes of room that were not used.
    var unused: Int { left }

    // MARK: - Lengths

    static func varintCount(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }

    /// Tag, length and content.
    @inline(__always)
    static func count(_ number: UInt32, content: Int) -> Int {
        if number < 16, content < 0x4000 { return content &+ (content < 0x80 ? 2 : 3) }
        return longCount(number, content: content)
    }

    @inline(never)
    private static func longCount(_ number: UInt32, content: Int) -> Int {
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
        unsafe copyBytes(range.count, from: source.base + range.lowerBound, to: advance(range.count))
    }

    /// Tag and length of a field whose content follows.
    @inline(__always)
    mutating func begin(_ number: UInt32, content: Int) {
        guard number >= 16 || content >= 0x80 else {
            // SAFETY: `advance` checks the room.
            return unsafe advance(2).storeBytes(
                of: UInt16(truncatingIfNeeded: UInt32(truncatingIfNeeded: content) &<< 8 | number &<< 3 | 2)
                    .littleEndian, as: UInt16.self)
        }
        guard number >= 16 || content >= 0x4000 else {
            // Nearly every item: a length of two bytes.
            let room = unsafe advance(3)
            let length = UInt32(truncatingIfNeeded: content)
            // SAFETY: as above.
            unsafe room.storeBytes(of: UInt8(truncatingIfNeeded: number &<< 3 | 2), as: UInt8.self)
            unsafe room.storeBytes(
                of: UInt16(truncatingIfNeeded: length & 0x7F | 0x80 | (length &>> 7) &<< 8).littleEndian,
                toByteOffset: 1, as: UInt16.self)
            return
        }
        beginLong(number, content: content)
    }

    @inline(never)
    private mutating func beginLong(_ number: UInt32, content: Int) {
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
            // SAFETY: `advance` checks the room.
            unsafe advance(8).storeBytes(of: bits.littleEndian, as: UInt64.self)
        case .fixed32:
            varint(UInt64(number) << 3 | 5)
            // SAFETY: `advance` checks the room.
            unsafe advance(4).storeBytes(of: UInt32(truncatingIfNeeded: bits).littleEndian, as: UInt32.self)
        case .bytes: begin(number, content: 0)
        }
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) {
        guard value >= 0x80 else {
            // SAFETY: `advance` checks the room.
            return unsafe advance(1).storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        }
        longVarint(value)
    }

    private mutating func longVarint(_ value: UInt64) {
        let room = unsafe advance(Self.varintCount(value))
        var (rest, index) = (value, 0)
        // SAFETY: `room` has as many bytes as the number takes.
        while rest >= 0x80 {
            unsafe room.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: index, as: UInt8.self)
            rest >>= 7
            index += 1
        }
        unsafe room.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: index, as: UInt8.self)
    }

    @inline(__always)
    private mutating func advance(_ count: Int) -> UnsafeMutableRawPointer {
        precondition(count >= 0 && count <= left, "more is written than was counted")
        let room = unsafe next
        // SAFETY: there is room.
        unsafe next += count
        left &-= count
        return unsafe room
    }
}

/// Copies bytes; up to sixteen, such as most keys and values, without a call: `memcpy` takes some 50 instructions for them.
@inline(__always)
func copyBytes(_ count: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer) {
    // SAFETY: the last bytes overlap those before them, so that all are inside of `count`.
    if count > 16 || count < 4 { return unsafe target.copyMemory(from: source, byteCount: count) }
    if count >= 8 {
        let (first, last) = unsafe (
            source.loadUnaligned(as: UInt64.self),
            source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        )
        unsafe target.storeBytes(of: first, as: UInt64.self)
        unsafe target.storeBytes(of: last, toByteOffset: count &- 8, as: UInt64.self)
    } else {
        let (first, last) = unsafe (
            source.loadUnaligned(as: UInt32.self),
            source.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
        )
        unsafe target.storeBytes(of: first, as: UInt32.self)
        unsafe target.storeBytes(of: last, toByteOffset: count &- 4, as: UInt32.self)
    }
}
