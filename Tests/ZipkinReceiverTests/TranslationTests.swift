import NIOCore
import OTLP
import RequestServing
import TestSupport
import Testing

@testable import ZipkinReceiver

/// What a translator makes of a body, a line for each resource, scope and span.
func translated(_ body: [UInt8], _ translator: some RequestTranslator, limit: Int = 1 << 20) throws
    -> [String]
{
    let bytes = try body.withUnsafeBytes { try translator.translate(WireBytes($0), limitBytes: limit) }
    return bytes.withUnsafeReadableBytes { bytes in
        #expect(throws: Never.self) { try summarize(bytes, as: .traces) }
        return TraceText.lines(WireBytes(bytes))
    }
}

private let ids: String = "\"traceId\":\"5af7183fb1d4cf5f\",\"id\":\"352bff9a74ca9ad2\""
private let head: String = "  00000000000000005af7183fb1d4cf5f/352bff9a74ca9ad2"

@Suite("zipkin: what spans become")
struct ZipkinTranslationTests {
    private func v2(_ rest: String, parses: Bool = false) throws -> [String] {
        try translated(
            Array("[{\(ids)\(rest.isEmpty ? "" : ",")\(rest)}]".utf8), ZipkinV2JSON(parsesTags: parses))
    }

    /// If it failed, a span of millions of empty annotations would take more memory than is asked for.
    @Test("more annotations than their bytes can be")
    func tinyParts() throws {
        let many = #""annotations":["# + Array(repeating: "{}", count: 1_000).joined(separator: ",") + "]"
        let error = #expect(throws: TranslationError.self) { try v2(many) }
        #expect("\(String(describing: error))".contains("1000 events and links"))
        #expect(throws: TranslationError.self) {
            try translated(
                Array("[{\(ids),\"name\":\"n\",\(many)}]".utf8), ZipkinV1JSON(parsesTags: false, now: { 1 }))
        }
        let usual = Array(repeating: #"{"timestamp":1,"value":"a"}"#, count: 1_000).joined(separator: ",")
        #expect(throws: Never.self) { try v2(#""timestamp":1,"annotations":["# + usual + "]") }
    }

    /// Otherwise traces of old clients would say other things than their authors wrote.
    @Test(
        "the second model in JSON",
        arguments: [
            (
                "",
                [
                    "{}", " ", "\(head) '' kind=0 0-0 {otel.zipkin.absentField.startTime=true}",
                ]
            ),
            (
                #""parentId":"1","name":"get","kind":"CLIENT","timestamp":1,"duration":2,"localEndpoint":{"serviceName":"shop"}"#,
                ["{service.name=shop}", " ", "\(head) parent=0000000000000001 'get' kind=3 1000-3000 {}"]
            ),
            (
                #""parentId":"352bff9a74ca9ad2","kind":"SERVER","timestamp":1"#,
                ["{}", " ", "\(head) '' kind=2 1000-1000 {}"]
            ),
            (#""kind":"PRODUCER","timestamp":1"#, ["{}", " ", "\(head) '' kind=4 1000-1000 {}"]),
            (#""kind":"CONSUMER","timestamp":1"#, ["{}", " ", "\(head) '' kind=5 1000-1000 {}"]),
            (
                #""timestamp":1,"tags":{"span.kind":"internal","a":"1"}"#,
                ["{}", " ", "\(head) '' kind=1 1000-1000 {a=1}"]
            ),
            (
                #""timestamp":1,"tags":{"error":"true","otel.status_description":"no"}"#,
                ["{}", " ", "\(head) '' kind=0 1000-1000 {otel.status_description=no} status=2"]
            ),
            (
                #""timestamp":1,"tags":{"error":"timeout"}"#,
                ["{}", " ", "\(head) '' kind=0 1000-1000 {error=timeout}"]
            ),
            (
                #""timestamp":1,"tags":{"otel.status_code":"ERROR","otel.status_description":"no"}"#,
                ["{}", " ", "\(head) '' kind=0 1000-1000 {} status=2 no"]
            ),
            (
                #""timestamp":1,"tags":{"otel.status_code":"STATUS_CODE_OK"}"#,
                ["{}", " ", "\(head) '' kind=0 1000-1000 {} status=1"]
            ),
            (
                #""timestamp":1,"localEndpoint":{"serviceName":"s","ipv4":"1.2.3.4","port":80},"remoteEndpoint":{"serviceName":"r","ipv6":"::0:1","port":81}"#,
                [
                    "{service.name=s}", " ",
                    "\(head) '' kind=0 1000-1000 {net.host.ip=1.2.3.4,net.host.port=80,peer.service=r,net.peer.ip=::1,net.peer.port=81}",
                ]
            ),
            (
                #""timestamp":1,"localEndpoint":{"serviceName":"s"},"tags":{"host.name":"h","otlp.service.name.source":"faas.name","x":"y"}"#,
                ["{faas.name=s,host.name=h}", " ", "\(head) '' kind=0 1000-1000 {x=y}"]
            ),
            (
                #""timestamp":1,"tags":{"otel.library.name":"lib","otel.library.version":"2","w3c.tracestate":"a=b"}"#,
                ["{}", " lib 2", "\(head) '' kind=0 1000-1000 {} state=a=b"]
            ),
            (
                #""timestamp":1,"tags":{"otel.scope.name":"lib","otel.scope.version":"3"}"#,
                ["{}", " lib 3", "\(head) '' kind=0 1000-1000 {}"]
            ),
            (
                #""timestamp":1,"annotations":[{"timestamp":5,"value":"cs"},{"timestamp":6,"value":"e|{\"a\":1,\"b\":1.5,\"c\":true,\"d\":\"|\"}|2"},{"timestamp":7,"value":"a|{|b"}]"#,
                [
                    "{}", " ", "\(head) '' kind=0 1000-1000 {}", "   5000 'cs' {}",
                    "   6000 'e' {a=1,b=1.5,c=true,d=|} dropped=2", "   7000 'a|{|b' {}",
                ]
            ),
            (
                #""timestamp":1,"tags":{"otlp.link.0":"463ac35c9f6413ad48485a3953bb6124|0020000000000001|s=1|{\"k\":\"v\"}|0","otlp.link.1":"x"}"#,
                [
                    "{}", " ", "\(head) '' kind=0 1000-1000 {otlp.link.1=x}",
                    "   -> 463ac35c9f6413ad48485a3953bb6124/0020000000000001 {k=v} state=s=1",
                ]
            ),
            (
                #""timestamp":18446744073709551615,"duration":5,"name":null,"tags":null,"shared":true,"other":[{}]"#,
                ["{}", " ", "\(head) '' kind=0 18446744073709551615-18446744073709551615 {}"]
            ),
            (
                #""timestamp":1,"tags":{"a":"\u00e9\n","a":"2"}"#,
                ["{}", " ", "\(head) '' kind=0 1000-1000 {a=2}"]
            ),
        ] as [(String, [String])])
    func secondModel(rest: String, lines: [String]) throws {
        #expect(try v2(rest) == lines)
    }

    /// Otherwise `parse_string_tags` would make texts of numbers, or numbers of texts.
    @Test("tags become numbers only when that is asked for")
    func parsing() throws {
        let tags =
            #""timestamp":1,"tags":{"i":"-12","d":"1.50","b":"true","t":"1.2.3","e":"","big":"99999999999999999999","h":"0x1","m":"-"}"#
        #expect(
            try v2(tags, parses: true)[2]
                == "\(head) '' kind=0 1000-1000 {i=-12,d=1.5,b=true,t=1.2.3,e=,big=9223372036854775807,h=0x1,m=-}"
        )
        #expect(try v2(tags)[2].contains("d=1.50"))
    }

    /// Otherwise each span would have a resource of its own, or another one's.
    @Test("spans of a service share a resource, and of a library a scope")
    func groups() throws {
        func span(_ id: Int, _ service: String, _ library: String) -> String {
            #"{"traceId":"1","id":"\#(id)","timestamp":1,"localEndpoint":{"serviceName":"\#(service)"},"tags":{"otel.library.name":"\#(library)","host.name":"h\#(id)"}}"#
        }
        let spans: [String] = [span(1, "a", "x"), span(2, "b", "x"), span(3, "a", "y"), span(4, "a", "x")]
        let body = "[\(spans.joined(separator: ","))]"
        let lines = try translated(Array(body.utf8), ZipkinV2JSON(parsesTags: false))
        func line(_ id: Int) -> String {
            "  00000000000000000000000000000001/000000000000000\(id) '' kind=0 1000-1000 {}"
        }
        let expected: [String] = [
            "{service.name=a,host.name=h1}", " x", line(1), line(4), " y", line(3),
            "{service.name=b,host.name=h2}", " x", line(2),
        ]
        #expect(lines == expected)
        #expect(try translated(Array("[]".utf8), ZipkinV2JSON(parsesTags: false)).isEmpty)
        #expect(try translated(Array("[null]".utf8), ZipkinV2JSON(parsesTags: false)).isEmpty)
    }

    /// Otherwise clients of Go and of Envoy, which send protobuf, would not join.
    @Test("the second model in protobuf, byte for byte")
    func protobuf() throws {
        var list = ProtoWriter()
        list.message(1) {
            $0.field(1, [1, 2, 3, 4, 5, 6, 7, 8])
            $0.field(2, [0, 0, 0, 0, 0, 0, 0, 9])
            $0.field(3, [8, 7, 6, 5, 4, 3, 2, 1])
            $0.integer(4, 2)
            $0.text(5, "get")
            $0.fixed64(6, 10)
            $0.integer(7, 5)
            $0.message(8) {
                $0.text(1, "shop")
                $0.field(2, [10, 0, 0, 1])
                $0.integer(4, 80)
            }
            $0.message(9) { $0.field(3, [UInt8](repeating: 0, count: 15) + [1]) }
            $0.message(10) {
                $0.fixed64(1, 11)
                $0.text(2, "event")
            }
            $0.message(11) {
                $0.text(1, "k")
                $0.text(2, "v")
            }
            $0.integer(12, 1)
        }
        let lines = try translated(list.bytes, ZipkinV2Protobuf(parsesTags: false))
        #expect(
            lines == [
                "{service.name=shop}", " ",
                "  00000000000000000102030405060708/0807060504030201 parent=0000000000000009 'get' kind=2 10000-15000 {k=v,net.host.ip=10.0.0.1,net.host.port=80,net.peer.ip=::1}",
                "   11000 'event' {}",
            ])
    }

    /// Otherwise the oldest clients, which know no other, would not join.
    @Test(
        "the first model",
        arguments: [
            (
                #""timestamp":10,"duration":5,"annotations":[{"timestamp":10,"value":"sr","endpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":80}},{"timestamp":12,"value":"half"}],"binaryAnnotations":[{"key":"http.path","value":"/"},{"key":"n","value":5}]"#,
                [
                    "{service.name=shop,ipv4=10.0.0.1,port=80}", " ",
                    "\(head) '' kind=2 10000-15000 {http.path=/,n=5}", "   12000 'half' {}",
                ]
            ),
            (
                #""annotations":[{"timestamp":20,"value":"cr"},{"timestamp":10,"value":"cs"}]"#,
                ["{service.name=unknown-service}", " ", "\(head) '' kind=3 10000-20000 {}"]
            ),
            (
                #""binaryAnnotations":[{"key":"lc","value":"job"},{"key":"error","value":"x"}]"#,
                [
                    "{service.name=job}", " ",
                    "\(head) '' kind=0 7-7 {component=job,otel.zipkin.absentField.startTime=true} status=2",
                ]
            ),
            (
                #""timestamp":1,"binaryAnnotations":[{"key":"http.status_code","value":"404","endpoint":{"serviceName":"s"}}]"#,
                ["{service.name=s}", " ", "\(head) '' kind=0 1000-1000 {http.status_code=404} status=2"]
            ),
            (
                #""timestamp":1,"binaryAnnotations":[{"key":"census.status_code","value":"0"},{"key":"error","value":"true"}]"#,
                ["{service.name=unknown-service}", " ", "\(head) '' kind=0 1000-1000 {} status=1"]
            ),
        ] as [(String, [String])])
    func firstModel(rest: String, lines: [String]) throws {
        let translator = ZipkinV1JSON(parsesTags: false, now: { 7 })
        #expect(try translated(Array("[{\(ids),\(rest)}]".utf8), translator) == lines)
    }

    /// Otherwise a client would be told that its spans are stored which nobody could read.
    @Test(
        "what cannot be read is refused, and why",
        arguments: [
            ("", "ends"), ("{}", "expected a list"), ("[{}]", "no traceId"), (#"[{"traceId":"1"}]"#, "no id"),
            (#"[{"traceId":"0","id":"1"}]"#, "no traceId"),
            (#"[{"traceId":"x","id":"1"}]"#, "traceId is not"),
            (#"[{"traceId":"123456789012345678901234567890123","id":"1"}]"#, "traceId is not"),
            (#"[{"id":"12345678901234567"}]"#, "id is not"),
            (#"[{"timestamp":-1}]"#, "timestamp is no whole number"),
            (#"[{"timestamp":1.5}]"#, "timestamp is no whole number"),
            (#"[{"localEndpoint":{"ipv4":"::1"}}]"#, "ipv4 is no such address"),
            (#"[{"localEndpoint":{"port":65536}}]"#, "port is above 65535"),
            (#"[{"tags":{"a":1}}]"#, "string"), (#"[{"traceId":"1","id":"1"}] x"#, "zipkin"),
            (#"[{"traceId":"1","id":"1"}"#, "zipkin"),
        ] as [(String, String)])
    func refused(body: String, message: String) {
        let translator = ZipkinV2JSON(parsesTags: false)
        do {
            _ = try Array(body.utf8).withUnsafeBytes {
                try translator.translate(WireBytes($0), limitBytes: 1000)
            }
            Issue.record("\(body) was translated")
        } catch {
            guard case .malformed(let text)? = error as? TranslationError else {
                Issue.record("\(error)")
                return
            }
            #expect(text.contains(message), "\(text)")
        }
    }

    /// Otherwise a small body could become a request that no memory is left for.
    @Test("what would be larger than requests may be is refused")
    func tooLarge() {
        let body = Array("[{\(ids)},{\(ids)}]".utf8)
        #expect(throws: TranslationError.tooLarge) {
            try translated(body, ZipkinV2JSON(parsesTags: false), limit: 150)
        }
        #expect(throws: TranslationError.tooLarge) {
            try translated(body, ZipkinV1JSON(parsesTags: false, now: { 1 }), limit: 150)
        }
    }

    /// Otherwise a client's bytes could end the gateway.
    @Test("damaged bodies are translated or refused, nothing else")
    func damaged() {
        let json = Array(
            #"[{"traceId":"1","id":"2","timestamp":1,"tags":{"otlp.link.0":"1|1||{}|0","a":"b"},"annotations":[{"timestamp":1,"value":"e|{}|1"}],"localEndpoint":{"serviceName":"s","ipv4":"1.1.1.1"},"binaryAnnotations":[{"key":"a","value":"b"}]}]"#
                .utf8)
        var proto = ProtoWriter()
        proto.message(1) {
            $0.field(1, [UInt8](repeating: 1, count: 16))
            $0.field(3, [UInt8](repeating: 1, count: 8))
            $0.message(8) { $0.field(2, [1, 2, 3, 4]) }
            $0.message(11) { $0.text(1, "k") }
        }
        fuzz(seed: 5) { random in
            for (body, translator) in [
                (json, ZipkinV2JSON(parsesTags: true) as any RequestTranslator),
                (json, ZipkinV1JSON(parsesTags: true, now: { 1 })),
                (proto.bytes, ZipkinV2Protobuf(parsesTags: true)),
            ] {
                let damaged = random.damage(body)
                let made = damaged.withUnsafeBytes {
                    try? translator.translate(WireBytes($0), limitBytes: 1 << 20)
                }
                made?.withUnsafeReadableBytes { bytes in
                    do { _ = try summarize(bytes, as: .traces) } catch {
                        #expect((error as? WireError)?.reason == .invalidUTF8, "\(damaged)")
                    }
                }
            }
        }
    }
}
