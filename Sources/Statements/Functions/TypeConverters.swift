internal import Glibc

enum TypeConverters {
    static var all: [Function] {
        [
            Converters.unary("Int", .intLike) { value throws(EvaluationError) in
                try value.intLike().map { .int($0) } ?? .null
            },
            Converters.unary("Double", .doubleLike) { value throws(EvaluationError) in
                try value.doubleLike().map { .double($0) } ?? .null
            },
            Converters.unary("Bool", .boolLike) { value throws(EvaluationError) in
                try value.boolLike().map { .bool($0) } ?? .null
            },
            kind("IsString", .string) { if case .string = $0 { true } else { false } },
            kind("IsInt", .int) { if case .int = $0 { true } else { false } },
            kind("IsDouble", .double) { if case .double = $0 { true } else { false } },
            kind("IsBool", .bool) { if case .bool = $0 { true } else { false } },
            kind("IsMap", .map) { if case .map = $0 { true } else { false } },
            kind("IsList", .any) { value in
                switch value {
                case .list: true
                case .object(let object): object.kind != .status && object.kind != .buckets
                default: false
                }
            },
            Converters.unary("IsEmpty", .any) { value throws(EvaluationError) in
                switch value {
                case .null, .bool(false), .int(0), .double(0): .bool(true)
                case .string(let bytes), .bytes(let bytes): .bool(bytes.count == 0)
                case .list(let list): .bool(list.count == 0)
                case .map(let map): .bool(map.count == 0)
                case .object(let object): .bool(object.count == 0)
                case .traceID(let bytes), .spanID(let bytes): .bool(bytes.array.allSatisfy { $0 == 0 })
                default: .bool(false)
                }
            },
            Function("ParseInt", [.required("target", .string), .required("base", .int)]) { arguments in
                let (target, base) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    try parseInt(target.evaluate(frame).asString().text, base.evaluate(frame).asInt())
                }
            },
            Converters.unary("Log", .doubleLike) { value throws(EvaluationError) in
                guard let number = try value.doubleLike() else {
                    throw EvaluationError("expected float64 but got nil")
                }
                guard number > 0 else {
                    throw EvaluationError(
                        "value must be greater than zero but got: \(TextForm.general(number))")
                }
                return .double(log(number))
            },
            Function("Coalesce", [.required("values", .values)]) { arguments throws(FunctionError) in
                let values = arguments.expressions(0) ?? []
                guard !values.isEmpty else { throw FunctionError("Coalesce requires at least one argument") }
                return { frame throws(EvaluationError) in
                    for value in values {
                        let result = try value.evaluate(frame)
                        if !result.isNull { return result }
                    }
                    return .null
                }
            },
            identifier("TraceID", 16) { .traceID(.owned($0)) },
            identifier("SpanID", 8) { .spanID(.owned($0)) },
            identifier("ProfileID", 16) { .traceID(.owned($0)) },
        ]
    }

    private static func kind(
        _ name: String, _ kind: ParameterKind, _ isKind: @escaping (Value) -> Bool
    ) -> Function {
        Converters.unary(name, kind) { value throws(EvaluationError) in .bool(isKind(value)) }
    }

    /// Go's `strconv.ParseInt`: base 0 is told by a prefix, and allows underscores.
    private static func parseInt(_ text: String, _ base: Int64) throws(EvaluationError) -> Value {
        guard !text.isEmpty else {
            throw EvaluationError("invalid target value for ParseInt function, target cannot be empty")
        }
        guard base >= 0 else {
            throw EvaluationError("invalid base: \(base) for ParseInt function, base cannot be negative")
        }
        guard base == 0 || (2...36).contains(base) else {
            throw EvaluationError("strconv.ParseInt: parsing \(GoFormat.quoted(text)): invalid base \(base)")
        }
        let sign = text.first == "-" || text.first == "+" ? String(text.prefix(1)) : ""
        var digits = String(text.dropFirst(sign.count))
        var radix = Int(base)
        if base == 0 {
            let lower = digits.lowercased()
            radix =
                lower.hasPrefix("0x")
                ? 16 : lower.hasPrefix("0b") ? 2 : lower.hasPrefix("0") && lower.count > 1 ? 8 : 10
            digits = radix == 16 || radix == 2 || lower.hasPrefix("0o") ? String(digits.dropFirst(2)) : digits
            // Between digits, and behind the prefix.
            let isPrefixed = radix != 10
            guard digits.last != "_", digits.first != "_" || isPrefixed, !digits.contains("__") else {
                throw EvaluationError(
                    "strconv.ParseInt: parsing \(GoFormat.quoted(text)): invalid syntax")
            }
            digits.removeAll { $0 == "_" }
        }
        guard let first = digits.first, first != "-", first != "+",
            let value = Int64(sign + digits, radix: radix)
        else {
            let isRange =
                !digits.isEmpty && digits.allSatisfy { $0.isHexDigit || $0.isLetter } && digits.count > 12
            throw EvaluationError(
                "strconv.ParseInt: parsing \(GoFormat.quoted(text)): "
                    + (isRange ? "value out of range" : "invalid syntax"))
        }
        return .int(value)
    }

    /// Bytes as they are, or text of hex digits.
    private static func identifier(
        _ name: String, _ count: Int, _ make: @escaping ([UInt8]) -> Value
    ) -> Function {
        func convert(_ value: Value) throws(EvaluationError) -> Value {
            let bytes: [UInt8]
            switch value {
            case .bytes(let raw), .string(let raw): bytes = raw.array
            default: throw EvaluationError("expected []byte or string but got \(value.typeName)")
            }
            if bytes.count == count { return make(bytes) }
            guard bytes.count == count * 2 else {
                throw EvaluationError(
                    "\(name): could not decode ID: invalid length: expected \(count) or \(count * 2) bytes, "
                        + "got \(bytes.count)")
            }
            guard let decoded = [UInt8](hex: bytes) else {
                throw EvaluationError("\(name): could not decode ID: invalid hex digit")
            }
            return make(decoded)
        }
        return Function(name, [.required("target", .bytesLike)]) { arguments throws(FunctionError) in
            let target = arguments.expression(0)
            if let constant = target.constant {
                let value: Value
                do throws(EvaluationError) {
                    value = try convert(constant)
                } catch {
                    throw FunctionError(error.description)
                }
                return { _ in value }
            }
            return { frame throws(EvaluationError) in try convert(target.evaluate(frame)) }
        }
    }
}

extension [UInt8] {
    /// Two hex digits a byte; nil for anything else.
    init?(hex digits: [UInt8]) {
        guard digits.count.isMultiple(of: 2) else { return nil }
        self = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index].hexDigit, let low = digits[index + 1].hexDigit else { return nil }
            append(high << 4 | low)
        }
    }
}
