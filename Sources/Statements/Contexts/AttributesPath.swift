internal import OTLP

/// The attributes of a message: a repeated `KeyValue` field, read and changed entry by entry.
final class AttributesPath: PathExpression {
    private let level: Level
    private let number: (Frame) -> UInt32

    init(_ shown: String, _ level: Level, number: @escaping (Frame) -> UInt32) {
        (self.level, self.number) = (level, number)
        super.init(shown)
    }

    private static func entry(_ message: Message, _ index: Int) -> MapEntry {
        switch message.content(at: index) {
        case .borrowed(let bytes): return MapEntry(keyValue: bytes)
        case .owned(let bytes):
            return unsafe bytes.withUnsafeBytes { buffer in
                // SAFETY: copied before the call ends.
                let entry = unsafe MapEntry(keyValue: WireBytes(buffer))
                return MapEntry(key: entry.key.owned, value: entry.value.owned)
            }
        }
    }

    override func evaluate(_ frame: Frame) -> Value {
        guard let message = level.message(frame) else { return .map(.entries([])) }
        let number = number(frame)
        var entries: [MapEntry] = []
        for index in message.entries.indices where message.entries[index].number == number {
            entries.append(Self.entry(message, index))
        }
        return .map(.entries(entries))
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .map(let map) = value else {
            throw EvaluationError("unsupported type provided for setting a pcommon.Map: \(value.typeName)")
        }
        let new = try map.entries.map { entry throws(EvaluationError) in
            try Self.checked(entry.value)
            return entry.keyValue
        }
        guard let message = level.message(frame, creates: true) else { return }
        let number = number(frame)
        message.remove(number)
        for entry in new { message.append(number, entry) }
    }

    static func checked(_ value: Value) throws(EvaluationError) {
        guard !value.isAttributeValue else { return }
        throw EvaluationError(
            "unsupported type \(value.typeName) for set operation; current value type is Empty")
    }

    override func value(of key: [UInt8], _ frame: Frame) -> Value {
        guard let message = level.message(frame) else { return .null }
        let number = number(frame)
        for index in message.entries.indices where message.entries[index].number == number {
            let entry = Self.entry(message, index)
            if entry.key.equals(key) { return entry.value }
        }
        return .null
    }

    override func set(_ value: Value, of key: [UInt8], _ frame: Frame) throws(EvaluationError) {
        try Self.checked(value)
        guard let message = level.message(frame, creates: true) else { return }
        let number = number(frame)
        let content = MapEntry(key: .owned(key), value: value).keyValue
        for index in message.entries.indices where message.entries[index].number == number {
            if Self.entry(message, index).key.equals(key) { return message.setContent(at: index, content) }
        }
        message.append(number, content)
    }

    override func remove(_ frame: Frame, where isRemoved: (Bytes) -> Bool) {
        guard let message = level.message(frame) else { return }
        let number = number(frame)
        var removed: [Int] = []
        for index in message.entries.indices where message.entries[index].number == number {
            if isRemoved(Self.entry(message, index).key) { removed.append(index) }
        }
        guard !removed.isEmpty else { return }
        for index in removed.reversed() { message.entries.remove(at: index) }
        message.touch()
    }

    override func change(
        _ frame: Frame, _ change: (MapEntry) throws(EvaluationError) -> Value?
    ) throws(EvaluationError) {
        guard let message = level.message(frame) else { return }
        let number = number(frame)
        for index in message.entries.indices where message.entries[index].number == number {
            let entry = Self.entry(message, index)
            guard let new = try change(entry) else { continue }
            message.setContent(at: index, MapEntry(key: entry.key, value: new).keyValue)
        }
    }
}

/// `cache`: a map that lives as long as one item.
final class CachePath: PathExpression {
    override func evaluate(_ frame: Frame) -> Value { .map(.entries(frame.cache)) }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .map(let map) = value else {
            throw EvaluationError("unsupported type provided for setting a pcommon.Map: \(value.typeName)")
        }
        frame.cache = map.entries.map { MapEntry(key: $0.key.owned, value: $0.value.owned) }
    }

    override func set(_ value: Value, of key: [UInt8], _ frame: Frame) throws(EvaluationError) {
        try AttributesPath.checked(value)
        frame.cache.put(.owned(key), value.owned)
    }
}

/// The body of a log record: any value.
final class BodyPath: PathExpression {
    override func evaluate(_ frame: Frame) -> Value {
        switch frame.item.content(5) {
        case .borrowed(let bytes): return Value(anyValue: bytes)
        case .owned(let bytes):
            return unsafe bytes.withUnsafeBytes { buffer in
                // SAFETY: copied before the call ends.
                unsafe Value(anyValue: WireBytes(buffer)).owned
            }
        case nil: return .null
        }
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        try AttributesPath.checked(value)
        frame.item.setContent(5, value.anyValue)
    }

    override func value(of key: [UInt8], _ frame: Frame) throws(EvaluationError) -> Value {
        switch evaluate(frame) {
        case .map(let map): return map.value(key) ?? .null
        case .list: throw EvaluationError("type Slice does not support string indexing")
        case let other: throw EvaluationError("log bodies of type \(other.kindName) cannot be indexed")
        }
    }

    override func set(_ value: Value, of key: [UInt8], _ frame: Frame) throws(EvaluationError) {
        let old = evaluate(frame)
        switch old {
        case .map, .list: try set(Indexing.write(value, into: old, [.string(key)], frame), frame)
        default: throw EvaluationError("log bodies of type \(old.kindName) cannot be indexed")
        }
    }
}
