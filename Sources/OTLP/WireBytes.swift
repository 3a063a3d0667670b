/// A range of a request's bytes: a message, a text or plain bytes, as the field that holds it says.
///
/// Reading a message means walking its fields; nothing is built and nothing allocated:
///
///     for entry in unsafe WireBytes(bytes).fields where entry.number == Field.Request.resources {
///         for field in entry.bytes.fields { … }
///     }
///
/// Every read stays inside the range, whatever the bytes say. Ownership: borrows; the maker of the first
/// one (the only unsafe step) promises that the memory lives and stays unchanged as long as any value
/// derived from it.
///
/// Public, as all that is called per item or byte from other modules: Swift 6.3 inlines nothing there that is
/// `@inlinable package`, which costs the exporters a third of their speed.
@safe
public struct WireBytes {
    @usableFromInline
    let base: UnsafeRawPointer
    /// Number of bytes.
    public let count: Int

    @inlinable
    @inline(__always)
    init(base: UnsafeRawPointer, count: Int) {
        unsafe self.base = unsafe base
        self.count = count
    }

    /// Borrows the bytes; see the type for how long.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: a buffer without an address has no bytes, so the stand-in is never read.
        let base = unsafe bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        unsafe self.init(base: base, count: bytes.count)
    }

    /// The byte at an index below `count`.
    @inlinable
    @inline(__always)
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "index is outside of the bytes")
        // SAFETY: the index was checked.
        return unsafe base.load(fromByteOffset: index, as: UInt8.self)
    }

    /// The bytes as memory, valid as long as the request's.
    @inlinable
    @inline(__always)
    public var unsafeBytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: count)
    }

    /// The fields of this message, in wire order.
    @inlinable
    @inline(__always)
    public var fields: WireFields {
        // SAFETY: same range.
        unsafe WireFields(base: base, position: 0, end: count)
    }

    /// The fields in a part of this message, which begins with a field. Their offsets count from the start of the
    /// whole message.
    @inlinable
    @inline(__always)
    public func fields(_ range: Range<Int>) -> WireFields {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range is outside of the bytes")
        // SAFETY: the range was checked.
        return unsafe WireFields(base: base, position: range.lowerBound, end: range.upperBound)
    }

    /// A copy as text. Bytes that are not UTF-8 are repaired; text fields of a checked request are UTF-8.
    public var text: String {
        unsafe String(decoding: unsafeBytes, as: UTF8.self)
    }

    /// A copy of the bytes.
    public var array: [UInt8] {
        unsafe Array(unsafeBytes)
    }

    /// Whether these are exactly the bytes of a literal.
    @inlinable
    public static func == (bytes: WireBytes, literal: StaticString) -> Bool {
        guard bytes.count == literal.utf8CodeUnitCount else { return false }
        for index in 0..<bytes.count {
            // SAFETY: the counts are equal and the literal is static.
            let expected = unsafe literal.utf8Start[index]
            guard bytes[index] == expected else { return false }
        }
        return true
    }
}

/// How a field is encoded. Groups do not occur in OTLP.
public enum WireKind: Sendable, BitwiseCopyable {
    case varint
    case fixed64
    /// Length-delimited: a message, a text, bytes or a packed list.
    case bytes
    case fixed32
}

/// One field of a message: its number and its value, read as the caller knows its type to be.
///
/// A wrong reading (`bytes` of a number, `int64` of a text) gives an empty or zero value, never a trap.
@safe
public struct WireField {
    /// The field number.
    public let number: UInt32
    /// How it is encoded.
    public let kind: WireKind
    /// The value of a varint or fixed field; 0 for `bytes`.
    public let bits: UInt64
    /// Where the field starts, with its tag, in the bytes walked.
    public let start: Int
    /// Where the field's content starts: the first byte after tag and length.
    public let contentStart: Int
    /// Where the field ends.
    public let end: Int
    @usableFromInline
    let base: UnsafeRawPointer

    @inlinable
    init(
        number: UInt32, kind: WireKind, bits: UInt64, start: Int, contentStart: Int, end: Int,
        base: UnsafeRawPointer
    ) {
        self.number = number
        self.kind = kind
        self.bits = bits
        self.start = start
        self.contentStart = contentStart
        self.end = end
        unsafe self.base = unsafe base
    }

    /// The content of a message, text or bytes field; empty for numbers.
    @inlinable
    @inline(__always)
    public var bytes: WireBytes {
        // SAFETY: the walk checked contentStart <= end <= end of the message.
        unsafe WireBytes(base: base + contentStart, count: isBytes ? end &- contentStart : 0)
    }

    /// Whether the field is length-delimited.
    @inlinable
    @inline(__always)
    public var isBytes: Bool {
        // Not `==`, which other modules would call as a function.
        if case .bytes = kind { true } else { false }
    }

    /// `int64`, `uint32` and enums that fit, `fixed64` and `sfixed64` as signed numbers.
    @inlinable
    public var int64: Int64 { Int64(bitPattern: bits) }

    /// `sint32` and `sint64`: zigzag.
    @inlinable
    public var zigzag: Int64 { Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1) }

    /// `bool`.
    @inlinable
    public var bool: Bool { bits != 0 }

    /// `double`.
    @inlinable
    public var double: Double { Double(bitPattern: bits) }
}

/// Walks the fields of one message.
///
/// Malformed bytes end the walk early; of a request that `summarize` accepted, every field is seen.
@safe
public struct WireFields: Sequence, IteratorProtocol {
    @usableFromInline
    let base: UnsafeRawPointer
    /// Offset of the next field.
    @usableFromInline
    var position: Int
    @usableFromInline
    let end: Int
    /// Whether the walk ended because the bytes are malformed.
    public var isMalformed = false

    @inlinable
    init(base: UnsafeRawPointer, position: Int, end: Int) {
        unsafe self.base = unsafe base
        self.position = position
        self.end = end
    }

    /// The next field; nil at the end.
    @inlinable
    @inline(__always)
    public mutating func next() -> WireField? {
        let start = position
        guard start < end else { return nil }
        if start &+ 2 <= end {
            // A tag of one byte and what nearly always follows one, each in a few instructions.
            // SAFETY: two bytes are left.
            let head = unsafe UInt16(littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt16.self))
            if head & 0x80 == 0, head & 0x78 != 0 {
                let number = UInt32(head & 0x78) &>> 3
                switch head & 7 {
                case 2 where head < 0x8000:
                    let fieldEnd = start &+ 2 &+ Int(head &>> 8)
                    guard fieldEnd <= end else { return stop() }
                    position = fieldEnd
                    return unsafe WireField(
                        number: number, kind: .bytes, bits: 0, start: start, contentStart: start &+ 2,
                        end: fieldEnd, base: base)
                case 2 where start &+ 3 <= end:
                    // SAFETY: three bytes are left.
                    let second = unsafe Int(base.load(fromByteOffset: start &+ 2, as: UInt8.self))
                    let fieldEnd = start &+ 3 &+ (Int(head &>> 8) & 0x7F | second &<< 7)
                    guard second < 0x80, fieldEnd <= end else { break }
                    position = fieldEnd
                    return unsafe WireField(
                        number: number, kind: .bytes, bits: 0, start: start, contentStart: start &+ 3,
                        end: fieldEnd, base: base)
                case 1 where start &+ 9 <= end:
                    // SAFETY: 9 bytes are left.
                    let bits = unsafe UInt64(
                        littleEndian: base.loadUnaligned(fromByteOffset: start &+ 1, as: UInt64.self))
                    position = start &+ 9
                    return unsafe WireField(
                        number: number, kind: .fixed64, bits: bits, start: start, contentStart: start &+ 1,
                        end: start &+ 9, base: base)
                case 0 where head < 0x8000:
                    position = start &+ 2
                    return unsafe WireField(
                        number: number, kind: .varint, bits: UInt64(head &>> 8), start: start,
                        contentStart: start &+ 2, end: start &+ 2, base: base)
                default: break
                }
            }
        }
        guard let field = unsafe Self.any(base, start, end) else { return stop() }
        position = field.end
        return field
    }

    /// The field at an offset, whatever its form; nil: it is malformed.
    @inline(never)
    @usableFromInline
    static func any(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> WireField? {
        // SAFETY: the caller's range.
        var walk = unsafe WireFields(base: base, position: start, end: end)
        guard let tag = walk.readVarint(), let kind = WireKind(tag: tag), tag >> 3 != 0,
            tag <= UInt64(UInt32.max)
        else { return nil }
        var bits: UInt64 = 0
        var contentStart = walk.position
        switch kind {
        case .varint:
            guard let value = walk.readVarint() else { return nil }
            bits = value
        case .fixed64:
            guard end - walk.position >= 8 else { return nil }
            // SAFETY: 8 bytes are left.
            bits = unsafe UInt64(
                littleEndian: base.loadUnaligned(fromByteOffset: walk.position, as: UInt64.self))
            walk.position += 8
        case .fixed32:
            guard end - walk.position >= 4 else { return nil }
            // SAFETY: 4 bytes are left.
            let word = unsafe base.loadUnaligned(fromByteOffset: walk.position, as: UInt32.self)
            bits = UInt64(UInt32(littleEndian: word))
            walk.position += 4
        case .bytes:
            guard let count = walk.readVarint(), count <= UInt64(end - walk.position) else { return nil }
            contentStart = walk.position
            walk.position += Int(truncatingIfNeeded: count)
        }
        return unsafe WireField(
            number: UInt32(truncatingIfNeeded: tag >> 3), kind: kind, bits: bits, start: start,
            contentStart: contentStart, end: walk.position, base: base)
    }

    /// Passes over the next fields as long as they are length-delimited and of this number, below 16: a tight loop for the
    /// attributes of a span, which are most of its fields. What is malformed or of 16 KiB is left to `next`.
    @inlinable
    @inline(__always)
    public mutating func skip(_ number: UInt32) {
        let tag = UInt8(truncatingIfNeeded: number &<< 3 | 2)
        // SAFETY: reads below `end` only.
        while position &+ 3 <= end, unsafe base.load(fromByteOffset: position, as: UInt8.self) == tag {
            let first = unsafe Int(base.load(fromByteOffset: position &+ 1, as: UInt8.self))
            var next = position &+ 2 &+ first
            if first >= 0x80 {
                let second = unsafe Int(base.load(fromByteOffset: position &+ 2, as: UInt8.self))
                guard second < 0x80 else { return }
                next = position &+ 3 &+ (first & 0x7F | second &<< 7)
            }
            guard next <= end else { return }
            position = next
        }
    }

    @inlinable
    mutating func stop() -> WireField? {
        position = end
        isMalformed = true
        return nil
    }

    @inlinable
    @inline(__always)
    mutating func readVarint() -> UInt64? {
        if position < end {
            // SAFETY: position < end.
            let byte = unsafe base.load(fromByteOffset: position, as: UInt8.self)
            if byte < 0x80 {
                position &+= 1
                return UInt64(byte)
            }
            if position &+ 1 < end {
                // SAFETY: position + 1 < end.
                let second = unsafe base.load(fromByteOffset: position &+ 1, as: UInt8.self)
                if second < 0x80 {
                    position &+= 2
                    return UInt64(byte & 0x7F) | UInt64(second) &<< 7
                }
            }
        }
        return readLongVarint()
    }

    @inline(never)
    @usableFromInline
    mutating func readLongVarint() -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while position < end && shift < 70 {
            // SAFETY: position < end.
            let byte = unsafe base.load(fromByteOffset: position, as: UInt8.self)
            position += 1
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        return nil
    }
}

extension WireKind {
    @inlinable
    init?(tag: UInt64) {
        switch tag & 7 {
        case 0: self = .varint
        case 1: self = .fixed64
        case 2: self = .bytes
        case 5: self = .fixed32
        default: return nil
        }
    }
}
