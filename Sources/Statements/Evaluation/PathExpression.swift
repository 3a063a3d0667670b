internal import OTLP

/// A path: read as an expression, written by editors.
class PathExpression: Expression {
    /// As written, for messages.
    let shown: String

    init(_ shown: String) { self.shown = shown }

    func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        preconditionFailure("every path sets itself")
    }

    /// The same with a value as `plain` gives it.
    func set(plain value: AttributeValue, _ frame: Frame) throws(EvaluationError) {
        try set(Value(value), frame)
    }

    /// A value that never changes as the `KeyValue` of the attribute that this path names; nil: it names none, or the value is
    /// nil.
    func encoded(_ value: AttributeValue) -> OwnedBytes? { nil }

    /// Sets the attribute that this path names to what `encoded` gave.
    func set(encoded: OwnedBytes, _ frame: Frame) {
        preconditionFailure("a path that names an attribute sets it so")
    }

    // MARK: - Maps. Attribute tables do better than read, change and set.

    /// Reads one key of a map.
    func value(of key: Bytes, _ frame: Frame) throws(EvaluationError) -> Value {
        switch try evaluate(frame) {
        case .map(let map): return map.value(key) ?? .null
        case .null: return .null
        case let other: throw EvaluationError("type \(other.kindName) does not support string indexing")
        }
    }

    /// Throws when there can be nothing below a value of this path.
    func checkIndexed(_ value: Value) throws(EvaluationError) {}

    /// Sets one key of a map; the map is made when there is none.
    func set(_ value: Value, of key: Bytes, _ frame: Frame) throws(EvaluationError) {
        let new = try Indexing.write(value, into: evaluate(frame), at: .string(key), [], frame)
        try set(new, frame)
    }

    /// Removes entries of a map. Throws when it is no map.
    func remove(_ frame: Frame, where isRemoved: (Bytes) -> Bool) throws(EvaluationError) {
        let old = try evaluate(frame).asMap().entries
        let new = old.filter { !isRemoved($0.key) }
        if new.count < old.count { try set(.map(.entries(new)), frame) }
    }

    /// Removes one key of a map. Throws when it is no map.
    func remove(_ key: Bytes, _ frame: Frame) throws(EvaluationError) {
        try remove(frame) { $0 == key }
    }

    /// Replaces values of a map; nil from `change` keeps one.
    func change(
        _ frame: Frame, _ change: (MapEntry) throws(EvaluationError) -> Value?
    ) throws(EvaluationError) {
        var entries = try evaluate(frame).asMap().entries
        var isChanged = false
        var bytes = 0
        for index in entries.indices {
            guard let new = try change(entries[index]) else { continue }
            bytes += new.bytes(upTo: frame.textBytesMax)
            try frame.admit(bytes)
            entries[index].value = new
            isChanged = true
        }
        if isChanged { try set(.map(.entries(entries)), frame) }
    }
}

/// An attribute by a key that is known. Its parts are constants that are there, so that no references are counted for an item.
final class AttributePath: PathExpression {
    private let attributes: AttributesPath
    private let key: OwnedBytes
    /// Borrowed from the key.
    private let name: WireBytes

    init(_ attributes: AttributesPath, _ key: OwnedBytes, shown: String) {
        (self.attributes, self.key) = (attributes, key)
        name = key.bytes
        super.init(shown)
    }

    override var isPlain: Bool { true }

    override func plain(_ frame: Frame) -> AttributeValue { attributes.plainValue(of: name, frame) }

    override func set(plain value: AttributeValue, _ frame: Frame) throws(EvaluationError) {
        try attributes.set(plain: value, of: name, frame)
    }

    override func encoded(_ value: AttributeValue) -> OwnedBytes? {
        if case .empty = value { return nil }
        return OwnedBytes(keyValue: name, value)
    }

    override func set(encoded: OwnedBytes, _ frame: Frame) {
        frame.editor.set(name, borrowing: encoded.bytes, in: attributes.table(frame))
    }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        try attributes.value(of: .borrowed(name), frame)
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        try attributes.set(value, of: .borrowed(name), frame)
    }
}

/// A path with brackets behind a map or a value.
final class IndexedPath: PathExpression {
    private let base: PathExpression
    private let keys: [Key]
    /// The only key, a literal, borrowed from `keys`: nearly always.
    private let name: WireBytes?

    init(_ base: PathExpression, _ keys: [Key], shown: String) {
        self.base = base
        self.keys = keys
        if keys.count == 1, case .string(let name) = keys[0] { self.name = name.bytes } else { name = nil }
        super.init(shown)
    }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        if let name { return try base.value(of: .borrowed(name), frame) }
        return try dynamic(frame)
    }

    private func dynamic(_ frame: Frame) throws(EvaluationError) -> Value {
        guard case .string(let first) = try keys[0].resolved(frame) else {
            let value = try base.evaluate(frame)
            try base.checkIndexed(value)
            return try Indexing.read(value, keys[...], frame)
        }
        return try Indexing.read(base.value(of: first, frame), keys[1...], frame)
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        if let name { return try base.set(value, of: .borrowed(name), frame) }
        guard case .string(let first) = try keys[0].resolved(frame) else {
            let old = try base.evaluate(frame)
            try base.checkIndexed(old)
            return try base.set(Indexing.write(value, into: old, keys[...], frame), frame)
        }
        guard keys.count > 1 else { return try base.set(value, of: first, frame) }
        let old = try base.value(of: first, frame)
        try base.set(Indexing.write(value, into: old, keys[1...], frame), of: first, frame)
    }
}
