/// The key of an attribute to look for, as bytes.
public struct AttributeKey: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// UTF-8.
    public let bytes: [UInt8]

    /// From text.
    public init(_ text: String) { bytes = Array(text.utf8) }
    /// From a literal.
    public init(stringLiteral text: String) { self.init(text) }

    /// The key as text.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension WireBytes {
    /// The content of the last message, text or bytes field of this number; nothing when there is none.
    public func message(_ number: UInt32) -> WireBytes {
        var found = WireBytes.none
        for field in fields where field.number == number && field.isBytes { found = field.bytes }
        return found
    }

    /// The value of an attribute of this message; of several entries of a key the first counts. Allocates nothing.
    ///
    /// - Parameter number: the field that holds the message's attributes.
    public func attribute(_ key: AttributeKey, in number: UInt32) -> AttributeValue? {
        for field in fields where field.number == number && field.isBytes {
            if let value = field.bytes.value(of: key) { return value }
        }
        return nil
    }

    /// The same for a key that is borrowed.
    public func attribute(_ key: WireBytes, in number: UInt32) -> AttributeValue? {
        keyValue(key, number).map { AttributeValue(KeyValueParts.value(of: $0)) }
    }

    /// The value of a `KeyValue` message if it has this key.
    public func value(of key: AttributeKey) -> AttributeValue? {
        var isIt = key.bytes.isEmpty
        var value = WireBytes.none
        for field in fields {
            switch field.number {
            case Field.KeyValue.key:
                isIt = field.bytes.isEqual(to: key.bytes)
                if !isIt { return nil }
            case Field.KeyValue.value: value = field.bytes
            default: break
            }
        }
        return isIt ? AttributeValue(value) : nil
    }

    /// Whether these are exactly these bytes.
    public func isEqual(to other: [UInt8]) -> Bool {
        guard count == other.count else { return false }
        // From the end: keys of one namespace differ there.
        var index = count - 1
        while index >= 0 {
            // SAFETY: the index is below both counts.
            guard unsafe unsafeBytes[index] == other[index] else { return false }
            index -= 1
        }
        return true
    }
}
