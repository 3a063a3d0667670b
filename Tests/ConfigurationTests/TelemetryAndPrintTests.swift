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
                "warning t::traces::propagators: has no effect: the gateway sends no spans about itself yet",
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

    @Test(
        "what the gateway cannot do about itself is said",
        arguments: [
            "metrics: {views: [{a: 1}]}", "metrics: {readers: [{}]}", "metrics: {readers: [{pull: }]}",
            "x: 1",
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
