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
            "routing_key", of: ["traceID", "service", ""], default: "",
            notYet: ["resource", "metric", "streamID", "attributes"])
        {
        case "traceID": routingKey = .traceID
        case "service": routingKey = .service
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
        let example = "write resolver: {static: {hostnames: [\"host:4317\"]}} or {dns: {hostname: name}}"
        guard let resolver = section.section("resolver") else {
            if !section.has("resolver") {
                section.report(nil, error: "requires a \"resolver\"", help: example)
            }
            return
        }
        let instead =
            "write dns with the name of a service that has the backends' addresses, as a headless one has"
        resolver.notSupportedYet("k8s", instead)
        resolver.notSupportedYet("aws_cloud_map", instead)
        let fixed = resolver.optionalSection("static")
        let dns = resolver.optionalSection("dns")
        switch (fixed, dns) {
        case (let fixed?, nil): self.resolver = .fixed(Self.hostnames(fixed))
        case (nil, let dns?): self.resolver = .dns(DNS(dns))
        case (nil, nil):
            if !resolver.has("k8s"), !resolver.has("aws_cloud_map") {
                section.report("resolver", error: "names neither static nor dns", help: example)
            }
        case (.some(let fixed), .some(let dns)):
            _ = (Self.hostnames(fixed), DNS(dns))
            section.report("resolver", error: "names both static and dns", help: "remove one of them")
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
    }
}
