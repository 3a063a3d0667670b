internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import Pipeline

/// Tells a balancer its backends while the gateway runs. Any thread.
protocol BackendSource: AnyObject, Sendable {
    /// Begins. Once.
    /// - Returns: when the first answer has come, or is overdue.
    func start(_ balancer: LoadBalancer) -> EventLoopFuture<Void>
    /// Ends; nothing is told any more.
    func stop()
}

extension LoadBalancer {
    /// Of a name with more addresses the first ones are used, by their texts.
    static let backendsMax = 256

    /// Makes what a source names the backends. Gateways that hear of them in another order leave out the same.
    func use(found endpoints: some Sequence<EndpointConfig>) {
        var known: Set<String> = []
        let distinct = endpoints.filter { known.insert("\($0)").inserted }
        let isNew = use(Array(distinct.sorted { "\($0)" < "\($1)" }.prefix(Self.backendsMax)))
        if isNew, distinct.count > Self.backendsMax {
            parts.logger.warning(
                "There are more backends than are used.",
                metadata: ["found": "\(distinct.count)", "used": "\(Self.backendsMax)"])
        }
    }
}

extension LoadBalancer.Parts {
    /// Count what comes of a resolver's questions.
    func resolutions(_ resolver: String) -> (successes: Counter, failures: Counter) {
        func counter(_ success: String) -> Counter {
            registry.counter(
                "otelcol_loadbalancer_num_resolutions", help: "Questions for the backends' addresses.",
                labels: [
                    "exporter": name, "data_type": "\(signal)", "resolver": resolver, "success": success,
                ])
        }
        return (counter("true"), counter("false"))
    }
}

/// Asks again and again for the addresses of a name. Everything on one event loop, but for `start` and `stop`.
final class ResolverPoll: BackendSource, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `parts.eventLoop` only.
    private let dns: LoadBalancingConfig.DNS
    private let parts: LoadBalancer.Parts
    private let successes: Counter
    private let failures: Counter
    private weak var balancer: LoadBalancer?
    private var next: Scheduled<Void>?
    private var stopped = false
    private var asking = false
    /// Whether the last question has been given up as unanswered.
    private var isLate = false
    private var reported = ""
    private var first: EventLoopPromise<Void>?

    init(_ dns: LoadBalancingConfig.DNS, _ parts: LoadBalancer.Parts) {
        self.dns = dns
        self.parts = parts
        (successes, failures) = parts.resolutions("dns")
    }

    /// - Returns: when the first answer has come, or is overdue.
    func start(_ balancer: LoadBalancer) -> EventLoopFuture<Void> {
        parts.eventLoop.flatSubmit { [self] in
            self.balancer = balancer
            let promise = parts.eventLoop.makePromise(of: Void.self)
            first = promise
            ask()
            return promise.futureResult
        }
    }

    func stop() {
        parts.eventLoop.execute { [self] in
            stopped = true
            next?.cancel()
            endFirst()
        }
    }

    private func endFirst() {
        first?.succeed()
        first = nil
    }

    private func ask() {
        guard !stopped else { return }
        next = parts.eventLoop.scheduleTask(in: TimeAmount(dns.interval)) { self.ask() }
        // One question at a time: the answer to the last one is used whenever it comes.
        guard !asking else { return }
        asking = true
        isLate = false
        let overdue = parts.eventLoop.scheduleTask(in: TimeAmount(dns.timeout)) { [self] in
            isLate = true
            failed("no answer for \(dns.hostname) within \(dns.timeout)")
        }
        parts.resolver.resolve(dns.hostname, port: dns.port, on: parts.eventLoop).whenComplete { [self] in
            overdue.cancel()
            asking = false
            guard !stopped else { return }
            switch $0 {
            case .success(let addresses) where !addresses.isEmpty:
                // What came late was counted as a failure.
                if !isLate { successes.add(1) }
                if !reported.isEmpty {
                    reported = ""
                    parts.logger.info("The backends' name can be resolved again.")
                }
                balancer?.use(
                    found: addresses.map { EndpointConfig(host: $0.ipAddress ?? "", port: dns.port) })
                endFirst()
            case .success where !isLate: failed("the name \(dns.hostname) has no addresses")
            case .failure(let error) where !isLate: failed("\(error)")
            case .success, .failure: break
            }
        }
    }

    /// The backends stay as they are.
    private func failed(_ reason: String) {
        guard !stopped else { return }
        failures.add(1)
        balancer?.noteFailure(reason)
        if reported != reason {
            reported = reason
            parts.logger.warning(
                "The backends' name cannot be resolved. Keeping those that are known.",
                metadata: ["error": "\(reason)"])
        }
        endFirst()
    }
}
