import Configuration
import HTTP
import Kubernetes
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LoadBalancingExporter

/// Without these a fleet in a cluster sends to pods that are gone, or not to those that came.
@Suite("resolver::k8s", .timeLimit(.minutes(10)))
struct ServiceEndpointsTests {
    private static func balancer(
        _ yaml: String, cluster: KubernetesAccount?, _ registry: MetricRegistry = MetricRegistry()
    ) -> LoadBalancer {
        let diagnostics = Diagnostics()
        let config = LoadBalancingConfig(
            ConfigSection(yaml: "resolver: {k8s: \(yaml)}", diagnostics: diagnostics)
        ) { $0.allowAnyKey() }
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let counters = SendingQueue.Counters(registry, exporter: "loadbalancing", signal: .traces)
        let parts = LoadBalancer.Parts(
            name: "loadbalancing", signal: .traces, queue: SendingQueueConfig(), counters: counters,
            resolver: SystemResolver.shared, eventLoop: loop, registry: registry, logger: makeSilentLogger(),
            cluster: cluster
        ) { endpoint in
            SendingQueue(
                name: "\(endpoint)", config: SendingQueueConfig(), retry: RetryConfig(), timeout: .zero,
                sender: FakeSender(eventLoop: loop), counters: counters, eventLoop: loop,
                logger: makeSilentLogger())
        }
        return LoadBalancer(config, parts: parts)
    }

    private static func account(_ server: StandInServer) -> KubernetesAccount {
        KubernetesAccount(origin: HTTPOrigin(scheme: .http, host: "127.0.0.1", port: server.port))
    }

    private static func slice(_ name: String, _ endpoints: String) -> String {
        #"{"metadata":{"name":"\#(name)","resourceVersion":"7"},"endpoints":[\#(endpoints)]}"#
    }

    private static func list(_ slices: String...) -> String {
        #"{"metadata":{"resourceVersion":"5"},"items":[\#(slices.joined(separator: ","))]}"#
    }

    private static func event(_ type: String, _ slice: String) -> String {
        #"{"type":"\#(type)","object":\#(slice)}"# + "\n"
    }

    private func endpoints(_ balancer: LoadBalancer, become expected: [String]) async {
        while balancer.endpoints.map({ "\($0)" }) != expected { await Task.yield() }
    }

    @Test("the endpoints that are ready are the backends, on each port; those that come and go are heard of")
    func watching() async throws {
        let server = try await StandInServer { request in
            guard request.target.contains("watch=1") else {
                return .init(
                    Self.list(
                        Self.slice(
                            "one",
                            #"""
                            {"addresses":["10.0.0.1"],"conditions":{"ready":true}},
                            {"addresses":["10.0.0.2"],"conditions":{"ready":false}},{"addresses":["10.0.0.3"]}
                            """#),
                        Self.slice("two", #"{"addresses":["10.0.0.1"]},{"addresses":["fd00::1"]}"#)))
            }
            return .init(
                Self.event("MODIFIED", Self.slice("one", #"{"addresses":["10.0.0.4"]}"#))
                    + Self.event("DELETED", Self.slice("two", "")),
                isEndless: true)
        }
        let registry = MetricRegistry()
        let balancer = Self.balancer(
            "{service: samplers.shop, ports: [1, 2], timeout: 60s}", cluster: Self.account(server), registry)
        try await balancer.start()
        await endpoints(balancer, become: ["10.0.0.4:1", "10.0.0.4:2"])
        #expect(
            server.requests.first?.target
                == "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?limit=100"
                + "&labelSelector=kubernetes.io%2Fservice-name%3Dsamplers")
        #expect(server.requests.dropFirst().first?.target.contains("resourceVersion=5") == true)
        _ = await balancer.stop(until: .now())
        try await server.close()
    }

    @Test("the first answer is waited for, and host names are used where that is asked for")
    func hostNames() async throws {
        let server = try await StandInServer { request in
            if request.target.contains("watch=1") { return .init("", isEndless: true) }
            return .init(
                Self.list(
                    Self.slice(
                        "one", #"{"addresses":["10.0.0.1"],"hostname":"s-0"},{"addresses":["10.0.0.2"]}"#)))
        }
        let balancer = Self.balancer(
            "{service: samplers.shop, return_hostnames: true, timeout: 60s}", cluster: Self.account(server))
        try await balancer.start()
        #expect(balancer.endpoints.map { "\($0)" } == ["10.0.0.2:4317", "s-0.samplers.shop:4317"])
        _ = await balancer.stop(until: .now())
        try await server.close()
    }

    @Test("a pod with addresses of both families is one backend; no endpoint is a failure that is counted")
    func families() async throws {
        @Sendable func slice(_ name: String, _ type: String, _ endpoints: String) -> String {
            #"{"metadata":{"name":"\#(name)","resourceVersion":"7"},"addressType":"\#(type)","endpoints":[\#(endpoints)]}"#
        }
        let server = try await StandInServer { request in
            if request.target.contains("watch=1") {
                return .init(
                    Self.event("MODIFIED", slice("four", "IPv4", ""))
                        + Self.event("MODIFIED", slice("six", "IPv6", "")),
                    isEndless: true)
            }
            return .init(
                Self.list(
                    slice("four", "IPv4", #"{"addresses":["10.0.0.1"]}"#),
                    slice("six", "IPv6", #"{"addresses":["fd00::1"]}"#)))
        }
        let registry = MetricRegistry()
        let balancer = Self.balancer(
            "{service: samplers.shop, timeout: 60s}", cluster: Self.account(server), registry)
        try await balancer.start()
        // While IPv4 has one, only that; when it has none, the other family's, which are kept when they go.
        #expect(["10.0.0.1:4317", "[fd00::1]:4317"].contains("\(balancer.endpoints[0])"))
        #expect(balancer.endpoints.count == 1)
        await endpoints(balancer, become: ["[fd00::1]:4317"])
        while !String(decoding: registry.render(), as: UTF8.self).contains(
            "resolver=\"k8s\",success=\"false\"} 1")
        { await Task.yield() }
        _ = await balancer.stop(until: .now())
        try await server.close()
    }

    @Test("a service whose last endpoint goes keeps its backends")
    func empty() async throws {
        let server = try await StandInServer { request in
            if request.target.contains("watch=1") {
                return .init(
                    Self.event("MODIFIED", Self.slice("one", ""))
                        + Self.event("MODIFIED", Self.slice("two", #"{"addresses":["10.0.0.2"]}"#)),
                    isEndless: true)
            }
            return .init(Self.list(Self.slice("one", #"{"addresses":["10.0.0.1"]}"#)))
        }
        let registry = MetricRegistry()
        let balancer = Self.balancer(
            "{service: samplers.shop, timeout: 60s}", cluster: Self.account(server), registry)
        try await balancer.start()
        #expect(["10.0.0.1:4317", "10.0.0.2:4317"].contains("\(balancer.endpoints[0])"))
        await endpoints(balancer, become: ["10.0.0.2:4317"])
        _ = await balancer.stop(until: .now())
        try await server.close()
    }

    @Test("a start goes on without an answer, and is refused outside of a cluster")
    func noAnswer() async throws {
        let server = try await StandInServer { _ in .init("", status: 403) }
        let balancer = Self.balancer("{service: a, timeout: 10ms}", cluster: Self.account(server))
        try await balancer.start()
        let refusal = balancer.consume(
            Batch(
                .traces, payload: Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: 1, seed: 1))),
                items: 1))
        #expect(refusal?.isPermanent == false && refusal?.message.contains("endpoints of a") == true)
        _ = await balancer.stop(until: .now())
        try await server.close()
        await #expect(throws: ComponentError.self) {
            try await Self.balancer("{service: a}", cluster: nil).start()
        }
    }
}
