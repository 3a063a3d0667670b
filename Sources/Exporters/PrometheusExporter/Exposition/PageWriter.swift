internal import Glibc
internal import NIOCore
internal import OTLP

/// Where the bytes of a page are put together, in parts that are handed on or as one piece. One thread at a
/// time.
@safe
struct PageWriter: ~Copyable {
    /// The size of a part, more or less: small enough for the allocator to keep and for the cache.
    static let partBytes = 64 << 10
    /// Room beyond, so that a part with it is a block of twice the size at most.
    private static let slackBytes = 64 << 10

    // SAFETY: `capacity` bytes, of which `used` are written; owned, freed in deinit.
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// Bytes that were written and are in no part yet.
    private(set) var used = 0
    private var parts: [ByteBuffer] = []
    private var partBytes = 0
    private let isContiguous: Bool

    /// - Parameter isContiguous: whether everything stays one piece until `clear`, as a compressor needs it.
    init(isContiguous: Bool) {
        self.isContiguous = isContiguous
        capacity = Self.partBytes + Self.slackBytes
        unsafe base = Self.checked(malloc(capacity))
    }

    deinit { unsafe free(base) }

    private static func checked(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<UInt8> {
        guard let memory = unsafe memory else { fatalError("Out of memory for a page.") }
        return unsafe memory.assumingMemoryBound(to: UInt8.self)
    }

    /// Everything written so far.
    var count: Int { partBytes + used }

    /// Makes room for so many bytes.
    @inline(__always)
    private mutating func reserve(_ count: Int) {
        if capacity - used < count { grow(count) }
    }

    @inline(never)
    private mutating func grow(_ count: Int) {
        if !isContiguous, used >= Self.partBytes / 2 { closePart() }
        guard capacity - used < count else { return }
        capacity = max(capacity * 2, used + count)
        // Memory of a large page is moved by the kernel, without copying.
        // SAFETY: `base` came from malloc or realloc.
        unsafe base = Self.checked(realloc(base, capacity))
    }

    private mutating func closePart() {
        guard used > 0 else { return }
        var part = ByteBufferAllocator().buffer(capacity: used)
        // SAFETY: `used` bytes are written.
        unsafe part.writeBytes(UnsafeRawBufferPointer(start: base, count: used))
        parts.append(part)
        partBytes += used
        used = 0
    }

    /// The parts that are done, or all there is; not while a length is to be filled in.
    mutating func takeParts(all: Bool) -> [ByteBuffer] {
        if all || used >= Self.partBytes / 2 { closePart() }
        let taken = parts
        parts = []
        partBytes = 0
        return taken
    }

    /// Forgets what is written. Contiguous writers only; not while a length is to be filled in.
    mutating func clear() {
        precondition(isContiguous, "parts are taken")
        used = 0
        guard capacity > 4 * Self.partBytes else { return }
        unsafe free(base)
        capacity = Self.partBytes + Self.slackBytes
        unsafe base = Self.checked(malloc(capacity))
    }

    /// What is written, as one piece. Contiguous writers only.
    func withBytes<Result>(_ body: (borrowing RawSpan) -> Result) -> Result {
        precondition(isContiguous, "the first parts are gone")
        // SAFETY: `used` bytes are written, and stay for the call.
        return unsafe body(RawSpan(_unsafeStart: UnsafeRawPointer(base), byteCount: used))
    }

    // MARK: - Writing

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        reserve(1)
        unsafe base[used] = byte
        used += 1
    }

    @inline(__always)
    mutating func put(_ bytes: WireBytes) {
        reserve(bytes.count)
        // SAFETY: there is room; the bytes are other memory.
        unsafe UnsafeMutableRawPointer(base + used).copyMemory(
            from: bytes.unsafeBytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
        used += bytes.count
    }

    mutating func put(_ bytes: [UInt8]) {
        // SAFETY: the bytes live for the call.
        unsafe bytes.withUnsafeBytes { unsafe put(WireBytes($0)) }
    }

    /// A part of an array.
    mutating func put(_ bytes: [UInt8], from start: Int, to end: Int) {
        precondition(start >= 0 && start <= end && end <= bytes.count, "outside of the array")
        // SAFETY: inside, and the bytes live for the call.
        unsafe bytes.withUnsafeBytes {
            unsafe put(WireBytes(UnsafeRawBufferPointer(rebasing: $0[start..<end])))
        }
    }

    mutating func put(_ text: StaticString) {
        unsafe put(WireBytes(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)))
    }

    mutating func put(_ text: String) {
        var text = text
        // SAFETY: the text's bytes live for the call.
        text.withUTF8 { unsafe put(WireBytes(UnsafeRawBufferPointer($0))) }
    }

    /// Writes once more `count` bytes that begin where `used` was `start`, in this part; there must be room.
    mutating func repeatBytes(from start: Int, count: Int) {
        precondition(start >= 0 && start + count <= used && hasRoom(count), "not written yet, or no room")
        // SAFETY: both are inside, and the target lies behind the source.
        unsafe (base + used).update(from: base + start, count: count)
        used += count
    }

    /// Makes room for so many bytes in one part.
    mutating func reserveTogether(_ count: Int) { reserve(count) }

    /// Whether so many bytes go into this part without moving anything.
    func hasRoom(_ count: Int) -> Bool { capacity - used >= count }

    /// Parts that are done; while it stays the same, so do the numbers of bytes in `used`.
    var partCount: Int { parts.count }

    /// A whole number in decimal.
    mutating func put(_ number: UInt64) {
        reserve(20)
        var rest = number
        var digits = 1
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        rest = number
        var place = used + digits
        repeat {
            place -= 1
            // SAFETY: 20 bytes are there, and no number has more digits.
            unsafe base[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        used += digits
    }

    mutating func put(_ number: Int64) {
        if number < 0 { put(UInt8(ascii: "-")) }
        put(number.magnitude)
    }

    /// A number in the fewest digits.
    mutating func put(_ number: Double) {
        if number == number.rounded(), number.magnitude < NumberText.plainMax {
            put(Int64(number))
        } else {
            put(NumberText.plain(number))
        }
    }

    /// A number as protobuf writes lengths.
    mutating func putVarint(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            put(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        put(UInt8(truncatingIfNeeded: rest))
    }

    /// A time in seconds, with as many digits behind the point as it takes.
    mutating func putSeconds(unixNanoseconds: UInt64) {
        put(unixNanoseconds / 1_000_000_000)
        var rest = unixNanoseconds % 1_000_000_000
        guard rest > 0 else { return }
        put(UInt8(ascii: "."))
        var digit: UInt64 = 100_000_000
        while rest > 0 {
            put(UInt8(ascii: "0") + UInt8(rest / digit))
            rest %= digit
            digit /= 10
        }
    }

    // MARK: - Lengths that are known later

    /// A place for a length.
    struct Place {
        fileprivate let part: Int
        fileprivate let offset: Int
        fileprivate let countBefore: Int
    }

    /// Leaves room for a varint of five bytes, to be filled in by `setLength`.
    mutating func putLengthLater() -> Place {
        reserve(5)
        let place = Place(part: parts.count, offset: used, countBefore: count + 5)
        for _ in 0..<5 { put(UInt8(0)) }
        return place
    }

    /// Fills in how many bytes were written since, in five bytes, which a varint may have.
    mutating func setLength(_ place: Place) {
        var rest = UInt64(count - place.countBefore)
        precondition(rest < 1 << 35, "five bytes hold every length of a page")
        for index in 0..<5 {
            let byte = UInt8(truncatingIfNeeded: rest & 0x7F) | (index < 4 ? 0x80 : 0)
            rest >>= 7
            if place.part == parts.count {
                // SAFETY: these five bytes are written.
                unsafe base[place.offset + index] = byte
            } else {
                parts[place.part].setInteger(byte, at: place.offset + index)
            }
        }
    }
}
