/// An `AnyValue`, read from the wire: the value of an attribute or the body of a log record. Borrows as
/// `WireBytes`.
public enum AttributeValue {
    /// No value was set.
    case empty
    /// UTF-8 text.
    case string(WireBytes)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    /// An `ArrayValue` message; see `elements`.
    case array(WireBytes)
    /// A `KeyValueList` message; see `Attribute.init`.
    case keyValueList(WireBytes)
    case bytes(WireBytes)

    /// Reads an `AnyValue` message; of several values the last counts.
    @inlinable
    public init(_ message: WireBytes) {
        // A text of less than 128 bytes, as nearly all are.
        if message.count >= 2, message.count < 130, message[0] == 0x0A, Int(message[1]) == message.count &- 2
        {
            self = .string(message.part(2..<message.count))
            return
        }
        self = .empty
        for field in message.fields {
            switch field.number {
            case Field.AnyValue.string: self = .string(field.bytes)
            case Field.AnyValue.bool: self = .bool(field.bool)
            case Field.AnyValue.int: self = .int(field.int64)
            case Field.AnyValue.double: self = .double(field.double)
            case Field.AnyValue.array: self = .array(field.bytes)
            case Field.AnyValue.keyValueList: self = .keyValueList(field.bytes)
            case Field.AnyValue.bytes: self = .bytes(field.bytes)
            default: break
            }
        }
    }
}

/// A `KeyValue`, read from the wire. Borrows as `WireBytes`.
public struct Attribute {
    /// UTF-8 text.
    public var key: WireBytes
    /// `empty` when there is none.
    public var value: AttributeValue

    /// Reads a `KeyValue` message; of several keys or values the last counts.
    @inlinable
    public init(_ message: WireBytes) {
        key = WireBytes.none
        value = .empty
        for field in message.fields {
            switch field.number {
            case Field.KeyValue.key: key = field.bytes
            case Field.KeyValue.value: value = AttributeValue(field.bytes)
            default: break
            }
        }
    }
}

extension WireBytes {
    /// No bytes.
    @inlinable
    public static var none: WireBytes {
        // SAFETY: there is nothing to read.
        unsafe WireBytes(UnsafeRawBufferPointer(start: nil, count: 0))
    }
}
