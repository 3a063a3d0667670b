internal import OTLP
internal import RegularExpression

/// `ExtractGrokPatterns`: named parts of a text by patterns that have names themselves.
enum GrokConverter {
    static var function: Function {
        Function(
            "ExtractGrokPatterns",
            [
                .required("target", .string), .required("pattern", .literalString),
                .optional("named_captures_only", .literalBool),
                .optional("pattern_definitions", .literalStrings),
            ]
        ) { arguments throws(FunctionError) in
            let target = arguments.expression(0)
            let grok = try Grok(
                arguments.text(1) ?? "", namedOnly: arguments.bool(2) ?? false,
                definitions: arguments.texts(3) ?? [])
            return { frame throws(EvaluationError) in
                try grok.parse(target.evaluate(frame).asString().array)
            }
        }
    }
}

private struct Grok {
    private static let depthMax = 100
    private static let expandedBytesMax = 1 << 16

    private struct Capture {
        let name: String
        let type: String
    }

    private let expression: RegularExpression
    /// By group name.
    private let captures: [String: Capture]

    init(_ pattern: String, namedOnly: Bool, definitions: [String]) throws(FunctionError) {
        var patterns = GrokPatterns.known
        for (index, definition) in definitions.enumerated() {
            let parts = definition.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw FunctionError(
                    "pattern supplied to ExtractGrokPatterns at index \(index) has incorrect format, expecting "
                        + "PATTERNNAME=pattern definition")
            }
            guard !parts[0].contains(":") else {
                throw FunctionError("pattern ID \"\(parts[0])\" should not contain ':'")
            }
            patterns[String(parts[0])] = String(parts[1])
        }
        var expansion = Expansion(patterns: patterns, namedOnly: namedOnly)
        let text = try expansion.expanded(pattern, depth: 0)
        captures = expansion.captures
        do throws(RegularExpressionError) {
            expression = try RegularExpression(text, dotMatchesLineFeed: false)
        } catch {
            throw FunctionError(
                "the pattern supplied to ExtractGrokPatterns is not a valid pattern: error parsing regexp: \(error)"
            )
        }
        guard !namedOnly || !expression.groupNames.isEmpty else {
            throw FunctionError("at least 1 named capture group must be supplied in the given regex")
        }
    }

    func parse(_ text: [UInt8]) throws(EvaluationError) -> Value {
        let groups = expression.firstMatch(in: text)
        var entries: [MapEntry] = []
        for (group, index) in expression.groupNames.sorted(by: { $0.group < $1.group })
        where index < groups.count {
            // What is empty is not there.
            guard let range = groups[index], !range.isEmpty else { continue }
            let capture = captures[group] ?? Capture(name: group, type: "")
            let content = Array(text[range])
            entries.put(capture.name, try Self.typed(content, capture.type))
        }
        return .map(.entries(entries))
    }

    private static func typed(_ content: [UInt8], _ type: String) throws(EvaluationError) -> Value {
        let text = String(decoding: content, as: UTF8.self)
        switch type {
        case "int", "long":
            guard let value = Int64(goDecimal: content) else {
                throw EvaluationError("strconv.Atoi: parsing \(GoFormat.quoted(text)): invalid syntax")
            }
            return .int(value)
        case "float", "double":
            guard let value = Double(goText: text) else {
                throw EvaluationError("strconv.ParseFloat: parsing \(GoFormat.quoted(text)): invalid syntax")
            }
            return .double(value)
        case "bool", "boolean":
            guard let value = try Value.text(text).boolLike() else { return .null }
            return .bool(value)
        case "", "string": return .string(.owned(content))
        default: throw EvaluationError("invalid type \(type): type not specified")
        }
    }

    /// Puts patterns in the place of `%{NAME:field:type}`.
    private struct Expansion {
        let patterns: [String: String]
        let namedOnly: Bool
        private(set) var captures: [String: Capture] = [:]

        init(patterns: [String: String], namedOnly: Bool) {
            (self.patterns, self.namedOnly) = (patterns, namedOnly)
        }

        mutating func expanded(_ pattern: String, depth: Int) throws(FunctionError) -> String {
            guard depth < depthMax else {
                throw FunctionError("the pattern supplied to ExtractGrokPatterns refers to itself")
            }
            var result = ""
            var rest = Substring(pattern)
            while let open = rest.firstRange(of: "%{") {
                result += rest[..<open.lowerBound]
                guard let close = rest[open.upperBound...].firstIndex(of: "}") else { break }
                result += try reference(rest[open.upperBound..<close], depth)
                rest = rest[rest.index(after: close)...]
            }
            result += rest
            guard result.utf8.count <= expandedBytesMax else {
                throw FunctionError("the pattern supplied to ExtractGrokPatterns is too large")
            }
            return result
        }

        private mutating func reference(_ reference: Substring, _ depth: Int) throws(FunctionError) -> String
        {
            let parts = reference.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard let inner = patterns[parts[0]] else {
                throw FunctionError(
                    "the pattern supplied to ExtractGrokPatterns is not a valid pattern: no pattern found for "
                        + "%{\(parts[0])}")
            }
            let name = parts.count > 1 ? parts[1] : ""
            let content = try expanded(inner, depth: depth + 1)
            if name.isEmpty {
                guard !namedOnly else { return "(?:" + content + ")" }
                return "(" + "?P<" + group(parts[0], "") + ">" + content + ")"
            }
            return "(?P<" + group(name, parts.count > 2 ? parts[2] : "") + ">" + content + ")"
        }

        /// Names of groups have letters, digits and underscores only, and each stands once.
        private mutating func group(_ name: String, _ type: String) -> String {
            var group = "g\(captures.count)_"
            group += String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
            captures[group] = Capture(name: name, type: type)
            return group
        }
    }
}

extension Substring {
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
