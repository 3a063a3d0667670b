import TestSupport
import Testing

@testable import PrometheusReceiver

/// A `MetricFamily` behind its length.
func family(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
    var message = ProtoWriter()
    build(&message)
    var whole = ProtoWriter()
    whole.varint(UInt64(message.bytes.count))
    return whole.bytes + message.bytes
}

extension ProtoWriter {
    mutating func label(_ name: String, _ value: String) {
        message(1) {
            $0.text(1, name)
            $0.text(2, value)
        }
    }

    mutating func span(_ number: Int, _ offset: Int, _ length: UInt64) {
        message(number) {
            $0.integer(1, zigzag(offset))
            $0.integer(2, length)
        }
    }
}

func zigzag(_ value: Int) -> UInt64 { UInt64(bitPattern: Int64(value << 1 ^ value >> 63)) }

func nativeFamily(schema: Int = 3) -> [UInt8] {
    family {
        $0.text(1, "rpc_seconds")
        $0.integer(3, 4)
        $0.message(4) {
            $0.label("method", "get")
            $0.message(7) {
                $0.integer(1, 12)
                $0.double(2, 18.4)
                $0.integer(5, zigzag(schema))
                $0.double(6, 0.001)
                $0.integer(7, 2)
                $0.span(9, 0, 1)
                $0.packedVarint(10, [zigzag(1)])
                $0.span(12, -1, 2)
                $0.span(12, 2, 2)
                $0.packedVarint(13, [2, -1, 3, -2].map { zigzag($0) })
                $0.message(15) { $0.integer(1, 1_600_000_000) }
            }
        }
    }
}

@Suite struct ProtobufParserTests {
    @Test func familiesBecomeSeries() throws {
        let page =
            family {
                $0.text(1, "requests_total")
                $0.text(2, "How many.")
                $0.message(4) {
                    $0.label("code", "200")
                    $0.label("empty", "")
                    $0.message(3) {
                        $0.double(1, 7)
                        $0.message(2) {
                            $0.label("trace_id", "ab")
                            $0.double(2, 0.5)
                            $0.message(3) { $0.integer(1, 1_700_000_000) }
                        }
                        $0.message(3) { $0.integer(1, 1_600_000_000) }
                    }
                    $0.integer(6, 1_700_000_000_123)
                }
            }
            + family {
                $0.text(1, "latency")
                $0.integer(3, 2)
                $0.text(5, "seconds")
                $0.message(4) {
                    $0.message(4) {
                        $0.integer(1, 3)
                        $0.double(2, 9)
                        $0.message(3) {
                            $0.double(1, 0.5)
                            $0.double(2, 2.5)
                        }
                    }
                }
            }
            + family {
                $0.text(1, "size")
                $0.integer(3, 4)
                $0.message(4) {
                    $0.message(7) {
                        $0.integer(1, 5)
                        $0.double(2, 11)
                        $0.message(3) {
                            $0.integer(1, 4)
                            $0.double(2, 1)
                        }
                    }
                }
            }
        let log = PageLog()
        try parseProtobuf(page, into: log)
        #expect(
            log.lines == [
                "TYPE requests_total counter", "HELP requests_total How many.",
                "__name__=requests_total,code=200 7.0 @1700000000123000000",
                "  exemplar {trace_id=ab} 0.5 @1700000000000000000", "  created 1600000000000000000",
                "TYPE latency summary", "UNIT latency seconds", "__name__=latency,quantile=0.5 2.5",
                "__name__=latency_sum 9.0", "__name__=latency_count 3.0", "TYPE size histogram",
                "__name__=size_bucket,le=1.0 4.0", "__name__=size_bucket,le=+Inf 5.0",
                "__name__=size_sum 11.0",
                "__name__=size_count 5.0",
            ])
    }

    @Test func nativeHistogramsAreRead() throws {
        let log = PageLog()
        try parseProtobuf(nativeFamily(), into: log)
        #expect(
            log.lines == [
                "TYPE rpc_seconds histogram",
                "__name__=rpc_seconds,method=get native schema 3 zero 2 sum 18.4 count 12 +-1[2, 1, 0, 0, 4, 2] -0[1]",
                "  created 1600000000000000000",
            ])
    }

    @Test func seriesAreKnownAgain() throws {
        let log = PageLog()
        for _ in 0..<3 { try parseProtobuf(nativeFamily(), into: log, portion: 1) }
        #expect(log.added == 1)
    }

    @Test(arguments: [
        [0x05, 0x0a], [0xff, 0xff, 0xff, 0xff, 0xff, 0x01], [0x02, 0x0a, 0x05], [0x00], [0x80],
        Array(nativeFamily(schema: 9)), Array(nativeFamily(schema: -53)),
    ])
    func brokenPagesAreRefused(page: [UInt8]) {
        #expect(throws: PageError.self) { try parseProtobuf(page, into: PageLog()) }
    }

    struct Spans: Sendable {
        var spans: [(Int32, UInt32)]
        var deltas: [Int64]
    }

    /// Gaps of two thousand million buckets cost a few bytes on the page.
    @Test(arguments: [
        Spans(spans: [(0, 1), (Int32.max, 1)], deltas: [1, 1]), Spans(spans: [(0, UInt32.max)], deltas: [1]),
        Spans(spans: [(0, 2)], deltas: [1]), Spans(spans: [(0, 1)], deltas: [1, 1]),
        Spans(spans: [(0, 1), (-1, 1)], deltas: [1, 1]), Spans(spans: [(0, 2)], deltas: [1, -2]),
        Spans(spans: [(0, 2)], deltas: [Int64.max, Int64.max]), Spans(spans: [], deltas: [1]),
    ])
    func hostileSpansAreRefused(spans: Spans) {
        var native = NativeSpans()
        native.spans = spans.spans.map { (offset: $0.0, length: $0.1) }
        native.deltas = spans.deltas
        #expect(native.side() == nil)
    }
}
