/// The two fields of a `KeyValue` message.
struct KeyValueParts {
    var key = WireBytes.none
    /// An `AnyValue` message.
    var value = WireBytes.none
    /// Bytes of the fields that are neither, such as those of a newer schema.
    private(set) var othersCount = 0

    init(key: WireBytes) { self.key = key }

    init(_ message: WireBytes) {
        for field in message.fields {
            switch field.number {
            case Field.KeyValue.key: key = field.bytes
            case Field.KeyValue.value: value = field.bytes
            default: othersCount += field.end - field.start
            }
        }
    }

    /// Writes the fields of a message that are neither key nor value: `othersCount` bytes.
    func writeOthers(of message: WireBytes, to writer: inout FieldWriter) {
        guard othersCount > 0 else { return }
        for field in message.fields
        where field.number != Field.KeyValue.key && field.number != Field.KeyValue.value {
            writer.copy(message, field.start..<field.end)
        }
    }
}

extension KeyValueParts {
    /// Stands for a `KeyValue` that is not in the usual form: a key of less than 128 bytes, then a value of less than 16 KiB,
    /// each once, as all SDKs write them.
    static let unusual: UInt8 = 255

    /// Bytes of the key in a message of the usual form, which begins behind two bytes; else `unusual`.
    @inline(__always)
    static func usualKeyCount(of message: WireBytes) -> UInt8 {
        guard message.count >= 4 else { return unusual }
        // SAFETY: both are inside of the message.
        let head = unsafe UInt16(littleEndian: message.base.loadUnaligned(as: UInt16.self))
        let end = Int(head &>> 8) &+ 2
        guard head & 0x80FF == 0x000A, end &+ 2 <= message.count else { return unusual }
        let tail = unsafe UInt16(
            littleEndian: message.base.loadUnaligned(fromByteOffset: end, as: UInt16.self))
        guard tail & 0xFF == 0x12 else { return unusual }
        var valueEnd = end &+ 2 &+ Int(tail &>> 8)
        if tail >= 0x8000 {
            guard end &+ 3 <= message.count, message[end &+ 2] < 0x80 else { return unusual }
            valueEnd = end &+ 3 &+ (Int(tail &>> 8) & 0x7F | Int(message[end &+ 2]) &<< 7)
        }
        return valueEnd == message.count ? UInt8(truncatingIfNeeded: head &>> 8) : unusual
    }

    /// The `AnyValue` of a message of the usual form.
    @inline(__always)
    static func usualValue(of message: WireBytes, behind keyCount: Int) -> WireBytes {
        message.part(keyCount &+ (message[keyCount &+ 3] < 0x80 ? 4 : 5)..<message.count)
    }

    /// Whether a `KeyValue` has a key.
    @inline(__always)
    static func isKey(_ key: WireBytes, of message: WireBytes) -> Bool {
        let count = usualKeyCount(of: message)
        guard count != unusual else { return KeyValueParts(message).key.isEqual(to: key) }
        return Int(count) == key.count && message.part(2..<Int(count) &+ 2).isEqual(to: key)
    }

    /// The key, without a walk where the message has the usual form.
    @inline(__always)
    static func key(of message: WireBytes) -> WireBytes {
        let count = usualKeyCount(of: message)
        return count == unusual ? KeyValueParts(message).key : message.part(2..<Int(count) &+ 2)
    }

    /// The `AnyValue`, without a walk where the message has the usual form.
    @inline(__always)
    static func value(of message: WireBytes) -> WireBytes {
        let count = usualKeyCount(of: message)
        return count == unusual
            ? KeyValueParts(message).value : usualValue(of: message, behind: Int(count))
    }
}

extension WireBytes {
    /// The first `KeyValue` with a key among the fields of a number.
    ///
    /// What all SDKs write (tags of one byte, short texts and messages) is passed over by a few instructions a field.
    @inline(never)
    func keyValue(_ key: WireBytes, _ number: UInt32) -> WireBytes? {
        let (keyCount, wanted) = (key.count, number < 16 ? number &<< 3 | 2 : .max)
        var start = 0
        while start < count {
            if start &+ 4 <= count {
                // SAFETY: four bytes are left.
                let head = unsafe UInt32(
                    littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
                let keyEnd = start &+ 4 &+ Int(head &>> 24)
                if head & 0xFF == wanted, head & 0x80FF_8000 == 0x000A_0000, keyEnd &+ 2 <= count {
                    // SAFETY: two bytes are left behind the key.
                    let tail = unsafe UInt16(
                        littleEndian: base.loadUnaligned(fromByteOffset: keyEnd, as: UInt16.self))
                    let end = start &+ 2 &+ Int(head &>> 8 & 0x7F)
                    if tail & 0x80FF == 0x0012, keyEnd &+ 2 &+ Int(tail &>> 8) == end, end <= count {
                        if Int(head &>> 24) == keyCount {
                            // SAFETY: the key and the content lie inside of the field.
                            let found = unsafe WireBytes(base: base + (start &+ 4), count: keyCount)
                            if found.isEqual(to: key) {
                                return unsafe WireBytes(base: base + (start &+ 2), count: end &- start &- 2)
                            }
                        }
                        start = end
                        continue
                    }
                }
            }
            // Whatever is written otherwise.
            // SAFETY: this message's range.
            var rest = unsafe WireFields(base: base, position: start, end: count)
            guard let field = rest.next() else { return nil }
            if field.number == number, field.isBytes, KeyValueParts.isKey(key, of: field.bytes) {
                return field.bytes
            }
            start = field.end
        }
        return nil
    }
}
