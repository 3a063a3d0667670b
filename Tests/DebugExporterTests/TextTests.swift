import OTLP
import TestSupport
import Testing

@testable import DebugExporter

/// Without these an operator who looks at what an application sends is shown something else.
@Suite struct TracesTextTests {
    private static let spans = request(
        resource: {
            $0.attribute(1, "service.name", "checkout")
            $0.message(3) {
                $0.text(1, "https://schemas/e")
                $0.text(2, "service")
                $0.text(3, "service.name")
                $0.text(4, "service.version")
            }
        },
        scope: {
            $0.text(1, "library")
            $0.text(2, "v2")
            $0.attribute(3, "scope.kind", "test")
        },
        schemaURL: "https://schemas/1",
        entries: {
            $0.message(2) { span in
                span.field(1, traceID)
                span.field(2, spanID)
                span.text(3, "rojo=1")
                span.field(4, [0, 0, 0, 0, 0, 0, 0, 1])
                span.text(5, "GET /orders")
                span.integer(6, 2)
                span.fixed64(7, start)
                span.fixed64(8, end)
                span.attribute(9, "http.request.method", "GET")
                span.attribute(9, "http.response.status_code", 200)
                span.integer(10, 3)
                span.message(11) {
                    $0.fixed64(1, start)
                    $0.text(2, "cache.miss")
                    $0.attribute(3, "cache.key", "a")
                    $0.integer(4, 2)
                }
                span.message(11) { $0.text(2, "bare") }
                span.integer(12, 4)
                span.message(13) {
                    $0.field(1, traceID)
                    $0.field(2, spanID)
                    $0.text(3, "congo=2")
                    $0.attribute(4, "link.kind", "child")
                    $0.integer(5, 6)
                }
                span.integer(14, 5)
                span.message(15) {
                    $0.text(2, "no stock")
                    $0.integer(3, 2)
                }
            }
            $0.message(2) {
                $0.field(1, [UInt8](repeating: 0, count: 16))
                $0.integer(6, 99)
            }
        })

    @Test func everythingOfASpanIsShown() throws {
        let golden = """
            ResourceSpans #0
            Resource SchemaURL: https://schemas/1
            Resource attributes:
                 -> service.name: Str(checkout)
            Resource entity refs:
                 -> Entity ref #0:
                      -> Type: service
                      -> Schema URL: https://schemas/e
                      -> ID keys:
                           -> service.name
                      -> Description keys:
                           -> service.version
            ScopeSpans #0
            ScopeSpans SchemaURL: https://schemas/1/scope
            InstrumentationScope library v2
            InstrumentationScope attributes:
                 -> scope.kind: Str(test)
            Span #0
                Trace ID       : 0102030405060708090a0b0c0d0e0f10
                Parent ID      : 0000000000000001
                ID             : 1112131415161718
                Name           : GET /orders
                Kind           : Server
                TraceState     : rojo=1
                Start time     : 2020-02-11 20:26:12.000000321 +0000 UTC
                End time       : 2020-02-11 20:26:13.5 +0000 UTC
                Status code    : Error
                Status message : no stock
                DroppedAttributesCount: 3
                DroppedEventsCount: 4
                DroppedLinksCount: 5
            Attributes:
                 -> http.request.method: Str(GET)
                 -> http.response.status_code: Int(200)
            Events:
            SpanEvent #0
                 -> Name: cache.miss
                 -> Timestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
                 -> DroppedAttributesCount: 2
                 -> Attributes::
                      -> cache.key: Str(a)
            SpanEvent #1
                 -> Name: bare
                 -> Timestamp: 1970-01-01 00:00:00 +0000 UTC
                 -> DroppedAttributesCount: 0
            Links:
            SpanLink #0
                 -> Trace ID: 0102030405060708090a0b0c0d0e0f10
                 -> ID: 1112131415161718
                 -> TraceState: congo=2
                 -> DroppedAttributesCount: 6
                 -> Attributes::
                      -> link.kind: Str(child)
            Span #1
                Trace ID       :\(" ")
                Parent ID      :\(" ")
                ID             :\(" ")
                Name           :\(" ")
                Kind           : 99
                Start time     : 1970-01-01 00:00:00 +0000 UTC
                End time       : 1970-01-01 00:00:00 +0000 UTC
                Status code    : Unset
                Status message :\(" ")
                DroppedAttributesCount: 0
                DroppedEventsCount: 0
                DroppedLinksCount: 0

            """
        #expect(try text(.traces, Self.spans, detailed: true) == golden)
    }

    @Test func normalIsALineASpan() throws {
        let golden = """
            ResourceTraces #0 [https://schemas/1] service.name=checkout
            ScopeTraces #0 library@v2 [https://schemas/1/scope] scope.kind=test
            GET /orders 0102030405060708090a0b0c0d0e0f10 1112131415161718 \
            http.request.method=GET http.response.status_code=200
            \("  ")

            """
        #expect(try text(.traces, Self.spans, detailed: false) == golden)
    }

    /// Scenario: a batch of two requests.
    /// Guarantees: resources are numbered through the batch, and counted.
    @Test func slicesAreOneRequest() throws {
        let bare = request { $0.message(2) { $0.text(5, "b") } }
        let shown = try text(.traces, Self.spans, bare, detailed: false)
        #expect(shown.hasSuffix("ResourceTraces #1\nScopeTraces #0\nb  \n"))
        let summary = BatchText.summary(of: batch(.traces, [Self.spans, bare], items: 2))
        #expect(summary.title == "Traces")
        #expect(summary.counts.map { "\($0.name)=\($0.count)" } == ["resource spans=2", "spans=4"])
    }

    @Test(arguments: [true, false])
    func nothingIsShownAsNothing(detailed: Bool) throws {
        #expect(try text(.traces, [], detailed: detailed) == "")
    }
}

/// Without these an operator who looks at what an application logs is shown something else.
@Suite struct LogsTextTests {
    private static let records = request(
        resource: { $0.attribute(1, "host.name", "a") },
        entries: {
            $0.message(2) { record in
                record.fixed64(1, start)
                record.integer(2, 18)
                record.text(3, "ERR")
                record.message(5) { $0.text(1, "order failed") }
                record.attribute(6, "order.id", 7)
                record.fixed32(8, 1)
                record.field(9, traceID)
                record.field(10, spanID)
                record.fixed64(11, end)
                record.text(12, "order.failed")
            }
            $0.message(2) { $0.integer(2, 99) }
        })

    @Test func everythingOfARecordIsShown() throws {
        let golden = """
            ResourceLog #0
            Resource SchemaURL:\(" ")
            Resource attributes:
                 -> host.name: Str(a)
            ScopeLogs #0
            ScopeLogs SchemaURL:\(" ")
            InstrumentationScope \(" ")
            LogRecord #0
            ObservedTimestamp: 2020-02-11 20:26:13.5 +0000 UTC
            Timestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
            SeverityText: ERR
            SeverityNumber: Error2(18)
            EventName: order.failed
            Body: Str(order failed)
            Attributes:
                 -> order.id: Int(7)
            Trace ID: 0102030405060708090a0b0c0d0e0f10
            Span ID: 1112131415161718
            Flags: 1
            LogRecord #1
            ObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC
            Timestamp: 1970-01-01 00:00:00 +0000 UTC
            SeverityText:\(" ")
            SeverityNumber: (99)
            Body: Empty()
            Trace ID:\(" ")
            Span ID:\(" ")
            Flags: 0

            """
        #expect(try text(.logs, Self.records, detailed: true) == golden)
    }

    @Test func normalIsALineARecord() throws {
        let golden = """
            ResourceLog #0 host.name=a
            ScopeLog #0
            order failed order.id=7
            \(" ")

            """
        #expect(try text(.logs, Self.records, detailed: false) == golden)
    }

    @Test(arguments: [
        (0, "Unspecified"), (1, "Trace"), (4, "Trace4"), (5, "Debug"), (9, "Info"), (13, "Warn"),
        (24, "Fatal4"),
    ])
    func severitiesHaveNames(number: UInt64, name: String) throws {
        let record = request { $0.message(2) { $0.integer(2, number) } }
        #expect(try text(.logs, record, detailed: true).contains("SeverityNumber: \(name)(\(number))\n"))
    }

    @Test func aSummaryCounts() {
        let summary = BatchText.summary(of: batch(.logs, [Self.records], items: 2))
        #expect(summary.title == "Logs")
        #expect(summary.counts.map { "\($0.name)=\($0.count)" } == ["resource logs=1", "log records=2"])
    }
}

/// Without these what is sent and what is shown may differ in the last digit, the type or the nesting.
@Suite struct ValueTextTests {
    private func shown(_ build: @escaping (inout ProtoWriter) -> Void) throws -> String {
        let record = request { $0.message(2) { $0.message(5, build) } }
        let lines = try text(.logs, record, detailed: true).split(separator: "\n")
        let body = try #require(lines.first { $0.hasPrefix("Body: ") })
        return String(body.dropFirst(6))
    }

    @Test func everyKindHasItsForm() throws {
        #expect(try shown { _ in } == "Empty()")
        #expect(try shown { $0.text(1, "a\"b\\c") } == #"Str(a"b\c)"#)
        #expect(try shown { $0.integer(2, 1) } == "Bool(true)")
        #expect(try shown { $0.integer(3, UInt64(bitPattern: -5)) } == "Int(-5)")
        #expect(try shown { $0.double(4, 0.25) } == "Double(0.25)")
        #expect(try shown { $0.field(7, Array("hello".utf8)) } == "Bytes(aGVsbG8=)")
        #expect(try shown { $0.field(7, Array("hell".utf8)) } == "Bytes(aGVsbA==)")
        #expect(try shown { $0.field(7, [0xFF, 0xFE, 0xFD]) } == "Bytes(//79)")
        #expect(try shown { $0.field(5, []) } == "Slice([])")
        #expect(try shown { $0.field(6, []) } == "Map({})")
    }

    @Test func nestedValuesAreJSON() throws {
        let map = try shown {
            $0.message(6) {
                $0.attribute(1, "b", 2)
                $0.attribute(1, "a", "first")
                $0.attribute(1, "a", "last")
                $0.message(1) {
                    $0.text(1, "list")
                    $0.message(2) {
                        $0.message(5) {
                            $0.message(1) { $0.text(1, #"<q">\"#) }
                            $0.message(1) { _ in }
                            $0.message(1) { $0.integer(2, 0) }
                            $0.message(1) { $0.double(4, .nan) }
                            $0.message(1) { $0.double(4, 1e21) }
                            $0.message(1) { $0.field(7, [1]) }
                        }
                    }
                }
            }
        }
        let list = ##"["\u003cq\"\u003e\\",null,false,"NaN",1e+21,"AQ=="]"##
        #expect(map == #"Map({"a":"last","b":2,"list":\#(list)})"#)
    }

    /// Scenario: values nested two thousand deep, as no receiver would let in.
    /// Guarantees: the stack does not grow with what is sent.
    @Test func nestingIsBounded() throws {
        var value: [UInt8] = []
        for _ in 0..<2000 {
            var outer = ProtoWriter()
            outer.field(1, value)
            var kind = ProtoWriter()
            kind.field(5, outer.bytes)
            value = kind.bytes
        }
        let nested = value
        let text = try shown { $0.bytes += nested }
        #expect(text.contains("nested too deeply"))
        #expect(text.utf8.count < 300)
    }

    @Test(
        arguments: [
            (0, "0.000000", "0", "0"), (-0.0, "-0.000000", "-0", "-0"), (15, "15.000000", "15", "15"),
            (0.1, "0.100000", "0.1", "0.1"), (-2.5, "-2.500000", "-2.5", "-2.5"),
            (99.573, "99.573000", "99.573", "99.573"), (0.000_012_3, "0.000012", "1.23e-05", "0.0000123"),
            (1.5e-7, "0.000000", "1.5e-07", "1.5e-7"), (1e-10, "0.000000", "1e-10", "1e-10"),
            (999_999, "999999.000000", "999999", "999999"), (1e6, "1000000.000000", "1e+06", "1000000"),
            (123_456_789.5, "123456789.500000", "1.234567895e+08", "123456789.5"),
            (1e20, "100000000000000000000.000000", "1e+20", "100000000000000000000"),
            (1.25e21, "1250000000000000000000.000000", "1.25e+21", "1.25e+21"),
            (.infinity, "+Inf", "+Inf", "+Inf"), (-.infinity, "-Inf", "-Inf", "-Inf"),
            (.nan, "NaN", "NaN", "NaN"),
        ] as [(Double, String, String, String)])
    func numbersAreTheCollectors(value: Double, fixed: String, general: String, json: String) {
        #expect(NumberText.fixed(value) == fixed)
        #expect(NumberText.general(value) == general)
        #expect(String(decoding: ShortestDecimal.json(value), as: UTF8.self) == json)
    }

    @Test func theLargestNumbersFit() {
        #expect(NumberText.fixed(-.greatestFiniteMagnitude).utf8.count == 317)
        #expect(NumberText.general(.leastNonzeroMagnitude) == "5e-324")
    }
}
