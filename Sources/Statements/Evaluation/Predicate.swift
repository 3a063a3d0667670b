/// A checked part of a condition. As `Expression`: immutable, any thread.
class Predicate {
    func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        preconditionFailure("every predicate evaluates itself")
    }
}

final class ConstantPredicate: Predicate {
    private let value: Bool
    init(_ value: Bool) { self.value = value }
    override func holds(_ frame: Frame) -> Bool { value }
}

final class ComparisonPredicate: Predicate {
    private let left: Expression
    private let operation: ComparisonOperator
    private let right: Expression

    init(_ left: Expression, _ operation: ComparisonOperator, _ right: Expression) {
        (self.left, self.operation, self.right) = (left, operation, right)
    }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        Comparison.holds(try left.evaluate(frame), operation, try right.evaluate(frame))
    }
}

/// A comparison of what needs no reference counted: literals, attributes and fields as they stand.
final class PlainComparison: Predicate {
    private let left: Expression
    private let operation: ComparisonOperator
    private let right: Expression

    init(_ left: Expression, _ operation: ComparisonOperator, _ right: Expression) {
        (self.left, self.operation, self.right) = (left, operation, right)
    }

    override func holds(_ frame: Frame) -> Bool {
        Comparison.holds(left.plain(frame), operation, right.plain(frame))
    }
}

/// A converter that must give a bool.
final class ConverterPredicate: Predicate {
    private let converter: Expression
    init(_ converter: Expression) { self.converter = converter }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        let value = try converter.evaluate(frame)
        guard case .bool(let result) = value else {
            throw EvaluationError(
                "value returned from Converter in constant expression must be bool but got \(value.typeName)")
        }
        return result
    }
}

final class NotPredicate: Predicate {
    private let operand: Predicate
    init(_ operand: Predicate) { self.operand = operand }
    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool { try !operand.holds(frame) }
}

/// Left to right, until one decides.
final class AndPredicate: Predicate {
    private let left: Predicate
    private let right: Predicate
    init(_ left: Predicate, _ right: Predicate) { (self.left, self.right) = (left, right) }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        guard try left.holds(frame) else { return false }
        return try right.holds(frame)
    }
}

/// Left to right, until one decides.
final class OrPredicate: Predicate {
    private let left: Predicate
    private let right: Predicate
    init(_ left: Predicate, _ right: Predicate) { (self.left, self.right) = (left, right) }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        if try left.holds(frame) { return true }
        return try right.holds(frame)
    }
}
