package import Configuration
internal import HTTP
package import RequestServing

/// The keys of the `otlp` receiver: the protocols to serve. A protocol that is not written is off.
package struct OTLPReceiverConfig: Sendable, Equatable {
    /// The HTTP server with the paths of the three signals.
    package struct HTTP: Sendable, Equatable {
        /// Default endpoint localhost:4318.
        package var server: HTTPServerConfig
        /// Where traces are posted; a missing leading slash is added. Default /v1/traces. Key `traces_url_path`.
        package var tracesUrlPath = "/v1/traces"
        /// Where metrics are posted. Default /v1/metrics. Key `metrics_url_path`.
        package var metricsUrlPath = "/v1/metrics"
        /// Where logs are posted. Default /v1/logs. Key `logs_url_path`.
        package var logsUrlPath = "/v1/logs"

        package init(server: HTTPServerConfig = HTTPServerConfig()) {
            self.server = server
        }
    }

    /// Key `limits`.
    package var limits = ConnectionLimits()
    /// nil = no gRPC. Default endpoint localhost:4317. Key `protocols::grpc`.
    package var grpc: GRPCServerConfig?
    /// nil = no HTTP. Key `protocols::http`.
    package var http: HTTP?

    /// Both protocols with their defaults.
    package init() {
        grpc = GRPCServerConfig()
        http = HTTP()
    }

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        section.misplaced(["grpc", "http"], under: "protocols")
        if let keys = section.section("limits") { limits = ConnectionLimits(keys) }
        let protocols = section.section("protocols")
        if let keys = protocols?.section("grpc") {
            let read = GRPCServerConfig(
                keys, endpoint: EndpointConfig(host: "localhost", port: 4317), readTLS: { $0.serverTLS() },
                hasAuth: true)
            grpc = keys.bool("enabled", default: true) ? read : nil
        }
        if let keys = protocols?.section("http") {
            let read = HTTP(keys)
            http = keys.bool("enabled", default: true) ? read : nil
        }
        if grpc == nil, http == nil, !section.isBroken("protocols"), protocols?.hasBrokenKeys != true {
            (protocols ?? section).report(
                nil, error: "must specify at least one protocol when using the OTLP receiver",
                help: protocols == nil
                    ? "add these lines\n  protocols:\n    grpc:\n    http:"
                    : "add \"grpc:\" or \"http:\" below it")
        }
        section.finish()
    }
}

extension OTLPReceiverConfig.HTTP {
    fileprivate init(_ section: ConfigSection) {
        self.init(
            server: HTTPServerConfig(
                section, endpoint: EndpointConfig(host: "localhost", port: 4318), readTLS: { $0.serverTLS() },
                hasAuth: true)
        )
        tracesUrlPath = Self.path(section, "traces_url_path", tracesUrlPath)
        metricsUrlPath = Self.path(section, "metrics_url_path", metricsUrlPath)
        logsUrlPath = Self.path(section, "logs_url_path", logsUrlPath)
        let paths = [
            ("traces_url_path", tracesUrlPath), ("metrics_url_path", metricsUrlPath),
            ("logs_url_path", logsUrlPath),
        ]
        for (index, entry) in paths.enumerated() {
            guard let same = paths[..<index].first(where: { $0.1 == entry.1 }) else { continue }
            section.report(entry.0, error: "is the same path as \(same.0), \(entry.1)")
        }
    }

    private static func path(_ section: ConfigSection, _ key: String, _ value: String) -> String {
        guard let written = section.optionalString(key), !written.isEmpty else { return value }
        let isPlain = written.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0.value < 0x7f && $0 != "?" && $0 != "#"
        }
        guard isPlain else {
            section.report(
                key, error: "\"\(written)\" is not a valid path: spaces, \"?\" and \"#\" are not allowed")
            return value
        }
        return written.hasPrefix("/") ? written : "/" + written
    }
}
