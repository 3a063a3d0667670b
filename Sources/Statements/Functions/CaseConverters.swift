enum CaseConverters {
    static var all: [Function] {
        [
            Converters.text("ToLowerCase") { text throws(EvaluationError) in .text(lower(text)) },
            Converters.text("ToUpperCase") { text throws(EvaluationError) in .text(upper(text)) },
            Converters.text("ToSnakeCase") { text throws(EvaluationError) in .text(snake(text)) },
            Converters.text("ToCamelCase") { text throws(EvaluationError) in .text(camel(text)) },
            Function("ConvertCase", [.required("target", .string), .required("to_case", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, name) = (arguments.expression(0), arguments.text(1) ?? "")
                let convert: (String) -> String
                switch name {
                case "lower": convert = lower
                case "upper": convert = upper
                case "snake": convert = snake
                case "camel": convert = camel
                default:
                    throw FunctionError(
                        "invalid case: \(name), allowed cases are: lower, upper, snake, camel")
                }
                return { frame throws(EvaluationError) in
                    .text(convert(try target.evaluate(frame).asString().text))
                }
            },
        ]
    }

    /// Scalar by scalar, as Go does: `ß` has no upper case of one scalar and stays.
    private static func upper(_ text: String) -> String {
        map(text) { $0.properties.uppercaseMapping }
    }

    private static func lower(_ text: String) -> String {
        map(text) { $0.properties.lowercaseMapping }
    }

    private static func map(_ text: String, _ change: (Unicode.Scalar) -> String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let changed = change(scalar).unicodeScalars
            result.append(changed.count == 1 ? changed.first ?? scalar : scalar)
        }
        return String(result)
    }

    /// Words begin at `_`, `-`, `.` and white space, at capitals behind small letters, before the last of some
    /// capitals, and at digits.
    static func snake(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var result = String.UnicodeScalarView()
        for (index, scalar) in scalars.enumerated() {
            if isSeparator(scalar) {
                if result.last != "_" || index == 0 { result.append("_") }
                continue
            }
            let kind = kind(scalar)
            if index > 0, !isSeparator(scalars[index - 1]) {
                let before = self.kind(scalars[index - 1])
                let next = index + 1 < scalars.count ? self.kind(scalars[index + 1]) : .other
                let begins =
                    (kind == .upper && before == .lower)
                    || (kind == .upper && before == .upper && next == .lower)
                    || (kind == .digit && (before == .lower || before == .upper))
                    || (before == .digit && (kind == .lower || kind == .upper))
                if begins, result.last != "_" { result.append("_") }
            }
            result.append(contentsOf: lower(String(scalar)).unicodeScalars)
        }
        return String(result)
    }

    /// The first letter of every word of the snake form's separators is a capital, the others are small.
    static func camel(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        let hasSeparator = scalars.contains(where: isSeparator)
        var result = String.UnicodeScalarView()
        var begins = true
        for (index, scalar) in scalars.enumerated() {
            if isSeparator(scalar) {
                begins = true
                continue
            }
            let kind = kind(scalar)
            if !hasSeparator, index > 0, kind == .upper, self.kind(scalars[index - 1]) == .lower {
                begins = true
            }
            let word = String(scalar)
            result.append(contentsOf: (begins ? upper(word) : lower(word)).unicodeScalars)
            begins = false
        }
        return String(result)
    }

    private enum Kind { case upper, lower, digit, other }

    private static func kind(_ scalar: Unicode.Scalar) -> Kind {
        if scalar.properties.isUppercase { return .upper }
        if scalar.properties.isLowercase { return .lower }
        return ("0"..."9").contains(scalar) ? .digit : .other
    }

    private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar == "-" || scalar == "." || scalar.properties.isWhitespace
    }
}
