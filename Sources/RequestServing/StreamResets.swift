internal import HTTP
internal import Logging
internal import Pipeline
internal import Synchronization

/// Counts the streams of HTTP/2 that a receiver has reset, by reason, and logs the first of each. Any thread.
final class StreamResets: Sendable {
    private let registry: MetricRegistry
    private let labels: MetricLabels
    private let logger: Logger
    private let counters = Mutex<[String: Counter]>([:])

    init(registry: MetricRegistry, receiver: String, transport: String, logger: Logger) {
        self.registry = registry
        labels = ["receiver": receiver, "transport": transport]
        self.logger = logger
    }

    func count(_ reason: HTTP2ResetReason) {
        counter(reason).add(1)
    }

    private func counter(_ reason: HTTP2ResetReason) -> Counter {
        let text = reason.text
        return counters.withLock { counters in
            if let counter = counters[text] { return counter }
            let counter = registry.counter(
                "sluice_receiver_reset_streams", help: "Streams of HTTP/2 that the receiver has reset.",
                labels: labels.adding("reason", text))
            counters[text] = counter
            if case .malformed = reason {
                logger.warning(
                    "A request is malformed and its stream was reset. Counted from now on.",
                    metadata: ["reason": "\(text)"])
            }
            return counter
        }
    }
}
