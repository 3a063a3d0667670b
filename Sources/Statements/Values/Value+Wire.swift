internal import OTLP

extension MapEntry {
    /// Borrows a `KeyValue`.
    init(keyValue message: WireBytes) {
        var key: Bytes = .owned([])
        var value = Value.null
        for field in message.fields {
            switch field.number {
            case 1 where field.isBytes: key = .borrowed(field.bytes)
            case 2 where field.isBytes: value = Value(anyValue: field.bytes)
            default: break
            }
        }
        self.init(key: key, value: value)
    }
}

extension Value {
    /// Borrows an `AnyValue`. One without a value is nil.
    init(anyValue message: WireBytes) { self.init(AttributeValue(message)) }

    /// Borrows as the value does. No value is nil.
    @inline(__always)
    init(_ value: AttributeValue) {
        switch value {
        case .empty: self = .null
        case .string(let bytes): self = .string(.borrowed(bytes))
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .array(let bytes): self = .list(.wire(bytes))
        case .keyValueList(let bytes): self = .map(.wire(bytes))
        case .bytes(let bytes): self = .bytes(.borrowed(bytes))
        }
    }

    /// Lends it as an attribute's value; what cannot be one is none.
    func lend(_ body: (AttributeValue) -> Void) {
        switch self {
        case .string(let bytes): bytes.asText.lend { body(.string($0)) }
        case .bytes(let bytes): bytes.lend { body(.bytes($0)) }
        case .bool(let value): body(.bool(value))
        case .int(let value): body(.int(value))
        case .double(let value): body(.double(value))
        case .list(let list): list.arrayValue.lend { body(.array($0)) }
        case .map(let map): map.keyValueList.lend { body(.keyValueList($0)) }
        case .null, .time, .duration, .traceID, .spanID, .object: body(.empty)
        }
    }

    /// Appends the content of an `AnyValue`. Only for values that may be attributes'; others leave it empty.
    func appendAnyValue(to output: inout [UInt8]) {
        switch self {
        case .string(let bytes): output.appendField(1, bytes.asText)
        case .bool(let value):
            output.appendVarint(2 << 3)
            output.append(value ? 1 : 0)
        case .int(let value):
            output.appendVarint(3 << 3)
            output.appendVarint(UInt64(bitPattern: value))
        case .double(let value):
            output.appendVarint(4 << 3 | 1)
            output.appendFixed64(value.bitPattern)
        case .list(let list): output.appendField(5, list.arrayValue)
        case .map(let map): output.appendField(6, map.keyValueList)
        case .bytes(let bytes): output.appendField(7, bytes)
        case .null, .time, .duration, .traceID, .spanID, .object: break
        }
    }

    /// The content of an `AnyValue`.
    var anyValue: [UInt8] {
        var output: [UInt8] = []
        appendAnyValue(to: &output)
        return output
    }
}

extension Value {
    /// How many values are in a list or map of a request, in all that is in it.
    var wireValues: Int {
        switch self {
        case .list(.wire(let message)):
            message.fields.reduce(0) { $0 + ($1.isBytes ? 1 + Value(anyValue: $1.bytes).wireValues : 0) }
        case .map(.wire(let message)):
            message.fields.reduce(0) {
                $0 + ($1.isBytes ? 1 + MapEntry(keyValue: $1.bytes).value.wireValues : 0)
            }
        default: 0
        }
    }
}

extension Value.List {
    /// An `ArrayValue`'s content.
    var arrayValue: Bytes {
        switch self {
        case .wire(let message): return .borrowed(message)
        case .items(let items):
            var output: [UInt8] = []
            for item in items { output.appendField(1, .owned(item.anyValue)) }
            return .owned(output)
        }
    }
}

extension Value.Map {
    /// A `KeyValueList`'s content.
    var keyValueList: Bytes {
        switch self {
        case .wire(let message): return .borrowed(message)
        case .entries(let entries):
            var output: [UInt8] = []
            for entry in entries { output.appendField(1, .owned(entry.keyValue)) }
            return .owned(output)
        }
    }
}

extension MapEntry {
    /// A `KeyValue`'s content.
    var keyValue: [UInt8] {
        var output: [UInt8] = []
        output.appendField(1, key.asText)
        output.appendField(2, .owned(value.anyValue))
        return output
    }
}

extension [UInt8] {
    mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func appendFixed64(_ value: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// A field of length-delimited content.
    mutating func appendField(_ number: UInt64, _ content: Bytes) {
        appendVarint(number << 3 | 2)
        appendVarint(UInt64(content.count))
        unsafe content.read { unsafe self.append(contentsOf: $0) }
    }
}
