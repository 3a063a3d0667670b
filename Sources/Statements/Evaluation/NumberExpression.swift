/// A value that is a number: `attributes["bytes"]`, `Microseconds(end_time - start_time)`. Parsed and checked once, immutable;
/// any thread evaluates it with a frame of its own. Knows the functions of `signal_to_metrics`.
package final class NumberExpression: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything is constant once made.

    package enum Number: Sendable, Equatable {
        case int(Int64)
        case double(Double)

        package var double: Double {
            switch self {
            case .int(let value): Double(value)
            case .double(let value): value
            }
        }
    }

    /// As written.
    package let text: String
    private let expression: Expression

    /// - Throws: what is wrong, with its place in the text.
    package init(_ text: String, for context: ContextKind) throws(StatementError) {
        let node = try Parser.value(text)
        do throws(StatementError) {
            expression = try Checker(
                context: context, functions: .measuring(context), addsContext: true
            ).value(node)
        } catch {
            throw error.inside(text)
        }
        self.text = text
    }

    /// The number for what the frame shows.
    /// - Parameter purpose: of what, for the message.
    /// - Throws: it cannot be evaluated, or is no number.
    package func number(_ frame: Frame, of purpose: String) throws(EvaluationError) -> Number {
        let value = try expression.evaluate(frame)
        switch value {
        case .int(let number): return .int(number)
        case .double(let number): return .double(number)
        default:
            let shown = TextForm.text(value)
            throw EvaluationError(
                "failed to parse \(purpose) OTTL value of type \(value.typeName) into int64 or float64: \(shown)"
            )
        }
    }
}
