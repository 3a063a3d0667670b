internal import OTLP

/// The attributes of a message: a repeated `KeyValue` field, read and changed entry by entry.
final class AttributesPath: PathExpression {
    private let level: Level
    /// Nil for those of data points, whose number depends on the type of the metric.
    private let number: UInt32?

    init(_ shown: String, _ level: Level, number: UInt32?) {
        (self.level, self.number) = (level, number)
        super.init(shown)
    }

    func table(_ frame: Frame) -> AttributeTable {
        AttributeTable(level.message(frame), number ?? frame.metricType?.attributes ?? 7)
    }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        let map = try map(frame)
        if case .map(let map) = map {
            try look(frame, at: map.count)
            for entry in map.entries { try frame.ask(reading: entry.value) }
        }
        return map
    }

    /// Many statements may look at what is an item's own: that grows with the request.
    private func look(_ frame: Frame, at entries: Int) throws(EvaluationError) {
        switch level {
        case .item, .part, .exemplar: try frame.look(at: entries / 8)
        case .resourceGroup, .resource, .scopeGroup, .scope: try frame.look(at: entries)
        }
    }

    /// The attributes. Those that are many are read again only when they have changed.
    private func map(_ frame: Frame) throws(EvaluationError) -> Value {
        let (editor, table) = (frame.editor, table(frame))
        let generation = editor.generation(of: table)
        if let generation {
            if let known = frame.map(generation) { return known }
            let count = editor.fieldCount(table.message)
            try look(frame, at: count)
            try frame.ask(making: count, bytesOfEach: 3 * MemoryLayout<MapEntry>.stride)
        }
        var entries: [MapEntry] = []
        editor.forEachAttribute(table) { entries.append(editor.entry(table, at: $0)) }
        let map = Value.map(.entries(entries))
        if let generation { frame.remember(map, generation) }
        return map
    }

    /// How many attributes there are.
    func count(_ frame: Frame) throws(EvaluationError) -> Int {
        guard case .map(let map) = try map(frame) else { return 0 }
        return map.count
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .map(let map) = value else {
            throw EvaluationError("unsupported type provided for setting a pcommon.Map: \(value.typeName)")
        }
        try frame.admit(value.bytes(upTo: frame.textBytesMax))
        // Encoded before anything is removed: the entries may be those that are removed.
        var new: [[UInt8]] = []
        for entry in map.entries {
            try Self.checked(entry.value)
            new.append(entry.keyValue)
        }
        let table = table(frame)
        try look(frame, at: frame.editor.fieldCount(table.message) + new.count)
        frame.editor.remove(table.message, table.number)
        for entry in new { frame.editor.append(table.message, table.number, .owned(entry)) }
    }

    /// Values deeper than this are not written: receivers, this gateway's too, do not take more than 64.
    private static let depthMax = 60

    /// Statements that put a map into itself double it each time: how long it is must be said before it is written.
    static func checked(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        switch value {
        case .list, .map: try frame.admit(value.bytes(upTo: frame.textBytesMax))
        default: break
        }
        try checked(value)
    }

    private static func checked(_ value: Value) throws(EvaluationError) {
        guard value.isAttributeValue else {
            throw EvaluationError(
                "unsupported type \(value.typeName) for set operation; current value type is Empty")
        }
        if case .list(.items(let items)) = value { for item in items { try checked(item) } }
        guard !value.isDeeper(than: depthMax) else {
            throw EvaluationError("a value nested deeper than \(depthMax) cannot be set")
        }
    }

    /// The value of a key, as `plain` gives it.
    func plainValue(of key: WireBytes, _ frame: Frame) -> AttributeValue {
        frame.editor.value(key, in: table(frame)) ?? .empty
    }

    /// Sets the value of a key.
    func set(plain value: AttributeValue, of key: WireBytes, _ frame: Frame) throws(EvaluationError) {
        switch value {
        // Which may be too deep.
        case .array, .keyValueList: try Self.checked(Value(value), frame)
        default: break
        }
        frame.editor.set(key, to: value, in: table(frame))
    }

    override func value(of key: Bytes, _ frame: Frame) throws(EvaluationError) -> Value {
        let value = key.lend { key in
            frame.editor.value(key, in: table(frame)).map { Value($0) } ?? .null
        }
        try frame.ask(reading: value)
        return value
    }

    override func set(_ value: Value, of key: Bytes, _ frame: Frame) throws(EvaluationError) {
        try Self.checked(value, frame)
        let table = table(frame)
        key.asText.lend { key in
            value.lend { frame.editor.set(key, to: $0, in: table) }
        }
    }

    override func remove(_ frame: Frame, where isRemoved: (Bytes) -> Bool) throws(EvaluationError) {
        let (editor, table) = (frame.editor, table(frame))
        try look(frame, at: editor.fieldCount(table.message))
        editor.forEachAttribute(table) { position in
            if isRemoved(.borrowed(editor.key(table, at: position))) {
                editor.removeAttribute(table, at: position)
            }
        }
    }

    override func remove(_ key: Bytes, _ frame: Frame) {
        key.lend { _ = frame.editor.remove($0, in: table(frame)) }
    }

    override func change(
        _ frame: Frame, _ change: (MapEntry) throws(EvaluationError) -> Value?
    ) throws(EvaluationError) {
        let (editor, table) = (frame.editor, table(frame))
        try look(frame, at: editor.fieldCount(table.message))
        var bytes = 0
        for position in 0..<editor.fieldCount(table.message)
        where editor.number(table.message, at: position) == table.number {
            guard let new = try change(editor.entry(table, at: position)) else { continue }
            bytes += new.bytes(upTo: frame.textBytesMax)
            try frame.admit(bytes)
            new.lend { editor.setValue(table, at: position, to: $0) }
        }
    }
}

extension RequestEditor {
    /// The positions of the attributes.
    @inline(__always)
    func forEachAttribute(_ table: AttributeTable, _ body: (Int) -> Void) {
        for position in 0..<fieldCount(table.message)
        where number(table.message, at: position) == table.number {
            body(position)
        }
    }

    func entry(_ table: AttributeTable, at position: Int) -> MapEntry {
        MapEntry(keyValue: content(table.message, at: position))
    }
}

/// `cache`: a map that lives as long as one item.
final class CachePath: PathExpression {
    override func evaluate(_ frame: Frame) -> Value { .map(.entries(frame.cache)) }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .map(let map) = value else {
            throw EvaluationError("unsupported type provided for setting a pcommon.Map: \(value.typeName)")
        }
        try frame.admit(Value.map(map).bytes(upTo: frame.textBytesMax))
        frame.cache = map.entries
    }

    override func set(_ value: Value, of key: Bytes, _ frame: Frame) throws(EvaluationError) {
        try AttributesPath.checked(value, frame)
        let limit = frame.textBytesMax
        let bytes = value.bytes(upTo: limit)
        if bytes > Frame.unaskedBytes {
            try frame.admit(
                frame.cache.reduce(bytes) { $0 + ($1.key == key ? 0 : $1.value.bytes(upTo: limit)) })
        }
        frame.cache.put(key, value)
    }
}

/// The body of a log record: any value.
final class BodyPath: PathExpression {
    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        let body = Value(anyValue: frame.editor.content(frame.item, Field.LogRecord.body))
        try frame.ask(reading: body)
        return body
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        try AttributesPath.checked(value, frame)
        frame.editor.setContent(frame.item, Field.LogRecord.body, value.anyValue)
    }

    override func value(of key: Bytes, _ frame: Frame) throws(EvaluationError) -> Value {
        switch try evaluate(frame) {
        case .map(let map): return map.value(key) ?? .null
        case .list: throw EvaluationError("type Slice does not support string indexing")
        case let other: throw EvaluationError("log bodies of type \(other.kindName) cannot be indexed")
        }
    }

    override func set(_ value: Value, of key: Bytes, _ frame: Frame) throws(EvaluationError) {
        let old = try evaluate(frame)
        try checkIndexed(old)
        try set(Indexing.write(value, into: old, at: .string(key), [], frame), frame)
    }

    override func checkIndexed(_ value: Value) throws(EvaluationError) {
        switch value {
        case .map, .list: break
        default: throw EvaluationError("log bodies of type \(value.kindName) cannot be indexed")
        }
    }
}
