package import Configuration

/// The keys of the `health_check` extension.
package struct HealthCheckConfig: Sendable, Equatable {
    /// Bodies instead of the JSON ones.
    package struct ResponseBody: Sendable, Equatable {
        /// With status 200; empty = the JSON body. Key `healthy`.
        package var healthy = ""
        /// With status 503; empty = the JSON body. Key `unhealthy`.
        package var unhealthy = ""

        package init() {}
    }

    /// Where to listen. Default localhost:13133; port 0 lets the system choose. Key `endpoint`.
    package var endpoint = EndpointConfig(host: "localhost", port: 13133)
    /// The page. Default `/`; must begin with a slash. Key `path`.
    package var path = "/"
    /// nil = the JSON bodies. Key `response_body`.
    package var responseBody: ResponseBody?

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        endpoint = HTTPServerConfig(section, endpoint: endpoint).endpoint
        for key in [
            "read_timeout", "read_header_timeout", "write_timeout", "idle_timeout", "max_request_body_size",
            "compression_algorithms", "response_headers", "include_metadata", "keep_alives_enabled",
            "max_connection_age", "max_connection_age_grace",
        ] {
            section.withoutEffect(key, "the page has limits of its own")
        }
        path = section.string("path", default: path)
        if !path.hasPrefix("/") {
            section.report("path", error: "\"\(path)\" must begin with \"/\"", help: "write path: /\(path)")
        }
        if let keys = section.section("response_body") {
            var body = ResponseBody()
            body.healthy = keys.string("healthy", default: "")
            body.unhealthy = keys.string("unhealthy", default: "")
            responseBody = body
        }
        section.notSupportedYet("use_v2")
        section.notSupportedYet("grpc")
        section.notSupportedYet("http", "write endpoint and path in the section itself")
        section.notSupportedYet("component_health")
        if let check = section.section("check_collector_pipeline") {
            check.notSupportedYet("enabled", "watch the exporters' metrics instead")
            check.accept("interval")
            check.accept("exporter_failure_threshold")
        }
        section.finish()
    }
}
