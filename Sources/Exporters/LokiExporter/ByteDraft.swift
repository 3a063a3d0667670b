internal import NIOCore
internal import OTLP

/// Bytes that are written from front to back and then used as a whole: entries, pushes, texts.
///
/// Owns its memory, grows by doubling, keeps what it has when it is emptied. One thread at a time.
@safe
struct ByteDraft: ~Copyable {
    // SAFETY: `capacity` bytes, owned; the first `count` of them are written.
    private var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    /// Bytes written so far.
    private(set) var count = 0

    init(capacity: Int) {
        let size = max(capacity, 16)
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        self.capacity = size
    }

    deinit { unsafe base.deallocate() }

    /// The bytes, valid until the next call that changes the draft.
    var unsafeBytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: count)
    }

    /// A copy.
    var array: [UInt8] { unsafe Array(unsafeBytes) }

    /// Makes sure that `more` bytes can be written without moving the others.
    @inline(__always)
    mutating func reserve(_ more: Int) {
        if capacity &- count < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let size = max(capacity * 2, count + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        // SAFETY: both have at least `count` bytes and are apart.
        unsafe larger.copyMemory(from: base, byteCount: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity = size
    }

    /// Forgets the bytes from `newCount` on.
    @inline(__always)
    mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "a draft cannot be cut beyond its end")
        count = newCount
    }

    /// Leaves room that `overwrite` may fill.
    mutating func skip(_ room: Int) {
        reserve(room)
        // SAFETY: there is room; zeroed, so that no unwritten byte can be read.
        unsafe (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: room)
        count += room
    }

    /// Writes over bytes that are there.
    mutating func overwrite(at offset: Int, _ bytes: UnsafeRawBufferPointer) {
        precondition(offset >= 0 && offset + bytes.count <= count, "written beyond the end of a draft")
        // SAFETY: checked; other memory.
        if let source = bytes.baseAddress {
            unsafe (base + offset).copyMemory(from: source, byteCount: bytes.count)
        }
    }

    /// Gives memory back that is beyond `limit`; the draft must be empty.
    mutating func trim(to limit: Int) {
        precondition(count == 0, "only an empty draft can be made smaller")
        guard capacity > limit else { return }
        unsafe base.deallocate()
        capacity = limit
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: limit, alignment: 16)
    }

    // MARK: - Bytes

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        reserve(1)
        // SAFETY: there is room for a byte.
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Appends bytes that are not the draft's own.
    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        guard let source = bytes.baseAddress else { return }
        // SAFETY: there is room; other memory.
        unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
        count &+= bytes.count
    }

    @inline(__always)
    mutating func append(_ bytes: WireBytes) { unsafe append(bytes.unsafeBytes) }

    mutating func append(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe append($0) } }

    mutating func append(_ bytes: ArraySlice<UInt8>) { unsafe bytes.withUnsafeBytes { unsafe append($0) } }

    mutating func append(_ text: StaticString) {
        // SAFETY: a static string's bytes live for ever.
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ text: String) {
        for byte in text.utf8 { append(byte) }
    }

    /// Hands out room of `room` bytes; `write` says how many of them it has written.
    @inline(__always)
    mutating func append(room: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int) {
        reserve(room)
        // SAFETY: there is room; `write` is ours and stays inside, which is checked.
        let written = unsafe write((base + count).assumingMemoryBound(to: UInt8.self))
        precondition(written >= 0 && written <= room, "more was written than there was room")
        count &+= written
    }

    // MARK: - Protobuf

    @inline(__always)
    mutating func appendVarint(_ value: UInt64) {
        reserve(10)
        var rest = value
        // SAFETY: a varint has at most 10 bytes.
        while rest >= 0x80 {
            unsafe base.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            count &+= 1
            rest >>= 7
        }
        unsafe base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    mutating func appendLength(_ count: Int) { appendVarint(UInt64(truncatingIfNeeded: count)) }

    /// Appends a text or bytes field.
    @inline(__always)
    mutating func appendField(_ tag: UInt8, _ bytes: UnsafeRawBufferPointer) {
        append(tag)
        appendLength(bytes.count)
        unsafe append(bytes)
    }

    /// Appends a message of two fields, of which the first is written already: `tag length first 12 length second`.
    /// One check of the room for all of it, because most of an entry is such messages.
    @inline(__always)
    mutating func appendMessage(
        _ tag: UInt8, _ first: UnsafeRawBufferPointer, second: UnsafeRawBufferPointer
    ) {
        let size = first.count &+ 1 &+ Self.varintBytes(second.count) &+ second.count
        // Two tags, two lengths of up to 5 bytes.
        reserve(size &+ 16)
        // SAFETY: the room was reserved for all that is written here; the sources are other memory.
        var end = unsafe base + count
        unsafe end.storeBytes(of: tag, as: UInt8.self)
        unsafe end = Self.writeLength(size, at: end + 1)
        if let source = first.baseAddress {
            unsafe end.copyMemory(from: source, byteCount: first.count)
            unsafe end += first.count
        }
        unsafe end.storeBytes(of: 0x12, as: UInt8.self)
        unsafe end = Self.writeLength(second.count, at: end + 1)
        if let source = second.baseAddress {
            unsafe end.copyMemory(from: source, byteCount: second.count)
            unsafe end += second.count
        }
        count = unsafe end - base
    }

    /// Writes a length where there is room for it. Returns the place behind it.
    @inline(__always)
    private static func writeLength(
        _ value: Int, at place: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        var rest = value
        var place = unsafe place
        while rest >= 0x80 {
            unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            unsafe place += 1
            rest >>= 7
        }
        unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        return unsafe place + 1
    }

    /// Begins a message field whose length is not known yet. Returns what `endMessage` wants.
    @inline(__always)
    mutating func beginMessage(_ tag: UInt8) -> Int {
        append(tag)
        // Room for the length of 128 to 16383 bytes, which most have.
        reserve(2)
        count &+= 2
        return count
    }

    /// Writes the length of the message that began at `start`.
    @inline(__always)
    mutating func endMessage(_ start: Int) {
        let size = count &- start
        precondition(start >= 2 && size >= 0, "a message ends before it begins")
        if size >= 0x80 && size < 0x4000 {
            // SAFETY: beginMessage has left 2 bytes before `start`.
            let low = UInt8(truncatingIfNeeded: size & 0x7F) | 0x80
            unsafe base.storeBytes(of: low, toByteOffset: start &- 2, as: UInt8.self)
            unsafe base.storeBytes(
                of: UInt8(truncatingIfNeeded: size >> 7), toByteOffset: start &- 1, as: UInt8.self)
        } else {
            moveToLength(start, size)
        }
    }

    @inline(never)
    private mutating func moveToLength(_ start: Int, _ size: Int) {
        let width = Self.varintBytes(size)
        if width > 2 { reserve(width - 2) }
        // SAFETY: there is room for the bytes at their new place; memmove lets the places overlap.
        unsafe (base + start - 2 + width).copyMemory(from: base + start, byteCount: size)
        count = start - 2
        appendLength(size)
        count += size
    }

    /// Bytes that a length takes.
    @inline(__always)
    static func varintBytes(_ value: Int) -> Int {
        if value < 0x80 { return 1 }
        if value < 0x4000 { return 2 }
        return (Int.bitWidth &- value.leadingZeroBitCount &+ 6) / 7
    }
}

extension ByteDraft {
    /// Appends a part of another draft.
    @inline(__always)
    mutating func append(_ other: borrowing ByteDraft, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= other.count, "outside of the draft")
        // SAFETY: checked; another draft's memory.
        unsafe append(UnsafeRawBufferPointer(rebasing: other.unsafeBytes[range]))
    }

    /// Appends another draft.
    mutating func append(_ other: borrowing ByteDraft) { unsafe append(other.unsafeBytes) }
}
