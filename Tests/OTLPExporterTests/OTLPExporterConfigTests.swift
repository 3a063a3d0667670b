import Configuration
import OTLPClient
import Pipeline
import Testing

@Suite("Keys of the otlp exporter")
struct OTLPExporterConfigTests {
    private func read(_ yaml: String) -> (OTLPExporterConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (
            OTLPExporterConfig(
                ConfigSection(yaml: yaml, path: "exporters::otlp/tempo", diagnostics: diagnostics)),
            diagnostics
        )
    }

    private func problems(_ diagnostics: Diagnostics) -> [String] {
        diagnostics.items.map { "\($0.path): \($0.message)" }
    }

    @Test("what is not written is as in the Collector")
    func defaults() {
        let (config, diagnostics) = read("{endpoint: \"tempo:4317\", tls: {insecure: true}}")
        #expect(diagnostics.items.isEmpty)
        #expect(
            config.endpoint == EndpointConfig(host: "tempo", port: 4317)
                && config.endpointText == "tempo:4317")
        #expect(config.tls.insecure && config.compression == .gzip && config.headers.isEmpty)
        #expect(config.userAgent == nil && config.timeout == .seconds(5) && config.keepalive == nil)
        #expect(!config.waitForReady && config.balancerName == .roundRobin && config.authority == nil)
        #expect(
            config.readBufferSize == 524_288 && config.writeBufferSize == 524_288 && config.connections == 1)
        #expect(config.sendingQueue == SendingQueueConfig() && config.retryOnFailure == RetryConfig())
    }

    @Test("every key arrives")
    func keys() {
        let (config, diagnostics) = read(
            """
            endpoint: tempo:4317
            tls: {insecure: true}
            compression: none
            headers: {X-Scope-OrgID: tenant}
            user_agent: me
            timeout: 0
            keepalive: {time: 30s, permit_without_stream: true}
            wait_for_ready: true
            balancer_name: pick_first
            authority: other
            read_buffer_size: 1
            write_buffer_size: 2
            connections: 8
            sending_queue: {queue_size: 5}
            retry_on_failure: {enabled: false}
            """)
        #expect(
            problems(diagnostics) == [
                "exporters::otlp/tempo::read_buffer_size: has no effect: answers are a few bytes",
                "exporters::otlp/tempo::write_buffer_size: has no effect: a batch is written at once",
            ])
        #expect(!diagnostics.hasErrors)
        #expect(config.compression == .none && config.headers == [SecretPair("X-Scope-OrgID", "tenant")])
        #expect(config.userAgent == "me" && config.timeout == .zero && config.authority == "other")
        #expect(config.keepalive?.time == .seconds(30) && config.keepalive?.timeout == .seconds(10))
        #expect(config.keepalive?.permitWithoutStream == true)
        #expect(config.waitForReady && config.balancerName == .pickFirst && config.connections == 8)
        #expect(config.readBufferSize == 1 && config.writeBufferSize == 2)
        #expect(config.sendingQueue.queueSize == 5 && !config.retryOnFailure.enabled)
    }

    @Test(
        "destinations may be written as gRPC writes them",
        arguments: [
            ("tempo:4317", "tempo:4317"), ("dns:///tempo:4317", "tempo:4317"),
            ("http://tempo:4317", "tempo:4317"),
            ("http://tempo:4317/", "tempo:4317"), ("passthrough:///1.2.3.4:5", "1.2.3.4:5"),
            ("[::1]:5", "[::1]:5"),
            (":4317", "localhost:4317"),
        ])
    func endpoints(text: String, expected: String) {
        let (config, diagnostics) = read("{endpoint: \"\(text)\", tls: {insecure: true}}")
        #expect(diagnostics.items.isEmpty)
        #expect(config.endpoint.description == expected)
    }

    @Test(
        "nothing goes out in plain text that was not asked for",
        arguments: [
            ("endpoint: \"a:1\"", true), ("{endpoint: \"a:1\", tls: {insecure: false}}", true),
            ("{endpoint: \"http://a:1\", tls: {}}", true),
            ("{endpoint: \"a:1\", tls: {insecure: true}}", false),
            ("{endpoint: \"https://a:1\", tls: {insecure: true}}", true),
            ("{endpoint: \"a:1\", tls: {insecure: true, min_version: \"1.3\"}}", false),
        ])
    func plainText(yaml: String, usesTLS: Bool) {
        let (config, diagnostics) = read(yaml)
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        #expect(config.usesTLS == usesTLS && config.endpoint.description == "a:1")
    }

    @Test(
        "an exporter that could not send is refused",
        arguments: [
            ("tls: {insecure: true}", "exporters::otlp/tempo: requires a non-empty \"endpoint\""),
            (
                "{endpoint: \"\", tls: {insecure: true}}",
                "exporters::otlp/tempo::endpoint: requires a non-empty \"endpoint\""
            ),
            (
                "{endpoint: tempo, tls: {insecure: true}}",
                "exporters::otlp/tempo::endpoint: \"tempo\" has no port"
            ),
            (
                "{endpoint: \"http://me:hush@tempo:4317\", tls: {insecure: true}}",
                "exporters::otlp/tempo::endpoint: must be host:port without a user"
            ),
            (
                "{endpoint: \"tempo:0\", tls: {insecure: true}}",
                "exporters::otlp/tempo::endpoint: the port must not be 0"
            ),
            (
                "{endpoint: \"unix:///x\", tls: {insecure: true}}",
                "exporters::otlp/tempo::endpoint: unix sockets are not supported yet; use host:port"
            ),
            (
                "{endpoint: \"a:1\", tls: {insecure: true}, compression: lz4}",
                "exporters::otlp/tempo::compression: \"lz4\" is not supported yet; use none, gzip, zstd or snappy"
            ),
            (
                "{endpoint: \"a:1\", tls: {insecure: true, ca_file: /x}}",
                "exporters::otlp/tempo::tls::ca_file: cannot read \"/x\": No such file or directory"
            ),
            (
                "{endpoint: \"a:1\", tls: {insecure: true}, auth: {authenticator: basicauth/x}}",
                "exporters::otlp/tempo::auth: basicauth needs TLS: gRPC sends no credentials over plain text"
            ),
            (
                "{endpoint: \"a:1\", tls: {insecure: true}, balancer_name: least_request}",
                "exporters::otlp/tempo::balancer_name: unknown value \"least_request\"; must be round_robin or"
                    + " pick_first"
            ),
            (
                "{endpoint: \"a:1\", tls: {insecure: true}, connections: 65}",
                "exporters::otlp/tempo::connections: must be between 1 and 64, found 65"
            ),
        ])
    func broken(yaml: String, message: String) {
        #expect(problems(read(yaml).1) == [message])
    }
}
