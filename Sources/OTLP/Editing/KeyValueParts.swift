internal import COTLP

/// The two fields of a `KeyValue` message.
struct KeyValueParts {
    var key = WireBytes.none
    /// An `AnyValue` message.
    var value = WireBytes.none
    /// Bytes of the fields that are neither, such as those of a newer schema.
    private(set) var othersCount = 0

    init(key: WireBytes) { self.key = key }

    /// The key, and how much is neither key nor value; in the usual form nothing is.
    init(keyAndOthersOf message: WireBytes) {
        let count = Self.usualKeyCount(of: message)
        self =
            count == Self.unusual
            ? KeyValueParts(message) : KeyValueParts(key: message.part(2..<Int(count) &+ 2))
    }

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
    /// Stands for a `KeyValue` that is not in the usual form; see `COTLP_UNUSUAL`.
    static let unusual: UInt8 = 255

    /// Bytes of the key in a message of the usual form, which begins behind two bytes; else `unusual`.
    @inline(__always)
    static func usualKeyCount(of message: WireBytes) -> UInt8 {
        // SAFETY: the C function reads inside of the message.
        unsafe cotlp_key_count(message.bytePointer, message.count)
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
    func keyValue(_ key: WireBytes, _ number: UInt32) -> WireBytes? {
        var (end, isUsual): (Int, Int32) = (0, 0)
        while true {
            // SAFETY: the C function reads inside of the message and of the key.
            let start = unsafe cotlp_attribute_find(
                bytePointer, count, &end, number, key.bytePointer, key.count, &isUsual)
            guard isUsual >= 0 else { return nil }
            let found = part(start..<end)
            if isUsual != 0 || KeyValueParts(found).key.isEqual(to: key) { return found }
        }
    }
}
