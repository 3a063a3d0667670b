package import OTLP

/// A value whose type the configuration chooses: what an attribute is set to.
package indirect enum ConfigValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case list([ConfigValue])
    case map([Entry])

    /// One key with its value.
    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: ConfigValue
    }

    /// The same as an attribute value.
    package var owned: OwnedValue { OwnedValue(message: message) }

    /// An `AnyValue` message.
    private var message: [UInt8] {
        var message: [UInt8] = []
        switch self {
        case .null: break
        case .bool(let value): AttributeValue.bool(value).encode(to: &message)
        case .int(let value): AttributeValue.int(value).encode(to: &message)
        case .double(let value): AttributeValue.double(value).encode(to: &message)
        case .string(let text): message = Self.field(Field.AnyValue.string, Array(text.utf8))
        case .list(let items):
            message = Self.field(
                Field.AnyValue.array, items.flatMap { Self.field(Field.List.values, $0.message) })
        case .map(let entries):
            let list = entries.flatMap { entry in
                Self.field(
                    Field.List.values,
                    Self.field(Field.KeyValue.key, Array(entry.key.utf8))
                        + Self.field(Field.KeyValue.value, entry.value.message))
            }
            message = Self.field(Field.AnyValue.keyValueList, list)
        }
        return message
    }

    private static func field(_ number: UInt32, _ content: [UInt8]) -> [UInt8] {
        var field = [UInt8(truncatingIfNeeded: number << 3 | 2)]
        var rest = UInt64(content.count)
        while rest >= 0x80 {
            field.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        field.append(UInt8(truncatingIfNeeded: rest))
        return field + content
    }
}

extension ConfigSection {
    /// A value of any type; nil when absent. A date without quotes, which YAML takes for a time, is an error.
    package func anyValue(_ key: String) -> ConfigValue? {
        guard let entry = take(key) else { return nil }
        return anyValue(entry.value, key)
    }

    private func anyValue(_ node: ConfigNode, _ key: String) -> ConfigValue {
        switch node.content {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(Int64(value))
        case .double(let value):
            // A whole number of 64 bits without a sign keeps its bits, as in the Collector.
            return UInt64(node.original).map { .int(Int64(bitPattern: $0)) } ?? .double(value)
        case .string(let text):
            if node.isTime {
                report(
                    key, error: "<Invalid value type time.Time>: \(quoted(text)) is a time in YAML",
                    help: "put it in quotes: \"\(text)\"")
            }
            return .string(text)
        case .list(let items): return .list(items.map { anyValue($0, key) })
        case .map(let map):
            return .map(map.entries.map { ConfigValue.Entry(key: $0.key, value: anyValue($0.value, key)) })
        }
    }
}
