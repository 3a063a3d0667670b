package import Configuration

/// `retry_on_failure` of an exporter: how long and how often a failed export is tried again.
package struct RetryConfig: Sendable, Equatable {
    /// false: what fails is dropped at once. Default true. Key `enabled`.
    package var enabled = true
    /// Wait before the first repetition. Default 5s. Key `initial_interval`.
    package var initialInterval: Duration = .seconds(5)
    /// Each wait is spread by this part of itself, up and down. Default 0.5, 0…1. Key `randomization_factor`.
    package var randomizationFactor = 0.5
    /// Each wait is this many times the one before. Default 1.5, at least 1. Key `multiplier`.
    package var multiplier = 1.5
    /// Longest wait. Default 30s. Key `max_interval`.
    package var maxInterval: Duration = .seconds(30)
    /// After this the data is dropped; 0 = never. Default 5m. Key `max_elapsed_time`.
    package var maxElapsedTime: Duration = .seconds(300)

    package init() {}

    /// Reads `retry_on_failure` of an exporter's section; defaults when it is not written.
    package init(of exporter: ConfigSection) {
        guard let section = exporter.section("retry_on_failure") else {
            self.init()
            return
        }
        self.init(section)
    }

    /// Reads and checks the section itself; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        enabled = section.bool("enabled", default: true)
        initialInterval = section.duration("initial_interval", default: initialInterval)
        randomizationFactor = section.double("randomization_factor", default: randomizationFactor, in: 0...1)
        multiplier = section.double("multiplier", default: multiplier, in: 1...Double.greatestFiniteMagnitude)
        maxInterval = section.duration("max_interval", default: maxInterval)
        maxElapsedTime = section.duration("max_elapsed_time", default: maxElapsedTime)
        if maxElapsedTime > .zero {
            for (key, interval) in [("initial_interval", initialInterval), ("max_interval", maxInterval)]
            where maxElapsedTime < interval {
                section.report(
                    section.has("max_elapsed_time") ? "max_elapsed_time" : key,
                    error: "'max_elapsed_time' must not be less than '\(key)', "
                        + "found \(maxElapsedTime.text) and \(interval.text)",
                    help: "write 0 to retry forever")
            }
        }
        section.finish()
    }
}
