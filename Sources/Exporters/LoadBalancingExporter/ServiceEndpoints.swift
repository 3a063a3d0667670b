internal import Configuration
internal import HTTP
internal import Kubernetes
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Watches the endpoints of a service of the cluster. Everything on one event loop, but for `start` and `stop`.
///
/// A service whose last endpoint goes keeps its backends: nobody else has what waits for them.
final class ServiceEndpoints: BackendSource, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `parts.eventLoop` only.
    private let config: LoadBalancingConfig.Kubernetes
    private let parts: LoadBalancer.Parts
    private let successes: Counter
    private let failures: Counter
    private weak var balancer: LoadBalancer?
    private var watch: KubernetesWatch<EndpointSlice>?
    private var slices: [String: EndpointSlice] = [:]
    private var overdue: Scheduled<Void>?
    private var first: EventLoopPromise<Void>?

    init(_ config: LoadBalancingConfig.Kubernetes, _ parts: LoadBalancer.Parts) {
        self.config = config
        self.parts = parts
        (successes, failures) = parts.resolutions("k8s")
    }

    func start(_ balancer: LoadBalancer) -> EventLoopFuture<Void> {
        parts.eventLoop.flatSubmit { [self] in
            self.balancer = balancer
            guard let account = parts.cluster else {
                return parts.eventLoop.makeFailedFuture(
                    ComponentError(
                        "resolver::k8s: the process runs in no cluster (KUBERNETES_SERVICE_HOST is not set)"))
            }
            let transport: AccountTransport
            do {
                transport = try AccountTransport(account, eventLoop: parts.eventLoop, logger: parts.logger)
            } catch {
                return parts.eventLoop.makeFailedFuture(ComponentError("resolver::k8s: \(error)"))
            }
            balancer.noteFailure("Kubernetes has not told the endpoints of \(config.service) yet")
            let namespace = config.namespace ?? account.namespace ?? "default"
            begin(transport, account.origin, namespace)
            let promise = parts.eventLoop.makePromise(of: Void.self)
            first = promise
            overdue = parts.eventLoop.scheduleTask(in: TimeAmount(config.timeout)) {
                self.failures.add(1)
                self.endFirst()
            }
            return promise.futureResult
        }
    }

    private func begin(_ transport: AccountTransport, _ origin: HTTPOrigin, _ namespace: String) {
        let path = "/apis/discovery.k8s.io/v1/namespaces/\(namespace)/endpointslices"
        let selector = "labelSelector=kubernetes.io%2Fservice-name%3D\(config.service)"
        let watch = KubernetesWatch<EndpointSlice>(
            "endpointslices", client: transport, eventLoop: parts.eventLoop, logger: parts.logger
        ) { parameters in
            let query = parameters.map { "\($0.0)=\($0.1)" } + [selector]
            return HTTPURL(origin: origin, target: path + "?" + query.joined(separator: "&"))
        }
        self.watch = watch
        watch.start { [weak self] news in self?.take(news, namespace) }
    }

    func stop() {
        parts.eventLoop.execute { [self] in
            watch?.stop()
            watch = nil
            endFirst()
        }
    }

    private func endFirst() {
        overdue?.cancel()
        first?.succeed()
        first = nil
    }

    private func take(_ news: KubernetesWatch<EndpointSlice>.News, _ namespace: String) {
        switch news {
        case .listed(let all):
            slices = Dictionary(all.map { ($0.metadata.name, $0) }, uniquingKeysWith: { _, last in last })
        case .changed(let slice): slices[slice.metadata.name] = slice
        case .deleted(let slice): slices[slice.metadata.name] = nil
        }
        let domain = ".\(config.service).\(namespace)"
        // A pod with addresses of both families is in two slices, and is one backend.
        let families = Dictionary(grouping: slices.values, by: \.addressType).mapValues { slices in
            slices.flatMap(\.endpoints).filter(\.isReady)
        }
        let ready = families["IPv4"].flatMap { $0.isEmpty ? nil : $0 } ?? families.values.flatMap(\.self)
        let hosts = ready.flatMap { endpoint in
            config.usesHostNames && !endpoint.hostName.isEmpty
                ? [endpoint.hostName + domain] : endpoint.addresses
        }
        (hosts.isEmpty ? failures : successes).add(1)
        if hosts.isEmpty {
            balancer?.noteFailure("the service \(config.service) has no endpoint that is ready")
            parts.logger.warning(
                "The backends' service has no endpoint that is ready. Keeping those that are known.",
                metadata: ["service": "\(config.service)", "namespace": "\(namespace)"])
        } else {
            balancer?.use(
                found: hosts.flatMap { host in config.ports.map { EndpointConfig(host: host, port: $0) } })
        }
        endFirst()
    }
}

/// Some of the endpoints of a service.
struct EndpointSlice: KubernetesObject {
    struct Endpoint {
        var addresses: [String] = []
        var hostName = ""
        /// What is not said is.
        var isReady = true
    }

    var metadata = ObjectMetadata()
    /// `IPv4`, `IPv6` or `FQDN`.
    var addressType = ""
    var endpoints: [Endpoint] = []

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "addressType": addressType = try text(&reader)
        case "endpoints":
            try eachElement(of: &reader) { (reader) throws(JSONError) in
                endpoints.append(try Endpoint(&reader))
            }
        default: try reader.skipValue()
        }
    }
}

extension EndpointSlice.Endpoint {
    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "addresses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    addresses.append(try text(&reader))
                }
            case "hostname": hostName = try text(&reader)
            case "conditions":
                try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                    if key == "ready" {
                        isReady = try reader.readNull() ? true : try reader.readBool()
                    } else {
                        try reader.skipValue()
                    }
                }
            default: try reader.skipValue()
            }
        }
    }
}
