package import Configuration
internal import Pipeline

/// The keys of the `deltatocumulative` processor.
package struct DeltaToCumulativeConfig: ComponentConfig {
    /// A stream without a point for so long is forgotten. More than 0. Key `max_stale`.
    package var maxStale = Duration.seconds(300)
    /// Streams remembered at a time; points of further ones are dropped. Key `max_streams`.
    package var maxStreams = 1_000_000

    package init() {}

    package init(_ section: ConfigSection) {
        maxStale = section.duration("max_stale", default: maxStale)
        maxStreams = section.int("max_streams", default: maxStreams, in: Int.min...Int.max)
        if maxStale == .zero, !section.isBroken("max_stale") {
            section.report(
                "max_stale", error: "max_stale must be a positive duration (got 0s)",
                help: "write max_stale: 5m")
        }
        if maxStreams < 0 {
            section.report("max_streams", error: "max_streams must be a positive number (got \(maxStreams))")
        }
        section.finish()
    }
}
