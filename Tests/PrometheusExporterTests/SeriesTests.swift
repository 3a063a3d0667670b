import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

@Suite("What points do to series")
struct SeriesTests {
    // MARK: - Kinds

    @Test("Each kind of metric is what Prometheus calls it; a wrong type breaks rate() and dashboards")
    func kinds() {
        let under = StoreUnderTest()
        under.take(
            counter("hits", unit: "{request}", help: "Hits.", point(5)), upDownCounter("queue", point(-3)),
            gauge("temperature", unit: "Cel", point(21.5)), gauge("other", type: "unknown", point(1)),
            histogram("latency", unit: "s", histogramPoint([1, 2, 3], [0.5, 1], sum: 4.5)),
            summary("wait", summaryPoint([(0.5, 1.5), (1, 2)], count: 4, sum: 6)))
        #expect(
            under.text() == """
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total 5
                # TYPE latency_seconds histogram
                latency_seconds_bucket{le="0.5"} 1
                latency_seconds_bucket{le="1"} 3
                latency_seconds_bucket{le="+Inf"} 6
                latency_seconds_sum 4.5
                latency_seconds_count 6
                # TYPE other untyped
                other 1
                # TYPE queue gauge
                queue -3
                # TYPE temperature_celsius gauge
                temperature_celsius 21.5
                # TYPE wait summary
                wait{quantile="0.5"} 1.5
                wait{quantile="1"} 2
                wait_sum 6
                wait_count 4

                """)
    }

    @Test(
        "What has no meaning as a series is dropped, counted and said once",
        arguments: [
            (upDownCounter("a", delta, point(1)), DropReason.temporality),
            (counter("a", 0, point(1)), .temporality),
            (histogram("a", 0, histogramPoint([1], [])), .temporality),
            (gauge("__", point(1)), .invalidName),
            // Each series has it on each of its lines.
            (gauge(String(repeating: "a", count: 4_097), point(1)), .invalidName),
            (gauge("a", point(nil)), .malformed),
            (histogram("a", histogramPoint([1, 2], [1, 2])), .malformed),
            (histogram("a", histogramPoint([1, 2, 3], [2, 1])), .malformed),
            (histogram("a", histogramPoint([1, 2], [.nan])), .malformed),
            (exponential("a", exponentialPoint(scale: -5, positive: (0, [1]))), .malformed),
            // Prometheus refuses the whole page for buckets that are not the count.
            (exponential("a", exponentialPoint(scale: 0, positive: (0, [2, 3]), count: 4)), .malformed),
            (
                exponential("a", exponentialPoint(scale: 0, positive: (0, [1 << 63]), count: 1 << 63)),
                .malformed
            ),
            (
                exponential(
                    "a", exponentialPoint(scale: 0, positive: (0, [UInt64](repeating: 1, count: 70_000)))),
                .malformed
            ),
        ])
    func refused(metric: [UInt8], reason: DropReason) {
        let under = StoreUnderTest()
        #expect(under.take(metric) == 0)
        #expect(under.drops() == [reason: 1])
        #expect(under.text() == "")
        #expect(under.store.slab.count == 0)
        #expect(under.store.families.isEmpty)
    }

    @Test(
        "A second metric of a name with another type would break the page: it is dropped until the first ends"
    )
    func typeConflict() {
        let under = StoreUnderTest()
        under.take(gauge("a.b", point(1)))
        #expect(under.take(histogram("a_b", histogramPoint([1], []))) == 0)
        #expect(under.take(histogram("a_b", histogramPoint([1], []))) == 0)
        let events = under.store.takeEvents()
        #expect(events[.typeConflict] == 2)
        #expect(events.notices == [.typeConflict(metric: "a_b", existing: "gauge", new: "histogram")])
        under.take(gauge("a.b", point(nil, flags: 1)))
        #expect(under.take(histogram("a_b", histogramPoint([1], []))) == 1)
    }

    // MARK: - Cumulative

    @Test("A later point replaces the value, an earlier one does not: late data must not turn a counter back")
    func order() {
        let under = StoreUnderTest()
        under.take(counter("a", point(5, time: 10)))
        #expect(under.take(counter("a", point(4, time: 9))) == 0)
        #expect(under.take(counter("a", point(6, time: 10))) == 1)
        #expect(under.samples() == ["a_total 6"])
        #expect(under.drops() == [.outOfOrder: 1])
    }

    @Test("A restart shows the new, smaller value, so that rate() sees a reset")
    func restart() {
        let under = StoreUnderTest()
        under.take(counter("a", point(500, start: 1, time: 10)))
        under.take(counter("a", point(2, start: 11, time: 12)))
        #expect(under.samples() == ["a_total 2"])
    }

    @Test("The flag for no value ends the series at once, and only that one")
    func staleness() {
        let under = StoreUnderTest()
        under.take(gauge("a", point(1, [("k", "1")]), point(2, [("k", "2")])))
        #expect(
            under.take(gauge("a", point(nil, [("k", "1")], flags: 1), point(nil, [("k", "9")], flags: 1)))
                == 2)
        #expect(under.samples() == ["a{k=\"2\"} 2"])
        #expect(under.take(gauge("a", point(nil, [("k", "2")], flags: 1))) == 1)
        #expect(under.store.slab.count == 0)
        #expect(under.store.families.isEmpty)
    }

    @Test("Integers stay exact beyond what a double can hold")
    func exactIntegers() {
        let under = StoreUnderTest()
        under.take(counter("a", delta, point(9_007_199_254_740_993, start: 1, time: 2)))
        under.take(counter("a", delta, point(2, start: 2, time: 3)))
        #expect(under.samples() == ["a_total 9007199254740995"])
        under.take(counter("a", delta, point(0.5, start: 3, time: 4)))
        #expect(under.samples() == ["a_total 9.007199254740996e+15"])
    }

    @Test("An integer sum that grows too large goes on as a double instead of trapping or turning negative")
    func overflow() {
        let under = StoreUnderTest()
        under.take(counter("a", delta, point(.int(.max), start: 1, time: 2)))
        under.take(counter("a", delta, point(1, start: 2, time: 3)))
        #expect(under.samples() == ["a_total 9.223372036854776e+18"])
    }

    // MARK: - Delta

    @Test(
        "Deltas add up when they follow each other or a gap, and are dropped when counted before",
        arguments: [
            (start: UInt64(10), time: UInt64(20), expected: 8, reason: DropReason?.none),
            (start: 15, time: 20, expected: 8, reason: nil),
            (start: 5, time: 20, expected: 5, reason: .deltaOverlap),
            (start: 0, time: 20, expected: 8, reason: nil),
            (start: 0, time: 10, expected: 5, reason: .deltaOverlap),
        ])
    func deltas(start: UInt64, time: UInt64, expected: Int, reason: DropReason?) {
        let under = StoreUnderTest()
        under.take(counter("n", delta, point(5, start: 1, time: 10)))
        under.take(histogram("h", delta, histogramPoint([5, 0], [1], sum: 5, start: 1, time: 10)))
        under.take(
            exponential("e", delta, exponentialPoint(scale: 0, positive: (0, [5]), start: 1, time: 10)))
        under.take(counter("n", delta, point(3, start: start, time: time)))
        under.take(histogram("h", delta, histogramPoint([3, 0], [1], sum: 3, start: start, time: time)))
        under.take(
            exponential("e", delta, exponentialPoint(scale: 0, positive: (0, [3]), start: start, time: time)))
        let samples = under.samples()
        #expect(samples.contains("n_total \(expected)"))
        #expect(samples.contains("h_bucket{le=\"1\"} \(expected)"))
        #expect(samples.contains("h_sum \(expected)"))
        #expect(samples.contains("h_count \(expected)"))
        #expect(under.exponential("e")?.positive.counts == [UInt64(expected)])
        #expect(under.drops() == (reason.map { [$0: 3] } ?? [:]))
    }

    @Test("A counter that is touched now and then grows: with 1, 1, 1 a query would see no increase")
    func sparseDeltas() {
        let under = StoreUnderTest()
        for round in 0..<5 {
            let start = UInt64(100 + round * 30)
            under.take(
                counter("n", delta, point(1, start: start, time: start + 10)),
                histogram("h", delta, histogramPoint([1, 0], [1], sum: 2, start: start, time: start + 10)))
        }
        #expect(under.samples().first == "h_bucket{le=\"1\"} 5")
        #expect(under.samples().contains("h_sum 10") && under.samples().contains("n_total 5"))
    }

    @Test(
        "Behind a gap another process of the same instance begins anew; without an instance there may be several",
        arguments: [(instance: "i", expected: "3"), (instance: "", expected: "8")])
    func restartedProcess(instance: String, expected: String) {
        let under = StoreUnderTest()
        func send(_ value: TestNumber, pid: String, start: UInt64) {
            let resource = [("service.name", "s"), ("service.instance.id", instance), ("process.pid", pid)]
            under.take(
                request(
                    [counter("n", delta, point(value, start: start, time: start + 10))], resource: resource))
        }
        send(4, pid: "1", start: 10)
        send(1, pid: "1", start: 30)
        send(3, pid: "2", start: 50)
        #expect(under.samples().first { $0.hasPrefix("n_total") }?.hasSuffix(" \(expected)") == true)
    }

    @Test("A delta histogram with new bounds begins anew instead of mixing buckets")
    func newBounds() {
        let under = StoreUnderTest()
        under.take(histogram("h", delta, histogramPoint([1, 1], [1], sum: 1, start: 1, time: 10)))
        under.take(histogram("h", delta, histogramPoint([1, 2, 3], [1, 2], sum: 9, start: 10, time: 20)))
        #expect(
            under.samples() == [
                "h_bucket{le=\"1\"} 1", "h_bucket{le=\"2\"} 3", "h_bucket{le=\"+Inf\"} 6", "h_sum 9",
                "h_count 6",
            ])
    }

    @Test("A histogram without a sum has none on the page, and a delta without one takes it away")
    func missingSum() {
        let under = StoreUnderTest()
        under.take(histogram("h", delta, histogramPoint([1, 1], [1], sum: 1, start: 1, time: 10)))
        under.take(histogram("h", delta, histogramPoint([1, 1], [1], start: 10, time: 20)))
        #expect(under.samples() == ["h_bucket{le=\"1\"} 2", "h_bucket{le=\"+Inf\"} 4", "h_count 4"])
    }

    @Test("Buckets that a sender did not pack are read, too; protobuf allows both")
    func unpacked() {
        let under = StoreUnderTest()
        under.take(histogram("h", histogramPoint([1, 2, 3], [1, 2], isPacked: false)))
        under.take(histogram("h", histogramPoint([2, 3, 4], [1, 2], isPacked: true)))
        under.take(histogram("h", histogramPoint([3, 4, 5], [1, 2], isPacked: false)))
        #expect(
            under.samples() == [
                "h_bucket{le=\"1\"} 3", "h_bucket{le=\"2\"} 7", "h_bucket{le=\"+Inf\"} 12", "h_count 12",
            ])
    }

    @Test("A histogram without buckets still has its count and sum")
    func noBuckets() {
        let under = StoreUnderTest()
        under.take(histogram("h", histogramPoint([], [], sum: 3, count: 7)))
        #expect(under.samples() == ["h_bucket{le=\"+Inf\"} 7", "h_sum 3", "h_count 7"])
    }

    @Test("Exponential histograms of different scales are added at the smaller one, no count lost")
    func exponentialScales() throws {
        let under = StoreUnderTest()
        let first = exponentialPoint(
            scale: 2, zeros: 1, positive: (-3, [1, 2, 3, 4, 5]), negative: (0, [7]), sum: 3, start: 1,
            time: 10)
        let second = exponentialPoint(
            scale: 1, zeros: 2, positive: (0, [10, 0, 20]), negative: (1, [1]), sum: 4, start: 10, time: 20)
        under.take(exponential("e", delta, first))
        under.take(exponential("e", delta, second))
        let state = try #require(under.exponential("e"))
        // Buckets -3…1 of scale 2 are -2…0 of scale 1.
        #expect(state.scale == 1)
        #expect(state.positive == .init(offset: -2, counts: [1, 5, 19, 0, 20]))
        #expect(state.negative == .init(offset: 0, counts: [7, 1]))
        #expect(state.zeroCount == 3)
        #expect(state.sum == 7)
        #expect(state.count == 56)
    }

    @Test("Scales that native histograms do not have are made smaller, and wide ones narrower, no count lost")
    func exponentialLimits() throws {
        let under = StoreUnderTest()
        under.take(exponential("a", exponentialPoint(scale: 20, positive: (1 << 20, [1, 2, 3]))))
        under.take(
            exponential("b", exponentialPoint(scale: 3, positive: (0, Array(repeating: 1, count: 3000)))))
        let fine = try #require(under.exponential("a"))
        #expect(fine.scale == 8)
        #expect(fine.positive == .init(offset: 256, counts: [6]))
        let wide = try #require(under.exponential("b"))
        #expect(wide.scale == 1)
        #expect(wide.positive.counts.count == 750)
        #expect(wide.positive.counts.reduce(0, +) == 3000)
    }

    @Test(
        "An explicit and an exponential histogram of one name and labels are two things: the later is dropped"
    )
    func sortsOfHistograms() {
        let under = StoreUnderTest()
        under.take(histogram("h", histogramPoint([1], [])))
        #expect(under.take(exponential("h", exponentialPoint(scale: 0, positive: (0, [1])))) == 0)
        #expect(under.drops() == [.typeConflict: 1])
        #expect(under.samples() == ["h_bucket{le=\"+Inf\"} 1", "h_count 1"])
    }
}

extension StoreUnderTest {
    /// The state of the only series of an exponential histogram.
    func exponential(_ family: String) -> ExponentialState? {
        guard let first = store.families[family]?.first, first != noIndex else { return nil }
        return ExponentialState(store.slab[first], store.slab[memory: first])
    }
}
