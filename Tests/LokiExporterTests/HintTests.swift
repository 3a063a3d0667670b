import Configuration
import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LokiExporter

/// Without these configurations and applications that were made for the Collector's `loki` exporter would lose their
/// labels and tenants.
@Suite("Hints and the legacy mapping")
struct HintTests {
    private var legacy: EncoderSettings {
        var settings = EncoderSettings()
        settings.mapping = .legacy
        return settings
    }

    private let resource: @Sendable (inout ProtoWriter) -> Void = {
        $0.attribute(1, "service.namespace", "eu")
        $0.attribute(1, "service.name", "shop")
        $0.attribute(1, "service.instance.id", "i1")
        $0.attribute(1, "host.name", "h1")
    }

    @Test("attributes become labels where the record or the resource asks for it", arguments: [true, false])
    func promoted(onResource: Bool) {
        let hints: (inout ProtoWriter, Int) -> Void = { writer, number in
            writer.attribute(number, "loki.attribute.labels", "http.route, level,none")
            writer.message(number) {
                $0.text(1, "loki.resource.labels")
                $0.message(2) { $0.message(5) { $0.message(1) { $0.text(1, "host.name") } } }
            }
        }
        let stream = encodeOne(
            request(
                resource: {
                    resource(&$0)
                    if onResource { hints(&$0, 1) }
                },
                records: {
                    if !onResource { hints(&$0, 6) }
                    $0.attribute(6, "http.route", "/a")
                    $0.attribute(6, "level", "warn")
                    $0.attribute(6, "user", "u")
                    $0.body("line")
                }))
        let labels =
            #"{host_name="h1", http_route="/a", level="warn", service_instance_id="i1", "#
            + #"service_name="shop", service_namespace="eu"}"#
        #expect(stream.labels == labels)
        #expect(stream.entries[0].line == "line")
        #expect(stream.entries[0].metadata == ["user=u"])
    }

    @Test("a nested attribute can become a label")
    func nested() {
        let stream = encodeOne(
            request(records: {
                $0.attribute(6, "loki.attribute.labels", "http.method")
                $0.message(6) {
                    $0.text(1, "http")
                    $0.message(2) { $0.message(6) { $0.attribute(1, "method", "GET") } }
                }
            }))
        #expect(stream.labels == #"{http_method="GET", service_name="shop"}"#)
    }

    @Test(
        "each tenant has its own push; what is no tenant goes where the headers say",
        arguments: [true, false])
    func tenants(isLegacy: Bool) {
        let (pushes, changes) = encode(
            [
                request(
                    resource: {
                        resource(&$0)
                        $0.attribute(1, "loki.tenant", "team")
                        $0.attribute(1, "team", "blue")
                    }, records: { $0.body("1") }),
                request(
                    records: {
                        $0.attribute(6, "loki.tenant", "owner")
                        $0.attribute(6, "owner", "red")
                        $0.body("2")
                    }, { $0.body("3") },
                    {
                        $0.attribute(6, "loki.tenant", "owner")
                        $0.attribute(6, "owner", "x\r\nX-Evil: 1")
                        $0.body("4")
                    },
                    {
                        $0.attribute(6, "loki.tenant", "owner")
                        $0.attribute(6, "owner", "blue")
                        $0.body("5")
                    }),
            ], isLegacy ? legacy : EncoderSettings())
        var counts: [String: Int] = [:]
        for push in pushes { counts[push.tenant ?? "", default: 0] += push.streams.flatMap(\.entries).count }
        #expect(counts == ["blue": 2, "red": 1, "": 2] && pushes.count == 3)
        #expect(changes[.tenant] == 1)
        #expect(!"\(pushes)".contains("loki.tenant"))
    }

    @Test("clients can name their tenants, hints come first")
    func clientTenants() {
        var settings = EncoderSettings()
        settings.tenantMetadataKey = "x-scope-orgid"
        let batch = Batch(.logs)
        for tenant in ["red", "blue", nil, "no good", "red"] {
            let bytes = request(
                resource: resource,
                records: { $0.body(tenant ?? "-") },
                {
                    $0.attribute(6, "loki.tenant", "t")
                    $0.attribute(6, "t", "hinted")
                    $0.body("hinted")
                })
            let payload = Payload(ByteBuffer(bytes: bytes))
            payload.metadata = tenant.map { ClientMetadata([.init("x-scope-orgid", $0)]) }
            batch.append(Slice(payload, offset: 0, count: bytes.count, items: 2))
        }
        var encoder = PushEncoder(settings)
        let chunk = encoder.encode(batch, from: PushCursor(), pushBytes: 1 << 20, now: now)
        var lines: [String: [String]] = [:]
        for push in chunk.pushes.map({ DecodedPush($0) }) {
            lines[push.tenant ?? ""] = push.streams.flatMap { $0.entries.map(\.line) }.sorted()
        }
        #expect(lines["red"] == ["red", "red"] && lines["blue"] == ["blue"])
        #expect(lines[""] == ["-", "no good"] && lines["hinted"]?.count == 5)
    }

    @Test("the legacy labels are job, instance, level and exporter, each can be off")
    func legacyLabels() {
        let records: @Sendable (inout ProtoWriter) -> Void = { $0.integer(2, 14) }
        let all = encodeOne(request(resource: resource, records: records), legacy)
        #expect(all.labels == #"{exporter="OTLP", instance="i1", job="eu/shop", level="WARN2"}"#)
        #expect(all.entries[0].metadata.isEmpty)
        let own = encodeOne(
            request(
                resource: { $0.attribute(1, "service.name", "shop") },
                records: {
                    $0.integer(2, 9)
                    $0.attribute(6, "level", "mine")
                }), legacy)
        #expect(own.labels == #"{exporter="OTLP", job="shop", level="mine"}"#)
        var none = legacy
        none.defaultLabels.exporter = false
        none.defaultLabels.job = false
        none.defaultLabels.instance = false
        none.defaultLabels.level = false
        let stream = encodeOne(request(resource: resource, records: records), none)
        #expect(stream.labels == #"{service_name="unknown_service"}"#)
    }

    @Test(
        "a legacy line holds everything that is no label",
        arguments: [
            (
                "json",
                #"{"body":"it \"broke\"","traceid":"0102030405060708090a0b0c0d0e0f10","spanid":"0101010101010101","#
                    + #""severity":"ERROR","flags":1,"attributes":{"http.route":"/a","n":{"k":1}},"#
                    + #""resources":{"service.name":"shop"},"instrumentation_scope":{"name":"lib","version":"1"}}"#
            ),
            (
                "logfmt",
                #"msg="it \"broke\"" traceID=0102030405060708090a0b0c0d0e0f10 spanID=0101010101010101 severity=ERROR "#
                    + #"flags=1 attribute_http.route=/a attribute_n_k=1 resource_service.name=shop "#
                    + #"instrumentation_scope_name=lib instrumentation_scope_version=1"#
            ),
            ("raw", #"it "broke""#),
        ])
    func formats(format: String, line: String) {
        for settings in [legacy, EncoderSettings()] {
            let stream = encodeOne(
                request(
                    scope: {
                        $0.text(1, "lib")
                        $0.text(2, "1")
                    },
                    records: {
                        $0.attribute(6, "loki.format", format)
                        $0.body(#"it "broke""#)
                        $0.text(3, "ERROR")
                        $0.fixed32(8, 1)
                        $0.field(9, Array(1...16))
                        $0.field(10, Array(repeating: 1, count: 8))
                        $0.attribute(6, "http.route", "/a")
                        $0.message(6) {
                            $0.text(1, "n")
                            $0.message(2) { $0.message(6) { $0.attribute(1, "k", 1) } }
                        }
                    }), settings)
            #expect(stream.entries[0].line == line)
        }
    }

    /// Lines are parsed by those who query them: a scope's attributes and a body of logfmt are where they were.
    @Test(
        "scope attributes are in a legacy line, and a body of logfmt gives its keys",
        arguments: [
            ("hello world", "hello= world="), ("level=info msg=\"a b\"", "level=info msg=\"a b\""),
            ("a=\"b\\n\\u00e4\" c", "a=\"b\\nä\" c="), ("=x", "msg=\"=x\""), ("a=b=c", "msg=\"a=b=c\""),
            ("a \"b", "msg=\"a \\\"b\""), ("a=\"b", "msg=\"a=\\\"b\""), ("two\nlines", "msg=\"two\\nlines\""),
            ("", ""),
        ])
    func logfmtBodies(body: String, line: String) {
        let scope: (inout ProtoWriter) -> Void = {
            $0.text(1, "lib")
            $0.attribute(3, "kind", "x")
        }
        let logfmt = encodeOne(
            request(
                resource: { _ in }, scope: scope,
                records: {
                    $0.body(body)
                    $0.attribute(6, "loki.format", "logfmt")
                    $0.message(6) {
                        $0.text(1, "l")
                        $0.message(2) { $0.message(5) { $0.message(1) { $0.integer(3, 7) } } }
                    }
                }), legacy)
        let rest = "attribute_l_0=7 instrumentation_scope_name=lib instrumentation_scope_attribute_kind=x"
        #expect(logfmt.entries[0].line == (line.isEmpty ? rest : line + " " + rest))
        let json = encodeOne(request(resource: { _ in }, scope: scope, records: { $0.body("b") }), legacy)
        #expect(
            json.entries[0].line
                == #"{"body":"b","instrumentation_scope":{"name":"lib","attributes":{"kind":"x"}}}"#)
    }

    /// A client could otherwise write into any tenant of the Loki behind the gateway.
    @Test("a configured tenant is not a client's to change, unless that is wanted")
    func configuredTenant() throws {
        let request = request(
            resource: {
                $0.attribute(1, "loki.tenant", "k")
                $0.attribute(1, "k", "victim")
            }, records: { $0.body("1") })
        for (yaml, tenant) in [
            ("", "victim"), ("headers: {x-scope-orgid: mine}", nil), ("tenant_metadata_key: x-tenant", nil),
            ("headers: {X-Scope-OrgID: mine}\ntenant: {from_hints: true}", "victim"),
            ("tenant: {from_hints: false}", nil),
        ] {
            let diagnostics = Diagnostics()
            let section = ConfigSection(
                yaml: "endpoint: http://loki:3100\n" + yaml, path: "exporters::loki", diagnostics: diagnostics
            )
            let settings = LokiConfig(section).encoding
            #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
            let (pushes, _) = encode([request], settings)
            #expect(pushes.map(\.tenant) == [tenant], "\(yaml)")
            #expect(!"\(pushes)".contains("loki.tenant"))
        }
    }

    /// A few kilobytes that a client sends would otherwise be minutes of work, or a gigabyte.
    @Test(
        "names without end and attributes without end cost a bounded number of steps",
        arguments: [true, false])
    func bounded(isLegacy: Bool) {
        let names = (0..<20_000).map { "n\($0)" }.joined(separator: ",")
        let many: (inout ProtoWriter, Int) -> Void = { writer, number in
            for index in 0..<100_000 { writer.attribute(number, "n\(index)", index) }
            for _ in 0..<100_000 { writer.message(number) { _ in } }
        }
        let (pushes, changes) = encode(
            [
                request(
                    resource: {
                        $0.attribute(1, "loki.resource.labels", names)
                        many(&$0, 1)
                    }, scope: { many(&$0, 3) },
                    records: {
                        $0.attribute(6, "loki.attribute.labels", names)
                        many(&$0, 6)
                    })
            ], isLegacy ? legacy : EncoderSettings())
        #expect(pushes.count == 1 && pushes[0].streams.count == 1 && pushes[0].streams[0].entries.count == 1)
        #expect(pushes[0].bytes < 1 << 20)
        #expect(changes[.labelCount] >= 20_000 - 128 && changes[.metadataCount] > 100_000)
    }

    @Test("without a hint a legacy line is JSON, a map in a body is logfmt's own keys")
    func legacyBodies() {
        let map: @Sendable (inout ProtoWriter) -> Void = {
            $0.message(5) {
                $0.message(6) {
                    $0.attribute(1, "a b", "c d")
                    $0.attribute(1, "e", "")
                }
            }
        }
        let bare: (inout ProtoWriter) -> Void = { _ in }
        #expect(
            encodeOne(request(resource: bare, records: map), legacy).entries[0].line
                == #"{"body":{"a b":"c d","e":""}}"#)
        let logfmt = encodeOne(
            request(
                resource: bare,
                records: {
                    map(&$0)
                    $0.attribute(6, "loki.format", "logfmt")
                }), legacy)
        #expect(logfmt.entries[0].line == #"a_b="c d" e="#)
    }
}
