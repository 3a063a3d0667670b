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

    /// Scalar by scalar, as Go does: `ᾳ` becomes `ᾼ`, which is that of titles, too; `ß` has no upper case of one scalar and
    /// stays.
    private static func upper(_ text: String) -> String {
        map(text) { single($0.properties.uppercaseMapping) ?? single($0.properties.titlecaseMapping) ?? $0 }
    }

    /// `İ` is the only one with a lower case of two scalars, a dot behind an `i`.
    private static func lower(_ text: String) -> String {
        map(text) { $0.properties.lowercaseMapping.unicodeScalars.first ?? $0 }
    }

    private static func single(_ text: String) -> Unicode.Scalar? {
        text.unicodeScalars.count == 1 ? text.unicodeScalars.first : nil
    }

    private static func map(_ text: String, _ change: (Unicode.Scalar) -> Unicode.Scalar) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(change(scalar)) }
        return String(result)
    }

    private enum Kind { case upper, lower, digit, other }

    /// Only ASCII's letters and digits count, as in the Collector.
    private static func kind(_ byte: UInt8) -> Kind {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): .upper
        case UInt8(ascii: "a")...UInt8(ascii: "z"): .lower
        case UInt8(ascii: "0")...UInt8(ascii: "9"): .digit
        default: .other
        }
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: " ")
    }

    /// Without white space at both ends.
    private static func trimmed(_ text: String) -> [UInt8] {
        func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
        let start = text.unicodeScalars.drop(while: isSpace)
        let end = start.lastIndex { !isSpace($0) }
        return end.map { Array(start[...$0].map(String.init).joined().utf8) } ?? []
    }

    /// Words begin at each of `_`, `-`, `.` and spaces, at capitals behind small letters, before the last of some capitals,
    /// and at digits.
    static func snake(_ text: String) -> String {
        let bytes = trimmed(text)
        var result: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if isSeparator(byte) {
                result.append(UInt8(ascii: "_"))
                continue
            }
            let own = kind(byte)
            let before = index > 0 ? kind(bytes[index - 1]) : .other
            let next = index + 1 < bytes.count ? kind(bytes[index + 1]) : .other
            let begins =
                switch (before, own) {
                case (.lower, .upper), (.lower, .digit), (.upper, .digit): true
                case (.digit, .upper), (.digit, .lower): true
                case (.upper, .upper): next == .lower
                default: false
                }
            if begins { result.append(UInt8(ascii: "_")) }
            result.append(own == .upper ? byte | 0x20 : byte)
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Words begin behind `_`, `-`, `.`, spaces and digits; of some capitals the first stays one. Nothing but letters and
    /// digits is left.
    static func camel(_ text: String) -> String {
        var result: [UInt8] = []
        var (begins, isBehindCapital) = (true, false)
        for byte in trimmed(text) {
            let own = kind(byte)
            switch own {
            case .upper:
                result.append(!begins && isBehindCapital ? byte | 0x20 : byte)
                begins = false
            case .lower:
                result.append(begins ? byte & ~0x20 : byte)
                begins = false
            case .digit:
                result.append(byte)
                begins = true
            case .other: begins = isSeparator(byte)
            }
            isBehindCapital = own == .upper
        }
        return String(decoding: result, as: UTF8.self)
    }
}
