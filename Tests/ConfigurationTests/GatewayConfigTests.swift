import Configuration
import Testing

@Suite("The top level of a configuration")
struct GatewayConfigTests {
    /// A file of the kind that people bring from the Collector.
    private static let brought = """
        receivers:
          otlp:
            protocols:
              grpc:
                endpoint: 0.0.0.0:4317
              http:
                endpoint: 0.0.0.0:4318
          prometheus:
            config:
              scrape_configs:
              - job_name: 'collector'
                scrape_interval: 10s
                static_configs:
                - targets: ['localhost:8888']

        processors:
          batch:
            send_batch_size: 1024
            timeout: 10s
          memory_limiter:
            check_interval: 1s
            limit_mib: 512

        exporters:
          prometheus:
            endpoint: "0.0.0.0:8889"
          otlp:
            endpoint: tempo:4317
            tls:
              insecure: true
          logging:
            loglevel: debug

        service:
          pipelines:
            traces:
              receivers: [otlp]
              processors: [memory_limiter, batch]
              exporters: [otlp, logging]
            metrics:
              receivers: [otlp, prometheus]
              processors: [memory_limiter, batch]
              exporters: [prometheus]
        """

    @Test(
        "a type that is not built is known with and without underscores, so that the help is about it",
        arguments: [
            ("webhook_event", "let a Collector"), ("webhookevent", "let a Collector"),
            ("windows_event_log", "let a Collector"), ("simple_prometheus", "scrape_configs"),
        ])
    func namesWithUnderscores(type: String, help: String) {
        let diagnostics = Diagnostics()
        _ = load(
            """
            receivers: {\(type): }
            exporters: {debug: }
            service: {pipelines: {logs: {receivers: [\(type)], exporters: [debug]}}}
            """, diagnostics: diagnostics)
        let shown = diagnostics.render()
        #expect(shown.contains("receiver \"\(type)\" is not built into this version yet"), "\(shown)")
        #expect(shown.contains(help), "\(shown)")
    }

    @Test("an operator who brings a file from the Collector sees what is missing here and nothing else")
    func seedFile() throws {
        let diagnostics = Diagnostics()
        let config = try #require(load(Self.brought, diagnostics: diagnostics))
        #expect(
            diagnostics.render() == """
                gateway.yaml:8:3: error: receivers: receiver "prometheus" is not built into this version yet
                   8 |   prometheus:
                     |   ^~~~~~~~~~
                   help: let a Collector with this receiver send OTLP here, or remove it from the pipelines
                gateway.yaml:25:3: error: exporters: exporter "prometheus" is not built into this version yet
                   25 |   prometheus:
                      |   ^~~~~~~~~~
                   help: send OTLP to a Collector that has this exporter: otlp_grpc or otlp_http
                gateway.yaml:31:3: warning: exporters: exporter "logging" is deprecated; write "debug" instead
                   31 |   logging:
                      |   ^~~~~~~

                """)
        #expect(config.receivers.map(\.id.description) == ["otlp"])
        #expect(config.exporters.map(\.type) == ["otlp_grpc", "debug"])
        #expect(config.pipelines.map(\.id.description) == ["traces", "metrics"])
        #expect(config.pipelines[0].exporters.map(\.description) == ["otlp", "logging"])
        #expect(config.pipelines[1].receivers.map(\.description) == ["otlp"])
        #expect(config.pipelines[1].exporters.isEmpty)
    }

    @Test("the smallest file is accepted; an empty component body means defaults")
    func smallestFile() throws {
        let diagnostics = Diagnostics()
        let config = try #require(load(smallest, diagnostics: diagnostics))
        #expect(diagnostics.items.isEmpty)
        #expect(config.receivers.first?.section.keys == [])
        #expect(config.receivers.first?.isUsed == true)
        #expect(config.telemetry == TelemetryConfig())
        #expect(config.telemetry.metrics.endpoint == EndpointConfig(host: "localhost", port: 8888))
    }
}
