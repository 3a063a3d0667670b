internal import RegularExpression

/// A regular expression argument: compiled at the start when it is a literal, else at every evaluation.
struct Pattern {
    private let compiled: RegularExpression?
    private let expression: Expression
    private let function: String

    init(_ expression: Expression, of function: String) throws(FunctionError) {
        self.expression = expression
        self.function = function
        guard case .string(let bytes) = expression.constant else {
            compiled = nil
            return
        }
        do {
            compiled = try RegularExpression(bytes.text, dotMatchesLineFeed: false)
        } catch {
            throw FunctionError(Self.message(function, bytes.text, error))
        }
    }

    func resolved(_ frame: Frame) throws(EvaluationError) -> RegularExpression {
        if let compiled { return compiled }
        let text = try expression.evaluate(frame).asString().text
        do {
            return try RegularExpression(text, dotMatchesLineFeed: false)
        } catch {
            throw EvaluationError(Self.message(function, text, error))
        }
    }

    /// The expression of a literal.
    var constant: RegularExpression? { compiled }

    private static func message(_ function: String, _ text: String, _ error: RegularExpressionError) -> String
    {
        "the regex pattern supplied to \(function) '\(text)' is not a valid pattern: error parsing regexp: \(error)"
    }
}

extension Bytes {
    /// The text with every match replaced; nil when there is none. Not whole when it is longer than a limit.
    func replacing(
        _ expression: RegularExpression, with template: RegularExpression.Template, limit: Int,
        change: (([UInt8]) -> [UInt8])? = nil
    ) throws(EvaluationError) -> Bytes? {
        let result = unsafe read { bytes in
            Result { () throws(RegularExpression.TooSlow) -> [UInt8]? in
                // SAFETY: borrowed for the call.
                try unsafe expression.replaceAll(
                    bytes.bindMemory(to: UInt8.self), with: template, limit: limit, change: change)
            }
        }
        switch result {
        case .success(let new): return new.map { .owned($0) }
        case .failure(let error): throw EvaluationError(error.description, isLimit: true)
        }
    }

    /// Whether a pattern occurs in the text. Allocates nothing.
    func occurs(_ expression: RegularExpression) -> Bool {
        unsafe read { bytes in
            // SAFETY: borrowed for the call.
            unsafe expression.occurs(in: bytes.bindMemory(to: UInt8.self))
        }
    }
}
