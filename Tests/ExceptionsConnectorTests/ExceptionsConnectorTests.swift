import Configuration
import ExceptionsConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// A request of one span with events of these names, types and messages.
private func request(
    _ events: [(name: String, type: String, message: String)], service: String = "shop"
) -> Batch {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(1) {
            if !service.isEmpty { $0.attribute(1, "service.name", service) }
            $0.attribute(1, "host", "h")
        }
        $0.message(2) {
            $0.message(2) { span in
                span.field(1, Array(repeating: 7, count: 16))
                span.field(2, Array(repeating: 8, count: 8))
                span.text(5, "op")
                span.integer(6, 2)
                span.attribute(9, "route", "/x")
                for event in events {
                    span.message(11) {
                        $0.fixed64(1, 5)
                        $0.text(2, event.name)
                        $0.attribute(3, "exception.type", event.type)
                        $0.attribute(3, "exception.message", event.message)
                        $0.attribute(3, "exception.stacktrace", "at line 1")
                    }
                }
                span.message(15) { $0.integer(3, 2) }
            }
        }
    }
    return Batch(.traces, payload: Payload(ByteBuffer(bytes: request.bytes)), items: 1)
}

private let base =
    "exceptions{service.name=shop,span.name=op,span.kind=SPAN_KIND_SERVER,status.code=STATUS_CODE_ERROR"

@Suite("exceptions")
struct ExceptionsConnectorTests {
    private func config(_ yaml: String) -> ExceptionsConfig {
        let diagnostics = Diagnostics()
        let config = ExceptionsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return config
    }

    /// Otherwise an alert on exceptions would count other things, or not all.
    @Test(
        "exceptions are counted by their labels",
        arguments: [
            ("", [("exception", "E", "m")], ["\(base),exception.type=E,exception.message=m} 1"]),
            (
                "", [("exception", "E", "m"), ("exception", "E", "m"), ("log", "E", "m")],
                ["\(base),exception.type=E,exception.message=m} 2"]
            ),
            (
                "", [("exception", "E", "m"), ("exception", "F", "m")],
                [
                    "\(base),exception.type=E,exception.message=m} 1",
                    "\(base),exception.type=F,exception.message=m} 1",
                ]
            ),
            (
                "dimensions: [{name: exception.type}]", [("exception", "E", "a"), ("exception", "E", "b")],
                ["\(base),exception.type=E} 2"]
            ),
            (
                "dimensions: [{name: route}, {name: host}]", [("exception", "E", "m")],
                ["\(base),route=/x,host=h} 1"]
            ),
            (
                "dimensions: [{name: none}, {name: other, default: d}]", [("exception", "E", "m")],
                ["\(base),other=d} 1"]
            ),
            ("dimensions: []", [("exception", "E", "m")], ["\(base)} 1"]),
            (
                "dimensions: [{name: exception.message}]\nmax_series: 1",
                [("exception", "E", "1"), ("exception", "E", "2"), ("exception", "E", "3")],
                ["\(base),exception.message=1} 1", "exceptions{otel.metric.overflow=true} 2"]
            ),
            ("", [("log", "E", "m")], []),
            ("", [("Exception", "E", "m")], []),
            ("", [], []),
            (
                "dimensions: [{name: exception.message}]",
                [("exception", "E", "a"), ("exception", "F", "a")],
                ["\(base),exception.message=a} 2"]
            ),
            (
                "dimensions: [{name: exception.stacktrace}]", [("exception", "E", "m")],
                ["\(base),exception.stacktrace=at line 1} 1"]
            ),
            (
                "dimensions: [{name: host, default: d}]", [("exception", "E", "m")], ["\(base),host=h} 1"]
            ),
            (
                "dimensions: [{name: none, default: \"\"}]", [("exception", "E", "m")], ["\(base),none=} 1"]
            ),
            (
                "dimensions: [{name: exception.type}, {name: route}]", [("exception", "E", "m")],
                ["\(base),exception.type=E,route=/x} 1"]
            ),
            (
                "dimensions: []\nmax_series: 1", [("exception", "E", "m"), ("exception", "F", "n")],
                ["\(base)} 2"]
            ),
        ] as [(String, [(String, String, String)], [String])])
    func metrics(yaml: String, events: [(String, String, String)], lines: [String]) {
        let loop = EmbeddedEventLoop()
        let next = FakeConsumer()
        let context = ComponentContext.alone(.connector, "exceptions", on: loop)
        let connector = ExceptionMetricsConnector(config(yaml), context, [.test("out", .metrics, next)])
        #expect(connector.consume(request(events.map { ($0.0, $0.1, $0.2) })) == nil)
        loop.run()
        #expect(MetricLines.read(next.taken) == lines.sorted())
        #expect(connector.consume(request([], service: "")) == nil)
        loop.run()
        #expect(context.account.read().inside == 0)
    }

    /// Otherwise thousands of series would be sent with each request of a busy gateway.
    @Test("with an interval metrics come when it is over")
    func interval() {
        let loop = EmbeddedEventLoop()
        let next = FakeConsumer()
        let context = ComponentContext.alone(.connector, "exceptions", on: loop)
        let connector = ExceptionMetricsConnector(
            config("metrics_flush_interval: 10s\ndimensions: []"), context, [.test("out", .metrics, next)])
        connector.startFlushing()
        for _ in 0..<3 {
            #expect(connector.consume(request([("exception", "E", "m")])) == nil)
            loop.run()
        }
        #expect(next.taken.isEmpty)
        loop.advanceTime(by: .seconds(10))
        #expect(MetricLines.read(next.taken) == ["\(base)} 3"])
    }

    /// Otherwise a log of exceptions would not lead to its trace.
    @Test("log records have the ids, attributes and stack trace")
    func logs() {
        let next = FakeConsumer()
        let context = ComponentContext.alone(.connector, "exceptions", on: EmbeddedEventLoop())
        let connector = ExceptionLogsConnector(config(""), context, [.test("out", .logs, next)])
        #expect(
            connector.consume(request([("exception", "E", "m"), ("log", "E", "m"), ("exception", "F", "n")]))
                == nil)
        #expect(next.takenItems == [2])
        let bytes = next.taken[0].slices[0].bytes
        #expect((try? bytes.withUnsafeReadableBytes { try summarize($0, as: .logs).items }) == 2)
        bytes.withUnsafeReadableBytes { bytes in
            let entry = WireBytes(bytes).message(1)
            #expect(MetricLines.labels(entry.message(1), 1) == "{service.name=shop,host=h}")
            let records = entry.message(2).fields.filter { $0.number == 2 }.map(\.bytes)
            #expect(
                MetricLines.labels(records[0], 6)
                    == "{route=/x,span.kind=SPAN_KIND_SERVER,status.code=STATUS_CODE_ERROR,service.name=shop,"
                    + "exception.type=E,exception.message=m,exception.stacktrace=at line 1}")
            #expect(records[0].message(3).text == "ERROR" && records[0].message(9).count == 16)
        }
        #expect(connector.consume(request([])) == nil && next.taken.count == 1)
        let reading = context.account.read()
        #expect(reading.inside == 0 && reading.made == 2 && reading.entered == 2)
    }

    /// Otherwise a label would be there twice.
    @Test("dimensions are told apart", arguments: ["a", "span.kind"])
    func duplicates(name: String) {
        let diagnostics = Diagnostics()
        _ = ExceptionsConfig(
            ConfigSection(yaml: "dimensions: [{name: \(name)}, {name: \(name)}]", diagnostics: diagnostics))
        #expect(diagnostics.render().contains("duplicate dimension name \"\(name)\""))
    }
}
