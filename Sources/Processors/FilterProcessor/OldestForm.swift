internal import Configuration
internal import ItemMatching
internal import OTLP
internal import Statements

/// `include` and `exclude` as they were before conditions.
enum OldestForm {
    /// An `include` or `exclude`. Unlike those of `attributes`, bodies that are no text do not match `bodies`.
    struct Matcher: Sendable {
        private let matcher: ItemMatcher
        private let asksBodies: Bool

        init(_ config: MatchConfig, _ signal: Signal) throws(MatchError) {
            matcher = try ItemMatcher(config, signal)
            asksBodies = !config.logBodies.isEmpty
        }

        func matches(_ scope: ScopePlace, of request: RequestEditor) -> Bool {
            matcher.matches(resource: scope.resource.resource, of: request)
                && matcher.matches(scope: scope.scope, of: request)
        }

        func matches(item: MessageID, of request: RequestEditor) -> Bool {
            if asksBodies {
                guard case .string = AttributeValue(request.content(item, Field.LogRecord.body)) else {
                    return false
                }
            }
            return matcher.matches(item: item, of: request)
        }
    }

    /// `resource_attributes` of `metrics`: asked apart from `metric_names`, so a resource that `exclude` matches goes whole.
    struct MetricResources: Sendable {
        private let include: AttributeMatcher?
        private let exclude: AttributeMatcher?

        init(_ selection: SelectionConfig?) throws(MatchError) {
            func matcher(_ config: MatchConfig?) throws(MatchError) -> AttributeMatcher? {
                guard let config, !config.resources.isEmpty else { return nil }
                return try AttributeMatcher(MatchType(config.matchType), config.resources)
            }
            include = try matcher(selection?.include)
            exclude = try matcher(selection?.exclude)
        }

        func drops(_ resource: MessageID, of request: RequestEditor) -> Bool {
            guard include != nil || exclude != nil else { return false }
            let table = request.attributes(resource, Field.Resource.attributes)
            if let include, !include.matches(request, table) { return true }
            return exclude?.matches(request, table) ?? false
        }
    }

    /// Nil: nothing is selected.
    static func selection(
        _ section: ConfigSection, _ signal: Signal, _ expressions: inout MetricExpressions
    ) -> SelectionConfig? {
        func match(_ key: String, _ expressions: inout [Condition]?) -> MatchConfig? {
            guard let part = section.section(key) else { return nil }
            var config = self.match(part, signal)
            if signal == .metrics, config.matchType == "expr" {
                // Names count only for the other types.
                (config.matchType, config.metricNames) = ("strict", [])
                expressions = MetricExpressions.read(part)
            }
            // As in the Collector a section that asks nothing is none, but for spans.
            return signal != .traces && config.asksNothing ? nil : config
        }
        let include = match("include", &expressions.include)
        let exclude = match("exclude", &expressions.exclude)
        guard include != nil || exclude != nil else { return nil }
        let selection = SelectionConfig(include: include, exclude: exclude)
        if !section.diagnostics.hasErrors { selection.check(usedFor: [signal], section) }
        return selection
    }

    private static func match(_ section: ConfigSection, _ signal: Signal) -> MatchConfig {
        guard signal != .traces else { return MatchConfig(section) }
        var config = MatchConfig()
        config.matchType = section.optionalString("match_type") ?? ""
        config.resources = attributes(section, "resource_attributes")
        if let cache = section.section("regexp") {
            cache.ignored("cacheenabled", "patterns match in linear time and nothing is cached")
            cache.ignored("cachemaxnumentries", "patterns match in linear time and nothing is cached")
        }
        if signal == .metrics {
            config.metricNames = section.stringList("metric_names")
            if config.matchType != "expr" {
                section.withoutEffect("expressions", "they are for match_type: expr")
            }
            return config
        }
        config.attributes = attributes(section, "record_attributes")
        config.logSeverityTexts = section.stringList("severity_texts")
        config.logBodies = section.stringList("bodies")
        if let severity = section.section("severity_number") { config.logSeverityNumber = number(severity) }
        return config
    }

    private static func attributes(_ section: ConfigSection, _ key: String) -> [AttributeMatchConfig] {
        (section.sectionList(key) ?? []).map(AttributeMatchConfig.init)
    }

    private static let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]

    private static func number(_ section: ConfigSection) -> MatchConfig.SeverityNumber {
        let matchesUndefined = section.bool("match_undefined", default: false)
        let name = section.scalar("min") ?? ""
        var min = Int(name).flatMap { (1...24).contains($0) ? $0 : nil } ?? (name.isEmpty ? 0 : nil)
        for (index, level) in levels.enumerated() {
            for step in 1...4 where name.uppercased() == level + (step == 1 ? "" : "\(step)") {
                min = index * 4 + step
            }
        }
        if min == nil {
            section.report(
                "min", error: "'\(name)' is not a valid severity: not a valid severity",
                help: "write TRACE to FATAL4, or 1 to 24")
        }
        return MatchConfig.SeverityNumber(min: min ?? 0, matchesUndefined: matchesUndefined)
    }
}
