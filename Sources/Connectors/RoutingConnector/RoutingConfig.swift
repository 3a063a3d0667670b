package import Configuration
package import OTLP
package import Pipeline
internal import StatementConfiguration
package import Statements

/// The keys of `routing`.
package struct RoutingConfig: ComponentConfig {
    /// One row of the table.
    package struct Row: Sendable, Equatable {
        /// What is asked.
        package enum Test: Sendable {
            /// Of each resource, span, metric, data point or log record.
            case condition(Condition)
            /// Of the request as a whole.
            case request(RequestCondition)
            /// A statement without a condition.
            case always
        }

        package let test: Test
        package let pipelines: [String]
        /// Whether what matches stays for later rows, too.
        package let copies: Bool
        /// Takes attributes out of what matches: a statement other than `route()`.
        package let change: StatementGroup?
        /// As written; rows of equal texts test the same.
        let text: String
        /// For log and metrics.
        var shownText: String { change?.statementTexts.first ?? text }

        package static func == (left: Row, right: Row) -> Bool {
            left.text == right.text && left.pipelines == right.pipelines && left.copies == right.copies
                && left.change == right.change
        }
    }

    /// In the order in which they are asked. Key `table`.
    package var rows: [Row] = []
    /// Pipelines for what no row takes; without any it is dropped. Key `default_pipelines`.
    package var defaultPipelines: [String] = []
    /// What an error in a row means. Default ignore: a condition does not match, a change is not made. Key `error_mode`.
    package var errorMode = StatementGroup.ErrorMode.ignore

    package init() {}

    package init(_ section: ConfigSection) {
        errorMode = section.errorMode("error_mode", default: .ignore)
        defaultPipelines = section.stringList("default_pipelines")
        section.ignored("match_once", "it was removed from the Collector")
        let table = section.sectionList("table") ?? []
        if table.isEmpty, !section.isBroken("table") {
            section.report(
                "table", error: "invalid routing table: the routing table is empty",
                help:
                    "write table: [{condition: 'attributes[\"team\"] == \"shop\"', pipelines: [traces/shop]}]"
            )
        }
        rows = table.compactMap { Self.read($0, errorMode) }
        section.finish()
    }

    private static func read(_ row: ConfigSection, _ errorMode: StatementGroup.ErrorMode) -> Row? {
        let context = row.string("context", default: "resource")
        let pipelines = row.stringList("pipelines")
        let action = row.choice("action", of: ["move", "copy"], default: "move")
        let statement = row.locatedTexts("statement")?.first
        let condition = row.locatedTexts("condition")?.first
        if pipelines.isEmpty { row.report("pipelines", error: "invalid route: no pipelines defined") }
        guard (statement == nil) != (condition == nil) else {
            row.report(
                nil,
                error: statement == nil
                    ? "invalid route: no condition or statement provided"
                    : "invalid route: both condition and statement provided")
            return nil
        }
        var text: LocatedText? = condition
        if let statement {
            guard let rest = conditionText(of: statement, row) else { return nil }
            text = rest.text.isEmpty ? nil : rest
        }
        guard let test = test(text, context, row) else { return nil }
        let change = statement.flatMap { $0.text.isRoute ? nil : self.change($0, context, errorMode, row) }
        return Row(
            test: test, pipelines: pipelines, copies: action == "copy", change: change,
            text: "\(context) \(text?.text ?? "")")
    }

    private static func change(
        _ statement: LocatedText, _ context: String, _ errorMode: StatementGroup.ErrorMode,
        _ row: ConfigSection
    ) -> StatementGroup? {
        guard let kind = ContextKind(rawValue: context) else {
            row.report("context", error: "only route() is supported in the context \(context)")
            return nil
        }
        do throws(StatementGroup.Problems) {
            // With a context, the signal does not matter.
            return try StatementGroup(
                statements: [statement.text], context: kind, signal: .traces, errorMode: errorMode)
        } catch {
            for problem in error.all { row.report(problem.error, of: "statement", in: statement) }
            return nil
        }
    }

    private static func test(_ text: LocatedText?, _ context: String, _ row: ConfigSection) -> Row.Test? {
        guard let text else { return .always }
        if context == "request" {
            guard let condition = RequestCondition(text.text) else {
                row.diagnostics.error(
                    "condition must be request[\"<name>\"] == \"<value>\" or !=, found \(text.text)",
                    path: text.path, at: text.origin)
                return nil
            }
            return .request(condition)
        }
        guard let kind = ContextKind(rawValue: context),
            [.resource, .span, .metric, .datapoint, .log].contains(kind)
        else {
            row.report(
                "context", error: "invalid context: \(context)",
                help: "write resource, span, metric, datapoint, log or request")
            return nil
        }
        do throws(StatementError) {
            return .condition(try Condition(text.text, for: kind))
        } catch {
            row.report(error, of: "condition", in: text)
            return nil
        }
    }

    /// What stands behind `where` in `route() where …`; empty when nothing does.
    private static func conditionText(of statement: LocatedText, _ row: ConfigSection) -> LocatedText? {
        let text = statement.text
        let isChange = ["delete_key(", "delete_matching_keys("].contains { text.trimmedStart.hasPrefix($0) }
        guard text.isRoute || isChange, let behind = text.trimmedStart.behindCall else {
            row.diagnostics.error(
                "only route(), delete_key() and delete_matching_keys() are supported in a statement, "
                    + "found \(text)", path: statement.path, at: statement.origin,
                help: "change data with a transform processor in the pipeline")
            return nil
        }
        let rest = behind.trimmedStart
        guard !rest.isEmpty else { return LocatedText("", origin: statement.origin, path: statement.path) }
        guard rest.hasPrefix("where ") else {
            row.diagnostics.error(
                "expected where behind \(text.trimmedStart.prefix { $0 != "(" })(), found \(rest)",
                path: statement.path, at: statement.origin)
            return nil
        }
        return LocatedText(
            String(rest.dropFirst("where ".count)), origin: statement.origin, path: statement.path)
    }

    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        for row in rows {
            guard case .condition(let condition) = row.test else { continue }
            for signal in signals where !ContextKind.of(signal).contains(condition.context) {
                section.report(
                    "table",
                    error: "invalid context: \(condition.context.rawValue) is not one of \(signal.name)")
            }
        }
    }
}

extension StringProtocol where SubSequence == Substring {
    fileprivate var trimmedStart: Substring { drop { $0 == " " } }

    fileprivate var isRoute: Bool { trimmedStart.hasPrefix("route()") }

    /// What stands behind the call that this begins with. Nil: the call does not end.
    fileprivate var behindCall: Substring? {
        var depth = 0
        var rest = self[...]
        while let character = rest.popFirst() {
            switch character {
            case "(": depth += 1
            case ")":
                depth -= 1
                if depth == 0 { return rest }
            case "\"":
                while let next = rest.popFirst(), next != "\"" {
                    if next == "\\" { rest = rest.dropFirst() }
                }
            default: break
            }
        }
        return nil
    }
}

/// `request["name"] == "value"` or `!=`: of a field that the client sent.
package struct RequestCondition: Sendable, Equatable {
    package let name: String
    package let value: String
    package let isEqual: Bool

    /// Nil when the text is no such condition.
    package init?(_ text: String) {
        var rest = text.filter { $0 != "\t" }.drop { $0 == " " }
        guard rest.hasPrefix("request[\"") else { return nil }
        rest = rest.dropFirst("request[\"".count)
        guard let end = rest.firstIndex(of: "\"") else { return nil }
        name = rest[..<end].lowercased()
        rest = rest[end...].dropFirst()
        guard rest.first == "]" else { return nil }
        rest = rest.dropFirst().drop { $0 == " " }
        guard rest.hasPrefix("==") || rest.hasPrefix("!=") else { return nil }
        isEqual = rest.hasPrefix("==")
        rest = rest.dropFirst(2).drop { $0 == " " }
        guard rest.first == "\"", let close = rest.dropFirst().firstIndex(of: "\"") else { return nil }
        value = String(rest[rest.index(after: rest.startIndex)..<close])
        guard rest[rest.index(after: close)...].allSatisfy({ $0 == " " }), !name.isEmpty else { return nil }
    }

    /// Whether one of the field's values compares so: never, when the field is not there.
    package func holds(for metadata: ClientMetadata?) -> Bool {
        (metadata?.values(name) ?? []).contains { ($0 == value) == isEqual }
    }
}
