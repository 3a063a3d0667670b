package import Configuration
package import OTLP

/// An `include` or `exclude` section.
package struct MatchConfig: Sendable, Equatable {
    /// One entry of `libraries`.
    package struct Library: Sendable, Equatable {
        package var name: String
        /// Nil: any version.
        package var version: String?
    }

    /// `log_severity_number`.
    package struct SeverityNumber: Sendable, Equatable {
        package var min: Int
        package var matchesUndefined: Bool

        package init(min: Int, matchesUndefined: Bool) {
            self.min = min
            self.matchesUndefined = matchesUndefined
        }
    }

    package var matchType = ""
    package var services: [String] = []
    package var spanNames: [String] = []
    package var spanKinds: [String] = []
    package var logBodies: [String] = []
    package var logSeverityTexts: [String] = []
    package var logSeverityNumber: SeverityNumber?
    package var metricNames: [String] = []
    package var attributes: [AttributeMatchConfig] = []
    package var resources: [AttributeMatchConfig] = []
    package var libraries: [Library] = []

    package init() {}

    /// Reads a section; its owner finishes it.
    package init(_ section: ConfigSection) {
        matchType = section.optionalString("match_type") ?? ""
        services = section.stringList("services")
        spanNames = section.stringList("span_names")
        spanKinds = section.stringList("span_kinds")
        logBodies = section.stringList("log_bodies")
        logSeverityTexts = section.stringList("log_severity_texts")
        if let number = section.section("log_severity_number") {
            logSeverityNumber = SeverityNumber(
                min: number.int("min", default: 0, in: Int.min...Int.max),
                matchesUndefined: number.bool("match_undefined", default: false))
        }
        metricNames = section.stringList("metric_names")
        attributes = (section.sectionList("attributes") ?? []).map(AttributeMatchConfig.init)
        resources = (section.sectionList("resources") ?? []).map(AttributeMatchConfig.init)
        libraries = (section.sectionList("libraries") ?? []).map {
            Library(name: $0.optionalString("name") ?? "", version: $0.optionalString("version"))
        }
        if let cache = section.section("regexp") {
            cache.ignored("cacheenabled", "patterns match in linear time and nothing is cached")
            cache.ignored("cachemaxnumentries", "patterns match in linear time and nothing is cached")
        }
    }

    package var asksNothing: Bool {
        services.isEmpty && spanNames.isEmpty && spanKinds.isEmpty && logBodies.isEmpty
            && logSeverityTexts.isEmpty && logSeverityNumber == nil && metricNames.isEmpty
            && attributes.isEmpty && resources.isEmpty && libraries.isEmpty
    }

    /// What may not stand in the section of a signal, and whether there is anything in it.
    func check(for signal: Signal) throws(MatchError) {
        switch signal {
        case .traces:
            for (isSet, key) in [
                (!logBodies.isEmpty, "log_bodies"), (!logSeverityTexts.isEmpty, "log_severity_texts"),
                (logSeverityNumber != nil, "log_severity_number"), (!metricNames.isEmpty, "metric_names"),
            ] where isSet {
                throw MatchError("\(key) should not be specified for trace spans")
            }
        case .logs:
            if !(services.isEmpty && spanNames.isEmpty && spanKinds.isEmpty && metricNames.isEmpty) {
                throw MatchError(
                    "services, span_names, span_kinds and metric_names are not valid for log records")
            }
        case .metrics:
            if !(spanNames.isEmpty && spanKinds.isEmpty && logBodies.isEmpty && logSeverityTexts.isEmpty
                && logSeverityNumber == nil && services.isEmpty && attributes.isEmpty && libraries.isEmpty)
            {
                throw MatchError(
                    "\"span_names\", \"span_kinds\", \"log_bodies\", \"log_severity_texts\", "
                        + "\"log_severity_number\", \"services\", \"attributes\" and \"libraries\" "
                        + "are not valid for metrics")
            }
        }
        if asksNothing {
            throw MatchError(
                "at least one of \"attributes\", \"libraries\",  or \"resources\" field must be specified")
        }
    }
}

/// The `include` and `exclude` of a component.
package struct SelectionConfig: Sendable, Equatable {
    package var include: MatchConfig?
    package var exclude: MatchConfig?

    package init(include: MatchConfig? = nil, exclude: MatchConfig? = nil) {
        self.include = include
        self.exclude = exclude
    }

    /// Reads both keys of a component's section, which the component finishes.
    package init(_ section: ConfigSection) {
        include = section.section("include").map(MatchConfig.init)
        exclude = section.section("exclude").map(MatchConfig.init)
    }

    /// Reports what is not valid for the signals of the pipelines that use the component.
    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        for signal in Signal.allCases where signals.contains(signal) {
            for (key, config) in [("include", include), ("exclude", exclude)] {
                guard let config else { continue }
                do throws(MatchError) {
                    _ = try ItemMatcher(config, signal)
                } catch {
                    return section.report(key, error: error.description)
                }
            }
        }
    }
}
