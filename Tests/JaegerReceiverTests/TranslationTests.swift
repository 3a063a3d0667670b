import NIOCore
import OTLP
import RequestServing
import TestSupport
import Testing

@testable import JaegerReceiver

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

/// A tag of Thrift.
private func tag(_ key: String, _ value: ThriftWriter.Value) -> (inout ThriftWriter) -> Void {
    {
        $0.field(1, key)
        switch value {
        case .text: $0.field(2, .i32(0))
        case .double: $0.field(2, .i32(1))
        case .bool: $0.field(2, .i32(2))
        default: $0.field(2, .i32(3))
        }
        switch value {
        case .text: $0.field(3, value)
        case .double: $0.field(4, value)
        case .bool: $0.field(5, value)
        default: $0.field(6, value)
        }
    }
}

private func text(_ text: String) -> ThriftWriter.Value { .text(Array(text.utf8)) }

/// A span of Thrift with what is usual.
private func span(
    parent: Int64 = 0, references: [(type: Int32, trace: Int64, span: Int64)] = [],
    tags: [(inout ThriftWriter) -> Void] = [], logs: [(inout ThriftWriter) -> Void] = []
) -> (inout ThriftWriter) -> Void {
    {
        $0.field(1, .i64(2))
        $0.field(2, .i64(1))
        $0.field(3, .i64(3))
        $0.field(4, .i64(parent))
        $0.field(5, "op")
        if !references.isEmpty {
            $0.field(
                6,
                .list(
                    references.map { reference in
                        {
                            $0.field(1, .i32(reference.type))
                            $0.field(2, .i64(reference.trace))
                            $0.field(3, .i64(1))
                            $0.field(4, .i64(reference.span))
                        }
                    }))
        }
        $0.field(7, .i32(1))
        $0.field(8, .i64(10))
        $0.field(9, .i64(5))
        $0.field(10, .list(tags))
        if !logs.isEmpty { $0.field(11, .list(logs)) }
    }
}

private func batch(
    _ writer: inout ThriftWriter, _ spans: [(inout ThriftWriter) -> Void],
    processTags: [(inout ThriftWriter) -> Void] = [],
    processLast: Bool = false
) {
    let process = ThriftWriter.Value.structure {
        $0.field(1, "shop")
        if !processTags.isEmpty { $0.field(2, .list(processTags)) }
    }
    if !processLast { writer.field(1, process) }
    writer.field(2, .list(spans))
    writer.field(99, .structure { $0.field(1, .list([{ $0.field(1, .bool(true)) }])) })
    if processLast { writer.field(1, process) }
}

private func posted(
    _ spans: [(inout ThriftWriter) -> Void], processTags: [(inout ThriftWriter) -> Void] = [],
    processLast: Bool = false
) -> [UInt8] {
    var writer = ThriftWriter(compact: false)
    writer.structure { batch(&$0, spans, processTags: processTags, processLast: processLast) }
    return writer.bytes
}

private let head: String = "  00000000000000010000000000000002/0000000000000003"
private let plain = [" ", "\(head) 'op' kind=0 10000-15000 {}"]

@Suite("jaeger: what spans become")
struct JaegerTranslationTests {
    /// Otherwise clients in one of the protocols would lose their spans.
    @Test("the same batch in all forms of Thrift")
    func forms() throws {
        let many = (0..<20).map { tag("t\($0)", .i64(Int64($0) - 10)) }
        let spans = [
            span(
                tags: many + [
                    tag("s", text("é")), tag("d", .double(1.5)), tag("b", .bool(true)),
                    tag("f", .bool(false)),
                ])
        ]
        let expected = [
            "{service.name=shop}", " ",
            "\(head) 'op' kind=0 10000-15000 {" + (0..<20).map { "t\($0)=\($0 - 10)," }.joined()
                + "s=é,d=1.5,b=true,f=false}",
        ]
        #expect(try translated(posted(spans), JaegerThrift(.batch)) == expected)
        for compact in [true, false] {
            var writer = ThriftWriter(compact: compact)
            writer.call("emitBatch")
            writer.structure { $0.field(1, .structure { batch(&$0, spans) }) }
            let form = JaegerThrift(compact ? .compactCall : .binaryCall)
            #expect(try translated(writer.bytes, form) == expected)
        }
        #expect(try translated(posted(spans, processLast: true), JaegerThrift(.batch)) == expected)
    }

    /// Otherwise status, kind, parents and links of old traces would be others, or none.
    @Test("what tags and references mean")
    func meaning() throws {
        let cases: [((inout ThriftWriter) -> Void, [String])] = [
            (span(parent: 9), ["\(head) parent=0000000000000009 'op' kind=0 10000-15000 {}"]),
            (
                span(references: [(0, 2, 7)]),
                ["\(head) parent=0000000000000007 'op' kind=0 10000-15000 {}"]
            ),
            (
                span(references: [(1, 2, 6), (0, 2, 7), (0, 5, 8)]),
                [
                    "\(head) parent=0000000000000007 'op' kind=0 10000-15000 {}",
                    "   -> 00000000000000010000000000000002/0000000000000006 {opentracing.ref_type=follows_from}",
                    "   -> 00000000000000010000000000000005/0000000000000008 {opentracing.ref_type=child_of}",
                ]
            ),
            (
                span(tags: [tag("span.kind", text("server")), tag("http.status_code", .i64(404))]),
                ["\(head) 'op' kind=2 10000-15000 {http.status_code=404}"]
            ),
            (
                span(tags: [tag("span.kind", text("client")), tag("http.status_code", .i64(404))]),
                ["\(head) 'op' kind=3 10000-15000 {http.status_code=404} status=2"]
            ),
            (
                span(tags: [tag("http.status_code", text("503")), tag("http.status_message", text("no"))]),
                ["\(head) 'op' kind=0 10000-15000 {http.status_code=503,http.status_message=no} status=2 no"]
            ),
            (
                span(tags: [tag("error", .bool(true)), tag("otel.status_description", text("why"))]),
                ["\(head) 'op' kind=0 10000-15000 {} status=2 why"]
            ),
            (span(tags: [tag("error", .bool(false))]), ["\(head) 'op' kind=0 10000-15000 {error=false}"]),
            (
                span(tags: [tag("otel.status_code", text("Ok")), tag("w3c.tracestate", text("a=b"))]),
                ["\(head) 'op' kind=0 10000-15000 {} state=a=b status=1"]
            ),
            (
                span(logs: [
                    {
                        $0.field(1, .i64(11))
                        $0.field(2, .list([tag("event", text("retry")), tag("n", .i64(1))]))
                    }
                ]),
                ["\(head) 'op' kind=0 10000-15000 {}", "   11000 'retry' {n=1}"]
            ),
        ]
        for (span, lines) in cases {
            #expect(
                try translated(posted([span]), JaegerThrift(.batch)) == ["{service.name=shop}", " "] + lines)
        }
        let tags = [tag("hostname", text("h")), tag("jaeger.version", text("Go-2")), tag("ip", text("1"))]
        #expect(
            try translated(posted([span()], processTags: tags), JaegerThrift(.batch))
                == ["{service.name=shop,ip=1,host.name=h,opencensus.exporterversion=Jaeger-Go-2}"] + plain)
    }

    /// Otherwise collectors and agents of Jaeger, which speak gRPC, would not join.
    @Test("protobuf, byte for byte")
    func protobuf() throws {
        func keyValue(_ key: String, _ kind: UInt64, _ write: (inout ProtoWriter) -> Void) -> ProtoWriter {
            var writer = ProtoWriter()
            writer.text(1, key)
            writer.integer(2, kind)
            write(&writer)
            return writer
        }
        func time(_ writer: inout ProtoWriter) {
            writer.integer(1, 1)
            writer.integer(2, 5)
        }
        let trace = [UInt8](repeating: 0, count: 15) + [2]
        var request = ProtoWriter()
        request.message(1) {
            $0.message(1) { span in
                span.field(1, trace)
                span.field(2, [0, 0, 0, 0, 0, 0, 0, 3])
                span.text(3, "op")
                span.message(4) {
                    $0.field(1, trace)
                    $0.field(2, [0, 0, 0, 0, 0, 0, 0, 1])
                }
                span.message(6, time)
                span.message(7) { $0.integer(2, 10) }
                for tag in [
                    keyValue("s", 0) { $0.text(3, "v") }, keyValue("b", 1) { $0.integer(4, 1) },
                    keyValue("i", 2) { $0.integer(5, UInt64(bitPattern: -1)) },
                    keyValue("d", 3) { $0.double(6, 0.5) },
                    keyValue("otel.scope.name", 0) { $0.text(3, "lib") },
                    keyValue("otel.scope.version", 0) { $0.text(3, "1") },
                ] { span.field(8, tag.bytes) }
                span.message(9) {
                    $0.message(1, time)
                    $0.field(2, keyValue("event", 0) { $0.text(3, "e") }.bytes)
                }
                span.message(9) { _ in }
            }
            $0.message(1) {
                $0.field(1, trace)
                $0.field(2, [0, 0, 0, 0, 0, 0, 0, 4])
                $0.message(10) { $0.text(1, "own") }
            }
            $0.message(2) { $0.text(1, "shop") }
        }
        #expect(
            try translated(request.bytes, JaegerProtobuf()) == [
                "{service.name=shop}", " lib 1",
                "  00000000000000000000000000000002/0000000000000003 parent=0000000000000001 'op' kind=0 1000000005-1000000015 {s=v,b=true,i=-1,d=0.5}",
                "   1000000005 'e' {}",
                "{service.name=own}", " ",
                "  00000000000000000000000000000002/0000000000000004 '' kind=0 0-0 {}",
            ])
        #expect(try translated([], JaegerProtobuf()).isEmpty)
    }

    /// Otherwise one packet could make the gateway take all memory, or end it.
    @Test(
        "Thrift that lies is refused, and why",
        arguments: [
            (
                [12, 0, 1, 11, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF],
                "a text says that it has 2147483647 bytes, and 0 are left"
            ),
            ([12, 0, 1, 11, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], "a text says that it has -1 bytes"),
            (
                [15, 0, 2, 12, 0x7F, 0xFF, 0xFF, 0xFF, 0],
                "a list says that it has 2147483647 elements, and 1 bytes"
            ),
            ([15, 0, 2, 12, 0xFF, 0xFF, 0xFF, 0xFF], "a list has -1 elements"),
            ([13, 0, 5, 11, 11, 0, 0, 0, 9, 0, 0], "a list says that it has 9 elements"),
            ([12, 0, 1, 0, 15, 0, 2, 11, 0, 0, 0, 1, 0, 0, 0, 0, 0], "Batch.spans is no list of structures"),
            ([12, 0, 1, 0, 15, 0, 2, 12, 0, 0, 0, 1, 0, 0], "field 1 of Span is not set"),
            ([0], "a batch without a process"), ([], "ends in the middle"), ([9, 0, 1], "unknown type 9"),
            ([12, 0, 1], "ends in the middle"),
            (Array(repeating: [12, 0, 9], count: 100).flatMap { $0 }, "nested deeper than 64 levels"),
        ] as [([UInt8], String)])
    func lies(body: [UInt8], message: String) {
        expect(body, .batch, message)
    }

    private func expect(_ body: [UInt8], _ form: JaegerThrift.Form, _ message: String) {
        do {
            _ = try translated(body, JaegerThrift(form))
            Issue.record("\(body) was translated")
        } catch {
            guard case .malformed(let text)? = error as? TranslationError else {
                Issue.record("\(error)")
                return
            }
            #expect(text.contains(message), "\(text)")
        }
    }

    /// The same for packets.
    @Test("packets that are no batch are refused, and why")
    func packets() {
        var other = ThriftWriter(compact: true)
        other.call("emitZipkinBatch")
        expect(other.bytes, .compactCall, "unknown call \"emitZipkinBatch\", not emitBatch")
        var empty = ThriftWriter(compact: true)
        empty.call("emitBatch")
        empty.structure { _ in }
        expect(empty.bytes, .compactCall, "a call without a batch")
        expect([0x80, 0, 0], .compactCall, "not the compact protocol")
        expect([0x82, 0x02], .compactCall, "unknown version of the protocol")
        expect(
            [0x82, 0x21, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], .compactCall,
            "more than 64 bits")
        expect([0x80, 2, 0, 1], .binaryCall, "unknown version of the protocol")
        var nested = ThriftWriter(compact: true)
        nested.call("emitBatch")
        expect(
            nested.bytes + Array(repeating: 0x9C, count: 200), .compactCall, "nested deeper than 64 levels")
        // A list of 2^62 elements.
        var long = ThriftWriter(compact: true)
        long.call("emitBatch")
        expect(
            long.bytes + [0x1C, 0x29, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F],
            .compactCall,
            "a list says that it has 4611686018427387903 elements, and 0 bytes are left")
    }

    /// Otherwise a small body could become a request that no memory is left for.
    @Test("what would be larger than requests may be is refused")
    func tooLarge() {
        #expect(throws: TranslationError.tooLarge) {
            try translated(posted([span(), span()]), JaegerThrift(.batch), limit: 100)
        }
    }

    /// Otherwise a client's bytes could end the gateway.
    @Test("damaged bodies are translated or refused, nothing else")
    func damaged() {
        let spans = [
            span(
                references: [(0, 2, 7), (1, 3, 8)], tags: [tag("error", .bool(true)), tag("d", .double(2))],
                logs: [
                    {
                        $0.field(1, .i64(11))
                        $0.field(2, .list([tag("event", text("e"))]))
                    }
                ])
        ]
        var proto = ProtoWriter()
        proto.message(1) {
            $0.message(1) {
                $0.field(1, [UInt8](repeating: 1, count: 16))
                $0.field(2, [UInt8](repeating: 1, count: 8))
                $0.message(6) { $0.integer(1, 1) }
                $0.message(8) { $0.text(1, "k") }
                $0.message(9) { $0.message(1) { $0.integer(1, 1) } }
            }
            $0.message(2) { $0.text(1, "s") }
        }
        var bodies: [([UInt8], any RequestTranslator)] = [
            (posted(spans), JaegerThrift(.batch)), (proto.bytes, JaegerProtobuf()),
        ]
        for compact in [true, false] {
            var writer = ThriftWriter(compact: compact)
            writer.call("emitBatch")
            writer.structure { $0.field(1, .structure { batch(&$0, spans) }) }
            bodies.append((writer.bytes, JaegerThrift(compact ? .compactCall : .binaryCall)))
        }
        fuzz(seed: 6) { random in
            for (body, translator) in bodies {
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
