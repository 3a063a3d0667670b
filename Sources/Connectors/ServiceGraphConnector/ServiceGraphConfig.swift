package import Configuration
package import OTLP
internal import Pipeline

/// The keys of `service_graph`.
package struct ServiceGraphConfig: ComponentConfig {
    /// How latencies are spread.
    package enum Histogram: Sendable, Equatable {
        /// Upper bounds in seconds.
        case explicit([Double])
        case exponential(sizeMax: Int)
    }

    package var histogram = Histogram.explicit(Self.buckets)
    /// Attributes of resource or span that become labels, for each side. Key `dimensions`.
    package var dimensions: [AttributeKey] = []
    /// How long half of an edge waits for the other one. Default 2s. Key `store::ttl`.
    package var wait: Duration = .seconds(2)
    /// Edges that wait. Default 1000. Key `store::max_items`.
    package var edgesMax = 1000
    /// How often series that are not used are looked for. Default 1m. Key `cache_loop`.
    package var cacheLoop: Duration = .seconds(60)
    /// How often edges whose time is over are looked for. Default 2s. Key `store_expiration_loop`.
    package var expirationLoop: Duration = .seconds(2)
    /// Attributes that name the other side of a client, in order. Key `virtual_node_peer_attributes`.
    package var peerAttributes: [AttributeKey] = ["peer.service", "db.name", "db.system"]
    /// Whether a label says which side was made up. Default false. Key `virtual_node_extra_label`.
    package var hasVirtualLabel = false
    /// Attributes that name a database. Key `database_name_attributes`.
    package var databaseAttributes: [AttributeKey] = ["db.name"]
    /// Default 60s; 0: with every request. Key `metrics_flush_interval`.
    package var flushInterval: Duration = .seconds(60)
    /// How much earlier than it is points say that it is. Default 0. Key `metrics_timestamp_offset`.
    package var timestampOffset: Duration = .zero
    /// Series. Default 100000. Key `max_series`, ours.
    package var seriesMax = 100_000

    /// Upper bounds in seconds.
    package static let buckets: [Double] = [
        0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.4, 2, 5, 10, 15,
    ]

    package init() {}

    package init(_ section: ConfigSection) {
        readHistogram(section)
        dimensions = section.stringList("dimensions").map { AttributeKey($0) }
        if let store = section.section("store") {
            wait = store.duration("ttl", default: wait)
            edgesMax = store.int("max_items", default: edgesMax, in: 1...Int(Int32.max))
        }
        cacheLoop = section.duration("cache_loop", default: cacheLoop, in: .milliseconds(1) ... .longest)
        expirationLoop = section.duration(
            "store_expiration_loop", default: expirationLoop, in: .milliseconds(1) ... .longest)
        if let peers = section.optionalStringList("virtual_node_peer_attributes") {
            peerAttributes = peers.map { AttributeKey($0) }
        }
        hasVirtualLabel = section.bool("virtual_node_extra_label", default: false)
        if let name = section.optionalString("database_name_attribute") {
            section.report(
                "database_name_attribute", warning: "is deprecated", help: "write database_name_attributes")
            databaseAttributes = [AttributeKey(name)]
        }
        if let names = section.optionalStringList("database_name_attributes") {
            databaseAttributes = names.map { AttributeKey($0) }
        }
        flushInterval = section.duration("metrics_flush_interval", default: flushInterval)
        timestampOffset = section.duration("metrics_timestamp_offset", default: .zero)
        seriesMax = section.int("max_series", default: seriesMax, in: 1...Int(Int32.max))
        section.ignored("metrics_exporter", "metrics go to the pipelines that name this connector")
        section.finish()
    }

    private mutating func readHistogram(_ section: ConfigSection) {
        let size = section.int("exponential_histogram_max_size", default: 0, in: 0...16_384)
        let bounds = section.durationList("latency_histogram_buckets")?.map {
            Double($0.components.seconds) + Double($0.components.attoseconds) / 1e18
        }
        if let bounds, zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
            section.report("latency_histogram_buckets", error: "must ascend")
        }
        if size > 0, bounds != nil {
            section.report(
                "latency_histogram_buckets",
                error: "use either latency_histogram_buckets or exponential_histogram_max_size")
        }
        histogram = size > 0 ? .exponential(sizeMax: size) : .explicit(bounds ?? Self.buckets)
    }
}
