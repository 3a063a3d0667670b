internal import Configuration
internal import OTLP
internal import Pipeline
import Synchronization

/// One destination of the exporter, with a queue of its own. Any thread.
final class Backend: Sendable {
    let endpoint: EndpointConfig
    let queue: SendingQueue
    /// Items that its queue took.
    let routed = Atomic<Int>(0)

    init(_ endpoint: EndpointConfig, _ queue: SendingQueue) {
        self.endpoint = endpoint
        self.queue = queue
    }
}

/// The backends of a moment, and which of them has what. Immutable; any thread.
final class Routes: Sendable {
    /// Sorted by name.
    let backends: [Backend]
    private let ring: HashRing?

    init(_ backends: [Backend]) {
        self.backends = backends
        ring = backends.isEmpty ? nil : HashRing(backends.map { "\($0.endpoint)" })
    }

    /// The parts of a batch and the backends that have them.
    func divide(_ batch: Batch, by key: RoutingKey) -> [(backend: Backend, part: Batch)] {
        guard let ring else { return [] }
        if backends.count == 1 { return [(backends[0], batch)] }
        var router = RequestRouter(batch.signal, key: key, destinations: backends.count)
        let parts = batch.divided(by: &router, among: backends.count) { ring.owner(of: $0) }
        return zip(backends, parts).compactMap { backend, part in part.map { (backend, $0) } }
    }
}
