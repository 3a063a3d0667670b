package import Configuration
internal import HTTP

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

    /// What one connection may cost.
    package struct Limits: Sendable, Equatable {
        /// What incomplete requests may hold together, in percent (1…100) of what `memory_limiter` leaves for requests.
        /// Default 50. Key `incomplete_memory_percentage`.
        package var incompleteMemoryPercentage = 50
        /// The same for one connection, a single request apart. Default 10. Key `connection_memory_percentage`.
        package var connectionMemoryPercentage = 10
        /// The same for the connections from one address; 0 = no bound, the default. Key `address_memory_percentage`.
        package var addressMemoryPercentage = 0
        /// Frames a second that carry next to nothing, beside those of requests. Default 2000. Key
        /// `empty_frames_per_second`.
        package var emptyFramesPerSecond = 2000
        /// Such frames at once. Default 20000. Key `empty_frames_burst`.
        package var emptyFramesBurst = 20_000
        /// The percentage (1…100) of one core that a connection may take for what is no request. Default 10. Key
        /// `wasted_time_percentage`.
        package var wastedTimePercentage = 10
        /// How long answers may take after a client has ended its side. More than 0, default 5 s. Key
        /// `half_closed_timeout`.
        package var halfClosedTimeout: Duration = .seconds(5)

        package init() {}
    }

    /// Key `limits`.
    package var limits = Limits()
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
        if let keys = section.section("limits") { limits = Limits(keys) }
        let protocols = section.section("protocols")
        if let keys = protocols?.section("grpc") {
            let read = GRPCServerConfig(
                keys, endpoint: EndpointConfig(host: "localhost", port: 4317), readTLS: { $0.serverTLS() })
            grpc = keys.bool("enabled", default: true) ? read : nil
        }
        if let keys = protocols?.section("http") {
            let read = HTTP(keys)
            http = keys.bool("enabled", default: true) ? read : nil
        }
        if grpc == nil, http == nil {
            (protocols ?? section).report(
                nil, error: "must specify at least one protocol when using the OTLP receiver",
                help: protocols == nil
                    ? "add these lines\n  protocols:\n    grpc:\n    http:"
                    : "add \"grpc:\" or \"http:\" below it")
        }
        section.finish()
    }
}

extension OTLPReceiverConfig.Limits {
    fileprivate init(_ section: ConfigSection) {
        self.init()
        incompleteMemoryPercentage = section.int(
            "incomplete_memory_percentage", default: incompleteMemoryPercentage, in: 1...100)
        connectionMemoryPercentage = section.int(
            "connection_memory_percentage", default: connectionMemoryPercentage, in: 1...100)
        addressMemoryPercentage = section.int(
            "address_memory_percentage", default: addressMemoryPercentage, in: 0...100)
        emptyFramesPerSecond = section.int(
            "empty_frames_per_second", default: emptyFramesPerSecond, in: 1...Int(Int32.max))
        emptyFramesBurst = section.int(
            "empty_frames_burst", default: emptyFramesBurst, in: 1...Int(Int32.max))
        wastedTimePercentage = section.int(
            "wasted_time_percentage", default: wastedTimePercentage, in: 1...100)
        halfClosedTimeout = section.duration("half_closed_timeout", default: halfClosedTimeout)
        if halfClosedTimeout <= .zero, !section.isBroken("half_closed_timeout") {
            section.report(
                "half_closed_timeout", error: "must be greater than zero",
                help: "write half_closed_timeout: 5s")
        }
        section.finish()
    }

    var work: WorkBudget.Limits {
        var limits = WorkBudget.Limits()
        limits.percentage = wastedTimePercentage
        return limits
    }

    var frames: FrameBudget.Limits {
        var limits = FrameBudget.Limits()
        limits.burst = emptyFramesBurst
        limits.perSecond = emptyFramesPerSecond
        return limits
    }
}

extension OTLPReceiverConfig.HTTP {
    fileprivate init(_ section: ConfigSection) {
        self.init(
            server: HTTPServerConfig(
                section, endpoint: EndpointConfig(host: "localhost", port: 4318), readTLS: { $0.serverTLS() })
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
