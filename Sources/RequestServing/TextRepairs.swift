internal import Logging
internal import OTLP
internal import Pipeline
internal import Synchronization

/// Counts the texts of one signal that were not UTF-8 and names the services that sent them, each once. Any thread.
final class TextRepairs: Sendable {
    /// Services that get a series of their own; what further ones send is counted for `others`.
    private static let servicesMax = 100
    private static let others = "(others)"
    private static let nameBytesMax = 128

    private let registry: MetricRegistry
    private let labels: MetricLabels
    private let signal: Signal
    private let logger: Logger
    private let counters = Mutex<[String: Counter]>([:])

    /// - Parameter labels: of the receiver, its transport and the signal.
    init(registry: MetricRegistry, labels: MetricLabels, signal: Signal, logger: Logger) {
        self.registry = registry
        self.labels = labels
        self.signal = signal
        self.logger = logger
    }

    /// Counts what was repaired in a request.
    /// - Parameter request: the repaired one.
    func count(_ repair: RequestRepair, in request: WireBytes) {
        for (resource, count) in repair.texts {
            counter(String(request.serviceName(ofResource: resource).prefix(Self.nameBytesMax))).add(count)
        }
    }

    private func counter(_ service: String) -> Counter {
        counters.withLock { counters in
            if let counter = counters[service] { return counter }
            let name = counters.count < Self.servicesMax ? service : Self.others
            if let counter = counters[name] { return counter }
            let counter = registry.counter(
                "sluice_receiver_repaired_texts",
                help: "Texts that were not UTF-8; what was wrong in them is now U+FFFD.",
                labels: labels.adding("service", name))
            counters[name] = counter
            logger.warning(
                "Text is not UTF-8; what was wrong was replaced by U+FFFD. Counted from now on.",
                metadata: ["signal": "\(signal.name)", "service": "\(name)"])
            return counter
        }
    }
}
