internal import OTLP

enum StringConverters {
    /// What a short text takes as a value of a list, and as it is written.
    private static let bytesOfPart = MemoryLayout<Value>.stride + 64

    static var all: [Function] {
        [
            Function("IsMatch", [.required("target", .stringLike), .required("pattern", .string)]) {
                arguments throws(FunctionError) in
                let target = arguments.expression(0)
                let pattern = try Pattern(arguments.expression(1), of: "IsMatch")
                if target.isPlain, let expression = pattern.constant {
                    return { frame throws(EvaluationError) in
                        if case .string(let text) = target.plain(frame) {
                            return .bool(Bytes.borrowed(text).occurs(expression))
                        }
                        return .bool(try target.evaluate(frame).stringLike()?.occurs(expression) ?? false)
                    }
                }
                return { frame throws(EvaluationError) in
                    guard let text = try target.evaluate(frame).stringLike() else { return .bool(false) }
                    return .bool(text.occurs(try pattern.resolved(frame)))
                }
            },
            Function("Concat", [.required("vals", .stringLikes), .required("delimiter", .string)]) {
                arguments in
                let (values, delimiter) = (arguments.expressions(0) ?? [], arguments.expression(1))
                return { frame throws(EvaluationError) in
                    let between = try delimiter.evaluate(frame).asString()
                    var result: [UInt8] = []
                    for (index, value) in values.enumerated() {
                        let text = try value.evaluate(frame).stringLike() ?? Bytes("<nil>")
                        try frame.admit(result.count + between.count + text.count)
                        if index > 0 { result.append(between) }
                        result.append(text)
                    }
                    return .string(.owned(result))
                }
            },
            Function("Split", [.required("target", .string), .required("delimiter", .string)]) { arguments in
                let (target, delimiter) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    let text = try target.evaluate(frame).asString()
                    let between = try delimiter.evaluate(frame).asString()
                    if between.count == 0 {
                        try frame.ask(making: text.count, bytesOfEach: bytesOfPart)
                        return .list(.items(text.text.unicodeScalars.map { .text(String($0)) }))
                    }
                    let (bytes, delimiter) = (text.array, between.array)
                    let count = bytes.partCount(by: delimiter)
                    try frame.ask(making: count, bytesOfEach: bytesOfPart, copying: 2 * bytes.count)
                    var parts: [Value] = []
                    parts.reserveCapacity(count)
                    bytes.forEachPart(by: delimiter) { parts.append(.string(.owned(Array(bytes[$0])))) }
                    return .list(.items(parts))
                }
            },
            Function(
                "Substring",
                [
                    .required("target", .string), .required("start", .int), .required("length", .int),
                    .optional("utf8_safe", .bool),
                ]
            ) { arguments in
                let (target, start, length) = (
                    arguments.expression(0), arguments.expression(1), arguments.expression(2)
                )
                let isSafe = arguments.optionalExpression(3)
                return { frame throws(EvaluationError) in
                    let start = try start.evaluate(frame).asInt()
                    guard start >= 0 else {
                        throw EvaluationError(
                            "invalid start for substring function, \(start) cannot be negative")
                    }
                    let length = try length.evaluate(frame).asInt()
                    guard length > 0 else {
                        throw EvaluationError(
                            "invalid length for substring function, \(length) cannot be negative or zero")
                    }
                    let bytes = try target.evaluate(frame).asString().array
                    guard start <= bytes.count, length <= Int64(bytes.count) - start else {
                        throw EvaluationError(
                            "invalid range for substring function, start(\(start))+length(\(length)) cannot be greater "
                                + "than the length of target string(\(bytes.count))")
                    }
                    var (first, last) = (Int(start), Int(start + length))
                    if try isSafe?.evaluate(frame).asBool() ?? false {
                        while first < last, bytes[first] & 0xC0 == 0x80 { first += 1 }
                        while last > first, last < bytes.count, bytes[last] & 0xC0 == 0x80 { last -= 1 }
                    }
                    return .string(.owned(Array(bytes[first..<last])))
                }
            },
            two("HasPrefix") { .bool($0.starts(with: $1)) },
            two("HasSuffix") { .bool($0.reversed().starts(with: $1.reversed())) },
            two("TrimPrefix") { .string(.owned($0.starts(with: $1) ? Array($0.dropFirst($1.count)) : $0)) },
            two("TrimSuffix") {
                .string(.owned($0.reversed().starts(with: $1.reversed()) ? Array($0.dropLast($1.count)) : $0))
            },
            Function("Trim", [.required("target", .string), .optional("replacement", .literalString)]) {
                arguments in
                let (target, cut) = (
                    arguments.expression(0), Array((arguments.text(1) ?? " ").unicodeScalars)
                )
                return { frame throws(EvaluationError) in
                    var scalars = Array(try target.evaluate(frame).asString().text.unicodeScalars)[...]
                    while let first = scalars.first, cut.contains(first) { scalars = scalars.dropFirst() }
                    while let last = scalars.last, cut.contains(last) { scalars = scalars.dropLast() }
                    return .text(String(String.UnicodeScalarView(scalars)))
                }
            },
            Function("Format", [.required("format", .literalString), .required("vals", .values)]) {
                arguments in
                let (format, values) = (arguments.text(0) ?? "", arguments.expressions(1) ?? [])
                return { frame throws(EvaluationError) in
                    var evaluated: [Value] = []
                    for value in values { evaluated.append(try value.evaluate(frame)) }
                    return .text(GoFormat.format(format, evaluated))
                }
            },
            Converters.unary("String", .stringLike) { value throws(EvaluationError) in
                try value.stringLike().map { .string($0) } ?? .null
            },
            Converters.unary("Hex", .bytesLike) { value throws(EvaluationError) in
                .text(TextForm.hex(try value.bytesLike() ?? []))
            },
            Function("Base64Encode", [.required("value", .string), .optional("variant", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, variant) = (arguments.expression(0), arguments.text(1) ?? "base64")
                guard ["base64", "base64-raw", "base64-url", "base64-raw-url"].contains(variant) else {
                    throw FunctionError("unsupported base64 variant: \(variant)")
                }
                return { frame throws(EvaluationError) in
                    let bytes = try target.evaluate(frame).asString().array
                    return .string(
                        .owned(
                            Base64.encode(
                                bytes, isURL: variant.hasSuffix("url"), isPadded: !variant.contains("raw"))))
                }
            },
            Converters.text("Base64Decode") { text throws(EvaluationError) in
                guard let bytes = Base64.decode(Array(text.utf8)) else {
                    throw EvaluationError(
                        "illegal base64 data in \(GoFormat.quoted(String(text.prefix(40))))")
                }
                return .string(.owned(bytes))
            },
        ]
    }

    private static func two(_ name: String, _ body: @escaping ([UInt8], [UInt8]) -> Value) -> Function {
        let second = name.hasSuffix("refix") ? "prefix" : "suffix"
        return Function(name, [.required("target", .string), .required(second, .string)]) { arguments in
            let (target, other) = (arguments.expression(0), arguments.expression(1))
            return { frame throws(EvaluationError) in
                let text = try target.evaluate(frame).asString().array
                return body(text, try other.evaluate(frame).asString().array)
            }
        }
    }
}
