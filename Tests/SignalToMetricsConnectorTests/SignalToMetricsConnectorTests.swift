import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import SignalToMetricsConnector
import TestSupport
import Testing

private final class Rig {
    let next = FakeConsumer()
    let context: ComponentContext
    let connector: SignalToMetricsConnector
    let signal: Signal

    init(_ yaml: String, _ signal: Signal) {
        let diagnostics = Diagnostics()
        let config = SignalToMetricsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        self.signal = signal
        let alone = ComponentContext.alone(
            .connector, "signal_to_metrics", signal: signal, on: EmbeddedEventLoop())
        var gateway = alone.gateway
        gateway.resource = [("service.instance.id", "i"), ("service.name", "sluice")]
        context = ComponentContext(id: alone.id, kind: .connector, signal: signal, gateway: gateway)
        connector = SignalToMetricsConnector(config, context, [.test("out", .metrics, next)])
    }

    func send(_ bytes: [UInt8], _ acknowledgement: Acknowledgement? = nil) -> Refusal? {
        let items = (try? bytes.withUnsafeBytes { try summarize($0, as: signal).items }) ?? 0
        return connector.consume(
            Batch(
                signal, payload: Payload(ByteBuffer(bytes: bytes)), items: items,
                acknowledgement: acknowledgement))
    }

    /// The attributes of the resources of what came out.
    var resources: [String] {
        next.taken.flatMap { $0.slices }.flatMap { slice in
            slice.bytes.withUnsafeReadableBytes { bytes in
                WireBytes(bytes).fields.filter { $0.number == 1 }.map {
                    MetricLines.labels($0.bytes.message(1), 1)
                }
            }
        }
    }
}

/// Two resources, `env` prod and dev, each with items of `n` 2, -3 and "x", and `k` x, y and none. Spans have trace states.
private func request(_ signal: Signal) -> [UInt8] {
    var request = ProtoWriter()
    for env in ["prod", "dev"] {
        request.message(1) {
            $0.message(1) {
                $0.attribute(1, "env", env)
                $0.attribute(1, "host", "h")
            }
            $0.message(2) { scope in
                for index in 0..<3 {
                    scope.message(2) { item in
                        guard signal == .metrics else {
                            return attributes(&item, signal == .traces ? 9 : 6, index)
                        }
                        item.text(1, "m")
                        item.message(5) { $0.message(1) { attributes(&$0, 7, index) } }
                    }
                }
            }
        }
    }
    func attributes(_ item: inout ProtoWriter, _ number: Int, _ index: Int) {
        if signal == .traces { item.text(3, ["", "ot=th:8", "v=1,ot=rv:1;th:c"][index]) }
        if index < 2 {
            item.attribute(number, "n", [2, -3][index])
        } else {
            item.attribute(number, "n", "x")
        }
        if index < 2 { item.attribute(number, "k", ["x", "y"][index]) }
    }
    return request.bytes
}

private let whole = "error_mode: silent"

@Suite("signal_to_metrics")
struct SignalToMetricsConnectorTests {
    /// Otherwise metrics that somebody wrote down as expressions would be other ones.
    @Test(
        "metrics",
        arguments: [
            (.traces, "spans: [{name: c, sum: {value: '1'}}]", ["c{} 3", "c{} 3"]),
            (.metrics, "datapoints: [{name: c, sum: {value: '1'}}]", ["c{} 3", "c{} 3"]),
            (.logs, "logs: [{name: c, sum: {value: '1'}}]", ["c{} 3", "c{} 3"]),
            (.logs, "logs: [{name: c, sum: {value: '1.5'}}]", ["c{} 4.5", "c{} 4.5"]),
            // Those of other signals are left alone.
            (.logs, "spans: [{name: c, sum: {value: '1'}}]", []),
            // What is no number is left out.
            (.logs, "\(whole)\nlogs: [{name: c, sum: {value: 'attributes[\"n\"]'}}]", ["c{} -1", "c{} -1"]),
            (
                .logs, "\(whole)\nlogs: [{name: c, gauge: {value: 'attributes[\"n\"]'}}]",
                ["c{} -3", "c{} -3"]
            ),
            (
                .logs,
                "\(whole)\nlogs: [{name: h, histogram: {value: 'attributes[\"n\"]', buckets: [0, 2]}}]",
                ["h{} n=2 sum=-1.0 [0:1 1:1]", "h{} n=2 sum=-1.0 [0:1 1:1]"]
            ),
            (
                .logs, "logs: [{name: h, histogram: {value: '3', count: '2'}}]",
                ["h{} n=6 sum=18.0 [1:6]", "h{} n=6 sum=18.0 [1:6]"]
            ),
            (.logs, "logs: [{name: h, histogram: {value: '3', count: '0'}}]", []),
            (
                .logs, "\(whole)\nlogs: [{name: e, exponential_histogram: {value: 'attributes[\"n\"]'}}]",
                ["e{} n=2 zero=0 scale=20", "e{} n=2 zero=0 scale=20"]
            ),
            (
                .logs, "logs: [{name: e, exponential_histogram: {value: '0', count: '2.9'}}]",
                ["e{} n=6 zero=6 scale=20", "e{} n=6 zero=6 scale=20"]
            ),
            // 1, 2 and 4 spans.
            (
                .traces, "spans: [{name: c, sum: {value: 'Int(AdjustedCount())'}}]", ["c{} 7", "c{} 7"]
            ),
            (
                .traces, "spans: [{name: c, conditions: ['AdjustedCount() > 3.0'], sum: {value: '1'}}]",
                ["c{} 1", "c{} 1"]
            ),
            // Attributes: needed, optional, with a default.
            (
                .logs, "logs: [{name: c, attributes: [{key: k}], sum: {value: '1'}}]",
                ["c{k=x} 1", "c{k=x} 1", "c{k=y} 1", "c{k=y} 1"]
            ),
            (
                .logs, "logs: [{name: c, attributes: [{key: k, optional: true}], sum: {value: '1'}}]",
                ["c{k=x} 1", "c{k=x} 1", "c{k=y} 1", "c{k=y} 1", "c{} 1", "c{} 1"]
            ),
            (
                .logs, "logs: [{name: c, attributes: [{key: k, default_value: 7}], sum: {value: '1'}}]",
                ["c{k=x} 1", "c{k=x} 1", "c{k=y} 1", "c{k=y} 1", "c{k=7} 1", "c{k=7} 1"]
            ),
            (
                .logs, "logs: [{name: c, attributes: [{key: no, default_value: ''}], sum: {value: '1'}}]",
                ["c{no=} 3", "c{no=} 3"]
            ),
            (
                .logs,
                "logs: [{name: c, conditions: ['attributes[\"k\"] == \"x\"', 'attributes[\"k\"] == \"y\"'], sum: {value: '1'}}]",
                ["c{} 2", "c{} 2"]
            ),
            (
                .logs,
                "logs: [{name: c, conditions: ['resource.attributes[\"env\"] == \"dev\"'], sum: {value: '1'}}]",
                ["c{} 3"]
            ),
            // One resource that both have.
            (
                .logs, "logs: [{name: c, include_resource_attributes: [{key: host}], sum: {value: '1'}}]",
                ["c{} 6"]
            ),
            // Two that are one metric.
            (
                .logs,
                "logs: [{name: c, sum: {value: '1'}}, {name: c, sum: {value: '10'}}, {name: c, unit: s, sum: {value: '5'}}]",
                ["c{} 33", "c{} 15", "c{} 33", "c{} 15"]
            ),
            (
                .metrics, "datapoints: [{name: c, conditions: ['metric.name == \"m\"'], sum: {value: '1'}}]",
                ["c{} 3", "c{} 3"]
            ),
        ] as [(Signal, String, [String])])
    func metrics(signal: Signal, yaml: String, lines: [String]) {
        let rig = Rig(yaml, signal)
        #expect(rig.send(request(signal)) == nil)
        #expect(MetricLines.read(rig.next.taken) == lines.sorted())
        let reading = rig.context.account.read()
        #expect(reading.entered == 6 && reading.inside == 0 && reading.left == UInt64(lines.count))
    }

    /// Otherwise two gateways would write one series, or a metric would lose the service that it is about.
    @Test("resources")
    func resources() {
        let all = Rig("logs: [{name: c, sum: {value: '1'}}]", .logs)
        #expect(all.send(request(.logs)) == nil)
        let own = "signaltometrics.service.name=sluice,signaltometrics.service.instance.id=i}"
        #expect(all.resources == ["{env=prod,host=h,\(own)", "{env=dev,host=h,\(own)"])
        let some = Rig(
            "logs: [{name: c, include_resource_attributes: [{key: no}, {key: zone, default_value: z}], sum: {value: '1'}}]",
            .logs)
        #expect(some.send(request(.logs)) == nil)
        #expect(some.resources == ["{zone=z,\(own)"])
    }

    /// Otherwise a mistake in an expression would show as a metric that is silently too small.
    @Test("an error on an item refuses the request, for good")
    func errors() {
        for part in [
            "sum: {value: 'attributes[\"n\"]'}", "sum: {value: 'attributes[\"none\"]'}",
            "conditions: ['attributes[\"n\"][\"x\"] == 1'], sum: {value: '1'}",
            "histogram: {value: '1', count: 'attributes[\"n\"]'}",
        ] {
            let rig = Rig("logs: [{name: c, \(part)}]", .logs)
            let refusal = rig.send(request(.logs))
            #expect(
                refusal?.isPermanent == true && refusal?.message.contains("metric \"c\"") == true, "\(part)")
            #expect(rig.next.taken.isEmpty && rig.context.account.read().entered == 0)
            // Nothing of it is left.
            let silent = Rig("error_mode: silent\nlogs: [{name: c, \(part)}]", .logs)
            #expect(silent.send(request(.logs)) == nil && silent.context.account.read().entered == 6)
        }
        let refusing = Rig("logs: [{name: c, sum: {value: '1'}}]", .logs)
        refusing.next.refusal = Refusal(.queueFull, "full")
        #expect(refusing.send(request(.logs))?.reason == .queueFull)
    }

    /// Otherwise mistakes would show as metrics that never come.
    @Test(
        "what means nothing is refused, in the Collector's words",
        arguments: [
            ("", "no configuration provided, at least one should be specified"),
            ("spans: [{sum: {value: '1'}}]", "missing required metric name configuration"),
            ("spans: [{name: a}]", "exactly one of the metrics must be defined, 0 found"),
            (
                "spans: [{name: a, sum: {value: '1'}, gauge: {value: '1'}}]",
                "exactly one of the metrics must be defined, 2 found"
            ),
            ("spans: [{name: a, sum: {}}]", "sum::value: is missing"),
            ("spans: [{name: a, sum: {value: 'set(name, 1)'}}]", "unable to parse OTTL value expression"),
            ("spans: [{name: a, sum: {value: 'nam'}}]", "unable to parse OTTL value expression"),
            ("logs: [{name: a, sum: {value: 'AdjustedCount()'}}]", "unable to parse OTTL value expression"),
            ("spans: [{name: a, conditions: ['x'], sum: {value: '1'}}]", "unable to parse OTTL condition"),
            ("spans: [{name: a, attributes: [{}], sum: {value: '1'}}]", "attribute key missing"),
            (
                "spans: [{name: a, attributes: [{key: k}, {key: k}], sum: {value: '1'}}]",
                "duplicate key found in attributes config: k"
            ),
            (
                "spans: [{name: a, attributes: [{key: k, optional: true, default_value: 1}], sum: {value: '1'}}]",
                "only one of default_value or optional should be set"
            ),
            ("spans: [{name: a, histogram: {value: '1', buckets: [2, 1]}}]", "must be in ascending order"),
            (
                "spans: [{name: a, exponential_histogram: {value: '1', max_size: 1}}]",
                "must be between 2 and 16384"
            ),
        ])
    func config(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        _ = SignalToMetricsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }
}
