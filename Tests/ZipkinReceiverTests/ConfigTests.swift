import Configuration
import RequestServing
import Testing

@testable import ZipkinReceiver

@Suite("zipkin: configuration and paths")
struct ZipkinConfigTests {
    /// Otherwise clients would not find the port that Zipkin has had for years.
    @Test("Zipkin's port, and the keys of an HTTP server")
    func keys() {
        let diagnostics = Diagnostics()
        let config = ZipkinConfig(ConfigSection(yaml: "", diagnostics: diagnostics))
        #expect(config.server.endpoint.port == 9411 && !config.parsesStringTags)
        let other = ZipkinConfig(
            ConfigSection(
                yaml: "endpoint: 0.0.0.0:1\nparse_string_tags: true\nmax_request_body_size: 5",
                diagnostics: diagnostics))
        #expect(
            other.server.endpoint.port == 1 && other.parsesStringTags && other.server.maxRequestBodySize == 5)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        _ = ZipkinConfig(ConfigSection(yaml: "parse_tags: true", diagnostics: diagnostics))
        #expect(diagnostics.render().contains("unknown key \"parse_tags\""))
    }

    /// Otherwise spans of one model would be read as the other, and refused.
    @Test(
        "the model is in the path, the encoding in the type",
        arguments: [
            ("/api/v2/spans", "application/json", 1), ("/api/v2/spans", "application/x-protobuf", 2),
            ("/", "", 1), ("/anything", "text/plain", 1), ("/api/v1/spans", "application/json", 0),
            ("/zipkin/api/v1/spans", "", 0), ("/api/v1/spans", "application/x-protobuf", 0),
            ("/api/v1/spans", "application/x-thrift", 415),
        ])
    func routes(path: String, type: String, outcome: Int) {
        switch ZipkinReceiver.choose(Substring(path), type) {
        case .success(let index): #expect(index == outcome)
        case .failure(let refusal): #expect(refusal.status == outcome)
        }
    }
}
