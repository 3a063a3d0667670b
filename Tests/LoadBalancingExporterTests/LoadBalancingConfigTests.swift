import Configuration
import LoadBalancingExporter
import OTLP
import Testing

/// Without these a configuration of the Collector's is read otherwise than meant, or a mistake ends in a gateway without
/// backends.
@Suite("Keys of the loadbalancing exporter")
struct LoadBalancingConfigTests {
    private func read(_ yaml: String) -> (LoadBalancingConfig, [String], [String]) {
        let diagnostics = Diagnostics()
        var keys: [String] = []
        let config = LoadBalancingConfig(
            ConfigSection(yaml: yaml, path: "exporters::loadbalancing", diagnostics: diagnostics)
        ) { section in
            keys = section.keys
            section.allowAnyKey()
        }
        return (config, keys, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("what is not written is as in the Collector")
    func defaults() {
        let (config, _, problems) = read("resolver: {dns: {hostname: tempo}}")
        #expect(problems.isEmpty && config.routingKey == nil)
        #expect(config.key(for: .traces) == .traceID && config.key(for: .logs) == .traceID)
        #expect(config.key(for: .metrics) == .service)
        guard case .dns(let dns) = config.resolver else {
            Issue.record("not dns")
            return
        }
        #expect(dns.hostname == "tempo" && dns.port == 4317)
        #expect(dns.interval == .seconds(5) && dns.timeout == .seconds(1))
    }

    @Test("every key arrives")
    func keys() {
        let (config, keys, problems) = read(
            """
            routing_key: service
            protocol: {otlp: {timeout: 1s, tls: {insecure: true}}}
            resolver: {dns: {hostname: a.b, port: "4318", interval: 2s, timeout: 3s}}
            """)
        #expect(problems.isEmpty && keys == ["timeout", "tls"] && config.routingKey == .service)
        var dns = LoadBalancingConfig.DNS()
        dns.hostname = "a.b"
        dns.port = 4318
        dns.interval = .seconds(2)
        dns.timeout = .seconds(3)
        #expect(config.resolver == .dns(dns))
    }

    @Test("backends may be written with and without a port")
    func hostnames() {
        let (config, _, problems) = read(
            "resolver: {static: {hostnames: [a, \"b:1\", \"10.0.0.1\", \"[::1]:2\", \"::1\"]}}")
        #expect(problems.isEmpty)
        #expect(
            config.resolver
                == .fixed([
                    EndpointConfig(host: "a", port: 4317), EndpointConfig(host: "b", port: 1),
                    EndpointConfig(host: "10.0.0.1", port: 4317), EndpointConfig(host: "::1", port: 2),
                    EndpointConfig(host: "::1", port: 4317),
                ]))
    }

    @Test(
        "an exporter that could not send is refused, with what to write instead",
        arguments: [
            ("{}", ": requires a \"resolver\""),
            ("resolver: {}", "::resolver: names neither static nor dns"),
            ("resolver: {static: {}}", "::resolver::static: requires at least one of \"hostnames\""),
            (
                "resolver: {static: {hostnames: [a, \"a:4317\"]}}",
                "::resolver::static::hostnames: \"a:4317\" stands there twice"
            ),
            (
                "resolver: {static: {hostnames: [\"a:0\"]}}",
                "::resolver::static::hostnames: \"a:0\": the port must not be 0"
            ),
            (
                "resolver: {static: {hostnames: [\"a:x\"]}}",
                "::resolver::static::hostnames: \"a:x\" has the port \"x\"; must be between 0 and 65535"
            ),
            ("resolver: {dns: {}}", "::resolver::dns: requires a \"hostname\""),
            (
                "resolver: {dns: {hostname: \"a:1\"}}",
                "::resolver::dns::hostname: \"a:1\" must be a name without a port"
            ),
            (
                "resolver: {dns: {hostname: a, port: 65536}}",
                "::resolver::dns::port: must be between 1 and 65535, found \"65536\""
            ),
            (
                "resolver: {static: {hostnames: [a]}, dns: {hostname: a}}",
                "::resolver: names both static and dns"
            ),
            (
                "resolver: {k8s: {service: tempo}}",
                "::resolver::k8s: is not supported yet; write dns with the name of a service that has the backends'"
                    + " addresses, as a headless one has"
            ),
            (
                "{routing_key: streamID, resolver: {dns: {hostname: a}}}",
                "::routing_key: \"streamID\" is not supported yet; use traceID or service"
            ),
            (
                "{routing_key: trace, resolver: {dns: {hostname: a}}}",
                "::routing_key: unknown value \"trace\"; must be traceID or service"
            ),
            (
                "{hostnames: [a], resolver: {static: {hostnames: [a]}}}",
                ": unknown key \"hostnames\""
            ),
        ])
    func broken(yaml: String, message: String) {
        #expect(read(yaml).2 == ["exporters::loadbalancing" + message])
    }
}
