internal import Configuration
internal import OTLP
internal import StatementConfiguration
package import Statements

/// `expressions` of `metrics: include` and `exclude`, of `match_type: expr`: conditions on data points in another language,
/// which are put into OTTL. A metric matches if one of its points does.
package struct MetricExpressions: Sendable, Equatable {
    /// Nil: there is no such section.
    package var include: [Condition]?
    package var exclude: [Condition]?

    var isEmpty: Bool { include == nil && exclude == nil }

    package static func == (left: MetricExpressions, right: MetricExpressions) -> Bool {
        left.include?.map(\.text) == right.include?.map(\.text)
            && left.exclude?.map(\.text) == right.exclude?.map(\.text)
    }

    /// Reads the expressions of one section.
    static func read(_ section: ConfigSection) -> [Condition] {
        var conditions: [Condition] = []
        for text in section.locatedTexts("expressions") ?? [] {
            do throws(StatementError) {
                let ottl = try Translation.condition(text.text)
                do throws(StatementError) { conditions.append(try Condition(ottl, for: .datapoint)) } catch {
                    throw StatementError("\(error.message), in what it means: \(ottl)", at: 0)
                }
            } catch {
                section.report(error, of: "expression", in: text)
            }
        }
        return conditions
    }

    /// Whether the metric that the frame shows goes. What cannot be said of a point does not hold.
    func drops(_ metric: MessageID, _ frame: Frame, _ request: RequestEditor) -> Bool {
        if let include, !Self.match(include, metric, frame, request) { return true }
        return exclude.map { Self.match($0, metric, frame, request) } ?? false
    }

    private static func match(
        _ conditions: [Condition], _ metric: MessageID, _ frame: Frame, _ request: RequestEditor
    ) -> Bool {
        guard let kind = request.metricKind(metric) else { return false }
        var isFound = false
        var index = 0
        request.forEachChild(request.child(metric, kind), Field.MetricData.dataPoints) { point in
            frame.show(part: point, at: index)
            index += 1
            isFound = isFound || conditions.contains { (try? $0.holds(frame)) ?? false }
            return .keep
        }
        return isFound
    }
}

/// From the expression language (`MetricName`, `HasLabel`, `Label`; `&&`, `||`, `not`; comparisons, `in`, `matches`, `contains`,
/// `startsWith`, `endsWith`) to OTTL.
private struct Translation {
    private var words: ArraySlice<Substring>

    static func condition(_ text: String) throws(StatementError) -> String {
        var translation = Translation(words: try words(of: text)[...])
        let condition = try translation.alternatives()
        if let rest = translation.words.first { throw failure("unexpected \"\(rest)\"", rest, text) }
        return condition
    }

    private static func failure(_ message: String, _ place: Substring, _ text: String) -> StatementError {
        StatementError(message, at: text.utf8.distance(from: text.startIndex, to: place.startIndex))
    }

    private func unexpected() -> StatementError {
        StatementError(
            words.first.map { "unexpected \"\($0)\"" } ?? "the expression ends early",
            at: words.first.map { $0.base.utf8.distance(from: $0.base.startIndex, to: $0.startIndex) } ?? 0,
            help: "write a condition: metric_conditions: ['metric.name == \"x\"']")
    }

    private static func words(of text: String) throws(StatementError) -> [Substring] {
        var words: [Substring] = []
        var rest = text[...]
        while let first = rest.first {
            var count = 1
            if first.isWhitespace {
                rest = rest.dropFirst()
                continue
            } else if first == "\"" || first == "'" {
                var end = rest.dropFirst()
                while let next = end.first, next != first { end = end.dropFirst(next == "\\" ? 2 : 1) }
                guard !end.isEmpty else { throw failure("a text without end", rest, text) }
                count = rest.distance(from: rest.startIndex, to: end.startIndex) + 1
            } else if first.isLetter || first.isNumber || first == "_" {
                count = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "." }.count
            } else if let sign = ["&&", "||", "==", "!=", "<=", ">="].first(where: { rest.hasPrefix($0) }) {
                count = sign.count
            }
            words.append(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return words
    }

    private mutating func take(_ wanted: Substring...) -> Bool {
        guard let word = words.first, wanted.contains(word) else { return false }
        words.removeFirst()
        return true
    }

    private mutating func alternatives() throws(StatementError) -> String {
        var parts = [try conjunction()]
        while take("||", "or") { parts.append(try conjunction()) }
        return parts.joined(separator: " or ")
    }

    private mutating func conjunction() throws(StatementError) -> String {
        var parts = [try negation()]
        while take("&&", "and") { parts.append(try negation()) }
        return parts.joined(separator: " and ")
    }

    private mutating func negation() throws(StatementError) -> String {
        if take("!", "not") { return "not (" + (try negation()) + ")" }
        if take("(") {
            let inner = try alternatives()
            guard take(")") else { throw unexpected() }
            return "(" + inner + ")"
        }
        if take("true") { return "true" }
        if take("false") { return "false" }
        if take("HasLabel") { return "datapoint.attributes[" + (try argument()) + "] != nil" }
        return try comparison()
    }

    private mutating func comparison() throws(StatementError) -> String {
        let left = try value()
        for sign in ["==", "!=", "<=", ">=", "<", ">"] as [Substring] where take(sign) {
            return "\(left) \(sign) " + (try value())
        }
        if take("matches") { return "IsMatch(\(left), " + (try value()) + ")" }
        if take("startsWith") { return "HasPrefix(\(left), " + (try value()) + ")" }
        if take("endsWith") { return "HasSuffix(\(left), " + (try value()) + ")" }
        if take("contains") { return "Index(\(left), " + (try value()) + ") >= 0" }
        let isNegated = take("not")
        guard take("in"), take("[") else { throw unexpected() }
        var choices: [String] = []
        repeat { choices.append("\(left) == " + (try value())) } while take(",")
        guard take("]") else { throw unexpected() }
        return (isNegated ? "not (" : "(") + choices.joined(separator: " or ") + ")"
    }

    private mutating func value() throws(StatementError) -> String {
        if take("MetricName") { return "metric.name" }
        if take("Label") { return "Coalesce([datapoint.attributes[" + (try argument()) + "], \"\"])" }
        guard let word = words.first else { throw unexpected() }
        if let quote = word.first, quote == "\"" || quote == "'" {
            words.removeFirst()
            var inner = String(word.dropFirst().dropLast())
            if quote == "'" {
                inner = inner.replacing("\\'", with: "'").replacing("\"", with: "\\\"")
            }
            return "\"\(inner)\""
        }
        guard word.first?.isNumber == true, Double(word) != nil else { throw unexpected() }
        words.removeFirst()
        return String(word)
    }

    private mutating func argument() throws(StatementError) -> String {
        guard take("(") else { throw unexpected() }
        let key = try value()
        guard key.hasPrefix("\""), take(")") else { throw unexpected() }
        return key
    }
}
