/// The two fields of a `KeyValue` message.
struct KeyValueParts {
    var key = WireBytes.none
    /// An `AnyValue` message.
    var value = WireBytes.none

    init(_ message: WireBytes) {
        for field in message.fields {
            switch field.number {
            case Field.KeyValue.key: key = field.bytes
            case Field.KeyValue.value: value = field.bytes
            default: break
            }
        }
    }
}

extension KeyValueParts {
    /// Whether a `KeyValue` has a key.
    @inline(__always)
    static func isKey(_ key: WireBytes, of message: WireBytes) -> Bool {
        guard let end = usualKeyEnd(of: message) else { return KeyValueParts(message).key.isEqual(to: key) }
        return end &- 2 == key.count && message.part(2..<end).isEqual(to: key)
    }

    /// The key, without a walk where the message has the usual form.
    @inline(__always)
    static func key(of message: WireBytes) -> WireBytes {
        guard let end = usualKeyEnd(of: message) else { return KeyValueParts(message).key }
        return message.part(2..<end)
    }

    /// The `AnyValue`, without a walk where the message has the usual form.
    @inline(__always)
    static func value(of message: WireBytes) -> WireBytes {
        guard let end = usualKeyEnd(of: message) else { return KeyValueParts(message).value }
        return message.part(end &+ 2..<message.count)
    }

    /// Where the key ends in a message as all SDKs write it: a key, then a value, each once and shorter than 128 bytes.
    /// Two looks tell.
    @inline(__always)
    private static func usualKeyEnd(of message: WireBytes) -> Int? {
        guard message.count >= 4 else { return nil }
        // SAFETY: both are inside of the message.
        let head = unsafe UInt16(littleEndian: message.base.loadUnaligned(as: UInt16.self))
        let end = Int(head >> 8) &+ 2
        guard head & 0x80FF == 0x000A, end &+ 2 <= message.count else { return nil }
        let tail = unsafe UInt16(
            littleEndian: message.base.loadUnaligned(fromByteOffset: end, as: UInt16.self))
        guard tail & 0x80FF == 0x0012, end &+ 2 &+ Int(tail >> 8) == message.count else { return nil }
        return end
    }
}

/// Where a search for a key among the `KeyValue` fields of a message ended.
struct AttributeSearch {
    /// Of the field found, among all of the message; all that there are when `end` is -1.
    var position: Int
    var start: Int
    var contentStart: Int
    /// -1: there is none with the key.
    var end: Int
}

extension WireBytes {
    /// Looks for the first `KeyValue` with a key from an offset on, where the field of a position starts.
    ///
    /// What all SDKs write (tags of one byte, short texts and messages) is passed over by a few instructions a field: written
    /// with an iterator it took 57 a field, three times as many.
    @inline(never)
    func search(_ key: WireBytes, _ number: UInt32, from offset: Int, position first: Int) -> AttributeSearch
    {
        precondition(offset >= 0 && offset <= count, "offset is outside of the bytes")
        let (keyCount, wanted) = (key.count, number < 16 ? number &<< 3 | 2 : .max)
        var (start, position) = (offset, first)
        while true {
            while start &+ 4 <= count {
                // SAFETY: four bytes are left.
                let head = unsafe UInt32(
                    littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
                // Tag and length, or tag and number, of one byte each.
                var next = start &+ 2
                if head & 0xFF == wanted {
                    // A key, then a value, each once and shorter than 128 bytes.
                    guard head & 0x80FF_8000 == 0x000A_0000 else { break }
                    let value = start &+ 4 &+ Int(head &>> 24)
                    next &+= Int(head &>> 8 & 0x7F)
                    guard next <= count, value &+ 2 <= next else { break }
                    // SAFETY: two bytes of the field are left, which ends inside of the message.
                    let tail = unsafe UInt16(
                        littleEndian: base.loadUnaligned(fromByteOffset: value, as: UInt16.self))
                    guard tail & 0x80FF == 0x0012, value &+ 2 &+ Int(tail &>> 8) == next else { break }
                    if Int(head &>> 24) == keyCount {
                        // SAFETY: the key lies inside of the field.
                        let found = unsafe WireBytes(base: base + (start &+ 4), count: keyCount)
                        if found.isEqual(to: key) {
                            return AttributeSearch(
                                position: position, start: start, contentStart: start &+ 2, end: next)
                        }
                    }
                } else {
                    guard head & 0x80 == 0, head & 0x78 != 0 else { break }
                    let kind = head & 7
                    if kind == 1 {
                        next = start &+ 9
                    } else if kind == 5 {
                        next = start &+ 5
                    } else {
                        guard head & 0x8005 == 0 else { break }
                        if kind == 2 { next &+= Int(head &>> 8) & 0x7F }
                    }
                    guard next <= count else { break }
                }
                start = next
                position &+= 1
            }
            // Whatever is written otherwise.
            var rest = fields(start..<count)
            guard let field = rest.next() else {
                return AttributeSearch(position: position, start: start, contentStart: start, end: -1)
            }
            if field.number == number, field.isBytes, KeyValueParts.isKey(key, of: field.bytes) {
                return AttributeSearch(
                    position: position, start: field.start, contentStart: field.contentStart, end: field.end)
            }
            start = field.end
            position &+= 1
        }
    }
}
