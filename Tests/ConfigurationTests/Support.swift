import Configuration

/// A catalogue like the service's own.
func testCatalogue() -> ComponentCatalogue {
    var catalogue = ComponentCatalogue()
    catalogue.add(.receiver, "otlp")
    catalogue.add(.processor, "memory_limiter")
    catalogue.add(.processor, "batch")
    catalogue.add(.exporter, "otlp_grpc")
    catalogue.addAlias(.exporter, "otlp", of: "otlp_grpc")
    catalogue.add(.exporter, "debug")
    catalogue.addAlias(.exporter, "logging", of: "debug", deprecation: "write \"debug\" instead")
    catalogue.add(.exporter, "nop")
    catalogue.add(.exporter, "tracesonly", signals: [.traces])
    catalogue.add(.extension, "health_check")
    catalogue.addUpstream()
    return catalogue
}

/// Files and variables of a test.
func fakeEnvironment(variables: [String: String] = [:], files: [String: String] = [:]) -> ConfigEnvironment {
    ConfigEnvironment(
        variable: { variables[$0] },
        file: { path in
            files[path].map { .success($0) } ?? .failure(.unreadable(reason: "No such file or directory"))
        })
}

/// Loads `gateway.yaml` with this text; problems go to `diagnostics`.
func load(
    _ yaml: String, overrides: [String] = [], variables: [String: String] = [:],
    files: [String: String] = [:], diagnostics: Diagnostics
) -> GatewayConfig? {
    var files = files
    files["gateway.yaml"] = yaml
    return GatewayConfig.load(
        sources: [.file("gateway.yaml")], overrides: overrides, catalogue: testCatalogue(),
        diagnostics: diagnostics, environment: fakeEnvironment(variables: variables, files: files))
}

/// A section with this text, to be read by the test.
func section(_ yaml: String, path: String = "s", _ diagnostics: Diagnostics) -> ConfigSection {
    ConfigSection(yaml: yaml, path: path, diagnostics: diagnostics)
}

/// The smallest configuration without a problem.
let smallest = """
    receivers:
      otlp:
    exporters:
      nop:
    service:
      pipelines:
        traces:
          receivers: [otlp]
          exporters: [nop]
    """
