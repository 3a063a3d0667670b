package import Configuration
internal import Pipeline

/// The keys of `failover`.
package struct FailoverConfig: ComponentConfig {
    /// Names of pipelines, the first level preferred. Key `priority_levels`.
    package var levels: [[String]] = []
    /// How often the levels above the one in use are tried with a request. Default 10m. Key `retry_interval`.
    package var retryInterval: Duration = .seconds(600)
    /// Texts of which an error must have one to count as a failure, in lower case; none: all do. Key
    /// `condition::error::contains`.
    package var errorTexts: [String] = []

    package init() {}

    package init(_ section: ConfigSection) {
        levels = section.stringLists("priority_levels")
        if levels.isEmpty || levels.contains(where: \.isEmpty), !section.isBroken("priority_levels") {
            section.report("priority_levels", error: "No pipelines are defined in the priority list")
        }
        retryInterval = section.duration("retry_interval", default: retryInterval)
        _ = section.choice("strategy", of: ["standard"], default: "standard")
        if let standard = section.section("standard") {
            retryInterval = standard.duration("retry_interval", default: retryInterval)
        }
        if retryInterval <= .zero, !section.isBroken("retry_interval") {
            section.report("retry_interval", error: "Retry interval must be positive")
        }
        section.ignored("retry_gap", "it is deprecated")
        section.ignored("max_retries", "it is deprecated")
        section.notSupportedYet("sending_queue", "put a pipeline with an exporter's queue in front of it")
        if let error = section.section("condition")?.section("error") {
            errorTexts = error.stringList("contains").map { $0.lowercased() }
        }
        section.finish()
    }
}
