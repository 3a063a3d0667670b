/// Writes protobuf into memory of a fixed size.
///
/// Borrows the memory; the maker promises that it lives as long. Event loop of the memory's owner only.
@safe
struct RequestBytes {
    /// There is no room for more.
    struct Full: Error {}

    private let base: UnsafeMutableRawPointer
    private let capacity: Int
    private(set) var count = 0

    /// A message whose length is not known yet.
    struct OpenMessage {
        fileprivate var start: Int
        fileprivate var lengthBytes: Int
    }

    init(_ memory: UnsafeMutableRawBufferPointer) {
        // SAFETY: memory without an address has no bytes, so the stand-in is never written.
        unsafe base = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 1).unsafelyUnwrapped
        capacity = memory.count
    }

    @inline(__always)
    private func require(_ bytes: Int) throws(Full) {
        if capacity &- count < bytes { throw Full() }
    }

    @inline(__always)
    private mutating func store(_ byte: UInt8) {
        // SAFETY: every caller has required the room.
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    private mutating func storeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            store(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        store(UInt8(truncatingIfNeeded: rest))
    }

    /// A tag; field numbers below 32.
    @inline(__always)
    mutating func tag(_ number: UInt8, _ wireType: UInt8) throws(Full) {
        try require(2)
        storeVarint(UInt64(number) << 3 | UInt64(wireType))
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) throws(Full) {
        try require(10)
        storeVarint(value)
    }

    @inline(__always)
    mutating func fixed64(_ value: UInt64) throws(Full) {
        try require(8)
        // SAFETY: the room was required.
        unsafe base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
        count &+= 8
    }

    @inline(__always)
    mutating func fixed32(_ value: UInt32) throws(Full) {
        try require(4)
        // SAFETY: the room was required.
        unsafe base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt32.self)
        count &+= 4
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) throws(Full) {
        try require(1)
        store(value)
    }

    /// Length and content of a text.
    mutating func text(_ string: JSONString) throws(Full) {
        if string.hasEscapes {
            let message = try begin(isDeep: false)
            try require(string.decodedBytesMax)
            // SAFETY: the room was required.
            count &+= unsafe string.decode(into: base + count)
            try end(message)
            return
        }
        let bytes = unsafe string.bytes.unsafeBytes
        try require(bytes.count &+ 10)
        storeVarint(UInt64(bytes.count))
        if let source = bytes.baseAddress {
            // SAFETY: the room was required; the text is no part of the memory written.
            unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
        }
        count &+= bytes.count
    }

    /// Begins a message behind its tag.
    /// - Parameter isDeep: takes five bytes for the length at once, so that the content of messages in messages
    ///   in messages is not moved again at the end of each.
    mutating func begin(isDeep: Bool) throws(Full) -> OpenMessage {
        let lengthBytes = isDeep ? 5 : 1
        try require(lengthBytes)
        count &+= lengthBytes
        return OpenMessage(start: count, lengthBytes: lengthBytes)
    }

    /// Ends a message: writes its length before it.
    mutating func end(_ message: OpenMessage) throws(Full) {
        let length = count - message.start
        var lengthBytes = 1
        while length >> (7 * lengthBytes) > 0 { lengthBytes += 1 }
        if message.lengthBytes == 1, lengthBytes > 1 {
            let more = lengthBytes - 1
            try require(more)
            // SAFETY: the room was required; the content lies between `start` and `count`.
            unsafe (base + message.start + more).copyMemory(from: base + message.start, byteCount: length)
            count &+= more
        }
        let width = max(lengthBytes, message.lengthBytes)
        for index in 0..<width {
            let bits = UInt8(truncatingIfNeeded: length >> (7 * index)) & 0x7F
            // SAFETY: the length's bytes were kept free.
            unsafe base.storeBytes(
                of: bits | (index + 1 < width ? 0x80 : 0),
                toByteOffset: message.start - message.lengthBytes + index, as: UInt8.self)
        }
    }

    /// Forgets what was written since.
    mutating func cut(to count: Int) {
        precondition(count <= self.count, "only what was written can be forgotten")
        self.count = count
    }
}
