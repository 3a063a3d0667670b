package import Configuration
package import ItemMatching
package import OTLP
internal import StatementConfiguration
package import Statements

/// The keys of the `filter` processor.
package struct FilterConfig: Sendable, Equatable {
    /// A condition; items for which it holds are dropped.
    package struct Rule: Sendable, Equatable {
        package let condition: Condition
        package let errorMode: StatementGroup.ErrorMode

        package static func == (left: Rule, right: Rule) -> Bool {
            left.condition.text == right.condition.text && left.condition.context == right.condition.context
                && left.errorMode == right.errorMode
        }
    }

    /// What an error of a condition on an item means. Default ignore. Key `error_mode`.
    package var errorMode = StatementGroup.ErrorMode.ignore
    /// Keys `trace_conditions`, `metric_conditions`, `log_conditions`, and the older `traces`, `metrics`, `logs`.
    package var rules: [Signal: [Rule]] = [:]
    /// The oldest form: what stays. Keys `spans`, and `include` and `exclude` of `metrics` and `logs`.
    package var selections: [Signal: SelectionConfig] = [:]
    /// The oldest form of metrics with `match_type: expr`.
    package var expressions = MetricExpressions()

    package init(_ section: ConfigSection) {
        errorMode = section.errorMode("error_mode", default: .ignore)
        for signal in Signal.allCases { read(section, signal) }
        section.notSupportedYet("profile_conditions", "profiles are no signal of this gateway")
        section.notSupportedYet("profiles", "profiles are no signal of this gateway")
        section.finish()
    }

    private mutating func read(_ section: ConfigSection, _ signal: Signal) {
        let form = Form.of(signal)
        let old = section.section(form.section)
        let oldest = signal == .traces ? section.section("spans") : old
        let hasNew = section.has(form.conditions)
        let hasOld = old.map { old in form.contexts.contains { old.has($0.key) } } ?? false
        let hasOldest = oldest.map { $0.has("include") || $0.has("exclude") } ?? false
        if hasNew, hasOld || hasOldest {
            section.report(
                form.conditions,
                error:
                    "cannot use context inferred \(form.word) conditions \"\(form.conditions)\" and the settings "
                    + (hasOld || signal != .traces ? form.settings : form.oldest) + " at the same time",
                help: "move all of them to \(form.conditions)")
        } else if hasOld, hasOldest {
            section.report(
                form.section,
                error:
                    "cannot use \(form.olds) and the \(form.oldestWord) settings \(form.oldest) at the same time",
                help: "move all of them to \(form.conditions)")
        }
        var rules = newRules(section, form, signal)
        for (key, context) in form.contexts {
            for text in old?.locatedTexts(key) ?? [] {
                let rule = Self.rule(text, section, errorMode) { (text) throws(StatementError) in
                    try Condition(text, for: context)
                }
                if let rule { rules.append(rule) }
            }
        }
        self.rules[signal] = rules
        if let oldest { selections[signal] = OldestForm.selection(oldest, signal, &expressions) }
    }

    private func newRules(_ section: ConfigSection, _ form: Form, _ signal: Signal) -> [Rule] {
        var rules: [Rule] = []
        var (hasTexts, hasSections) = (false, false)
        for item in section.items(form.conditions) ?? [] {
            switch item {
            case .text(let text):
                hasTexts = true
                rules += rule(text, nil, section, errorMode, signal)
            case .empty(let place):
                section.diagnostics.error("condition cannot be empty", path: place.path, at: place.origin)
            case .section(let group):
                hasSections = true
                let mode = group.errorMode("error_mode", default: errorMode)
                let context = group.statementContext("context", signal)
                let texts = group.locatedTexts("conditions") ?? []
                guard !group.isBroken("context") else { continue }
                for text in texts { rules += rule(text, context, group, mode, signal) }
            }
        }
        if hasTexts, hasSections {
            section.report(
                form.conditions,
                error: "configuring multiple configuration styles is not supported, please use only Basic "
                    + "configuration or only Advanced configuration",
                help: "write all entries as texts, or all as sections with conditions:")
        }
        return rules
    }

    private func rule(
        _ text: LocatedText, _ context: ContextKind?, _ section: ConfigSection,
        _ mode: StatementGroup.ErrorMode,
        _ signal: Signal
    ) -> [Rule] {
        let rule = Self.rule(text, section, mode) { (text) throws(StatementError) in
            if let context { return try Condition(text, for: context) }
            return try Condition(text, in: signal)
        }
        return rule.map { [$0] } ?? []
    }

    private static func rule(
        _ text: LocatedText, _ section: ConfigSection, _ mode: StatementGroup.ErrorMode,
        _ make: (String) throws(StatementError) -> Condition
    ) -> Rule? {
        do throws(StatementError) {
            return Rule(condition: try make(text.text), errorMode: mode)
        } catch {
            section.report(error, of: "condition", in: text)
            return nil
        }
    }
}

/// The keys of one signal.
private struct Form {
    let word: String
    let conditions: String
    let section: String
    let contexts: [(key: String, context: ContextKind)]
    let oldest: String
    let oldestWord: String

    var olds: String {
        contexts.map { "\"\(section).\($0.key == "log_record" ? "log" : $0.key)\"" }.joined(separator: ", ")
    }
    var settings: String { section == "traces" ? olds : olds + ", " + oldest }

    static func of(_ signal: Signal) -> Form {
        switch signal {
        case .traces:
            Form(
                word: "trace", conditions: "trace_conditions", section: "traces",
                contexts: [("resource", .resource), ("span", .span), ("spanevent", .spanevent)],
                oldest: "\"spans.include\", \"spans.exclude\"", oldestWord: "span")
        case .metrics:
            Form(
                word: "metric", conditions: "metric_conditions", section: "metrics",
                contexts: [("resource", .resource), ("metric", .metric), ("datapoint", .datapoint)],
                oldest: "\"metrics.include\", \"metrics.exclude\"", oldestWord: "metric")
        case .logs:
            Form(
                word: "log", conditions: "log_conditions", section: "logs",
                contexts: [("resource", .resource), ("log_record", .log)],
                oldest: "\"logs.include\", \"logs.exclude\"", oldestWord: "log")
        }
    }
}
