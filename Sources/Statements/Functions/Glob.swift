/// A glob without separators: `*` and `**` any text, `?` one character, `[a-z]`, `[!a]`, `{one,two}`, `\` escapes.
struct Glob {
    private indirect enum Part {
        case scalar(Unicode.Scalar)
        case any
        case anyText
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
        case choice([[Part]])
    }

    private let parts: [Part]

    init(_ pattern: String) throws(FunctionError) {
        var rest = Array(pattern.unicodeScalars)[...]
        parts = try Self.sequence(&rest, depth: 0)
        guard rest.isEmpty else {
            throw FunctionError("the pattern supplied is not a valid pattern: unexpected \(rest.first!)")
        }
    }

    private static func sequence(
        _ rest: inout ArraySlice<Unicode.Scalar>, depth: Int
    ) throws(FunctionError) -> [Part] {
        guard depth < 16 else { throw FunctionError("the pattern nests deeper than 16 braces") }
        var parts: [Part] = []
        while let scalar = rest.first {
            if depth > 0, scalar == "," || scalar == "}" { return parts }
            rest = rest.dropFirst()
            switch scalar {
            case "*":
                if case .anyText = parts.last { continue }
                parts.append(.anyText)
            case "?": parts.append(.any)
            case "[": parts.append(try set(&rest))
            case "{":
                var choices: [[Part]] = []
                repeat {
                    choices.append(try sequence(&rest, depth: depth + 1))
                } while take(",", &rest)
                guard take("}", &rest) else {
                    throw FunctionError("the pattern supplied is not a valid pattern: { without }")
                }
                parts.append(.choice(choices))
            case "\\":
                guard let escaped = rest.popFirst() else {
                    throw FunctionError("the pattern ends in a backslash")
                }
                parts.append(.scalar(escaped))
            default: parts.append(.scalar(scalar))
            }
        }
        return parts
    }

    private static func take(_ scalar: Unicode.Scalar, _ rest: inout ArraySlice<Unicode.Scalar>) -> Bool {
        guard rest.first == scalar else { return false }
        rest = rest.dropFirst()
        return true
    }

    private static func set(_ rest: inout ArraySlice<Unicode.Scalar>) throws(FunctionError) -> Part {
        let isNegated = take("!", &rest)
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        while let scalar = rest.popFirst() {
            if scalar == "]", !ranges.isEmpty { return .set(ranges, isNegated: isNegated) }
            if rest.first == "-", let last = rest.dropFirst().first, last != "]" {
                rest = rest.dropFirst(2)
                guard scalar <= last else {
                    throw FunctionError("the pattern holds the range \(scalar)-\(last)")
                }
                ranges.append(scalar...last)
            } else {
                ranges.append(scalar...scalar)
            }
        }
        throw FunctionError("the pattern supplied is not a valid pattern: [ without ]")
    }

    func matches(_ text: String) -> Bool {
        var budget = 100_000
        return Self.matches(parts[...], Array(text.unicodeScalars)[...], &budget) { $0.isEmpty }
    }

    /// Backtracks, within a budget of steps.
    private static func matches(
        _ parts: ArraySlice<Part>, _ text: ArraySlice<Unicode.Scalar>, _ budget: inout Int,
        _ end: (ArraySlice<Unicode.Scalar>) -> Bool
    ) -> Bool {
        var (parts, text) = (parts, text)
        while let part = parts.popFirst() {
            budget -= 1
            guard budget > 0 else { return false }
            switch part {
            case .scalar(let scalar):
                guard text.popFirst() == scalar else { return false }
            case .any:
                guard text.popFirst() != nil else { return false }
            case .set(let ranges, let isNegated):
                guard let scalar = text.popFirst(),
                    ranges.contains(where: { $0.contains(scalar) }) != isNegated
                else { return false }
            case .anyText:
                if parts.isEmpty, end(text[text.endIndex...]) { return true }
                while true {
                    if matches(parts, text, &budget, end) { return true }
                    guard budget > 0, text.popFirst() != nil else { return false }
                }
            case .choice(let choices):
                let rest = parts
                for choice in choices {
                    if matches(Array(choice + rest)[...], text, &budget, end) { return true }
                }
                return false
            }
        }
        return end(text)
    }
}
