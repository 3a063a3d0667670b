package import Configuration
package import OTLP
internal import StatementConfiguration
package import Statements

/// The keys of the `transform` processor.
package struct TransformConfig: Sendable, Equatable {
    /// What an error of a statement on an item means; groups may have their own. Default ignore. Key `error_mode`.
    package var errorMode = StatementGroup.ErrorMode.ignore
    /// The groups of statements by signal, in the order in which they run. Keys `trace_statements`, `metric_statements`,
    /// `log_statements`.
    package var groups: [Signal: [StatementGroup]] = [:]

    package init(_ section: ConfigSection) {
        errorMode = section.errorMode("error_mode", default: .ignore)
        for signal in Signal.allCases { groups[signal] = read(section, signal) }
        section.notSupportedYet("profile_statements", "profiles are no signal of this gateway")
        if section.bool("flatten_data", default: false) {
            section.report(
                "flatten_data",
                error: "'flatten_data' requires the 'transform.flatten.logs' feature gate to be enabled",
                help: "that gate is alpha in the Collector and has no counterpart here: set record attributes "
                    + "instead of resource attributes, or group by them behind this processor with groupbyattrs")
        }
        section.finish()
    }

    /// The key that has the statements of a signal.
    private static func key(_ signal: Signal) -> String {
        switch signal {
        case .traces: "trace_statements"
        case .metrics: "metric_statements"
        case .logs: "log_statements"
        }
    }

    private func read(_ section: ConfigSection, _ signal: Signal) -> [StatementGroup] {
        let key = Self.key(signal)
        var plain: [LocatedText] = []
        var sections: [ConfigSection] = []
        for item in section.items(key) ?? [] {
            switch item {
            case .text(let text): plain.append(text)
            case .section(let group): sections.append(group)
            case .empty(let place):
                section.diagnostics.error("statement cannot be empty", path: place.path, at: place.origin)
            }
        }
        if !plain.isEmpty, !sections.isEmpty {
            section.report(
                key,
                error: "configuring multiple configuration styles is not supported, please use only Basic "
                    + "configuration or only Advanced configuration",
                help: "write all entries as texts, or all as sections with statements:")
            sections.forEach { $0.allowAnyKey() }
            return []
        }
        if !plain.isEmpty {
            return [group(plain, [], nil, signal, errorMode, section)].compactMap { $0 }
        }
        return sections.compactMap { readGroup($0, signal) }
    }

    private func readGroup(_ section: ConfigSection, _ signal: Signal) -> StatementGroup? {
        let mode = section.errorMode("error_mode", default: errorMode)
        let statements = section.locatedTexts("statements") ?? []
        let conditions = section.locatedTexts("conditions") ?? []
        let context = section.statementContext("context", signal)
        if section.isBroken("context") { return nil }
        return group(statements, conditions, context, signal, mode, section)
    }

    private func group(
        _ statements: [LocatedText], _ conditions: [LocatedText], _ context: ContextKind?, _ signal: Signal,
        _ mode: StatementGroup.ErrorMode, _ section: ConfigSection
    ) -> StatementGroup? {
        guard !statements.isEmpty else { return nil }
        do throws(StatementGroup.Problems) {
            return try StatementGroup(
                statements: statements.map(\.text), conditions: conditions.map(\.text), context: context,
                signal: signal, errorMode: mode)
        } catch {
            for problem in error.all {
                switch problem.place {
                case .statement(let index):
                    section.report(problem.error, of: "statement", in: statements[index])
                case .condition(let index):
                    section.report(problem.error, of: "condition", in: conditions[index])
                }
            }
            return nil
        }
    }
}
