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
    func attribute(_ key: WireBytes, _ number: UInt32) -> (position: Int, content: WireBytes)? {
        var position = 0
        for field in fields {
            if field.number == number, KeyValueParts.isKey(key, of: field.bytes) {
                return (position, field.bytes)
            }
            position &+= 1
        }
        return nil
    }
}
