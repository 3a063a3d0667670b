import Configuration
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import ZPages

/// Without these an operator who looks at the pages sees somebody else's gateway, or a script in a name runs in the browser.
@Suite struct ZPagesTests {
    private let overview = GatewayOverview(
        pipelines: [
            GatewayOverview.Pipeline(
                id: "traces/a", receivers: ["otlp"], processors: ["batch"], exporters: ["otlp_grpc/x"])
        ], extensions: ["zpages", "health_check"])

    private func registry() -> MetricRegistry {
        let registry = MetricRegistry()
        let account = NodeAccount(
            kind: .exporter, id: ComponentID(type: "otlp_grpc", name: "x"), signal: .traces)
        account.counter(.entered).add(7)
        account.counter(.left).add(4)
        account.counter(.dropped(.sendFailed)).add(1)
        registry.add(account)
        return registry
    }

    @Test func pipelinesShowTheirPartsAndItems() {
        let page = PipelinePage(overview, registry().gather()).html(Query(""))
        #expect(page.contains("<td>traces/a</td><td>traces</td>"))
        #expect(
            page.contains(
                "zpipelinename=traces%2Fa&amp;zcomponentname=otlp_grpc%2Fx&amp;zcomponentkind=exporter"))
        // In, made, out, dropped, inside.
        #expect(page.contains("<td>7</td><td>0</td><td>4</td><td>1</td><td>2</td>"))
    }

    @Test func onePartCanBeChosen() {
        let registry = registry()
        let query = Query("zpipelinename=traces%2Fa&zcomponentname=otlp_grpc%2Fx&zcomponentkind=exporter")
        #expect(PipelinePage(overview, registry.gather()).html(query).contains("<td>7</td>"))
        let other = Query("zpipelinename=traces%2Fa&zcomponentname=batch&zcomponentkind=processor")
        #expect(!PipelinePage(overview, registry.gather()).html(other).contains("<td>7</td>"))
        let signal = Query("zpipelinename=logs&zcomponentname=otlp_grpc%2Fx&zcomponentkind=exporter")
        #expect(!PipelinePage(overview, registry.gather()).html(signal).contains("<td>7</td>"))
    }

    @Test func extensionsAreListed() {
        let page = PipelinePage.extensions(overview)
        #expect(page.contains("<td>zpages</td>") && page.contains("<td>health_check</td>"))
    }

    @Test func spansAreShownByNameLatencyAndError() {
        let log = TraceLog()
        let tracer = Tracer(ratio: 1, clock: { 1_000_000_000 }, record: { log.add($0) })
        tracer.end(tracer.begin("work", .server)!, [(key: "a", value: .text("<b>"))])
        tracer.end(tracer.begin("work", .server)!, [], error: "it <broke>")
        #expect(TracePage.html(log, Query("")).contains("<td>work</td>"))
        let quick = TracePage.html(log, Query("zspanname=work&ztype=1&zlatencybucket=0"))
        #expect(quick.contains("a=&lt;b&gt;") && !quick.contains("broke"))
        #expect(TracePage.html(log, Query("zspanname=work&ztype=2")).contains("it &lt;broke&gt;"))
        // Nothing that a query says can be out of range.
        #expect(TracePage.html(log, Query("zspanname=work&ztype=1&zlatencybucket=99")).contains("work"))
        #expect(TracePage.html(nil, Query("")).contains("No spans"))
    }

    @Test(arguments: [
        ("a=b&c=d", ["a": "b", "c": "d"]), ("a=%3Cb%3e+c", ["a": "<b> c"]), ("a", ["a": ""]),
        ("a=%zz%", ["a": "%zz%"]), ("", [:]),
    ])
    func queries(text: String, values: [String: String]) {
        let query = Query(text)
        for (name, value) in values { #expect(query[name] == value) }
        #expect(query["no"] == nil)
    }

    @Test func keysOfTheSection() {
        let diagnostics = Diagnostics()
        let config = ZPagesConfig(
            ConfigSection(yaml: "endpoint: :0\nexpvar: {enabled: true}", path: "z", diagnostics: diagnostics))
        #expect(config.endpoint == EndpointConfig(host: "0.0.0.0", port: 0))
        #expect(!diagnostics.hasErrors && diagnostics.items.count == 1)
    }
}
