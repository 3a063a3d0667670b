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

    @Test("a service of the cluster, and what else keeps items together")
    func kubernetes() {
        let (config, _, problems) = read(
            """
            routing_key: resource
            resolver: {k8s: {service: lb-svc.kube-public, ports: [15317, "16317"], timeout: 2s, return_hostnames: true}}
            """)
        var service = LoadBalancingConfig.Kubernetes()
        (service.service, service.namespace) = ("lb-svc", "kube-public")
        service.ports = [15317, 16317]
        service.timeout = .seconds(2)
        service.usesHostNames = true
        #expect(problems.isEmpty && config.resolver == .kubernetes(service) && config.routingKey == .resource)
        guard case .kubernetes(let usual) = read("resolver: {k8s: {service: a}}").0.resolver else {
            Issue.record("not k8s")
            return
        }
        #expect(usual.namespace == nil && usual.ports == [4317] && usual.timeout == .seconds(1))
        #expect(read("{routing_key: metric, resolver: {dns: {hostname: a}}}").0.routingKey == .metric)
        #expect(read("{routing_key: streamID, resolver: {dns: {hostname: a}}}").0.routingKey == .stream)
        for (yaml, words) in [
            ("{k8s: {ports: [1]}}", "requires a \"service\""),
            ("{k8s: {service: a.}}", "requires a \"service\""),
            ("{k8s: {service: \"a:4317\"}}", "must be a name and a namespace"),
            ("{k8s: {service: a, ports: [0]}}", "between 1 and 65535"),
            ("{k8s: {service: a}, dns: {hostname: b}}", "names dns and k8s"),
        ] {
            let problems = read("resolver: \(yaml)").2
            #expect(problems.count == 1 && problems[0].contains(words), "\(yaml): \(problems)")
        }
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
            ("resolver: {}", "::resolver: names none of static, dns and k8s"),
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
                "::resolver: names static and dns"
            ),
            (
                "resolver: {aws_cloud_map: {namespace: a}}",
                "::resolver::aws_cloud_map: is not supported yet; write dns with the name of a service that has the"
                    + " backends' addresses, as a headless one has"
            ),
            (
                "{routing_key: attributes, resolver: {dns: {hostname: a}}}",
                "::routing_key: \"attributes\" is not supported yet; use traceID, service, resource, metric or streamID"
            ),
            (
                "{routing_key: trace, resolver: {dns: {hostname: a}}}",
                "::routing_key: unknown value \"trace\"; must be traceID, service, resource, metric or streamID"
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
