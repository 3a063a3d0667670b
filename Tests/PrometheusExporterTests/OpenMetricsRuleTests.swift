import NIOCore
import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

/// If these failed, one application's odd value would make a strict parser refuse everybody's page.
@Suite("What OpenMetrics forbids")
struct OpenMetricsRuleTests {
    @Test(
        "Series that a strict parser refuses the page for are left out and counted; text shows them",
        arguments: [
            counter("c", point(-1)), counter("c", point(.double(.nan))), counter("c", point(.double(-0.5))),
            histogram("c", histogramPoint([5, 5], [1], sum: 1, count: 0)),
            histogram("c", histogramPoint([.max, .max, 2], [1, 2], sum: 1, count: .max)),
        ])
    func forbidden(metric: [UInt8]) {
        let under = StoreUnderTest()
        under.take(metric, gauge("good", point(1)))
        var maker = PageMaker(
            PageKey(format: .openMetrics, escaping: .underscores, isGzipped: false, names: []),
            sendsTimestamps: false)
        let cursor = under.store.beginPage(names: nil)
        while maker.writeSlice(under.store, cursor, now: 100) {}
        under.store.endPage(cursor)
        let page = maker.finish().map { String(buffer: $0) }.joined()
        #expect(page.split(separator: "\n").filter { !$0.hasPrefix("#") } == ["good 1"])
        #expect(maker.forbidden.series == 1 && maker.forbidden.families.count == 1)
        #expect(under.samples().count > 1)
    }

    @Test("A sum that may fall is not on an OpenMetrics page, nor a histogram's count without one")
    func sums() {
        let under = StoreUnderTest()
        under.take(
            histogram("a", histogramPoint([1, 1], [1])),
            histogram("b", histogramPoint([1, 1], [-1], sum: 3)),
            exponential("c", exponentialPoint(scale: 0, negative: (0, [2]), sum: -3)),
            summary("d", summaryPoint([(0.5, -1), (1, 2), (7, 7)], count: 2, sum: -1)))
        #expect(
            under.samples(.openMetrics) == [
                "a_bucket{le=\"1.0\"} 1", "a_bucket{le=\"+Inf\"} 2", "b_bucket{le=\"-1.0\"} 1",
                "b_bucket{le=\"+Inf\"} 2", "c_bucket{le=\"+Inf\"} 2", "d{quantile=\"1.0\"} 2", "d_count 2",
            ])
        #expect(under.samples().count == 15)
    }

    @Test("All samples of a series have a time or none has one")
    func createdTimes() {
        let under = StoreUnderTest()
        under.take(counter("a", point(1, start: 3, time: 10)))
        #expect(
            under.text(.openMetrics, sendsTimestamps: true, showsCreated: true)
                == "# TYPE a counter\na_total 1 10\na_created 3 10\n# EOF\n")
    }
}
