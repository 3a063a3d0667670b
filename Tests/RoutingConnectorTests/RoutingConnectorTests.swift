import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import RoutingConnector
import TestSupport
import Testing

private final class Rig {
    let consumers = ["a": FakeConsumer(), "b": FakeConsumer(), "rest": FakeConsumer()]
    let outputs: [PipelineOutput]
    let context: ComponentContext
    let connector: RoutingConnector
    let signal: Signal

    init(
        _ yaml: String, _ signal: Signal = .traces, ledger: MemoryLedger = MemoryLedger(),
        registry: MetricRegistry = MetricRegistry()
    ) throws {
        let diagnostics = Diagnostics()
        let config = RoutingConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        self.signal = signal
        context = .alone(
            .connector, "routing", signal: signal, on: EmbeddedEventLoop(), registry: registry,
            ledger: ledger)
        outputs = consumers.sorted { $0.key < $1.key }.map { .test($0.key, signal, $0.value) }
        connector = try RoutingConnector(config, context, outputs)
    }

    func send(_ bytes: [UInt8], _ metadata: ClientMetadata? = nil, _ acknowledgement: Acknowledgement? = nil)
        throws -> Refusal?
    {
        let items = try bytes.withUnsafeBytes { try summarize($0, as: signal).items }
        let payload = Payload(ByteBuffer(bytes: bytes))
        payload.metadata = metadata
        return connector.consume(
            Batch(signal, payload: payload, items: items, acknowledgement: acknowledgement))
    }

    /// Names of what came out, by pipeline.
    var names: [String: [String]] {
        consumers.mapValues { consumer in
            consumer.taken.flatMap { batch in batch.slices.flatMap { Self.names($0.bytes, signal) } }
        }.filter { !$0.value.isEmpty }
    }

    private static func names(_ bytes: ByteBuffer, _ signal: Signal) -> [String] {
        if signal == .metrics { return MetricLines.read(bytes) }
        return bytes.withUnsafeReadableBytes { bytes in
            var names: [String] = []
            for resource in WireBytes(bytes).fields {
                for scope in resource.bytes.fields where scope.number == 2 {
                    for item in scope.bytes.fields where item.number == 2 {
                        names.append(
                            signal == .traces
                                ? item.bytes.message(5).text : item.bytes.message(3).text)
                    }
                }
            }
            return names
        }
    }
}

/// Two resources, `env` prod and dev, with a span each that has an error and one that has none.
private let traces: [UInt8] = {
    var request = ProtoWriter()
    for env in ["prod", "dev"] {
        request.message(1) {
            $0.message(1) { $0.attribute(1, "env", env) }
            $0.message(2) { scope in
                for name in ["ok", "bad"] {
                    scope.message(2) {
                        $0.text(5, "\(env)-\(name)")
                        if name == "bad" { $0.message(15) { $0.integer(3, 2) } }
                    }
                }
            }
        }
    }
    return request.bytes
}()

/// Metrics `m` with points 1, 2 and `n` with a point 3.
private let metrics: [UInt8] = {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(2) { scope in
            for (name, values) in [("m", [1, 2]), ("n", [3])] {
                scope.message(2) {
                    $0.text(1, name)
                    $0.message(5) { gauge in
                        for value in values { gauge.message(1) { $0.fixed64(6, UInt64(value)) } }
                    }
                }
            }
        }
    }
    return request.bytes
}()

private let logs: [UInt8] = {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(2) { scope in
            for severity in ["INFO", "ERROR"] { scope.message(2) { $0.text(3, severity) } }
        }
    }
    return request.bytes
}()

private func row(_ condition: String, _ pipeline: String, _ more: String = "") -> String {
    "{condition: '\(condition)', pipelines: [\(pipeline)]\(more.isEmpty ? "" : ", " + more)}"
}

private final class NoRoom: AdmissionControl {
    func admit(bytes: Int) -> Refusal? { Refusal(.memory, "no room for \(bytes) bytes") }
    var shouldPause: Bool { false }
    var limitBytes: Int { 0 }
}

@Suite("routing")
struct RoutingConnectorTests {
    /// An operator would not learn that what a row should take out is still there.
    @Test(
        "errors of a row are counted, or refuse the request",
        arguments: [
            ("delete_key(attributes[\"env\"], \"x\")", "delete_key(attributes[\"env\"], \"x\")"),
            (
                "route() where Int(attributes[\"env\"][\"x\"]) == 1",
                "resource Int(attributes[\"env\"][\"x\"]) == 1"
            ),
        ])
    func errors(statement: String, shown: String) throws {
        for mode in ["ignore", "silent", "propagate"] {
            let registry = MetricRegistry()
            let rig = try Rig(
                "{error_mode: \(mode), table: [{statement: '\(statement)', pipelines: [traces/a]}]}",
                registry: registry)
            let refusal = try rig.send(traces)
            #expect((refusal?.isPermanent == true) == (mode == "propagate"), "\(mode)")
            let label = shown.replacing("\"", with: "\\\"")
            let line = String(decoding: registry.render(), as: UTF8.self).split(separator: "\n")
                .first { $0.hasPrefix("sluice_ottl_errors{") && $0.contains(label) }
            #expect(line?.hasSuffix(mode == "propagate" ? " 0" : " 2") == true, "\(mode): \(line ?? "none")")
        }
    }

    @Test("a change that a row makes is made to what goes there only, before anything else is looked at")
    func changesOfARow() throws {
        let rig = try Rig(
            """
            {default_pipelines: [traces/rest], table: [{statement: 'delete_key(attributes, "env") where \(Self.isProd)',
             pipelines: [traces/a]}]}
            """)
        #expect(try rig.send(traces) == nil)
        #expect(rig.names == ["a": ["prod-ok", "prod-bad"], "rest": ["dev-ok", "dev-bad"]])
        for (name, hasKey) in [("a", false), ("rest", true)] {
            let sent = rig.consumers[name]?.taken.first?.slices.first.map { String(buffer: $0.bytes) }
            #expect(sent?.contains("env") == hasKey, "\(name)")
        }
    }

    /// A flood of requests with many fields would take memory that no limit knows.
    @Test(
        "what it reads of a request is charged, and a request for which there is no memory is to come again")
    func memory() throws {
        let ledger = MemoryLedger()
        let rig = try Rig("{table: [\(row(Self.isBad, "traces/a", "context: span"))]}", ledger: ledger)
        #expect(try rig.send(traces) == nil)
        #expect(ledger.bytes > 10_000 && ledger.bytes < 2 << 20, "\(ledger.bytes)")
        let limit = NoRoom()
        ledger.limit(by: limit)
        var large = ProtoWriter()
        large.message(1) {
            $0.message(2) { scope in for _ in 0..<20_000 { scope.message(2) { $0.text(5, "a") } } }
        }
        let refusal = try rig.send(large.bytes)
        #expect(refusal?.reason == .memory && refusal?.isPermanent == false)
    }

    private static let isProd = "attributes[\"env\"] == \"prod\""
    private static let isBad = "status.code == STATUS_CODE_ERROR"
    private static let all = ["prod-ok", "prod-bad", "dev-ok", "dev-bad"]

    /// Otherwise data of one tenant would be stored with another's, or nowhere.
    @Test(
        "spans go where the table says",
        arguments: [
            ([row(isProd, "traces/a")], ["a": ["prod-ok", "prod-bad"], "rest": ["dev-ok", "dev-bad"]]),
            (
                [row(isProd, "traces/a", "action: copy")], ["a": ["prod-ok", "prod-bad"], "rest": all]
            ),
            (
                [row(isBad, "traces/a", "context: span")],
                ["a": ["prod-bad", "dev-bad"], "rest": ["prod-ok", "dev-ok"]]
            ),
            (
                [row(isBad, "traces/a", "context: span"), row(isProd, "traces/b")],
                ["a": ["prod-bad", "dev-bad"], "b": ["prod-ok"], "rest": ["dev-ok"]]
            ),
            (
                [row(isProd, "traces/a"), row(isBad, "traces/b", "context: span")],
                ["a": ["prod-ok", "prod-bad"], "b": ["dev-bad"], "rest": ["dev-ok"]]
            ),
            (
                [row(isBad, "traces/a", "context: span, action: copy"), row(isProd, "traces/b")],
                [
                    "a": ["prod-bad", "dev-bad"], "b": ["prod-ok", "prod-bad"],
                    "rest": ["dev-ok", "dev-bad"],
                ]
            ),
            // Rows of equal pipelines are one destination.
            (
                [row(isProd, "traces/a"), row(isBad, "traces/a", "context: span")],
                ["a": ["prod-ok", "prod-bad", "dev-bad"], "rest": ["dev-ok"]]
            ),
            ([row("attributes[\"env\"] == \"x\"", "traces/a")], ["rest": all]),
            (["{statement: 'route()', pipelines: [traces/a]}"], ["a": all]),
            (
                ["{statement: 'route() where \(isProd)', pipelines: [traces/b]}"],
                ["b": ["prod-ok", "prod-bad"], "rest": ["dev-ok", "dev-bad"]]
            ),
            (
                [row(isProd, "traces/a, traces/b")],
                [
                    "a": ["prod-ok", "prod-bad"], "b": ["prod-ok", "prod-bad"],
                    "rest": ["dev-ok", "dev-bad"],
                ]
            ),
            (
                [
                    row(
                        "resource.attributes[\"env\"] == \"dev\" and name == \"dev-ok\"", "traces/a",
                        "context: span")
                ],
                ["a": ["dev-ok"], "rest": ["prod-ok", "prod-bad", "dev-bad"]]
            ),
        ] as [([String], [String: [String]])])
    func table(rows: [String], expected: [String: [String]]) throws {
        let rig = try Rig("default_pipelines: [traces/rest]\ntable: [\(rows.joined(separator: ", "))]")
        #expect(try rig.send(traces) == nil)
        #expect(rig.names == expected)
        let reading = rig.context.account.read()
        #expect(reading.inside == 0 && reading.entered == 4)
    }

    /// Otherwise points and records could not be told apart.
    @Test("metrics are divided by metric or data point, logs by record")
    func signals() throws {
        let byMetric = try Rig("table: [\(row("name == \"m\"", "metrics/a", "context: metric"))]", .metrics)
        #expect(try byMetric.send(metrics) == nil)
        #expect(byMetric.names == ["a": ["m{} 1", "m{} 2"]])
        #expect(byMetric.context.account.read().dropped[.filtered] == 1)
        let byPoint = try Rig(
            "default_pipelines: [metrics/rest]\ntable: ["
                + row("value_int >= 2", "metrics/a", "context: datapoint") + "]", .metrics)
        #expect(try byPoint.send(metrics) == nil)
        #expect(byPoint.names == ["a": ["m{} 2", "n{} 3"], "rest": ["m{} 1"]])
        let byRecord = try Rig(
            "default_pipelines: [logs/rest]\ntable: ["
                + row("severity_text == \"ERROR\"", "logs/b", "context: log") + "]", .logs)
        #expect(try byRecord.send(logs) == nil)
        #expect(byRecord.names == ["b": ["ERROR"], "rest": ["INFO"]])
    }

    /// Otherwise a tenant's header would not decide where its data goes.
    @Test(
        "requests are routed by what the client sent; without the field nothing holds",
        arguments: [
            ("==", "t1", "a"), ("==", "t2", "rest"), ("!=", "t2", "a"), ("!=", "t1", "rest"),
            ("!=", nil, "rest"),
            ("==", nil, "rest"),
        ] as [(String, String?, String)])
    func request(comparison: String, tenant: String?, pipeline: String) throws {
        let rig = try Rig(
            "default_pipelines: [traces/rest]\ntable: ["
                + row("request[\"X-Tenant\"] \(comparison) \"t1\"", "traces/a", "context: request") + "]")
        let metadata = tenant.map { ClientMetadata([.init("x-tenant", $0)]) }
        #expect(try rig.send(traces, metadata) == nil)
        #expect(rig.names == [pipeline: Self.all])
    }

    /// Otherwise what only says where data goes would be stored with it.
    @Test("a statement deletes attributes of what it routes, and of nothing else")
    func deletes() throws {
        let rig = try Rig(
            "default_pipelines: [traces/rest]\ntable: [{statement: "
                + "'delete_key(attributes, \"env\") where attributes[\"env\"] == \"prod\"', "
                + "pipelines: [traces/a]}]")
        #expect(try rig.send(traces) == nil)
        #expect(rig.names == ["a": ["prod-ok", "prod-bad"], "rest": ["dev-ok", "dev-bad"]])
        func resources(_ pipeline: String) throws -> [Int] {
            let bytes = try #require(rig.consumers[pipeline]?.taken.first?.slices.first?.bytes)
            return bytes.withUnsafeReadableBytes { bytes in
                WireBytes(bytes).fields.map { $0.bytes.message(1).fields.count { _ in true } }
            }
        }
        #expect(try resources("a") == [0] && resources("rest") == [1])
    }

    /// Otherwise a row would delete what another row routes.
    @Test("a row changes only what it takes, when rows before it have the same pipelines")
    func changesOfEqualPipelines() throws {
        let rig = try Rig(
            "table: [\(row(Self.isProd, "traces/a")), "
                + "{statement: 'delete_key(attributes, \"env\")', pipelines: [traces/a]}]")
        #expect(try rig.send(traces) == nil)
        let sent = (rig.consumers["a"]?.taken ?? []).flatMap { $0.slices.map { String(buffer: $0.bytes) } }
        #expect(sent.count == 2)
        for text in sent { #expect(text.contains("env") == text.contains("prod-ok"), "\(text)") }
    }

    /// Otherwise a request would be refused because of data that a row before has taken.
    @Test("a resource of which nothing is left is not tested")
    func nothingLeft() throws {
        let failing = row("attributes[\"env\"][\"x\"] == 1", "traces/b")
        let rig = try Rig("error_mode: propagate\ntable: [\(row("true", "traces/a")), \(failing)]")
        #expect(try rig.send(traces) == nil)
        #expect(rig.names == ["a": Self.all])
    }

    /// Otherwise an error in a condition would lose data, or hide.
    @Test("an error means no match, or fails the request")
    func errors() throws {
        let condition = row("attributes[\"env\"][\"x\"] == 1", "traces/a")
        let ignoring = try Rig("default_pipelines: [traces/rest]\ntable: [\(condition)]")
        #expect(try ignoring.send(traces) == nil && ignoring.names == ["rest": Self.all])
        let failing = try Rig("error_mode: propagate\ntable: [\(condition)]")
        let refusal = try failing.send(traces)
        #expect(refusal?.isPermanent == true && failing.context.account.read().entered == 0)
    }

    /// Otherwise a client would wait for ever, or be told that lost data is stored.
    @Test("a client hears of all parts; what no row takes is answered with success")
    func answers() throws {
        let rig = try Rig(
            "table: [\(row(Self.isProd, "traces/a")), \(row(Self.isBad, "traces/b", "context: span"))]")
        let answers = Answers()
        #expect(try rig.send(traces, nil, answers.acknowledgement()) == nil)
        rig.consumers["a"]?.taken[0].settle(.accepted)
        #expect(answers.all.isEmpty)
        rig.consumers["b"]?.taken[0].settle(.refused(Refusal(.unavailable, "down")))
        #expect(answers.all == [.refused(Refusal(.unavailable, "down"))])
        let none = try Rig("table: [\(row("false", "traces/a"))]")
        let told = Answers()
        #expect(try none.send(traces, nil, told.acknowledgement()) == nil && told.all == [.accepted])
        #expect(none.context.account.read().dropped[.filtered] == 4)
    }

    /// Otherwise a client would send what one pipeline has taken once more.
    @Test("the request is refused only when nobody takes his part")
    func refused() throws {
        let rig = try Rig("default_pipelines: [traces/rest]\ntable: [\(row(Self.isProd, "traces/a"))]")
        rig.consumers["a"]?.refusal = Refusal(.queueFull, "full")
        #expect(try rig.send(traces) == nil)
        #expect(rig.names == ["rest": ["dev-ok", "dev-bad"]] && rig.consumers["a"]?.dropped.count == 1)
        rig.consumers["rest"]?.refusal = Refusal(.queueFull, "full")
        #expect(try rig.send(traces)?.reason == .queueFull)
        #expect(rig.context.account.read().entered == 4)
    }

    /// Otherwise mistakes would show as data in wrong places.
    @Test(
        "tables that mean nothing are refused, in the Collector's words",
        arguments: [
            ("table: []", "invalid routing table: the routing table is empty"),
            ("table: [{pipelines: [traces/a]}]", "invalid route: no condition or statement provided"),
            (
                "table: [{condition: 'true', statement: 'route()', pipelines: [traces/a]}]",
                "invalid route: both condition and statement provided"
            ),
            ("table: [{condition: 'true'}]", "invalid route: no pipelines defined"),
            ("table: [{context: x, condition: 'true', pipelines: [traces/a]}]", "invalid context: x"),
            ("table: [{condition: 'nam == 1', pipelines: [traces/a]}]", "unable to parse OTTL condition"),
            (
                "table: [{context: request, condition: 'header == 1', pipelines: [traces/a]}]",
                "condition must be request"
            ),
            (
                "table: [{statement: 'set(attributes[\"a\"], 1)', pipelines: [traces/a]}]",
                "only route(), delete_key() and delete_matching_keys() are supported"
            ),
        ])
    func config(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        _ = RoutingConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }
}
