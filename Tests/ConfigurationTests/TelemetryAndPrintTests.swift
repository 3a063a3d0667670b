import Configuration
import Testing

@Suite("service::telemetry")
struct TelemetryConfigTests {
    private func read(_ yaml: String) -> (TelemetryConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = TelemetryConfig(ConfigSection(yaml: yaml, path: "t", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.severity.rawValue) \($0.path): \($0.message)" })
    }

    @Test("without the section the gateway logs and serves metrics as the Collector does")
    func defaults() {
        let config = read("").0
        #expect(config == TelemetryConfig())
        #expect(config.logs.level == .info && config.logs.encoding == .console)
        #expect(config.logs.outputPaths == ["stderr"] && config.logs.errorOutputPaths == ["stderr"])
        #expect(config.logs.sampling?.tick == .seconds(10))
        #expect(config.logs.sampling?.initial == 10 && config.logs.sampling?.thereafter == 100)
        #expect(
            !config.logs.disableCaller && !config.logs.disableStacktrace && config.logs.initialFields.isEmpty)
        #expect(config.metrics.level == .normal)
        #expect(config.metrics.endpoint?.description == "localhost:8888")
        #expect(config.resource.isEmpty)
    }

    @Test("every key of the log arrives")
    func logs() {
        let (config, problems) = read(
            """
            logs:
              level: WARN
              encoding: json
              development: false
              disable_caller: true
              disable_stacktrace: true
              sampling: {tick: 1s, initial: 2, thereafter: 0}
              output_paths: [stdout, /var/log/x]
              error_output_paths: [stdout]
              initial_fields: {a: b, n: 5}
            resource: {service.name: edge, host.name: }
            traces: {level: none, propagators: [tracecontext]}
            """)
        #expect(
            problems == [
                "warning t::logs::disable_caller: has no effect: lines do not say where in the source they come from",
                "warning t::logs::error_output_paths: has no effect: the log's own errors go to stderr",
            ])
        #expect(config.logs.level == .warn && config.logs.encoding == .json)
        #expect(config.logs.disableCaller && config.logs.disableStacktrace)
        #expect(config.logs.sampling?.tick == .seconds(1) && config.logs.sampling?.thereafter == 0)
        #expect(config.logs.outputPaths == ["stdout", "/var/log/x"])
        #expect(config.logs.initialFields == [ConfigPair("a", "b"), ConfigPair("n", "5")])
        #expect(config.resource == [.init("service.name", "edge"), .init("host.name", nil)])
    }

    @Test(
        "the page with the gateway's own metrics is where the file says",
        arguments: [
            (
                "metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 9999}}}}]}",
                "0.0.0.0:9999"
            ),
            ("metrics: {readers: [{pull: {exporter: {prometheus: }}}]}", "localhost:8888"),
            ("metrics: {address: \":9\"}", "0.0.0.0:9"), ("metrics: {level: none}", nil),
            ("metrics: {readers: []}", nil), ("metrics: {level: detailed}", "localhost:8888"),
        ] as [(String, String?)])
    func metrics(yaml: String, endpoint: String?) {
        let (config, problems) = read(yaml)
        #expect(config.metrics.endpoint?.description == endpoint)
        #expect(problems.allSatisfy { $0.hasPrefix("warning") })
    }

    @Test("what leaves the gateway about itself goes where the file says")
    func senders() throws {
        let (config, problems) = read(
            """
            metrics:
              readers:
              - periodic:
                  interval: 5000
                  exporter:
                    otlp: {protocol: grpc, endpoint: "http://h:1", headers: {a: b}, headers_list: "c=d,e=f=g"}
              - pull: {exporter: {prometheus: {without_type_suffix: false, without_units: false}}}
            logs:
              disable_zap_resource: true
              processors:
              - simple: {exporter: {otlp_http: {endpoint: "https://h/x/logs", encoding: json, timeout: 2s}}}
            traces:
              level: Detailed
              propagators: [tracecontext]
              sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.01}}}}
              processors:
              - batch:
                  schedule_delay: 10
                  max_queue_size: 100
                  max_export_batch_size: 7
                  exporter: {otlp_grpc: {endpoint: "h:2", compression: gzip, tls: {ca_file: /ca}}}
            """)
        #expect(problems == [])
        let metrics = try #require(config.metrics.periodic.first)
        #expect(metrics.interval == .seconds(5) && metrics.exporter.transport == .grpc)
        #expect(!metrics.exporter.usesTLS && metrics.exporter.endpoint == EndpointConfig(host: "h", port: 1))
        #expect(
            metrics.exporter.headers == [
                SecretPair("a", "b"), SecretPair("c", "d"), SecretPair("e", "f=g"),
            ])
        #expect(!config.metrics.withoutTypeSuffix && !config.metrics.withoutUnits)
        let logs = try #require(config.logs.processors.first)
        #expect(logs.delay == .zero && logs.exporter.transport == .httpJSON && logs.exporter.usesTLS)
        #expect(logs.exporter.path == "/x/logs" && logs.exporter.timeout == .seconds(2))
        #expect(logs.exporter.endpoint == EndpointConfig(host: "h", port: 4318))
        let traces = try #require(config.traces.processors.first)
        #expect(traces.delay == .milliseconds(10) && traces.queueSize == 100 && traces.batchSize == 7)
        #expect(traces.exporter.usesTLS && traces.exporter.compresses && traces.exporter.caFile == "/ca")
        #expect(config.traces.sampler.ratio == 0.01 && config.traces.sampler.followsParent)
        #expect(config.traces.continuesTraces)
    }

    @Test(
        "a sampler is what the file says",
        arguments: [
            ("{}", true, 1), ("{always_on: }", false, 1), ("{always_off: {}}", false, 0),
            ("{trace_id_ratio_based: {ratio: 0.5}}", false, 0.5), ("{parent_based: }", true, 1),
            ("{parent_based: {root: {always_off: }}}", true, 0),
        ] as [(String, Bool, Double)])
    func samplers(yaml: String, followsParent: Bool, ratio: Double) {
        let (config, problems) = read("traces: {sampler: \(yaml)}")
        #expect(problems == [])
        #expect(config.traces.sampler.followsParent == followsParent && config.traces.sampler.ratio == ratio)
    }

    @Test("level none turns all of a signal off")
    func off() {
        let exporter = "{exporter: {otlp: {}}}"
        let (config, problems) = read(
            "{metrics: {level: None, readers: [{periodic: \(exporter)}]}, traces: {level: NONE, processors: [{simple: \(exporter)}]}}"
        )
        #expect(problems == [])
        #expect(config.metrics.periodic.isEmpty && config.metrics.endpoint == nil)
        #expect(config.traces.processors.isEmpty)
    }

    @Test("views that drop metrics take them off the pages; others say that they have no effect")
    func views() {
        let (config, problems) = read(
            """
            metrics:
              level: detailed
              views:
                - {selector: {instrument_name: otelcol_exporter_*, meter_name: x}, stream: {aggregation: {drop: {}}}}
                - {selector: {instrument_name: a}, stream: {name: b}}
            """)
        #expect(config.metrics.dropped == ["otelcol_exporter_*"])
        #expect(problems.count == 1 && problems.allSatisfy { $0.hasPrefix("warning") }, "\(problems)")
    }

    @Test(
        "what the gateway cannot do about itself is said",
        arguments: [
            "metrics: {level: detailed, views: [{a: 1}]}",
            "metrics: {views: [{selector: {instrument_name: a}, stream: {aggregation: {drop: }}}]}",
            "metrics: {readers: [{}]}", "metrics: {readers: [{pull: }]}",
            "x: 1", "metrics: {readers: [{periodic: {}}]}", "traces: {processors: [{}]}",
            "logs: {processors: [{simple: }]}", "traces: {sampler: {jaeger_remote: {a: 1}}}",
            "traces: {propagators: [x]}", "traces: {sampler: {trace_id_ratio_based: {ratio: 1.5}}}",
            "metrics: {readers: [{periodic: {exporter: {otlp: {endpoint: \"http://<host>:1\"}}}}]}",
            "metrics: {readers: [{periodic: {exporter: {otlp: {temporality_preference: lowmemory}}}}]}",
            "logs: {processors: [{batch: {max_queue_size: 1, max_export_batch_size: 2, exporter: {otlp: }}}]}",
            "logs: {sampling: {tick: 0s}}", "logs: {level: loud}",
        ])
    func notYet(yaml: String) {
        #expect(read(yaml).1.contains { $0.hasPrefix("error") })
    }
}

@Suite("Printing a configuration")
struct PrintTests {
    private static let file = """
        receivers:
          otlp:
            protocols: {grpc: , http: {response_headers: {X-A: hush}}}
        exporters:
          nop:
          otlp/a:
            endpoint: "${env:HOST}:4317"
            headers:
              X-Token: hush
              X-Scope: ${env:TENANT}
            tls: {insecure: true, key_pem: hush}
            x_password: hush
            password_file: /run/pw
            none: {}
            list: [1, 1.5, "5", yes, [a, {b: c}], [], "a: b", "#", "$${x}"]
            urls: ["http://u:hush@h/x", "http://h@"]
            proxy: http://u:hush@h
            text: "line\\nfeed \\"quoted\\" \\\\ \\u2028 ü"
        service:
          pipelines:
            traces: {receivers: [otlp], exporters: [nop, otlp/a]}
        """

    private func config() throws -> GatewayConfig {
        let diagnostics = Diagnostics()
        let config = try #require(
            load(
                Self.file, overrides: ["exporters.otlp/a.timeout=7s"],
                variables: ["HOST": "tempo", "TENANT": "007"],
                diagnostics: diagnostics))
        _ = config.exporters[1].section.secretMap("headers")
        #expect(!diagnostics.hasErrors)
        return config
    }

    @Test("YAML shows what took effect and no secret")
    func yaml() throws {
        #expect(
            try config().printed(.yaml, redacted: true) == """
                receivers:
                  otlp:
                    protocols:
                      grpc:
                      http:
                        response_headers:
                          X-A: "[REDACTED]"
                exporters:
                  nop:
                  otlp/a:
                    endpoint: tempo:4317
                    headers:
                      X-Token: "[REDACTED]"
                      X-Scope: "[REDACTED]"
                    tls:
                      insecure: true
                      key_pem: "[REDACTED]"
                    x_password: "[REDACTED]"
                    password_file: /run/pw
                    none: {}
                    list:
                      - 1
                      - 1.5
                      - "5"
                      - yes
                      -
                        - a
                        -
                          b: c
                      - []
                      - "a: b"
                      - "#"
                      - "$${x}"
                    urls:
                      - "[REDACTED]"
                      - "[REDACTED]"
                    proxy: "[REDACTED]"
                    text: "line\\nfeed \\"quoted\\" \\\\ \\u2028 ü"
                    timeout: 7s
                service:
                  pipelines:
                    traces:
                      receivers:
                        - otlp
                      exporters:
                        - nop
                        - otlp/a

                """)
    }

    @Test(
        "secrets are shown when asked for, and what is printed reads back as the same",
        arguments: [true, false])
    func roundTrip(isYAML: Bool) throws {
        let format: GatewayConfig.PrintFormat = isYAML ? .yaml : .json
        let printed = try config().printed(format, redacted: false)
        #expect(printed.contains("hush") && printed.contains("\"007\""))
        let diagnostics = Diagnostics()
        let again = try #require(load(printed, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors)
        #expect(again.printed(format, redacted: false) == printed)
        #expect(again.printed(.yaml, redacted: false) == (try config().printed(.yaml, redacted: false)))
    }

    /// If it failed, what is printed would end at such a text when it is read back.
    @Test(
        "texts that begin as the end of a document are printed in quotes",
        arguments: ["...", "... a", "...a"])
    func dots(text: String) throws {
        let written = "exporters: {\"\(text)\": {text: \"\(text)\"}}"
        let printed = try #require(load(written, diagnostics: Diagnostics())).printed(.yaml, redacted: false)
        #expect(printed.contains("\"\(text)\""))
        let again = try #require(load(printed, diagnostics: Diagnostics()))
        #expect(again.printed(.yaml, redacted: false) == printed)
    }

    @Test("JSON hides the same secrets")
    func json() throws {
        let printed = try config().printed(.json, redacted: true)
        #expect(!printed.contains("hush") && !printed.contains("007"))
        #expect(
            printed.hasPrefix(
                "{\n  \"receivers\": {\n    \"otlp\": {\n      \"protocols\": {\n        \"grpc\": null,"))
    }
}
