import Compression
import NIOCore
import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

@Suite("Pages")
struct ExpositionTests {
    @Test("a metric that has the name of another one's samples does not cost the scraper the page")
    func derivedNames() {
        let under = StoreUnderTest(strategy: .underscoreEscapingWithoutSuffixes)
        under.take(
            histogram("a", histogramPoint([1, 2], [5], sum: 3)), gauge("a_count", point(7)),
            gauge("b", point(8)), counter("b_total", point(9)))
        let types = { (format: ExpositionFormat) in
            under.text(format).split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map(String.init)
        }
        #expect(types(.text) == ["# TYPE a histogram", "# TYPE b gauge", "# TYPE b_total counter"])
        #expect(types(.openMetrics) == ["# TYPE a histogram", "# TYPE b gauge"])
        #expect(!under.text().contains("a_count 7") && under.text().contains("a_count 3"))
    }

    @Test(
        "a scraper that knows no UTF-8 names gets a page that it can read, whatever names and units there are"
    )
    func unitsAndExemplars() {
        let under = StoreUnderTest(strategy: .noUTF8EscapingWithSuffixes)
        let exemplars = [exemplar(2, trace: [], attributes: [("http.method", "GET")])]
        under.take(
            gauge("a", unit: "kg.m", point(1)), gauge("b", unit: "x\ny 1", point(2)),
            gauge("c", unit: "s", point(3)), counter("d", point(4, exemplars: exemplars)))
        let page = under.text(.openMetrics, escaping: .underscores)
        let units = page.split(separator: "\n").filter { $0.hasPrefix("# UNIT") }
        #expect(units == ["# UNIT c_seconds seconds"])
        #expect(page.contains(" # {http_method=\"GET\"} 2") && !page.contains("\ny 1"))
        #expect(under.text(.openMetrics).contains(" # {\"http.method\"=\"GET\"} 2"))
    }

    @Test("OpenMetrics: names without _total, units, created times, exemplars, the end")
    func openMetrics() {
        let under = StoreUnderTest()
        let trace = [UInt8](repeating: 0x1F, count: 16)
        under.take(
            counter(
                "hits", help: "Say \"hi\"\nto \\",
                point(
                    5, start: 3, time: 10,
                    exemplars: [exemplar(2, trace: trace, span: [1, 2, 3, 4, 5, 6, 7, 8])])),
            gauge("temp", unit: "Cel", point(21.5)), gauge("what", type: "unknown", point(1)),
            histogram(
                "lat", unit: "s",
                histogramPoint(
                    [1, 2, 3], [0.5, 10], sum: 4.5, start: 3,
                    exemplars: [
                        exemplar(0.25, trace: trace),
                        exemplar(0.3, trace: [], time: 10, attributes: [("user", "u")]),
                        exemplar(11, trace: trace),
                    ])),
            summary("wait", summaryPoint([(1, 2)], count: 4, sum: 6, start: 3)))
        #expect(
            under.text(.openMetrics, showsCreated: true) == """
                # HELP hits Say \\"hi\\"\\nto \\\\
                # TYPE hits counter
                hits_total 5 # {trace_id="1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f",span_id="0102030405060708"} 2 9
                hits_created 3
                # TYPE lat_seconds histogram
                # UNIT lat_seconds seconds
                lat_seconds_bucket{le="0.5"} 1 # {user="u"} 0.3 10
                lat_seconds_bucket{le="10.0"} 3
                lat_seconds_bucket{le="+Inf"} 6 # {trace_id="1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"} 11 9
                lat_seconds_sum 4.5
                lat_seconds_count 6
                lat_seconds_created 3
                # TYPE temp_celsius gauge
                # UNIT temp_celsius celsius
                temp_celsius 21.5
                # TYPE wait summary
                wait{quantile="1.0"} 2
                wait_sum 6
                wait_count 4
                wait_created 3
                # TYPE what unknown
                what 1
                # EOF

                """)
        #expect(!under.text().contains("trace_id"))
        #expect(!under.text(.openMetrics).contains("_created"))
        #expect(under.text().hasPrefix("# HELP hits_total Say \"hi\"\\nto \\\\\n"))
    }

    @Test("Suffixes stand behind the escaped name, where a scraper that looks for the family finds them")
    func escapedSuffixes() {
        let under = StoreUnderTest(strategy: .noUTF8EscapingWithSuffixes)
        under.take(
            counter("a.b", point(1)), histogram("h.x", histogramPoint([1], [], sum: 2)),
            gauge("plain_x", point(1)))
        let dots = under.text(.openMetrics, escaping: .dots)
        #expect(dots.contains("# TYPE a_dot_b_ counter\na_dot_b__total 1\n"))
        #expect(
            dots.contains(
                "# TYPE h_dot_x histogram\nh_dot_x_bucket{le=\"+Inf\"} 1\nh_dot_x_sum 2\nh_dot_x_count 1\n"))
        #expect(dots.contains("\nplain_x 1\n"))
        #expect(under.text(escaping: .values).contains("U__h_2e_x_count 1\n"))
    }

    @Test("A counter that is not called _total cannot be one in OpenMetrics")
    func counterWithoutTotal() {
        let under = StoreUnderTest(strategy: .underscoreEscapingWithoutSuffixes)
        under.take(counter("hits", point(5, start: 3, exemplars: [exemplar(1)])))
        #expect(under.text(.openMetrics) == "# TYPE hits unknown\nhits 5\n# EOF\n")
        #expect(under.text() == "# TYPE hits counter\nhits 5\n")
    }

    @Test("Timestamps are milliseconds in text, seconds in OpenMetrics, and stand before exemplars")
    func timestamps() {
        let under = StoreUnderTest()
        under.take(
            counter("a", point(5, time: 10, exemplars: [exemplar(1, trace: [], attributes: [("k", "v")])])))
        #expect(under.text(sendsTimestamps: true).hasSuffix("a_total 5 10000\n"))
        #expect(under.text(.openMetrics, sendsTimestamps: true).contains("a_total 5 10 # {k=\"v\"} 1 9\n"))
    }

    @Test("An exemplar's labels are at most 128 characters, so that no scraper refuses the page")
    func exemplarLength() {
        let under = StoreUnderTest()
        let attributes = [("a", String(repeating: "x", count: 90)), ("b", "short")]
        under.take(counter("a", point(1, exemplars: [exemplar(1, attributes: attributes)])))
        let trace = String(repeating: "ab", count: 16)
        #expect(under.samples(.openMetrics) == ["a_total 1 # {trace_id=\"\(trace)\",b=\"short\"} 1 9"])
    }

    @Test("Only the families that a scraper names are on its page")
    func names() {
        let under = StoreUnderTest()
        under.take(gauge("a", point(1)), gauge("b", point(2)), gauge("c", point(3)))
        #expect(under.text(names: ["c", "a", "none"]) == "# TYPE a gauge\na 1\n# TYPE c gauge\nc 3\n")
        #expect(under.text(.openMetrics, names: ["none"]) == "# EOF\n")
    }

    @Test(
        "Numbers are in the fewest digits that mean them",
        arguments: [
            (0.0, "0"), (-0.5, "-0.5"), (1e15, "1000000000000000.0"), (123_456_789, "123456789"),
            (0.1, "0.1"),
            (1e-7, "1e-07"), (1.5e300, "1.5e+300"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
            (.leastNonzeroMagnitude, "5e-324"),
        ] as [(Double, String)])
    func numbers(value: Double, expected: String) {
        let under = StoreUnderTest()
        under.take(gauge("a", point(.double(value))))
        #expect(under.samples() == ["a \(expected)"])
        if value.isFinite { #expect(Double(expected) == value) }
    }

    @Test("Every 64-bit integer is written right", arguments: [.min, -1, 0, 9, 10, 99, 100, .max] as [Int64])
    func integers(value: Int64) {
        let under = StoreUnderTest()
        under.take(gauge("a", point(.int(value))))
        #expect(under.samples() == ["a \(value)"])
    }

    @Test("A page of many parts is the same as in one piece, and its gzip form holds the same bytes")
    func parts() throws {
        let under = StoreUnderTest(limits: .init(series: 10_000, seriesPerMetric: 10_000))
        for value in 0..<3000 {
            let attributes = [("k", "\(value)"), ("l", String(repeating: "é", count: value % 70))]
            let exemplars = value % 3 == 0 ? [exemplar(0.4), exemplar(1.5), exemplar(9)] : []
            under.take(
                histogram(
                    "h",
                    histogramPoint(
                        [1, 2, 3], [1, 2], sum: 4, attributes, start: 1, exemplars: exemplars)),
                gauge("g", point(.double(Double(value) / 7), attributes)))
        }
        for format in ExpositionFormat.allCases {
            let page = under.page(format)
            #expect(page.count > 2 * PageWriter.partBytes)
            let compressed = under.page(format, isGzipped: true)
            var plain = ByteBuffer()
            let gunzipper = Gunzipper()
            _ = try compressed.withUnsafeBytes { bytes in
                try gunzipper.inflate(bytes.bytes, limitBytes: page.count + 1) { room, fill in
                    plain.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
                }
            }
            #expect(Array(plain.readableBytesView) == page)
        }
        let lines = under.samples(.openMetrics)
        #expect(lines.count == 3000 * 6)
        for value in 0..<3000 {
            let label =
                "{k=\"\(value)\""
                + (value % 70 == 0 ? "" : ",l=\"\(String(repeating: "é", count: value % 70))\"")
            #expect(lines[value] == "g\(label)} \(NumberText.plain(Double(value) / 7))")
            #expect(lines[3000 + value * 5 + 1].hasPrefix("h_bucket\(label),le=\"2.0\"} 3"))
        }
    }
}

@Suite("Pages in protobuf")
struct ProtobufPageTests {
    /// A message as a tree of fields, in order.
    private struct Node: CustomStringConvertible {
        var text = ""
        var description: String { text }
    }

    /// Families of a page, split at their lengths.
    private func families(_ page: [UInt8]) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var rest = page[...]
        while !rest.isEmpty {
            var length = 0
            var shift = 0
            while let byte = rest.popFirst() {
                length |= Int(byte & 0x7F) << shift
                shift += 7
                if byte < 0x80 { break }
            }
            found.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return found
    }

    /// The fields of this number at the end of a path, as raw bytes or bits.
    private func values(_ message: [UInt8], _ path: UInt32...) -> [[UInt8]] {
        var level = [message]
        for number in path {
            level = level.flatMap { message in
                message.withUnsafeBytes { bytes in
                    WireBytes(bytes).fields.filter { $0.number == number }.map { field in
                        field.kind == .bytes
                            ? field.bytes.array : withUnsafeBytes(of: field.bits.littleEndian) { Array($0) }
                    }
                }
            }
        }
        return level
    }

    private func texts(_ values: [[UInt8]]) -> [String] { values.map { String(decoding: $0, as: UTF8.self) } }

    private func numbers(_ values: [[UInt8]]) -> [UInt64] {
        values.map { $0.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64($1.offset * 8) } }
    }

    private func doubles(_ values: [[UInt8]]) -> [Double] { numbers(values).map(Double.init(bitPattern:)) }

    @Test("Counters, gauges, summaries and untyped values, with labels, help, exemplars and created times")
    func plainKinds() throws {
        let under = StoreUnderTest()
        under.take(
            request(
                [
                    counter("hits", help: "H", point(5, [("a", "x\"y")], start: 3, exemplars: [exemplar(2)])),
                    gauge("temp", unit: "Cel", point(21.5)), gauge("what", type: "unknown", point(7)),
                    summary("wait", summaryPoint([(0.5, 2)], count: 4, sum: 6, start: 3)),
                ], resource: [("service.name", "svc")]))
        let page = families(under.page(.protobuf, sendsTimestamps: true))
        try #require(page.count == 4)
        #expect(texts(page.flatMap { values($0, 1) }) == ["hits_total", "temp_celsius", "wait", "what"])
        #expect(numbers(page.flatMap { values($0, 3) }) == [0, 1, 2, 3])
        #expect(texts(values(page[0], 2)) == ["H"])
        #expect(texts(values(page[1], 5)) == ["celsius"])
        #expect(texts(values(page[0], 4, 1, 1)) == ["a", "job"])
        #expect(texts(values(page[0], 4, 1, 2)) == ["x\"y", "svc"])
        #expect(doubles(values(page[0], 4, 3, 1)) == [5])
        #expect(texts(values(page[0], 4, 3, 2, 1, 1)) == ["trace_id"])
        #expect(doubles(values(page[0], 4, 3, 2, 2)) == [2])
        #expect(numbers(values(page[0], 4, 3, 2, 3, 1)) == [9])
        #expect(numbers(values(page[0], 4, 3, 3, 1)) == [3])
        #expect(numbers(values(page[0], 4, 6)) == [10_000])
        #expect(doubles(values(page[1], 4, 2, 1)) == [21.5])
        #expect(numbers(values(page[2], 4, 4, 1)) == [4])
        #expect(doubles(values(page[2], 4, 4, 2)) == [6])
        #expect(doubles(values(page[2], 4, 4, 3, 1)) == [0.5])
        #expect(doubles(values(page[2], 4, 4, 3, 2)) == [2])
        #expect(doubles(values(page[3], 4, 5, 1)) == [7])
    }

    @Test("Classic histograms with cumulative buckets and an exemplar each")
    func classic() throws {
        let under = StoreUnderTest()
        under.take(
            histogram(
                "h",
                histogramPoint(
                    [1, 2, 3], [0.5, 1], sum: 4.5, start: 3, exemplars: [exemplar(0.7), exemplar(5)])))
        let page = families(under.page(.protobuf))
        try #require(page.count == 1)
        #expect(numbers(values(page[0], 4, 7, 1)) == [6])
        #expect(doubles(values(page[0], 4, 7, 2)) == [4.5])
        #expect(numbers(values(page[0], 4, 7, 3, 1)) == [1, 3, 6])
        #expect(doubles(values(page[0], 4, 7, 3, 2)) == [0.5, 1, .infinity])
        #expect(doubles(values(page[0], 4, 7, 3, 3, 2)) == [0.7, 5])
        #expect(numbers(values(page[0], 4, 7, 15, 1)) == [3])
    }

    @Test(
        "Exponential histograms are native histograms; in text they have count and sum, so that rates survive"
    )
    func native() throws {
        let under = StoreUnderTest()
        under.take(
            exponential(
                "e",
                exponentialPoint(
                    scale: 3, zeros: 2, positive: (-2, [1, 0, 4]), negative: (5, [7]), sum: -3, start: 3)))
        let page = families(under.page(.protobuf))
        try #require(page.count == 1)
        let histogram = values(page[0], 4, 7)
        try #require(histogram.count == 1)
        func zigzags(_ values: [UInt64]) -> [Int64] {
            values.map { Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1) }
        }
        #expect(numbers(values(page[0], 4, 7, 1)) == [14])
        #expect(zigzags(numbers(values(histogram[0], 5))) == [3])
        #expect(doubles(values(histogram[0], 6)) == [1e-128])
        #expect(numbers(values(histogram[0], 7)) == [2])
        #expect(zigzags(numbers(values(histogram[0], 12, 1))) == [-1])
        #expect(numbers(values(histogram[0], 12, 2)) == [3])
        #expect(values(histogram[0], 13) == [[2, 1, 8]])
        #expect(zigzags(numbers(values(histogram[0], 9, 1))) == [6])
        #expect(values(histogram[0], 10) == [[14]])
        let lines = "# TYPE e histogram\ne_bucket{le=\"+Inf\"} 14\ne_sum -3\ne_count 14\n"
        #expect(under.text() == lines)
        #expect(under.text(.openMetrics) == "# TYPE e histogram\ne_bucket{le=\"+Inf\"} 14\n# EOF\n")
        let positive = StoreUnderTest()
        positive.take(exponential("e", exponentialPoint(scale: 3, positive: (-2, [1, 0, 4]), sum: 3)))
        #expect(positive.samples(.openMetrics) == ["e_bucket{le=\"+Inf\"} 5", "e_sum 3", "e_count 5"])
    }

    @Test("A family that is longer than a part of the page has its right length")
    func longFamilies() {
        let under = StoreUnderTest(limits: .init(series: 20_000, seriesPerMetric: 20_000))
        for value in 0..<9000 {
            under.take(gauge("a", point(1, [("k", String(repeating: "x", count: 40) + "\(value)")])))
        }
        for value in 0..<300 { under.take(gauge("b\(value)", point(1))) }
        let page = families(under.page(.protobuf))
        #expect(page.count == 301)
        #expect(values(page[0], 4).count == 9000)
        #expect(page.dropFirst().allSatisfy { values($0, 4).count == 1 })
    }
}
