/// A checked condition. As `Expression`: immutable, any thread.
package class Condition {
    func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        preconditionFailure("every condition evaluates itself")
    }
}

final class ConstantCondition: Condition {
    private let value: Bool
    init(_ value: Bool) { self.value = value }
    override func holds(_ frame: Frame) -> Bool { value }
}

final class ComparisonCondition: Condition {
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

/// A converter that must give a bool.
final class ConverterCondition: Condition {
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

final class NotCondition: Condition {
    private let operand: Condition
    init(_ operand: Condition) { self.operand = operand }
    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool { try !operand.holds(frame) }
}

/// Left to right, until one decides.
final class AndCondition: Condition {
    private let operands: [Condition]
    init(_ operands: [Condition]) { self.operands = operands }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        for operand in operands where try !operand.holds(frame) { return false }
        return true
    }
}

final class OrCondition: Condition {
    private let operands: [Condition]
    init(_ operands: [Condition]) { self.operands = operands }

    override func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        for operand in operands where try operand.holds(frame) { return true }
        return false
    }
}
