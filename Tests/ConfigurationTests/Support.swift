import Configuration
import OTLP

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

/// Reads the components of a configuration as a service would, with a part of their keys.
func readComponents(_ config: GatewayConfig) {
    for component in ComponentKind.allCases.flatMap({ config.components($0) }) {
        let section = component.section
        switch component.type {
        case "batch":
            _ = section.duration("timeout", default: .milliseconds(200))
            _ = section.int("send_batch_size", default: 8192)
            _ = section.int("send_batch_max_size", default: 0)
        case "otlp_grpc":
            section.misplaced(["insecure"], under: "tls")
            _ = section.optionalString("endpoint")
            _ = section.secretMap("headers")
            if let tls = section.section("tls") {
                _ = tls.bool("insecure", default: false)
                _ = tls.secret("key_pem")
            }
            if let queue = section.section("sending_queue") {
                _ = queue.bool("enabled", default: true)
                _ = queue.int("num_consumers", default: 10, in: 1...64)
                _ = queue.choice("sizer", of: ["requests", "items", "bytes"], default: "requests")
            }
            section.notSupportedYet("auth", "write the credentials under \"headers\"")
        default:
            section.allowAnyKey()
        }
        section.finish()
    }
}

/// All problems of `gateway.yaml` with this text, components included, as an operator sees them.
func problems(
    _ yaml: String, overrides: [String] = [], variables: [String: String] = [:], files: [String: String] = [:]
) -> String {
    let diagnostics = Diagnostics()
    let config = load(
        yaml, overrides: overrides, variables: variables, files: files, diagnostics: diagnostics)
    if let config { readComponents(config) }
    return diagnostics.render()
}
