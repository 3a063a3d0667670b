import NIOCore
import Pipeline
import TestSupport
import Testing

/// A fault here shows calls that nobody made, or hides those that failed.
@Suite("Metrics of calls")
struct CallMetricsTests {
    private func page(_ registry: MetricRegistry) -> String {
        String(decoding: registry.render(), as: UTF8.self)
    }

    @Test("calls over HTTP are counted by their status, in seconds")
    func http() {
        let registry = MetricRegistry()
        let calls = CallMetrics(registry, .server, isGRPC: false, path: "/v1/logs")
        calls.observe(status: 200, duration: .milliseconds(500), requestBytes: 1000, responseBytes: 2)
        calls.observe(status: 503, duration: .seconds(20), requestBytes: 10, responseBytes: 100)
        let page = page(registry)
        let labels = "{http_request_method=\"POST\",http_response_status_code=\"200\",http_route=\"/v1/logs\""
        #expect(page.contains("http_server_request_duration_sum\(labels)} 0.5\n"))
        #expect(page.contains("http_server_request_duration_bucket\(labels),le=\"0.5\"} 1\n"))
        #expect(page.contains("http_server_request_body_size_sum\(labels)} 1000\n"))
        #expect(page.contains("http_response_status_code=\"503\""))
    }

    @Test("calls over gRPC are counted by their code, in milliseconds, those without an answer too")
    func grpc() {
        let registry = MetricRegistry()
        let calls = CallMetrics(
            registry, .client, isGRPC: true, path: "/a.b.Service/Export", labels: ["server_address": "h"])
        calls.observe(status: 14, duration: .milliseconds(3), requestBytes: 7, responseBytes: 0)
        let labels =
            "{rpc_grpc_status_code=\"14\",rpc_method=\"Export\",rpc_service=\"a.b.Service\",rpc_system=\"grpc\","
            + "server_address=\"h\"}"
        #expect(page(registry).contains("rpc_client_duration_sum\(labels) 3\n"))
        let http = CallMetrics(registry, .client, isGRPC: false, path: "/")
        http.observe(status: 0, duration: .zero, requestBytes: 0, responseBytes: 0)
        #expect(page(registry).contains("error_type=\"no_answer\""))
    }

    @Test("what is hidden is on no page, by its whole name")
    func hidden() {
        let registry = MetricRegistry()
        for name in ["otelcol_a_x", "otelcol_a_y", "otelcol_ab"] {
            registry.counter(name, help: "").add(1)
        }
        registry.hide(["otelcol_a_*", "otelcol"])
        #expect(!page(registry).contains("otelcol_a_") && page(registry).contains("otelcol_ab 1"))
    }
}
