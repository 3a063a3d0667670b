internal import HTTP
internal import Logging
internal import Pipeline
internal import Synchronization

/// Counts the connections that a receiver has ended for what they cost, by reason. Any thread.
final class ConnectionEnds: Sendable {
    private let counters: [ConnectionEnd: Counter]
    private let logger: Logger
    /// The reasons that the log has heard of.
    private let told = Mutex<Set<ConnectionEnd>>([])

    init(registry: MetricRegistry, receiver: String, transport: String, logger: Logger) {
        self.logger = logger
        var counters: [ConnectionEnd: Counter] = [:]
        for reason in ConnectionEnd.allCases {
            counters[reason] = registry.counter(
                "sluice_receiver_ended_connections",
                help: "Connections that the receiver has ended for what they cost.",
                labels: ["receiver": receiver, "transport": transport, "reason": reason.rawValue])
        }
        self.counters = counters
    }

    func count(_ reason: ConnectionEnd) {
        counters[reason]?.add(1)
        guard told.withLock({ $0.insert(reason).inserted }) else { return }
        logger.warning(
            "A connection was ended for what it cost. Counted from now on.",
            metadata: ["reason": "\(reason.rawValue)"])
    }
}
