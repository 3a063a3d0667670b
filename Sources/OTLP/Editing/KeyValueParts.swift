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

extension WireBytes {
    /// The first `KeyValue` with a key among the fields of a number: its position among all fields, and its content.
    ///
    /// An item's attributes are searched for every statement: fields whose tag and length are one byte each, nearly all,
    /// are stepped over without being read. A walk of `fields` took four times the instructions.
    func attribute(_ key: WireBytes, _ number: UInt32) -> (position: Int, content: WireBytes)? {
        var offset = 0
        var position = 0
        let wanted = number < 16 ? UInt16(truncatingIfNeeded: number << 3 | 2) : 0
        while offset < count {
            if offset &+ 2 <= count {
                // SAFETY: two bytes are left.
                let head = unsafe UInt16(
                    littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
                let end = offset &+ 2 &+ Int(head >> 8)
                if head & 0x8087 == 0x0002, end <= count {
                    if head & 0xFF == wanted {
                        // SAFETY: the field ends inside of the message.
                        let content = unsafe WireBytes(base: base + offset + 2, count: Int(head >> 8))
                        if KeyValueParts.isKey(key, of: content) { return (position, content) }
                    }
                    offset = end
                    position &+= 1
                    continue
                }
            }
            var rest = fields(offset..<count)
            guard let field = rest.next() else { return nil }
            if field.number == number, KeyValueParts.isKey(key, of: field.bytes) {
                return (position, field.bytes)
            }
            offset = field.end
            position &+= 1
        }
        return nil
    }
}
