/// Why a statement could not be carried out on one item. `error_mode` says what follows.
package struct EvaluationError: Error, Sendable, CustomStringConvertible {
    /// As the Collector's message, for example `type Str does not support string indexing`.
    package let description: String

    init(_ description: String) { self.description = description }

    static func expected(_ expected: String, _ value: Value) -> EvaluationError {
        EvaluationError("expected \(expected) but got \(value.typeName)")
    }
}
