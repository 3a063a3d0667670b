internal import OTLP
internal import RegularExpression

enum ParsingConverters {
    /// What a part of a text takes, and what a pair that was made of it.
    private static let (bytesOfPart, bytesOfPair) = (72, MapBuilder.bytesOfEntry + 112)

    static var all: [Function] {
        [
            Function("ParseJSON", [.required("target", .string)]) { arguments in
                let target = arguments.expression(0)
                return { frame throws(EvaluationError) in
                    let text = try target.evaluate(frame).asString()
                    // A list of digits.
                    try frame.ask(parsing: text, bytesOfByte: 24)
                    return try JSONValue.parse(text)
                }
            },
            Function("ExtractPatterns", [.required("target", .string), .required("pattern", .string)]) {
                arguments throws(FunctionError) in
                let target = arguments.expression(0)
                let pattern = try Pattern(arguments.expression(1), of: "ExtractPatterns")
                return { frame throws(EvaluationError) in
                    let expression = try pattern.resolved(frame)
                    let names = expression.groupNames
                    guard !names.isEmpty else {
                        throw EvaluationError(
                            "at least 1 named capture group must be supplied in the given regex")
                    }
                    let text = try target.evaluate(frame).asString().array
                    let groups = expression.firstMatch(in: text)
                    // Groups may lie in each other.
                    let bytes = names.reduce(0) { total, name in
                        total + (name.group < groups.count ? groups[name.group]?.count ?? 0 : 0)
                    }
                    try frame.ask(
                        making: names.count, bytesOfEach: MapBuilder.bytesOfEntry, copying: 2 * bytes)
                    var entries: [MapEntry] = []
                    for (name, group) in names where group < groups.count {
                        entries.put(name, groups[group].map { .string(.owned(Array(text[$0]))) } ?? .text(""))
                    }
                    return .map(.entries(entries))
                }
            },
            Function(
                "ParseKeyValue",
                [
                    .required("target", .string), .optional("delimiter", .literalString),
                    .optional("pair_delimiter", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let target = arguments.expression(0)
                let (delimiter, pair) = (arguments.text(1) ?? "=", arguments.text(2) ?? " ")
                guard !delimiter.isEmpty else {
                    throw FunctionError("delimiter cannot be set to an empty string")
                }
                guard !pair.isEmpty else {
                    throw FunctionError("pair delimiter cannot be set to an empty string")
                }
                guard delimiter != pair else {
                    throw FunctionError(
                        "pair delimiter \"\(pair)\" cannot be equal to delimiter \"\(delimiter)\"")
                }
                return { frame throws(EvaluationError) in
                    let text = try target.evaluate(frame).asString().array
                    let (delimiter, pair) = (Array(delimiter.utf8), Array(pair.utf8))
                    // Parts without a delimiter are no pairs.
                    try frame.ask(
                        making: text.partCount(by: pair), bytesOfEach: bytesOfPart,
                        copying: text.partCount(by: delimiter) * bytesOfPair + 2 * text.count)
                    return try keyValues(text, delimiter, pair)
                }
            },
        ]
    }

    private static func keyValues(
        _ text: [UInt8], _ delimiter: [UInt8], _ pair: [UInt8]
    ) throws(EvaluationError) -> Value {
        guard !text.isEmpty else { throw EvaluationError("cannot parse from empty target") }
        var entries = MapBuilder()
        for part in try pairs(text, pair) {
            guard let split = part.firstRange(of: delimiter, from: 0) else {
                throw EvaluationError(
                    "cannot split \(GoFormat.quoted(String(decoding: part, as: UTF8.self))) into 2 items, got 1 item(s)"
                )
            }
            let key = trimmed(part[..<split])
            let value = trimmed(part[(split + delimiter.count)...])
            entries.put(.owned(key), .string(.owned(value)))
        }
        return .map(.entries(entries.entries))
    }

    /// Split at the delimiter outside of quotes; quotes are dropped, unless a backslash is before them.
    private static func pairs(_ text: [UInt8], _ delimiter: [UInt8]) throws(EvaluationError) -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var current: [UInt8] = []
        var quote: UInt8?
        var isEscaped = false
        var index = 0
        while index < text.count {
            let byte = text[index]
            if quote == nil, byte == delimiter[0], text[index...].starts(with: delimiter) {
                if !current.isEmpty { parts.append(current) }
                current = []
                index += delimiter.count
                continue
            }
            if !isEscaped, quote == byte {
                quote = nil
            } else if !isEscaped, quote == nil, byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else {
                current.append(byte)
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            }
            index += 1
        }
        guard quote == nil else { throw EvaluationError("never reached the end of a quoted value") }
        if !current.isEmpty { parts.append(current) }
        return parts
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var rest = bytes
        while let first = rest.first, first == 0x20 || (9...13).contains(first) { rest = rest.dropFirst() }
        while let last = rest.last, last == 0x20 || (9...13).contains(last) { rest = rest.dropLast() }
        return Array(rest)
    }
}

/// JSON as values: all numbers are floats; an object or a list.
enum JSONValue {
    static func parse(_ text: Bytes) throws(EvaluationError) -> Value {
        let array = text.array
        var result: Value?
        var failure = ""
        unsafe array.withUnsafeBytes { bytes in
            do {
                var reader = try unsafe JSONReader(bytes)
                let value = try read(&reader)
                try reader.finish()
                result = value
            } catch {
                failure = "\(error)"
            }
        }
        guard let result else { throw EvaluationError("invalid JSON: \(failure)") }
        switch result {
        case .map, .list: return result
        default:
            throw EvaluationError("could not convert parsed value of type \(result.typeName) to JSON object")
        }
    }

    private static func read(_ reader: inout JSONReader) throws(JSONError) -> Value {
        switch try reader.peek() {
        case .object:
            var entries = MapBuilder()
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let name = key.text
                entries.put(name, try read(&reader))
            }
            return .map(.entries(entries.entries))
        case .list:
            var items: [Value] = []
            try reader.beginList()
            while try reader.nextElement() { items.append(try read(&reader)) }
            return .list(.items(items))
        case .string: return .text(try reader.readString().text)
        case .number:
            let number = try reader.readNumber().double
            guard number.isFinite else { throw reader.failure(.outOfRange) }
            return .double(number)
        case .boolean: return .bool(try reader.readBool())
        case .null:
            _ = try reader.readNull()
            return .null
        }
    }
}
