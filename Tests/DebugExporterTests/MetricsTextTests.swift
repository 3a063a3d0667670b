import OTLP
import TestSupport
import Testing

@testable import DebugExporter

/// Without these an operator who looks for a wrong series is shown wrong values.
@Suite struct MetricsTextTests {
    private func metric(_ name: String, _ build: (inout ProtoWriter) -> Void) -> [UInt8] {
        request {
            $0.message(2) {
                $0.text(1, name)
                build(&$0)
            }
        }
    }

    /// The lines below the descriptor's first.
    private func detailed(_ request: [UInt8]) throws -> String {
        let text = try text(.metrics, request, detailed: true)
        let head = "Metric #0\nDescriptor:\n"
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let first = try #require(lines.firstIndex(of: "Metric #0"))
        #expect(lines[0] == "ResourceMetrics #0")
        return String(lines[first...].joined(separator: "\n").dropFirst(head.count))
    }

    private func normal(_ request: [UInt8]) throws -> String {
        let head = "ResourceMetrics #0\nScopeMetrics #0\n"
        let text = try text(.metrics, request, detailed: false)
        #expect(text.hasPrefix(head))
        return String(text.dropFirst(head.count))
    }

    private func times(_ writer: inout ProtoWriter) {
        writer.fixed64(2, start)
        writer.fixed64(3, end)
    }

    private let timeLines = """
        StartTimestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
        Timestamp: 2020-02-11 20:26:13.5 +0000 UTC
        """

    @Test func gauges() throws {
        let gauge = metric("cpu") {
            $0.text(2, "Use.")
            $0.text(3, "1")
            $0.attribute(12, "origin", "test")
            $0.message(5) {
                $0.message(1) {
                    times(&$0)
                    $0.double(4, 78.5)
                    $0.attribute(7, "state", "free")
                    $0.attribute(7, "cpu", 0)
                }
                $0.message(1) { $0.fixed64(6, UInt64(bitPattern: -3)) }
                $0.message(1) { $0.integer(8, 1) }
            }
        }
        let epoch = "StartTimestamp: 1970-01-01 00:00:00 +0000 UTC\nTimestamp: 1970-01-01 00:00:00 +0000 UTC"
        let golden = """
                 -> Name: cpu
                 -> Description: Use.
                 -> Unit: 1
                 -> DataType: Gauge
                 -> Metadata:
                      -> origin: Str(test)
            NumberDataPoints #0
            Data point attributes:
                 -> state: Str(free)
                 -> cpu: Int(0)
            \(timeLines)
            Value: 78.500000
            NumberDataPoints #1
            \(epoch)
            Value: -3
            NumberDataPoints #2
            \(epoch)

            """
        #expect(try detailed(gauge) == golden)
        #expect(try normal(gauge) == "cpu{state=free,cpu=0} 78.5\ncpu{} -3\ncpu{} \n")
    }

    @Test func sumsWithExemplars() throws {
        let sum = metric("requests") {
            $0.message(7) {
                $0.message(1) { point in
                    times(&point)
                    point.fixed64(6, 12)
                    point.message(5) {
                        $0.fixed64(2, start)
                        $0.double(3, 1.5)
                        $0.field(4, spanID)
                        $0.field(5, traceID)
                        $0.attribute(7, "user", "u1")
                    }
                    point.message(5) { $0.fixed64(6, 2) }
                }
                $0.integer(2, 2)
                $0.integer(3, 1)
            }
        }
        let golden = """
                 -> Name: requests
                 -> Description:\(" ")
                 -> Unit:\(" ")
                 -> DataType: Sum
                 -> IsMonotonic: true
                 -> AggregationTemporality: Cumulative
            NumberDataPoints #0
            \(timeLines)
            Value: 12
            Exemplars:
            Exemplar #0
                 -> Trace ID: 0102030405060708090a0b0c0d0e0f10
                 -> Span ID: 1112131415161718
                 -> Timestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
                 -> Value: 1.500000
                 -> FilteredAttributes:
                      -> user: Str(u1)
            Exemplar #1
                 -> Trace ID:\(" ")
                 -> Span ID:\(" ")
                 -> Timestamp: 1970-01-01 00:00:00 +0000 UTC
                 -> Value: 2

            """
        #expect(try detailed(sum) == golden)
        #expect(try normal(sum) == "requests{} 12\n")
    }

    @Test(arguments: [true, false])
    func histograms(isPacked: Bool) throws {
        let histogram = metric("duration") {
            $0.message(9) {
                $0.message(1) { point in
                    times(&point)
                    point.fixed64(4, 6)
                    point.double(5, 9.75)
                    let bounds = [0.5, 2].map(\.bitPattern)
                    if isPacked {
                        point.packedFixed64(6, [1, 2, 3])
                        point.packedFixed64(7, bounds)
                    } else {
                        for count in [1, 2, 3] as [UInt64] { point.fixed64(6, count) }
                        for bound in bounds { point.fixed64(7, bound) }
                    }
                    point.attribute(9, "route", "/")
                    point.double(11, 0.25)
                    point.double(12, 3)
                }
                $0.integer(2, 1)
            }
        }
        let golden = """
                 -> Name: duration
                 -> Description:\(" ")
                 -> Unit:\(" ")
                 -> DataType: Histogram
                 -> AggregationTemporality: Delta
            HistogramDataPoints #0
            Data point attributes:
                 -> route: Str(/)
            \(timeLines)
            Count: 6
            Sum: 9.750000
            Min: 0.250000
            Max: 3.000000
            ExplicitBounds #0: 0.500000
            ExplicitBounds #1: 2.000000
            Buckets #0, Count: 1
            Buckets #1, Count: 2
            Buckets #2, Count: 3

            """
        #expect(try detailed(histogram) == golden)
        let line = "duration{route=/} count=6 sum=9.75 min=0.25 max=3 le0.5=1 le2=2 3\n"
        #expect(try normal(histogram) == line)
    }

    @Test func exponentialHistograms() throws {
        let histogram = metric("size") {
            $0.message(10) {
                $0.message(1) { point in
                    times(&point)
                    point.fixed64(4, 5)
                    point.double(5, 0.15)
                    point.integer(6, 2)  // scale 1
                    point.fixed64(7, 1)
                    point.message(8) {
                        $0.integer(1, 2)  // offset 1
                        $0.packedVarint(2, [300, 2])
                    }
                    point.message(9) {
                        $0.integer(1, 1)  // offset -1
                        $0.integer(2, 3)
                        $0.integer(2, 4)
                    }
                    point.double(13, 7)
                }
                $0.integer(2, 2)
            }
        }
        let golden = """
                 -> Name: size
                 -> Description:\(" ")
                 -> Unit:\(" ")
                 -> DataType: ExponentialHistogram
                 -> AggregationTemporality: Cumulative
            ExponentialHistogramDataPoints #0
            \(timeLines)
            Count: 5
            Sum: 0.150000
            Max: 7.000000
            Bucket [-1.414214, -1.000000), Count: 4
            Bucket [-1.000000, -0.707107), Count: 3
            Bucket [0, 0], Count: 1
            Bucket (1.414214, 2.000000], Count: 300
            Bucket (2.000000, 2.828427], Count: 2

            """
        #expect(try detailed(histogram) == golden)
        #expect(try normal(histogram) == "size{} count=5 sum=0.15 max=7\n")
    }

    /// Scenario: the ends of the range of scales and offsets.
    /// Guarantees: infinite and empty buckets instead of a trap.
    @Test(arguments: [UInt64.max, UInt64.max - 1, 0xFFFF_FFFF, 0xFFFF_FFFE, 0])
    func extremeScales(zigzag: UInt64) throws {
        let histogram = metric("size") {
            $0.message(10) {
                $0.message(1) {
                    $0.integer(6, zigzag)
                    $0.message(8) {
                        $0.integer(1, zigzag)
                        $0.packedVarint(2, [1])
                    }
                }
            }
        }
        #expect(try detailed(histogram).contains("Bucket ("))
    }

    @Test func summaries() throws {
        let summary = metric("latency") {
            $0.message(11) {
                $0.message(1) { point in
                    times(&point)
                    point.fixed64(4, 10)
                    point.double(5, 99.573)
                    point.message(6) {
                        $0.double(1, 0.99)
                        $0.double(2, 15)
                    }
                    point.message(6) { $0.double(2, 1) }
                    point.attribute(7, "route", "/")
                }
            }
        }
        let golden = """
                 -> Name: latency
                 -> Description:\(" ")
                 -> Unit:\(" ")
                 -> DataType: Summary
            SummaryDataPoints #0
            Data point attributes:
                 -> route: Str(/)
            \(timeLines)
            Count: 10
            Sum: 99.573000
            QuantileValue #0: Quantile 0.990000, Value 15.000000
            QuantileValue #1: Quantile 0.000000, Value 1.000000

            """
        #expect(try detailed(summary) == golden)
        #expect(try normal(summary) == "latency{route=/} count=10 sum=99.573000 q0.99=15 q0=1\n")
    }

    @Test func aMetricWithoutPoints() throws {
        #expect(try detailed(metric("none") { _ in }).hasSuffix("-> DataType: Empty\n"))
        #expect(try normal(metric("none") { _ in }) == "")
    }

    @Test func aSummaryLineCounts() {
        let request = RequestBuilder.makeMetrics(points: 120)
        let summary = BatchText.summary(of: batch(.metrics, [request, request], items: 120))
        #expect(summary.title == "Metrics")
        let counts = summary.counts.map { "\($0.name)=\($0.count)" }
        #expect(counts == ["resource metrics=2", "metrics=6", "data points=240"])
    }
}
