package import Configuration
package import OTLP

/// The keys of the `loadbalancing` exporter, but for those of `protocol::otlp`.
package struct LoadBalancingConfig: Sendable, Equatable {
    /// Where the backends' names come from.
    package enum Resolver: Sendable, Equatable {
        /// Always these. Key `static::hostnames`.
        case fixed([EndpointConfig])
        /// The addresses of a name. Key `dns`.
        case dns(DNS)
        /// The endpoints of a service of the cluster. Key `k8s`.
        case kubernetes(Kubernetes)
    }

    /// `resolver::k8s`.
    package struct Kubernetes: Sendable, Equatable {
        /// The service's name. Required, no default. Key `service`, before the first dot.
        package var service = ""
        /// nil: the one that the gateway runs in. Key `service`, behind the first dot.
        package var namespace: String?
        /// Of every endpoint; each is a backend. Default 4317. Key `ports`.
        package var ports = [4317]
        /// How long the start waits for the first answer. Default 1s, more than 0. Key `timeout`.
        package var timeout: Duration = .seconds(1)
        /// Whether backends are known by their host names, which a stateful set gives them. Default false. Key
        /// `return_hostnames`.
        package var usesHostNames = false

        package init() {}
    }

    /// `resolver::dns`.
    package struct DNS: Sendable, Equatable {
        /// Required, no default. Key `hostname`.
        package var hostname = ""
        /// Of every backend. Default 4317, 1…65535. Key `port`.
        package var port = 4317
        /// Between two questions. Default 5s, more than 0. Key `interval`.
        package var interval: Duration = .seconds(5)
        /// For an answer. Default 1s, more than 0. Key `timeout`.
        package var timeout: Duration = .seconds(1)

        package init() {}
    }

    /// nil = by the signal, the default: traces and logs by trace id, metrics by service. Key `routing_key`.
    package var routingKey: RoutingKey?
    /// Required. Key `resolver`.
    package var resolver = Resolver.fixed([])

    package init() {}

    /// What routes the items of a signal.
    package func key(for signal: Signal) -> RoutingKey {
        routingKey ?? (signal == .metrics ? .service : .traceID)
    }

    /// Reads and checks the section; problems go to its diagnostics.
    /// - Parameters:
    ///   - readProtocol: reads `protocol::otlp`, if it is written.
    ///   - readShared: reads the keys beside it that the backends have, too.
    package init(
        _ section: ConfigSection, readProtocol: (ConfigSection) -> Void, readShared: () -> Void = {}
    ) {
        switch section.choice(
            "routing_key", of: ["traceID", "service", "resource", "metric", "streamID", ""], default: "",
            notYet: ["attributes"])
        {
        case "traceID": routingKey = .traceID
        case "service": routingKey = .service
        case "resource": routingKey = .resource
        case "metric": routingKey = .metric
        case "streamID": routingKey = .stream
        default: break
        }
        if let protocols = section.section("protocol"), let otlp = protocols.section("otlp") {
            readProtocol(otlp)
        }
        readResolver(section)
        readShared()
        section.notSupportedYet("routing_attributes")
        section.finish()
    }

    private mutating func readResolver(_ section: ConfigSection) {
        let example =
            "write resolver: {static: {hostnames: [\"host:4317\"]}}, {dns: {hostname: name}} or {k8s: {service: name}}"
        guard let resolver = section.section("resolver") else {
            if !section.has("resolver") {
                section.report(nil, error: "requires a \"resolver\"", help: example)
            }
            return
        }
        resolver.notSupportedYet(
            "aws_cloud_map",
            "write dns with the name of a service that has the backends' addresses, as a headless one has")
        var named: [String] = []
        if let fixed = resolver.optionalSection("static") {
            self.resolver = .fixed(Self.hostnames(fixed))
            named.append("static")
        }
        if let dns = resolver.optionalSection("dns") {
            self.resolver = .dns(DNS(dns))
            named.append("dns")
        }
        if let cluster = resolver.optionalSection("k8s") {
            self.resolver = .kubernetes(Kubernetes(cluster))
            named.append("k8s")
        }
        if named.isEmpty, !resolver.has("aws_cloud_map") {
            section.report("resolver", error: "names none of static, dns and k8s", help: example)
        } else if named.count > 1 {
            section.report(
                "resolver", error: "names \(named.joined(separator: " and "))", help: "remove all but one")
        }
    }

    private static func hostnames(_ section: ConfigSection) -> [EndpointConfig] {
        var found: [EndpointConfig] = []
        let texts = section.stringList("hostnames")
        if texts.isEmpty, !section.isBroken("hostnames") {
            section.report(
                section.has("hostnames") ? "hostnames" : nil, error: "requires at least one of \"hostnames\"",
                help: "write hostnames: [\"host:4317\"]")
        }
        for written in texts {
            // The Collector takes URLs, too; what encrypts is `protocol::otlp::tls` alone.
            var text = written
            for scheme in ["http://", "https://", "dns:///"] where text.hasPrefix(scheme) {
                text = String(text.dropFirst(scheme.count))
            }
            if text.hasSuffix("/") { text.removeLast() }
            do throws(EndpointProblem) {
                let endpoint: EndpointConfig
                do throws(EndpointProblem) {
                    endpoint = try EndpointConfig(text)
                } catch {
                    // A host without a port; of an IPv6 address the brackets are missing, too.
                    guard error == .noPort || error == .manyColons, !text.isEmpty else { throw error }
                    endpoint = try EndpointConfig(
                        error == .manyColons ? "[\(text)]:4317" : "\(text):4317")
                }
                if endpoint.port == 0 {
                    section.report("hostnames", error: "\"\(text)\": the port must not be 0")
                } else if found.contains(endpoint) {
                    section.report("hostnames", error: "\"\(endpoint)\" stands there twice")
                } else {
                    found.append(endpoint)
                }
            } catch {
                section.report("hostnames", error: "\"\(text)\" \(error.message)", help: "write host:4317")
            }
        }
        return found
    }
}

extension LoadBalancingConfig.DNS {
    fileprivate init(_ section: ConfigSection) {
        self.init()
        hostname = section.string("hostname", default: "")
        if hostname.isEmpty, !section.isBroken("hostname") {
            section.report(
                section.has("hostname") ? "hostname" : nil, error: "requires a \"hostname\"",
                help: "write the name whose addresses are the backends, without a port")
        } else if hostname.contains(":") || hostname.contains("/") {
            section.report(
                "hostname", error: "\"\(hostname)\" must be a name without a port",
                help: "write the port under \"port\"")
        }
        if let text = section.scalar("port") {
            if let number = Int(text), (1...65535).contains(number) {
                port = number
            } else {
                section.report("port", error: "must be between 1 and 65535, found \"\(text)\"")
            }
        }
        interval = section.duration("interval", default: interval, in: .milliseconds(1) ... .longest)
        timeout = section.duration("timeout", default: timeout, in: .milliseconds(1) ... .longest)
        section.ignored("quarantine", "what is for a dead backend waits in its queue and is retried")
    }
}

extension LoadBalancingConfig.Kubernetes {
    fileprivate init(_ section: ConfigSection) {
        self.init()
        let parts = section.string("service", default: "").split(
            separator: ".", omittingEmptySubsequences: false)
        service = parts.first.map(String.init) ?? ""
        namespace = parts.count > 1 ? String(parts[1]) : nil
        if service.isEmpty || namespace == "", !section.isBroken("service") {
            section.report(
                section.has("service") ? "service" : nil, error: "requires a \"service\"",
                help: "write its name and namespace: samplers.observability")
        } else if parts.contains(where: { !$0.utf8.allSatisfy(Self.isNameByte) }) {
            section.report(
                "service", error: "\"\(parts.joined(separator: "."))\" must be a name and a namespace",
                help:
                    "write small letters, digits and -, such as samplers.observability, and ports under \"ports\""
            )
        }
        let texts = section.scalarList("ports") ?? []
        let numbers = texts.compactMap { text in Int(text).flatMap { (1...65535).contains($0) ? $0 : nil } }
        if numbers.count < texts.count {
            section.report("ports", error: "must be numbers between 1 and 65535", help: "write ports: [4317]")
        }
        if !numbers.isEmpty { ports = numbers }
        timeout = section.duration("timeout", default: timeout, in: .milliseconds(1) ... .longest)
        usesHostNames = section.bool("return_hostnames", default: false)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-")
    }
}
