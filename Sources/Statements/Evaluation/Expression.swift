internal import OTLP

/// A checked part of a statement. Immutable once made; any thread evaluates it with a frame of its own.
class Expression {
    func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        preconditionFailure("every expression evaluates itself")
    }

    /// The value, for literals.
    var constant: Value? { nil }

    /// Whether `plain` may be asked: of literals, and of what is read from the request as it stands there.
    var isPlain: Bool { false }

    /// The value as an attribute's, with no reference to be counted. Nil is empty. Only where `isPlain`.
    func plain(_ frame: Frame) -> AttributeValue {
        preconditionFailure("an expression that is plain reads itself so")
    }
}

final class ConstantExpression: Expression {
    private let value: Value
    /// See `plain`; nil for what is no such value.
    let plainValue: AttributeValue?
    /// The text, which the value borrows so that nobody counts references; nil for what is no UTF-8, and other kinds.
    let text: OwnedBytes?

    init(_ value: Value) {
        if case .string(let bytes) = value, String(validating: bytes.array, as: UTF8.self) != nil {
            let text = OwnedBytes(bytes.array)
            (self.text, self.value) = (text, .string(.borrowed(text.bytes)))
        } else {
            (text, self.value) = (nil, value)
        }
        plainValue =
            switch self.value {
            case .null: .empty
            case .bool(let value): .bool(value)
            case .int(let value): .int(value)
            case .double(let value): .double(value)
            case .string(.borrowed(let bytes)): .string(bytes)
            default: nil
            }
    }

    override var isPlain: Bool { plainValue != nil }
    override func plain(_ frame: Frame) -> AttributeValue { plainValue ?? .empty }

    override func evaluate(_ frame: Frame) -> Value { value }
    /// Owned: it may live longer.
    override var constant: Value? { text.map { .string(.owned($0.bytes.array)) } ?? value }
}

/// What a function's maker gives.
final class FunctionExpression: Expression {
    typealias Body = (Frame) throws(EvaluationError) -> Value
    private let body: Body
    init(_ body: @escaping Body) { self.body = body }
    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        let value = try body(frame)
        if case .string(let text) = value { try frame.admit(text.count) }
        return value
    }
}

final class ListExpression: Expression {
    private let items: [Expression]
    init(_ items: [Expression]) { self.items = items }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        var values: [Value] = []
        values.reserveCapacity(items.count)
        for item in items { values.append(try item.evaluate(frame)) }
        return .list(.items(values))
    }
}

final class MapExpression: Expression {
    private let entries: [(key: Bytes, value: Expression)]
    init(_ entries: [(key: Bytes, value: Expression)]) { self.entries = entries }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        var values: [MapEntry] = []
        for entry in entries {
            let value = try entry.value.evaluate(frame)
            guard value.isAttributeValue else {
                throw EvaluationError("<Invalid value type \(value.typeName)>")
            }
            values.put(entry.key, value)
        }
        return .map(.entries(values))
    }
}

final class ArithmeticExpression: Expression {
    private let left: Expression
    private let operation: ArithmeticOperator
    private let right: Expression

    init(_ left: Expression, _ operation: ArithmeticOperator, _ right: Expression) {
        (self.left, self.operation, self.right) = (left, operation, right)
    }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        try Arithmetic.apply(left.evaluate(frame), operation, right.evaluate(frame))
    }
}

final class NegatedExpression: Expression {
    private let operand: Expression
    init(_ operand: Expression) { self.operand = operand }
    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        try Arithmetic.negate(operand.evaluate(frame))
    }
}

/// A converter with brackets behind it: a missing key is an error.
final class IndexedResult: Expression {
    private let base: Expression
    private let keys: [Key]

    init(_ base: Expression, _ keys: [Key]) { (self.base, self.keys) = (base, keys) }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value {
        var value = try base.evaluate(frame)
        for key in keys {
            switch (value, try key.resolved(frame)) {
            case (.map(let map), .string(let name)):
                guard let found = map.value(name) else { throw EvaluationError("key not found in map") }
                value = found
            case (.list(let list), .int(let index)):
                guard let found = list.item(index) else {
                    throw EvaluationError("index \(index) out of bounds")
                }
                value = found
            case (.map, .int): throw EvaluationError("type Map does not support int indexing")
            case (.list, .string): throw EvaluationError("type Slice does not support string indexing")
            default: throw EvaluationError("type, \(value.typeName), does not support indexing")
            }
        }
        return value
    }
}

/// The text that a function given as an argument is applied to; see `FunctionArgument`.
final class SlotExpression: Expression {
    override func evaluate(_ frame: Frame) -> Value { frame.slot }
}
