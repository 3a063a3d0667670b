package import Configuration
internal import Pipeline

/// The keys of the `interval` processor.
package struct IntervalConfig: ComponentConfig {
    /// How often each stream is sent on. At least a second. Key `interval`.
    package var interval = Duration.seconds(60)
    /// Gauges are sent on at once. Key `pass_through::gauge`.
    package var passesGauges = false
    /// Summaries are sent on at once. Key `pass_through::summary`.
    package var passesSummaries = false
    /// Streams held at a time; points of further ones are sent on at once. Ours. Key `max_streams`.
    package var maxStreams = 1_000_000

    package init() {}

    package init(_ section: ConfigSection) {
        interval = section.duration(
            "interval", default: interval, in: .nanoseconds(Int64.min + 1) ... .longest)
        if interval <= .zero, !section.isBroken("interval") {
            section.report("interval", error: "invalid interval value", help: "write interval: 60s")
        } else if interval < .seconds(1), !section.isBroken("interval") {
            section.report(
                "interval", error: "must be at least 1s, found \(interval.text)", help: "write interval: 1s")
        }
        if let passThrough = section.section("pass_through") {
            passesGauges = passThrough.bool("gauge", default: false)
            passesSummaries = passThrough.bool("summary", default: false)
        }
        maxStreams = section.int("max_streams", default: maxStreams, in: 1...Int.max)
        section.finish()
    }
}
