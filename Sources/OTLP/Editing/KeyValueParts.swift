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

/// Looks for a key among the `KeyValue` fields of a message, and counts the fields that it passed.
struct AttributeScan {
    private var fields: WireFields
    private let number: UInt32
    /// Of the next field, among all of the message.
    private(set) var position: Int

    @inline(__always)
    init(_ message: WireBytes, _ number: UInt32, from offset: Int = 0, position: Int = 0) {
        fields = message.fields(offset..<message.count)
        self.number = number
        self.position = position
    }

    /// The next attribute with the key.
    @inline(__always)
    mutating func next(_ key: WireBytes) -> WireField? {
        while true {
            if number < 16, let field = nextUsual(key) { return field }
            guard let field = fields.next() else { return nil }
            position &+= 1
            if field.number == number, KeyValueParts.isKey(key, of: field.bytes) { return field }
        }
    }

    /// The same as long as attributes follow each other in the form that all SDKs write (see `usualKeyEnd`): two looks each.
    @inline(__always)
    private mutating func nextUsual(_ key: WireBytes) -> WireField? {
        let form = 0x000A_0000 | number &<< 3 | 2
        let (base, end) = unsafe (fields.base, fields.end)
        while fields.position &+ 6 <= end {
            let start = fields.position
            // SAFETY: six bytes are left.
            let head = unsafe UInt32(
                littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            guard head & 0x80FF_80FF == form else { return nil }
            let keyCount = Int(head &>> 24)
            let next = start &+ 2 &+ Int(head &>> 8 & 0x7F)
            let value = start &+ 4 &+ keyCount
            guard next <= end, value &+ 2 <= next else { return nil }
            // SAFETY: two bytes of the field are left, which ends inside of the message.
            let tail = unsafe UInt16(
                littleEndian: base.loadUnaligned(fromByteOffset: value, as: UInt16.self))
            guard tail & 0x80FF == 0x0012, value &+ 2 &+ Int(tail &>> 8) == next else { return nil }
            fields.position = next
            position &+= 1
            guard keyCount == key.count else { continue }
            // SAFETY: the key lies inside of the field.
            let found = unsafe WireBytes(base: base + (start &+ 4), count: keyCount)
            guard found.isEqual(to: key) else { continue }
            return unsafe WireField(
                number: number, kind: .bytes, bits: 0, start: start, contentStart: start &+ 2, end: next,
                base: base)
        }
        return nil
    }
}
