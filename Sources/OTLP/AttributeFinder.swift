internal import COTLP

/// Finds the values of a few attributes of a message, all in one walk over it. One thread.
public struct AttributeFinder {
    private let keys: [[UInt8]]
    /// A bit for each length of a key: most attributes are passed over by their length alone.
    private let lengths: UInt64
    /// Of the message at hand: the first value of each key, an `AnyValue`.
    public private(set) var values: [WireBytes?]
    /// How many keys have no value yet.
    private var missing: Int

    /// Finds values of these keys.
    public init(_ keys: [AttributeKey]) {
        self.keys = keys.map(\.bytes)
        lengths = keys.reduce(0) { $0 | 1 << UInt64(min($1.bytes.count, 63)) }
        values = Array(repeating: nil, count: keys.count)
        missing = keys.count
    }

    /// How many keys there are.
    public var count: Int { keys.count }

    /// Forgets all values.
    public mutating func clear() {
        guard missing < keys.count else { return }
        for index in values.indices { values[index] = nil }
        missing = keys.count
    }

    /// Finds what is missing in a message, which must live as long as its values are used.
    /// - Parameter number: the field that holds the message's attributes, at most 15.
    public mutating func find(in message: WireBytes, _ number: UInt32) {
        guard missing > 0 else { return }
        // SAFETY: the end of the borrowed bytes is a valid address.
        var fields = unsafe cotlp_points(next: message.bytePointer, end: message.bytePointer + message.count)
        var found = unsafe cotlp_attribute()
        // SAFETY: the C function reads inside the borrowed bytes.
        while unsafe cotlp_attribute_next(&fields, number, lengths, &found) != 0 {
            let key = unsafe WireBytes(found.key)
            for index in keys.indices where values[index] == nil && key.isEqual(to: keys[index]) {
                values[index] = unsafe WireBytes(found.whole).message(Field.KeyValue.value)
                missing -= 1
            }
            if missing == 0 { return }
        }
    }

    /// The text of the first of some keys that has one.
    public func text(_ range: Range<Int>) -> WireBytes? {
        guard missing < keys.count else { return nil }
        for index in range {
            if let value = values[index], case .string(let text) = AttributeValue(value), text.count > 0 {
                return text
            }
        }
        return nil
    }
}
