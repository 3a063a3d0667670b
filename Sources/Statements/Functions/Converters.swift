/// The converters of every context.
enum Converters {
    static var all: [Function] {
        StringConverters.all + CaseConverters.all + TypeConverters.all + CollectionConverters.all
            + TimeConverters.all + DurationConverters.all + ParsingConverters.all + HashConverters.all
            + NetworkConverters.all + XMLConverters.all + LogFormatConverters.all
            + [
                CSVConverter.function, SeverityConverter.function, DecodeConverter.function, URLConverter.function,
                GrokConverter.function, UserAgentConverter.function,
            ]
    }

    /// A converter of one value.
    static func unary(
        _ name: String, _ kind: ParameterKind, parameter: String = "target",
        _ body: @escaping (Value) throws(EvaluationError) -> Value
    ) -> Function {
        Function(name, [.required(parameter, kind)]) { arguments in
            let target = arguments.expression(0)
            return { frame throws(EvaluationError) in try body(target.evaluate(frame)) }
        }
    }

    /// A converter of one text.
    static func text(_ name: String, _ body: @escaping (String) throws(EvaluationError) -> Value) -> Function
    {
        unary(name, .string) { value throws(EvaluationError) in try body(value.asString().text) }
    }
}
