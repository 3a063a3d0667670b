/// Why a statement could not be carried out on one item. `error_mode` says what follows.
package struct EvaluationError: Error, Sendable, CustomStringConvertible {
    /// As the Collector's message, for example `type Str does not support string indexing`.
    package let description: String

    /// Whether a text is too long, or there is no memory: what makes up for other errors does not for this.
    let isLimit: Bool

    init(_ description: String, isLimit: Bool = false) {
        (self.description, self.isLimit) = (description, isLimit)
    }

    static func expected(_ expected: String, _ value: Value) -> EvaluationError {
        EvaluationError("expected \(expected) but got \(value.typeName)")
    }
}
