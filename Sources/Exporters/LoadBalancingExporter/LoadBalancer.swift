package import Configuration
package import HTTP
package import Kubernetes
package import Logging
package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// Sends every trace, or every service, to a backend of its own: the `loadbalancing` exporter of one signal.
///
/// ```
/// consume ─▶ one walk, one part a backend ─┬▶ SendingQueue ─▶ backend
///                                          └▶ SendingQueue ─▶ backend
/// ```
///
/// A batch is divided on its producer's thread. As with a fan-out, what one backend's queue refuses is counted as dropped
/// while another takes its part; only when all refuse does the producer hear of it. A backend that the resolver no longer
/// names hands what waits over to the others. Any thread.
package final class LoadBalancer: Consumer, PipelineComponent, AdmissionControl {
    /// What the exporter is made of.
    package struct Parts: Sendable {
        /// The exporter's id.
        package let name: String
        package let signal: Signal
        /// The queue that every backend gets, for what it says about answers and overflow.
        package let queue: SendingQueueConfig
        package let counters: SendingQueue.Counters
        package let resolver: any AddressResolver
        /// Where the resolver is asked.
        package let eventLoop: any EventLoop
        package let registry: MetricRegistry
        package let logger: Logger
        /// Whether backends get gzip members as they came.
        package let keepsGzip: Bool
        /// The cluster that `resolver::k8s` asks; nil outside of one.
        let cluster: KubernetesAccount?
        /// Makes a queue, with its sender, for one backend. Any thread; must not block.
        package let makeQueue: @Sendable (EndpointConfig) -> SendingQueue

        /// Puts them together.
        package init(
            name: String, signal: Signal, queue: SendingQueueConfig, counters: SendingQueue.Counters,
            resolver: any AddressResolver, eventLoop: any EventLoop, registry: MetricRegistry, logger: Logger,
            keepsGzip: Bool = false, cluster: KubernetesAccount? = nil,
            makeQueue: @escaping @Sendable (EndpointConfig) -> SendingQueue
        ) {
            self.cluster = cluster
            self.name = name
            self.signal = signal
            self.queue = queue
            self.counters = counters
            self.resolver = resolver
            self.eventLoop = eventLoop
            self.registry = registry
            self.logger = logger
            self.keepsGzip = keepsGzip
            self.makeQueue = makeQueue
        }
    }

    private struct State {
        var routes = Routes([])
        /// Backends that hand over what they have.
        var leaving: [Backend] = []
        var accepting = true
        var deadLetter: SendingQueue.DeadLetter?
        /// Why there is no backend.
        var emptiness = "its name has not been resolved yet"
    }

    let parts: Parts
    let config: LoadBalancingConfig
    private let key: RoutingKey
    private let state = Mutex(State())
    private let givenUp = Atomic<Int>(0)
    private let source: (any BackendSource)?

    /// - Parameter config: of the exporter.
    package init(_ config: LoadBalancingConfig, parts: Parts) {
        self.config = config
        self.parts = parts
        key = config.key(for: parts.signal)
        switch config.resolver {
        case .fixed(let endpoints):
            source = nil
            use(endpoints)
        case .dns(let dns): source = ResolverPoll(dns, parts)
        case .kubernetes(let service): source = ServiceEndpoints(service, parts)
        }
        register()
    }

    /// Whether the client's answer waits for the destination's.
    package var answersLater: Bool { parts.queue.waitForResult || !parts.queue.enabled }

    /// Whether a full queue makes receivers leave requests in their sockets.
    package var stopsReading: Bool { parts.queue.blockOnOverflow }

    package var input: PipelineInput {
        // Divided requests are compressed anew; those of a service or resource mostly are whole.
        PipelineInput(
            self, admission: stopsReading ? [self] : [], answersLater: answersLater,
            keepsGzip: key.keepsResources && parts.keepsGzip)
    }

    /// Says who gets what no backend will ever take. Before the first batch; any thread.
    package func setDeadLetter(_ deadLetter: SendingQueue.DeadLetter) {
        let backends = state.withLock { state in
            state.deadLetter = deadLetter
            return state.routes.backends
        }
        for backend in backends { backend.queue.setDeadLetter(deadLetter) }
    }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        consume(batch, isNew: true)
    }

    private func consume(_ batch: Batch, isNew: Bool) -> Refusal? {
        batch.seal()
        while true {
            let (routes, accepting, emptiness) = state.withLock { ($0.routes, $0.accepting, $0.emptiness) }
            guard accepting else { return Refusal(.shuttingDown, "exporter \(parts.name) is stopping") }
            guard !routes.backends.isEmpty else {
                return Refusal(.unavailable, "exporter \(parts.name) has no backend: \(emptiness)")
            }
            let divided = routes.divide(batch, by: key)
            if let refusals = hand(divided, of: batch, isNew: isNew, if: routes) {
                if !divided.isEmpty, refusals.count == divided.count {
                    return refusals.first { !$0.refusal.isPermanent }?.refusal ?? refusals[0].refusal
                }
                for (index, refusal) in refusals {
                    divided[index].backend.queue.drop(
                        divided[index].part, because: refusal, isNew: isNew)
                }
                return nil
            }
            // The backends have changed in the meantime: divide anew.
        }
    }

    /// Posts the parts to their queues, unless the backends are others by now: nothing must come to a queue after it was
    /// told to hand over.
    private func hand(
        _ divided: [(backend: Backend, part: Batch)], of batch: Batch, isNew: Bool, if routes: Routes
    ) -> [(index: Int, refusal: Refusal)]? {
        state.withLock { state in
            guard state.routes === routes, state.accepting else { return nil }
            var refusals: [(Int, Refusal)] = []
            for (index, (backend, part)) in divided.enumerated() {
                // The first that takes a part counts the whole as come in.
                if isNew, part !== batch { part.entry = batch.entry }
                if let refusal = backend.queue.consume(part, isNew: isNew) {
                    refusals.append((index, refusal))
                } else {
                    if isNew, part !== batch { batch.entry = nil }
                    backend.routed.add(part.items, ordering: .relaxed)
                }
            }
            return refusals
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        drop(batch, because: refusal, isNew: true)
    }

    private func drop(_ batch: Batch, because refusal: Refusal, isNew: Bool) {
        parts.counters.drop(batch.items, areNew: isNew)
        if refusal.reason == .shuttingDown { givenUp.add(batch.items, ordering: .relaxed) }
        batch.settle(.refused(refusal))
    }

    /// Takes what a backend that is gone did not deliver.
    private func inherit(_ batch: Batch) {
        guard let refusal = consume(batch, isNew: false) else { return }
        parts.logger.error(
            "No backend takes what another one has left. Dropping data.",
            metadata: ["error": "\(refusal.message)", "dropped_items": "\(batch.items)"])
        drop(batch, because: refusal, isNew: false)
    }

    // MARK: - AdmissionControl

    /// Never objects: what is in memory already is taken.
    package func admit(bytes: Int) -> Refusal? { nil }

    /// With `block_on_overflow`: while a backend's queue is full.
    package var shouldPause: Bool {
        guard stopsReading else { return false }
        let routes = state.withLock { $0.routes }
        return routes.backends.contains { $0.queue.shouldPause }
    }

    // MARK: - Backends

    /// The backends of this moment.
    package var endpoints: [EndpointConfig] {
        state.withLock { $0.routes.backends.map { $0.endpoint } }
    }

    /// Makes these the backends. One call at a time.
    @discardableResult
    func use(_ endpoints: [EndpointConfig]) -> Bool {
        let (old, deadLetter) = state.withLock { ($0.routes, $0.deadLetter) }
        let sorted = endpoints.sorted { "\($0)" < "\($1)" }
        guard old.backends.map({ $0.endpoint }) != sorted else { return false }
        let backends = sorted.map { endpoint in
            if let known = old.backends.first(where: { $0.endpoint == endpoint }) { return known }
            let queue = parts.makeQueue(endpoint)
            if let deadLetter { queue.setDeadLetter(deadLetter) }
            return Backend(endpoint, queue)
        }
        let gone = old.backends.filter { !sorted.contains($0.endpoint) }
        let routes = Routes(backends)
        let isOpen = state.withLock { state in
            guard state.accepting else { return false }
            state.routes = routes
            state.leaving += gone
            return true
        }
        guard isOpen else { return false }
        parts.logger.info(
            "Backends have changed.",
            metadata: ["backends": "\(sorted.map { "\($0)" }.joined(separator: ", "))"])
        for backend in gone {
            backend.queue.handOver { [self] in inherit($0) }.whenComplete { [self] _ in
                state.withLock { state in state.leaving.removeAll { $0 === backend } }
            }
        }
        return true
    }

    func noteFailure(_ reason: String) {
        state.withLock { $0.emptiness = reason }
    }

    // MARK: - Start and end

    package func start() async throws {
        try await resolve().get()
    }

    /// Asks for the backends and goes on asking. Once.
    package func resolve() -> EventLoopFuture<Void> {
        source?.start(self) ?? parts.eventLoop.makeSucceededVoidFuture()
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        let queues = state.withLock { state in
            state.accepting = false
            return (state.routes.backends + state.leaving).map { $0.queue }
        }
        source?.stop()
        let left = await withTaskGroup(of: Int.self) { group in
            for queue in queues { group.addTask { await queue.drain(until: deadline) } }
            return await group.reduce(0, +)
        }
        return Remainder(items: left + givenUp.load(ordering: .relaxed))
    }

    private func register() {
        let labels: MetricLabels = ["exporter": parts.name, "data_type": "\(parts.signal)"]
        parts.registry.addCollector { [weak self] page in
            guard let self else { return }
            let backends = state.withLock { $0.routes.backends }
            page.gauge(
                "otelcol_loadbalancer_num_backends", help: "Backends that the resolver names.",
                labels: labels,
                backends.count)
            for backend in backends {
                let labels = labels.adding("endpoint", "\(backend.endpoint)")
                page.gauge(
                    "otelcol_exporter_queue_size", help: "What the queue holds, in the unit of its sizer.",
                    labels: labels, backend.queue.currentSize)
                page.gauge(
                    "otelcol_exporter_queue_capacity",
                    help: "What the queue may hold, in the unit of its sizer.", labels: labels,
                    backend.queue.capacity)
                page.counter(
                    "sluice_loadbalancer_routed_items", help: "Items that the backend's queue took.",
                    labels: labels, UInt64(backend.routed.load(ordering: .relaxed)))
            }
        }
    }
}
