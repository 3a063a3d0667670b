/// How a message becomes a row.
extension EditorList where Element == RequestEditor.Entry {
    /// Adds an entry for each field of a message, which ends at the first that is malformed.
    /// - Parameter positions: sixteen bytes, which become `LastPositions`.
    @unsafe
    @inline(never)
    func appendFields(of message: WireBytes, _ positions: UnsafeMutableRawPointer) {
        unsafe positions.storeBytes(of: LastPositions(repeating: LastPositions.none), as: LastPositions.self)
        var walk = unsafe FieldWalk(message, positions)
        repeat {
            unsafe append(atLeast: 32) { unsafe walk.fill($0) }
        } while unsafe walk.start < message.count
    }
}

/// Walks over a message and makes entries.
@unsafe
private struct FieldWalk {
    /// Where the next field starts; the end when there is none.
    private(set) var start = 0
    private var position = 0
    private let message: WireBytes
    private let positions: UnsafeMutableRawPointer

    init(_ message: WireBytes, _ positions: UnsafeMutableRawPointer) {
        unsafe self.message = message
        unsafe self.positions = unsafe positions
    }

    /// As many entries as there is room; how many they are.
    ///
    /// Attributes as all SDKs write them (tags of one byte, a key, then a value, each once and shorter than 128 bytes) are
    /// most of the fields: two looks at the bytes tell. Every other field is read as its tag says.
    @inline(__always)
    mutating func fill(_ room: UnsafeMutableBufferPointer<RequestEditor.Entry>) -> Int {
        guard var next = room.baseAddress else { return 0 }
        let first = unsafe next
        let limit = unsafe next + room.count
        let (base, count) = unsafe (message.base, message.count)
        var (start, position) = unsafe (self.start, self.position)
        while start < count, unsafe next < limit {
            var number: UInt32 = 0
            var end = -1
            if start &+ 4 <= count {
                // SAFETY: four bytes are left.
                let head = unsafe UInt32(
                    littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
                let keyEnd = start &+ 4 &+ Int(head &>> 24)
                if head & 0x80FF_8087 == 0x000A_0002, head & 0x78 != 0, keyEnd &+ 2 <= count {
                    // SAFETY: two bytes are left behind the key.
                    let tail = unsafe UInt16(
                        littleEndian: base.loadUnaligned(fromByteOffset: keyEnd, as: UInt16.self))
                    let fieldEnd = start &+ 2 &+ Int(head &>> 8 & 0x7F)
                    if tail & 0x80FF == 0x0012, keyEnd &+ 2 &+ Int(tail &>> 8) == fieldEnd, fieldEnd <= count
                    {
                        number = head &>> 3 & 15
                        end = fieldEnd
                        // SAFETY: there is room, and the content lies inside of the message.
                        unsafe next.initialize(
                            to: RequestEditor.Entry(
                                number: number, kind: .bytes,
                                keyCount: UInt8(truncatingIfNeeded: head &>> 24),
                                content: WireBytes(base: base + (start &+ 2), count: fieldEnd &- start &- 2),
                                start: UInt32(truncatingIfNeeded: start),
                                end: UInt32(truncatingIfNeeded: fieldEnd)))
                    }
                }
            }
            if end < 0 {
                // SAFETY: the message's own range.
                var fields = unsafe WireFields(base: base, position: start, end: count)
                guard let field = fields.next() else {
                    start = count
                    break
                }
                (number, end) = (field.number, field.end)
                // SAFETY: there is room.
                unsafe next.initialize(
                    to: RequestEditor.Entry(
                        field,
                        keyCount: field.contentStart &- start > 2
                            ? KeyValueParts.usualKeyCount(of: field.bytes) : KeyValueParts.unusual))
            }
            // SAFETY: sixteen bytes are there.
            unsafe positions.storeBytes(
                of: UInt8(truncatingIfNeeded: min(position, Int(LastPositions.far))),
                toByteOffset: Int(number & 15), as: UInt8.self)
            unsafe next += 1
            start = end
            position &+= 1
        }
        unsafe self.start = start
        unsafe self.position = position
        return unsafe next - first
    }
}
