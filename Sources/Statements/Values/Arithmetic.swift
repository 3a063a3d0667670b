enum Arithmetic {
    static func apply(
        _ left: Value, _ operation: ArithmeticOperator, _ right: Value
    ) throws(EvaluationError) -> Value {
        switch (left, right) {
        case (.int(let one), .int(let two)):
            return .int(try integers(one, operation, two))
        case (.int(let one), .double(let two)): return .double(try floats(Double(one), operation, two))
        case (.double(let one), .int(let two)): return .double(try floats(one, operation, Double(two)))
        case (.double(let one), .double(let two)): return .double(try floats(one, operation, two))
        case (.time, _), (.duration, _), (_, .time), (_, .duration):
            return try times(left, operation, right)
        default:
            for value in [left, right] {
                switch value {
                case .int, .double: continue
                default: throw notNumber(value)
                }
            }
            throw notNumber(left)
        }
    }

    static func negate(_ value: Value) throws(EvaluationError) -> Value {
        switch value {
        case .int(let number): return .int(0 &- number)
        case .double(let number): return .double(-number)
        default: throw EvaluationError("unsupported unary minus operation on type \(value.typeName)")
        }
    }

    private static func integers(
        _ left: Int64, _ operation: ArithmeticOperator, _ right: Int64
    ) throws(EvaluationError) -> Int64 {
        switch operation {
        case .add: return left &+ right
        case .subtract: return left &- right
        case .multiply: return left &* right
        case .divide:
            if right == 0 { throw EvaluationError("attempted to divide by 0") }
            return left.dividedReportingOverflow(by: right).partialValue
        }
    }

    private static func floats(
        _ left: Double, _ operation: ArithmeticOperator, _ right: Double
    ) throws(EvaluationError) -> Double {
        switch operation {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .divide:
            if right == 0 { throw EvaluationError("attempted to divide by 0") }
            return left / right
        }
    }

    private static func times(
        _ left: Value, _ operation: ArithmeticOperator, _ right: Value
    ) throws(EvaluationError) -> Value {
        guard operation == .add || operation == .subtract else {
            throw EvaluationError("only addition and subtraction supported for time.Time and time.Duration")
        }
        switch (left, operation, right) {
        case (.time(let one), .subtract, .time(let two)): return .duration(Nanoseconds(count: one.since(two)))
        case (.time(let one), .add, .duration(let two)): return .time(one.adding(two.count))
        case (.time(let one), .subtract, .duration(let two)): return .time(one.adding(0 &- two.count))
        case (.duration(let one), .add, .time(let two)): return .time(two.adding(one.count))
        case (.duration(let one), .add, .duration(let two)):
            return .duration(Nanoseconds(count: one.count &+ two.count))
        case (.duration(let one), .subtract, .duration(let two)):
            return .duration(Nanoseconds(count: one.count &- two.count))
        default:
            throw EvaluationError(
                "cannot \(operation == .add ? "add" : "subtract") \(right.typeName) "
                    + "\(operation == .add ? "to" : "from") \(left.typeName)")
        }
    }

    private static func notNumber(_ value: Value) -> EvaluationError {
        let shown = value.isNull ? "<nil>" : TextForm.text(value)
        return EvaluationError("\(shown) must be int64, float64, time.Time or time.Duration")
    }
}
