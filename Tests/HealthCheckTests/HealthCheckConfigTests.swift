import Configuration
import HealthCheck
import Testing

@Suite("Keys of health_check")
struct HealthCheckConfigTests {
    private func read(_ yaml: String) -> (HealthCheckConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = HealthCheckConfig(ConfigSection(yaml: yaml, path: "hc", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("what is not written is as in the Collector")
    func defaults() {
        let (config, problems) = read("")
        #expect(problems.isEmpty && config == HealthCheckConfig())
        #expect(
            config.endpoint.description == "localhost:13133" && config.path == "/"
                && config.responseBody == nil)
    }

    @Test("every key arrives")
    func keys() {
        let (config, problems) = read(
            """
            {endpoint: "0.0.0.0:1", path: /ok, response_body: {healthy: fine, unhealthy: ill}, use_v2: false,
             check_collector_pipeline: {enabled: false, interval: 5m, exporter_failure_threshold: 5}}
            """)
        #expect(problems.isEmpty)
        #expect(config.endpoint == EndpointConfig(host: "0.0.0.0", port: 1) && config.path == "/ok")
        #expect(config.responseBody?.healthy == "fine" && config.responseBody?.unhealthy == "ill")
    }

    @Test("the second version's page is where its keys say")
    func secondVersion() {
        let (config, problems) = read(
            "{use_v2: true, http: {endpoint: '0.0.0.0:2', status: {path: health}, config: {path: /c}}}")
        #expect(problems.isEmpty, "\(problems)")
        #expect(config.endpoint == EndpointConfig(host: "0.0.0.0", port: 2) && config.path == "/health")
        #expect(read("use_v2: true").0.path == "/status")
        #expect(read("{use_v2: false, http: {endpoint: 'a:2'}}").0 == HealthCheckConfig())
    }

    @Test(
        "what is not there yet or could not be served is refused",
        arguments: [
            (
                "{use_v2: true, grpc: {endpoint: 'a:1'}}",
                "hc::grpc: is not supported yet; let the page be asked over HTTP"
            ),
            ("tls: {cert_file: x}", nil),
            (
                "check_collector_pipeline: {enabled: true}",
                "hc::check_collector_pipeline::enabled: has no effect, in the Collector neither"
            ),
            ("path: ok", "hc::path: \"ok\" must begin with \"/\""),
            ("endpoint: localhost", "hc::endpoint: \"localhost\" has no port"),
            ("endpoints: x", "hc: unknown key \"endpoints\""),
        ] as [(String, String?)])
    func broken(yaml: String, message: String?) {
        let problems = read(yaml).1
        #expect(problems.count == 1)
        if let message { #expect(problems == [message]) }
    }
}
