internal import OTLP

/// Finds the texts of a few attributes of a span, all in one walk over it. One thread.
struct NameFinder {
    private let keys: [[UInt8]]
    /// A bit for each length of a key: most attributes are passed over by their length alone.
    private let lengths: UInt64
    /// Of the span at hand: the first value of each key.
    private var values: [WireBytes?]

    init(_ keys: [AttributeKey]) {
        self.keys = keys.map(\.bytes)
        lengths = keys.reduce(0) { $0 | Self.bit($1.bytes.count) }
        values = Array(repeating: nil, count: keys.count)
    }

    var count: Int { keys.count }

    private static func bit(_ length: Int) -> UInt64 { 1 << UInt64(min(length, 63)) }

    /// Looks at a `Span` message, which must live as long as texts of it are asked for.
    mutating func find(in span: WireBytes) {
        for index in values.indices { values[index] = nil }
        for field in span.fields where field.number == Field.Span.attributes && field.isBytes {
            let key = field.bytes.attributeKey
            guard lengths & Self.bit(key.count) != 0 else { continue }
            for index in keys.indices where values[index] == nil && key.isEqual(to: keys[index]) {
                values[index] = field.bytes.message(Field.KeyValue.value)
            }
        }
    }

    /// The text of the first of some keys that has one.
    func text(_ range: Range<Int>) -> WireBytes? {
        for index in range {
            if let value = values[index], case .string(let text) = AttributeValue(value), text.count > 0 {
                return text
            }
        }
        return nil
    }
}
