import Testing

@testable import Configuration

/// Configurations that the Collector takes and that stopped a gateway: each costs somebody a migration.
@Suite struct AcceptedTests {
    private func problems(_ yaml: String, variables: [String: String] = [:]) -> (loaded: Bool, text: String) {
        let diagnostics = Diagnostics()
        let config = load(yaml, variables: variables, diagnostics: diagnostics)
        if let config { readComponents(config) }
        return (config != nil && !diagnostics.hasErrors, diagnostics.render())
    }

    @Test(arguments: [
        "\u{FEFF}" + smallest, smallest + "\n---\n", smallest + "\n---", smallest + "\n...\n",
        "---\n" + smallest,
    ])
    func harmlessFramesSayNothing(yaml: String) {
        let (loaded, text) = problems(yaml)
        #expect(loaded && text.isEmpty, "\(text)")
    }

    @Test(arguments: ["\n---\nreceivers: {}\n", "\n---\n{broken\n", "\n--- text\n"])
    func whatFollowsTheFirstDocumentIsNotRead(rest: String) {
        let (loaded, text) = problems(smallest + rest)
        #expect(loaded)
        if !rest.contains("broken") {
            #expect(text.contains("a second document begins here; it is not read"))
        }
    }

    @Test(arguments: [
        "resource: {attributes: [{name: service.name, value: x}, {name: n, value: 5, type: int}], schema_url: u}",
        "traces: {sampler: {always_on: {}}, processors: [{batch: {}}]}", "logs: {disable_zap_resource: true}",
        "logs: {processors: [{batch: {exporter: {}}}]}", "metrics: {level: Detailed}",
        "metrics: {readers: [{periodic: {exporter: {otlp: {}}}}]}",
        "metrics: {readers: [{pull: {exporter: {prometheus: {with_resource_constant_labels: {included: [a]}}}}}]}",
    ])
    func ownTelemetryIsTakenAsTheCollectorWritesIt(keys: String) {
        let (loaded, text) = problems(smallest + "\n  telemetry: {\(keys)}\n")
        #expect(loaded, "\(text)")
    }

    @Test func theResourceMayBeAList() {
        let keys = "resource: {attributes: [{name: service.name, value: x}, {name: n, value: 5}]}"
        let config = load(smallest + "\n  telemetry: {\(keys)}\n", diagnostics: Diagnostics())
        #expect(
            config?.telemetry.resource == [
                TelemetryConfig.ResourceAttribute("service.name", "x"), .init("n", "5"),
            ])
    }

    @Test func thePageTakesNamesAndLabelsFromItsKeys() {
        let reader =
            "pull: {exporter: {prometheus: {without_type_suffix: false, without_units: false,"
            + " with_resource_constant_labels: {included: [\"k8s.*\"], excluded: [a]}}}}"
        let config = load(
            smallest + "\n  telemetry: {metrics: {readers: [{\(reader)}]}}\n", diagnostics: Diagnostics())
        let metrics = config?.telemetry.metrics
        #expect(metrics?.withoutTypeSuffix == false && metrics?.withoutUnits == false)
        #expect(metrics?.resourceLabels == .init(included: ["k8s.*"], excluded: ["a"]))
        #expect(MetricsTelemetryConfig().withoutTypeSuffix && MetricsTelemetryConfig().resourceLabels == nil)
    }

    @Test(arguments: ["pprof", "cgroup_runtime", "zpages"]) func extensionsOfGosRuntimeStopNobody(
        type: String
    ) {
        let extensions = "extensions: {\(type): {endpoint: \"localhost:1777\", other: {a: 1}}}\n"
        let yaml = smallest.replacing("service:\n", with: "service:\n  extensions: [\(type)]\n")
        let (loaded, text) = problems(extensions + yaml)
        #expect(loaded)
        #expect(text.contains("extension \"\(type)\" has no effect here") && text.contains("help: remove it"))
        #expect(text.components(of: "warning:") == 1)
    }

    /// Scenario: one mistake. Guarantees: one error, with what to do about it.
    @Test(arguments: [
        ("exporters: {\"nop/a b\": }", "exporters: [\"nop/a b\"]", "is not a valid exporter id"),
        ("exporters: {nop: , kafka: {a: \"${env:NOT_SET}\"}}", "exporters: [nop, kafka]", "not built"),
        (
            "exporters: {nop: , nonsense: {a: \"${env:NOT_SET}\"}}", "exporters: [nop, nonsense]",
            "unknown type"
        ),
    ])
    func oneMistakeIsOneError(exporters: String, named: String, message: String) {
        let yaml = """
            receivers: {otlp: }
            \(exporters)
            service: {pipelines: {traces: {receivers: [otlp], \(named)}}}
            """
        let (loaded, text) = problems(yaml)
        #expect(!loaded && text.contains(message) && text.contains("help: "), "\(text)")
        #expect(text.components(of: "error:") == 1 && text.components(of: "warning:") == 0, "\(text)")
    }

    @Test func headersMayBeAList() {
        let diagnostics = Diagnostics()
        let read = section("headers: [{name: a, value: b}, {name: c, value: \"d\"}]", diagnostics)
        #expect(read.headers("headers") == [SecretPair("a", "b"), SecretPair("c", "d")])
        read.finish()
        #expect(diagnostics.items.isEmpty)
        let broken = section("headers: [{value: b}, {name: a}, {name: a, value: b, x: y}]", diagnostics)
        _ = broken.headers("headers")
        broken.finish()
        #expect(diagnostics.items.count == 3 && !diagnostics.render().contains("value: b"))
    }

    /// Scenario: the children of a section are commented out, or it says that it is off. Guarantees: it is off.
    @Test(arguments: [
        "tls:", "tls: {enabled: false, cert_file: /x}", "cors:", "cors: {}", "cors: {allowed_origins: []}",
    ])
    func sectionsThatAreOffAreOff(yaml: String) {
        let diagnostics = Diagnostics()
        let read = section(yaml, diagnostics)
        let config = HTTPServerConfig(
            read, endpoint: EndpointConfig(host: "localhost", port: 1), readTLS: { ServerTLSConfig(of: $0) })
        read.finish()
        #expect(config.tls == nil && diagnostics.items.isEmpty, "\(diagnostics.render())")
    }

    @Test(arguments: [
        "keepalive: {enabled: false, time: nonsense}", "keepalive:", "keepalive: {server_parameters: }",
    ])
    func optionalSectionsMayBeOff(yaml: String) {
        let diagnostics = Diagnostics()
        let read = section(yaml, diagnostics)
        let config = GRPCServerConfig(read, endpoint: EndpointConfig(host: "localhost", port: 1))
        read.finish()
        #expect(config.serverParameters == GRPCServerConfig.ServerParameters())
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
    }

    @Test(arguments: ["<host>:4317", "https://<your-backend>:4317"]) func placeholdersAreNamedAsSuch(
        text: String
    ) {
        #expect(
            throws: EndpointProblem.placeholder(
                String(text[text.firstIndex(of: "<")!...text.firstIndex(of: ">")!]))
        ) {
            try EndpointConfig(text)
        }
    }

    /// Guarantees: connections over HTTP can be spread over replicas that come later, as gRPC's.
    @Test func connectionsOverHTTPMayHaveAnAge() {
        let diagnostics = Diagnostics()
        let read = section("max_connection_age: 5m\nmax_connection_age_grace: 10s", diagnostics)
        let config = HTTPServerConfig(read, endpoint: EndpointConfig(host: "localhost", port: 1))
        read.finish()
        #expect(config.maxConnectionAge == .seconds(300) && config.maxConnectionAgeGrace == .seconds(10))
        #expect(diagnostics.items.isEmpty)
    }
}

extension String {
    fileprivate func components(of text: String) -> Int { ranges(of: text).count }
}
