import OTLP
import TestSupport
import Testing

@testable import LokiExporter

/// Without these a query that finds logs sent to Loki's own OTLP endpoint would not find those that we send.
@Suite("Records as Loki's own OTLP endpoint maps them")
struct NativeMappingTests {
    @Test("labels, line, time and metadata are where Loki's users look for them")
    func everything() {
        let stream = encodeOne(
            request(
                resource: {
                    $0.attribute(1, "service.name", "shop")
                    $0.attribute(1, "host.name", "h1")
                    $0.attribute(1, "k8s.pod.name", "p\"1")
                    $0.attribute(1, "process.pid", 7)
                },
                scope: {
                    $0.text(1, "lib")
                    $0.text(2, "1.2")
                    $0.attribute(3, "scope.kind", "test")
                    $0.integer(4, 3)
                },
                records: {
                    $0.fixed64(1, 1_700_000_000_123_456_789)
                    $0.integer(2, 17)
                    $0.text(3, "ERROR")
                    $0.body("it broke")
                    $0.attribute(6, "http.route", "/a")
                    $0.attribute(6, "http.status_code", -500)
                    $0.integer(7, 2)
                    $0.fixed32(8, 1)
                    $0.field(9, Array(1...16))
                    $0.field(10, Array(0xF8...0xFF))
                    $0.fixed64(11, 1_700_000_000_999_999_999)
                    $0.text(12, "crash")
                }))
        #expect(stream.labels == #"{k8s_pod_name="p\"1", service_name="shop"}"#)
        #expect(stream.entries.count == 1)
        #expect(stream.entries[0].line == "it broke")
        #expect(stream.entries[0].time == 1_700_000_000_123_456_789)
        let metadata = [
            "http_route=/a", "http_status_code=-500", "observed_timestamp=1700000000999999999",
            "severity_number=17", "severity_text=ERROR", "event_name=crash", "dropped_attributes_count=2",
            "flags=1", "trace_id=0102030405060708090a0b0c0d0e0f10", "span_id=f8f9fafbfcfdfeff",
            "scope_name=lib", "scope_version=1.2", "scope_kind=test", "scope_dropped_attributes_count=3",
            "host_name=h1", "process_pid=7",
        ]
        #expect(Set(stream.entries[0].metadata) == Set(metadata))
        #expect(stream.entries[0].metadata.count == metadata.count)
    }

    /// Of a field that comes twice the last counts, as everywhere in protobuf.
    @Test("of two bodies the last is the line", arguments: [true, false])
    func twoBodies(allowsQuick: Bool) {
        var settings = EncoderSettings()
        settings.allowsQuick = allowsQuick
        let bytes = request(records: {
            $0.body("first")
            $0.body("")
        })
        let stream = encodeOne(bytes, settings)
        #expect(stream.entries.map(\.line) == [""])
    }

    @Test("what is not set makes no metadata, and an entry has a time in any case")
    func nothing() {
        let stream = encodeOne(
            request(
                resource: { _ in },
                records: { _ in }, { $0.fixed64(11, 5) },
                {
                    $0.fixed64(1, 9)
                    $0.field(9, Array(repeating: 0, count: 16))
                    $0.field(10, [])
                }))
        #expect(stream.labels == #"{service_name="unknown_service"}"#)
        #expect(stream.entries.map(\.time).sorted() == [5, 9, now])
        #expect(stream.entries.allSatisfy { $0.metadata.isEmpty && $0.line.isEmpty })
    }

    @Test("a body of any kind is a line", arguments: bodiesOfEveryKind)
    func bodies(body: Body) {
        let line = encodeOne(request(records: { $0.message(5, body.write) })).entries[0].line
        #expect(line == body.line)
    }

    @Test("nested maps are flattened, lists are JSON, whatever an attribute's kind nothing is lost")
    func attributes() {
        let entry = encodeOne(
            request(records: {
                $0.message(6) {
                    $0.text(1, "http.request")
                    $0.message(2) {
                        $0.message(6) {
                            $0.attribute(1, "method", "GET")
                            $0.message(1) {
                                $0.text(1, "header")
                                $0.message(2) { $0.message(6) { $0.attribute(1, "x-id", 4) } }
                            }
                        }
                    }
                }
                $0.message(6) {
                    $0.text(1, "list")
                    $0.message(2) { $0.message(5) { $0.message(1) { $0.integer(3, 1) } } }
                }
                $0.message(6) {
                    $0.text(1, "flag")
                    $0.message(2) { $0.integer(2, 1) }
                }
                $0.message(6) { $0.text(1, "empty") }
            })
        ).entries[0]
        #expect(
            entry.metadata == [
                "http_request_method=GET", "http_request_header_x_id=4", "list=[1]", "flag=true", "empty=",
            ])
    }

    @Test(
        "names are such that Loki can be asked for them",
        arguments: [
            ("http.route", "http_route"), ("a..b--c", "a_b_c"), ("1st", "key_1st"), ("日本", "key_65e5_672c"),
            ("__x.y__", "__x_y__"), ("", "key_"), ("_", "key_5f"), (".", "key_2e"), ("ü", "key_fc"),
            ("_____", "key_5f_5f_5f_5f_5f"), ("__..__", "key_5f_5f_2e_2e_5f_5f"), ("é1", "_1"),
            ("ααααααααααα", "key_3b1_3b1_3b1_3b1_3b1_3b1_3b1_3b1"), ("__x", "_x"), ("名a", "_a"),
            ("ok_1", "ok_1"), ("a__b", "a_b"), ("_x", "_x"),
        ])
    func names(key: String, name: String) {
        let entry = encodeOne(request(records: { $0.attribute(6, key, "v") })).entries[0]
        #expect(entry.metadata == [name + "=v"])
        #expect(labelName(Array(key.utf8)) == Array(name.utf8))
    }

    /// Loki's queries see the last of two pairs of one name; one that comes twice takes the room of another.
    @Test(
        "the scope's say is the last, its name is its own, and a key that comes twice adds nothing",
        arguments: [true, false])
    func precedence(allowsQuick: Bool) {
        var settings = EncoderSettings()
        settings.allowsQuick = allowsQuick
        let entry = encodeOne(
            request(
                resource: {
                    $0.attribute(1, "service.name", "old")
                    $0.attribute(1, "service.name", "shop")
                    $0.attribute(1, "host", "resource")
                    $0.attribute(1, "zone", "a")
                    $0.attribute(1, "zone", "b")
                    $0.attribute(1, "scope.version", "resource")
                },
                scope: {
                    $0.text(1, "lib")
                    $0.text(2, "1")
                    $0.attribute(3, "scope.name", "other")
                    $0.attribute(3, "host", "scope")
                    $0.attribute(3, "k", "1")
                    $0.attribute(3, "k", "2")
                },
                records: {
                    $0.attribute(6, "user", "first")
                    $0.attribute(6, "path", "/")
                    $0.attribute(6, "user", "last")
                }), settings)
        #expect(entry.labels == #"{service_name="shop"}"#)
        #expect(
            entry.entries[0].metadata == [
                "path=/", "user=last", "zone=b", "host=scope", "k=2", "scope_name=lib", "scope_version=1",
            ])
    }

    @Test("lists of attributes decide what is a label, metadata or nothing")
    func rules() {
        var settings = EncoderSettings()
        settings.resourceRules.rules = [
            .init(action: .indexLabel, attributes: ["region"]),
            .init(action: .drop, attributes: ["secret"]),
            .init(action: .structuredMetadata, attributes: ["service.name"]),
        ]
        settings.scopeRules.rules = [.init(action: .drop, attributes: ["scope.secret"])]
        settings.logRules.rules = [
            .init(action: .drop, attributes: ["password"]),
            .init(action: .indexLabel, attributes: ["level"]),
        ]
        let (pushes, _) = encode(
            [
                request(
                    resource: {
                        $0.attribute(1, "service.name", "shop")
                        $0.attribute(1, "region", "eu")
                        $0.attribute(1, "secret", "x")
                    },
                    scope: {
                        $0.attribute(3, "scope.secret", "x")
                        $0.attribute(3, "scope.open", "y")
                    },
                    records: {
                        $0.attribute(6, "password", "x")
                        $0.attribute(6, "user", "u")
                    },
                    {
                        $0.attribute(6, "level", "warn")
                        $0.attribute(6, "password", "x")
                    })
            ], settings)
        #expect(pushes.count == 1)
        let streams = pushes[0].streams
        #expect(streams.map(\.labels) == [#"{region="eu"}"#, #"{level="warn", region="eu"}"#])
        #expect(streams[0].entries[0].metadata == ["user=u", "service_name=shop", "scope_open=y"])
        #expect(streams[1].entries[0].metadata == ["service_name=shop", "scope_open=y"])
    }

    @Test("severity_text can be a label, and stays metadata")
    func severityLabel() {
        var settings = EncoderSettings()
        settings.severityTextAsLabel = true
        let (pushes, _) = encode(
            [
                request(
                    records: { $0.text(3, "WARN") }, { $0.text(3, "INFO") }, { _ in }, { $0.text(3, "WARN") })
            ],
            settings)
        #expect(
            pushes[0].streams.map { "\($0.labels) \($0.entries.count)" } == [
                #"{service_name="shop", severity_text="WARN"} 2"#,
                #"{service_name="shop", severity_text="INFO"} 1"#, #"{service_name="shop"} 1"#,
            ])
        #expect(pushes[0].streams[0].entries[0].metadata == ["severity_text=WARN"])
    }

    @Test("the quick way writes what the general way writes", arguments: (1...300).map { UInt64($0) })
    func quickIsGeneral(seed: UInt64) {
        let requests = [
            RandomRequest.make(.logs, seed: seed), RequestBuilder.make(.logs, items: 3, seed: seed),
        ]
        var general = EncoderSettings()
        general.allowsQuick = false
        let (quick, quickChanges) = encode(requests)
        let (slow, slowChanges) = encode(requests, general)
        #expect(quickChanges == slowChanges)
        #expect(quick.map(sorted) == slow.map(sorted))
    }

    private func sorted(_ push: DecodedPush) -> [DecodedStream] {
        push.streams.map { stream in
            var stream = stream
            for index in stream.entries.indices { stream.entries[index].metadata.sort() }
            return stream
        }
    }
}

/// A body and the line that it gives.
struct Body: Sendable {
    let line: String
    let write: @Sendable (inout ProtoWriter) -> Void

    init(_ line: String, _ write: @escaping @Sendable (inout ProtoWriter) -> Void) {
        self.line = line
        self.write = write
    }
}

private let bodiesOfEveryKind = [
    Body("a\nb") { $0.text(1, "a\nb") }, Body("true") { $0.integer(2, 1) },
    Body("false") { $0.integer(2, 0) }, Body("-42") { $0.integer(3, UInt64(bitPattern: -42)) },
    Body("9223372036854775807") { $0.integer(3, UInt64(Int64.max)) },
    Body("-9223372036854775808") { $0.integer(3, UInt64(bitPattern: Int64.min)) },
    Body("1.5") { $0.double(4, 1.5) }, Body("1e+21") { $0.double(4, 1e21) },
    Body("123456789") { $0.double(4, 123_456_789) }, Body("-1e-7") { $0.double(4, -1e-7) },
    Body("0.000001") { $0.double(4, 1e-6) }, Body("5e-324") { $0.double(4, .leastNonzeroMagnitude) },
    Body("0") { $0.double(4, 0) }, Body("-0") { $0.double(4, -0.0) },
    Body("Infinity") { $0.double(4, .infinity) }, Body("-Infinity") { $0.double(4, -.infinity) },
    Body("//4=") { $0.field(7, [0xFF, 0xFE]) }, Body("") { _ in },
    Body(#"["a\"\u0001",0.25,null,"NaN"]"#) {
        $0.message(5) {
            $0.message(1) { $0.text(1, "a\"\u{1}") }
            $0.message(1) { $0.double(4, 0.25) }
            $0.message(1) { _ in }
            $0.message(1) { $0.double(4, .nan) }
        }
    },
    Body(#"{"k":"v","n":1}"#) {
        $0.message(6) {
            $0.attribute(1, "k", "v")
            $0.attribute(1, "n", 1)
        }
    },
]
