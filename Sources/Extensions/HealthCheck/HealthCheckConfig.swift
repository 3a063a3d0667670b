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
        endpoint = section.pageServer(default: endpoint)
        section.formerly(["port": "write endpoint: 0.0.0.0:13133, with that port"])
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
        readSecondVersion(section)
        section.ignored("component_health", "the page tells of the gateway as a whole")
        if let check = section.section("check_collector_pipeline") {
            if check.bool("enabled", default: false) {
                check.report(
                    "enabled", warning: "has no effect, in the Collector neither",
                    help: "watch the metrics of the exporters instead")
            }
            check.accept("interval")
            check.accept("exporter_failure_threshold")
        }
        section.finish()
    }

    /// The keys of the Collector's second version; the page is that of the first.
    private mutating func readSecondVersion(_ section: ConfigSection) {
        guard section.bool("use_v2", default: false) else {
            section.ignored("http", "it counts only with use_v2: true")
            section.ignored("grpc", "it counts only with use_v2: true")
            return
        }
        section.notSupportedYet("grpc", "let the page be asked over HTTP")
        path = "/status"
        guard let http = section.section("http") else { return }
        endpoint = http.pageServer(default: endpoint)
        if let status = http.section("status") {
            if !status.bool("enabled", default: true) {
                status.report("enabled", warning: "has no effect: the page is always there")
            }
            path = status.string("path", default: path)
            if !path.hasPrefix("/") { path = "/" + path }
        }
        if let config = http.section("config") {
            if config.bool("enabled", default: false) {
                config.report(
                    "enabled", warning: "has no effect: no page shows the configuration",
                    help: "print-config shows it")
            }
            config.accept("path")
        }
    }
}
