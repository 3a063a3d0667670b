internal import OTLP

/// What stands between brackets: known at the start, or evaluated per item.
enum Key {
    case string(OwnedBytes)
    case int(Int64)
    case expression(Expression)

    enum Resolved {
        case string(Bytes)
        case int(Int64)
    }

    /// A literal.
    init(_ text: [UInt8]) {
        let constant = ConstantExpression(.string(.owned(text)))
        // What is not UTF-8 is told from what is, and repaired where it is written, as texts that functions make.
        self = constant.text.map { .string($0) } ?? .expression(constant)
    }

    func resolved(_ frame: Frame) throws(EvaluationError) -> Resolved {
        switch self {
        case .string(let key): return .string(.borrowed(key.bytes))
        case .int(let index): return .int(index)
        case .expression(let expression):
            switch try expression.evaluate(frame) {
            case .string(let bytes): return .string(bytes)
            case .int(let index): return .int(index)
            case let value:
                throw EvaluationError(
                    "unable to resolve a string index in map: could not resolve key for map/slice, "
                        + "expecting 'string' but got '\(value.isNull ? "<nil>" : value.typeName)'")
            }
        }
    }
}

/// Reading and writing below a value.
enum Indexing {
    /// A missing key of a map is nil, at any depth; what is no container cannot be indexed.
    static func read(_ value: Value, _ keys: ArraySlice<Key>, _ frame: Frame) throws(EvaluationError) -> Value
    {
        var value = value
        for key in keys {
            if value.isNull { return .null }
            switch (value, try key.resolved(frame)) {
            case (.map(let map), .string(let name)): value = map.value(name) ?? .null
            case (.list(let list), .int(let index)):
                guard let item = list.item(index) else { throw outOfBounds(index) }
                value = item
            case (_, let resolved): throw notIndexable(value, resolved)
            }
        }
        return value
    }

    /// The value with one below it replaced. Maps are made on the way; lists are padded only where there was nothing.
    static func write(
        _ new: Value, into value: Value?, _ keys: ArraySlice<Key>, _ frame: Frame
    ) throws(EvaluationError) -> Value {
        guard let key = keys.first else { return new }
        return try write(new, into: value, at: key.resolved(frame), keys.dropFirst(), frame)
    }

    /// The same, with the first key known.
    static func write(
        _ new: Value, into value: Value?, at resolved: Key.Resolved, _ rest: ArraySlice<Key>,
        _ frame: Frame
    ) throws(EvaluationError) -> Value {
        switch (value ?? .null, resolved) {
        case (.null, .string(let name)):
            return .map(
                .entries([MapEntry(key: name, value: try write(new, into: nil, rest, frame))]))
        case (.null, .int(let index)):
            guard (0..<10_000).contains(index) else { throw outOfBounds(index) }
            var items = [Value](repeating: .null, count: Int(index) + 1)
            items[Int(index)] = try write(new, into: nil, rest, frame)
            return .list(.items(items))
        case (.map(let map), .string(let name)):
            var entries = map.entries
            let old = entries.first { $0.key == name }?.value
            entries.put(name, try write(new, into: old, rest, frame))
            return .map(.entries(entries))
        case (.list(let list), .int(let index)):
            var items = list.items
            guard index >= 0, index < items.count else { throw outOfBounds(index) }
            items[Int(index)] = try write(new, into: items[Int(index)], rest, frame)
            return .list(.items(items))
        case (let other, _): throw notIndexable(other, resolved)
        }
    }

    private static func outOfBounds(_ index: Int64) -> EvaluationError {
        EvaluationError("index \(index) out of bounds")
    }

    private static func notIndexable(_ value: Value, _ key: Key.Resolved) -> EvaluationError {
        if case .int = key, case .map = value {
            return EvaluationError("type Map does not support int indexing")
        }
        return EvaluationError("type \(value.kindName) does not support string indexing")
    }
}
