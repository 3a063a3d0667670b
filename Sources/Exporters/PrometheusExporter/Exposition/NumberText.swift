/// Numbers as they are written on pages.
enum NumberText {
    /// Integers below this are exact in a double and are written without an exponent.
    static let plainMax = 1e15

    /// The fewest digits that mean this number: `5`, `0.005`, `1e+16`, `+Inf`.
    static func plain(_ value: Double) -> String {
        if value == value.rounded(), value.magnitude < plainMax { return String(Int64(value)) }
        return value.isFinite ? value.description : notFinite(value)
    }

    /// The same with a point where there is no exponent, as OpenMetrics wants `le` and `quantile`: `5.0`.
    static func open(_ value: Double) -> String {
        value.isFinite ? value.description : notFinite(value)
    }

    private static func notFinite(_ value: Double) -> String {
        value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf"
    }
}
