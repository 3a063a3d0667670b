import Configuration
import CountConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

private final class Rig {
    let next = FakeConsumer()
    let context: ComponentContext
    let output: PipelineOutput
    let connector: CountConnector
    let signal: Signal

    init(
        _ yaml: String, _ signal: Signal, isSum: Bool = false, answersLater: Bool = false,
        ledger: MemoryLedger = MemoryLedger()
    ) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, diagnostics: diagnostics)
        let metrics = isSum ? SumConfig(section).metrics : CountConfig(section).metrics
        precondition(!diagnostics.hasErrors, diagnostics.render())
        self.signal = signal
        context = .alone(.connector, "count", signal: signal, on: EmbeddedEventLoop(), ledger: ledger)
        output = .test("out", .metrics, next, answersLater: answersLater)
        connector = CountConnector(metrics, scope: "s", context, [output])
    }

    func send(_ acknowledgement: Acknowledgement? = nil) -> Refusal? {
        let bytes = request(signal)
        let items = (try? bytes.withUnsafeBytes { try summarize($0, as: signal).items }) ?? 0
        return connector.consume(
            Batch(
                signal, payload: Payload(ByteBuffer(bytes: bytes)), items: items,
                acknowledgement: acknowledgement))
    }
}

/// Two resources, `env` prod and dev, each with two items: the first has `k` = "x" and `n` = 2, the second `n` = "3".
private func request(_ signal: Signal) -> [UInt8] {
    func write(_ writer: inout ProtoWriter, _ index: Int) {
        let number = signal == .traces ? 9 : signal == .logs ? 6 : 7
        if index == 0 {
            writer.attribute(number, "k", "x")
            writer.attribute(number, "n", 2)
        } else {
            writer.attribute(number, "n", "3")
        }
    }
    var request = ProtoWriter()
    for env in ["prod", "dev"] {
        request.message(1) {
            $0.message(1) { $0.attribute(1, "env", env) }
            $0.message(2) { scope in
                scope.message(1) { $0.attribute(3, "lib", "l") }
                for index in 0..<2 {
                    scope.message(2) { item in
                        guard signal == .metrics else {
                            write(&item, index)
                            if signal == .traces, index == 0 {
                                item.message(11) {
                                    $0.text(2, "event")
                                    $0.attribute(3, "e", "y")
                                }
                            }
                            return
                        }
                        item.text(1, "m\(index)")
                        item.message(5) { $0.message(1) { write(&$0, index) } }
                    }
                }
            }
        }
    }
    return request.bytes
}

private final class NoRoom: AdmissionControl {
    func admit(bytes: Int) -> Refusal? { Refusal(.memory, "no room for \(bytes) bytes") }
    var shouldPause: Bool { false }
}

@Suite("count and sum")
struct CountConnectorTests {
    /// A flood of requests with many fields would take memory that no limit knows.
    @Test(
        "what it reads of a request is charged, and a request for which there is no memory is to come again")
    func memory() {
        let ledger = MemoryLedger()
        let rig = Rig("", .traces, ledger: ledger)
        #expect(rig.send() == nil)
        #expect(ledger.bytes > 5_000 && ledger.bytes < 2 << 20, "\(ledger.bytes)")
        ledger.limit(by: NoRoom())
        var large = ProtoWriter()
        large.message(1) {
            $0.message(2) { scope in for _ in 0..<20_000 { scope.message(2) { $0.text(5, "a") } } }
        }
        let batch = Batch(.traces, payload: Payload(ByteBuffer(bytes: large.bytes)), items: 20_000)
        let refusal = rig.connector.consume(batch)
        #expect(refusal?.reason == .memory && refusal?.isPermanent == false)
        // Nothing of it is left for the next request.
        #expect(rig.next.taken.count == 1)
    }

    /// Otherwise business metrics would be wrong, and nobody would see it.
    @Test(
        "counts",
        arguments: [
            (
                .traces, "",
                [
                    "trace.span.count{} 2", "trace.span.count{} 2", "trace.span.event.count{} 1",
                    "trace.span.event.count{} 1",
                ]
            ),
            (
                .metrics, "",
                [
                    "metric.count{} 2", "metric.count{} 2", "metric.datapoint.count{} 2",
                    "metric.datapoint.count{} 2",
                ]
            ),
            (.logs, "", ["log.record.count{} 2", "log.record.count{} 2"]),
            // A section replaces its default alone.
            (
                .traces, "spans: {c: }",
                ["c{} 2", "c{} 2", "trace.span.event.count{} 1", "trace.span.event.count{} 1"]
            ),
            (.traces, "spans: {c: }\nspanevents: {}", ["c{} 2", "c{} 2"]),
            (.logs, "logs: {c: {conditions: ['attributes[\"k\"] == \"x\"']}}", ["c{} 1", "c{} 1"]),
            (
                .logs, "logs: {c: {conditions: ['false', 'resource.attributes[\"env\"] == \"dev\"']}}",
                ["c{} 2"]
            ),
            // What cannot be evaluated does not hold.
            (
                .logs,
                "logs: {c: {conditions: ['attributes[\"k\"][\"z\"] == 1', 'attributes[\"n\"] == 2']}}",
                ["c{} 1", "c{} 1"]
            ),
            (.logs, "logs: {c: {conditions: ['false']}}", []),
            // Attributes: item, scope, resource, default, or not counted.
            (.logs, "logs: {c: {attributes: [{key: k}]}}", ["c{k=x} 1", "c{k=x} 1"]),
            (
                .logs, "logs: {c: {attributes: [{key: k, default_value: d}]}}",
                ["c{k=x} 1", "c{k=x} 1", "c{k=d} 1", "c{k=d} 1"]
            ),
            (
                .logs, "logs: {c: {attributes: [{key: k, default_value: 7}]}}",
                ["c{k=x} 1", "c{k=x} 1", "c{k=7} 1", "c{k=7} 1"]
            ),
            (.logs, "logs: {c: {attributes: [{key: k, default_value: ''}]}}", ["c{k=x} 1", "c{k=x} 1"]),
            (.logs, "logs: {c: {attributes: [{key: k, default_value: 0}]}}", ["c{k=x} 1", "c{k=x} 1"]),
            (
                .logs, "logs: {c: {attributes: [{key: lib}, {key: env}]}}",
                ["c{lib=l,env=dev} 2", "c{lib=l,env=prod} 2"]
            ),
            // Types are kept.
            (
                .logs, "logs: {c: {attributes: [{key: n}]}}",
                ["c{n=2} 1", "c{n=2} 1", "c{n=3} 1", "c{n=3} 1"]
            ),
            (
                .traces,
                "spans: {}\nspanevents: {c: {attributes: [{key: e}], conditions: ['name == \"event\"']}}",
                ["c{e=y} 1", "c{e=y} 1"]
            ),
            (
                .metrics, "metrics: {c: {conditions: ['name == \"m1\"']}}\ndatapoints: {}",
                ["c{} 1", "c{} 1"]
            ),
            (
                .metrics, "metrics: {}\ndatapoints: {c: {attributes: [{key: k}]}}",
                ["c{k=x} 1", "c{k=x} 1"]
            ),
            (
                .logs, "logs: {a: , b: {conditions: ['attributes[\"k\"] != nil']}}",
                ["a{} 2", "a{} 2", "b{} 1", "b{} 1"]
            ),
        ] as [(Signal, String, [String])])
    func counts(signal: Signal, yaml: String, lines: [String]) {
        let rig = Rig(yaml, signal)
        #expect(rig.send() == nil)
        #expect(MetricLines.read(rig.next.taken) == lines.sorted())
        let reading = rig.context.account.read()
        #expect(reading.entered == 4 && reading.inside == 0 && reading.left == UInt64(lines.count))
        #expect(rig.output.account.read().left == UInt64(lines.count))
    }

    /// Otherwise revenue would be counted instead of added up.
    @Test(
        "sums",
        arguments: [
            (.logs, "logs: {s: {source_attribute: n}}", ["s{} 5.0", "s{} 5.0"]),
            (
                .traces, "spans: {s: {source_attribute: n, conditions: ['attributes[\"k\"] == \"x\"']}}",
                ["s{} 2.0", "s{} 2.0"]
            ),
            (
                .metrics, "datapoints: {s: {source_attribute: n, attributes: [{key: k}]}}",
                ["s{k=x} 2.0", "s{k=x} 2.0"]
            ),
            (.logs, "logs: {s: {source_attribute: k}}", []),
            (.logs, "logs: {s: {source_attribute: none}}", []),
            (.logs, "", []),
            (.traces, "", []), (.metrics, "", []),
            (.traces, "spans: {s: {source_attribute: n}}", ["s{} 5.0", "s{} 5.0"]),
            (.metrics, "datapoints: {s: {source_attribute: n}}", ["s{} 5.0", "s{} 5.0"]),
            // Those of other signals are left alone.
            (.traces, "logs: {s: {source_attribute: n}}", []),
            (.logs, "spans: {s: {source_attribute: n}}", []),
            // Of the item itself only: not of its resource, nor of its span.
            (.logs, "logs: {s: {source_attribute: env}}", []),
            (.traces, "spanevents: {s: {source_attribute: n}}", []),
            (.traces, "spanevents: {s: {source_attribute: e}}", []),
            (.metrics, "metrics: {s: {source_attribute: n}}", []),
            // Conditions: one is enough.
            (
                .logs,
                "logs: {s: {source_attribute: n, conditions: ['false', 'attributes[\"k\"] == nil']}}",
                ["s{} 3.0", "s{} 3.0"]
            ),
            (.logs, "logs: {s: {source_attribute: n, conditions: ['false']}}", []),
            (
                .traces,
                "spans: {s: {source_attribute: n, conditions: ['resource.attributes[\"env\"] == \"dev\"']}}",
                ["s{} 5.0"]
            ),
            // Attributes tell sums apart; without a default, items that lack one are left out.
            (
                .logs, "logs: {s: {source_attribute: n, attributes: [{key: k, default_value: d}]}}",
                ["s{k=d} 3.0", "s{k=d} 3.0", "s{k=x} 2.0", "s{k=x} 2.0"]
            ),
            (
                .logs, "logs: {s: {source_attribute: n, attributes: [{key: env}]}}",
                ["s{env=dev} 5.0", "s{env=prod} 5.0"]
            ),
            (
                .logs, "logs: {s: {source_attribute: n, attributes: [{key: lib}, {key: none}]}}", []
            ),
            (
                .traces,
                "spans: {a: {source_attribute: n}, b: {source_attribute: n, attributes: [{key: k}]}}",
                ["a{} 5.0", "a{} 5.0", "b{k=x} 2.0", "b{k=x} 2.0"]
            ),
        ] as [(Signal, String, [String])])
    func sums(signal: Signal, yaml: String, lines: [String]) {
        let rig = Rig(yaml, signal, isSum: true)
        #expect(rig.send() == nil)
        #expect(MetricLines.read(rig.next.taken) == lines.sorted())
        #expect(rig.context.account.read().inside == 0)
    }

    /// Otherwise a sender would be told that its counts are stored while they are lost.
    @Test("a refusal behind it is the answer, at once or later")
    func answers() {
        let refusing = Rig("", .logs)
        refusing.next.refusal = Refusal(.queueFull, "full")
        #expect(refusing.send()?.reason == .queueFull && refusing.context.account.read().entered == 0)
        let later = Rig("", .logs, answersLater: true)
        let answers = Answers()
        #expect(later.connector.input.answersLater && later.send(answers.acknowledgement()) == nil)
        #expect(answers.all.isEmpty)
        later.next.taken[0].settle(.partial(rejectedItems: 1, message: "no"))
        #expect(answers.all == [.accepted])
        let nothing = Rig("logs: {}", .logs)
        #expect(nothing.send(answers.acknowledgement()) == nil && answers.all.count == 2)
    }

    /// Otherwise mistakes would show as metrics that never come.
    @Test(
        "what means nothing is refused, in the Collector's words",
        arguments: [
            (
                false, "metrics: {x: {attributes: [{key: a}]}}",
                "metrics attributes not supported: metric \"x\""
            ),
            (false, "spans: {x: {conditions: ['nam == 1']}}", "unable to parse OTTL condition"),
            (false, "spans: {x: {attributes: [{default_value: a}]}}", "spans: attribute key missing"),
            (true, "spans: {x: }", "spans: metric source_attribute missing"),
        ])
    func config(isSum: Bool, yaml: String, message: String) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, diagnostics: diagnostics)
        _ = isSum ? SumConfig(section).metrics : CountConfig(section).metrics
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }
}
