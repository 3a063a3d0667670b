import NIOCore
import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

@Suite("Bounds of the series store")
struct SeriesBoundTests {
    private func limits(
        series: Int = 1000, perMetric: Int = 1000, expiration: UInt32 = 0
    ) -> SeriesStore.Limits {
        var limits = SeriesStore.Limits(series: series, seriesPerMetric: perMetric)
        limits.expiration = expiration
        return limits
    }

    @Test("Beyond max_series new series are dropped under their metric's name, and the existing ones go on")
    func seriesLimit() {
        let under = StoreUnderTest(limits: limits(series: 3))
        for value in 0..<5 { under.take(gauge("a", point(.int(Int64(value)), [("k", "\(value)")]))) }
        #expect(under.take(gauge("b", point(1))) == 0)
        #expect(under.take(gauge("a", point(9, [("k", "2")], time: 11))) == 1)
        #expect(under.samples() == ["a{k=\"0\"} 0", "a{k=\"1\"} 1", "a{k=\"2\"} 9"])
        let events = under.store.takeEvents()
        #expect(events[.seriesLimit] == 3)
        #expect(events.overLimit == ["a": 2, "b": 1])
        #expect(events.notices == [.limit(metric: "a", .seriesLimit), .limit(metric: "b", .seriesLimit)])
    }

    @Test("One metric cannot take the room of all")
    func metricLimit() {
        let under = StoreUnderTest(limits: limits(perMetric: 2))
        for value in 0..<5 { under.take(gauge("a", point(1, [("k", "\(value)")]))) }
        #expect(under.take(gauge("b", point(1))) == 1)
        #expect(under.samples().count == 3)
        #expect(under.drops() == [.metricLimit: 3])
    }

    @Test(
        "A sender that invents labels or names for ever does not make memory grow, nor the list of culprits")
    func churn() {
        let under = StoreUnderTest(limits: limits(series: 100, perMetric: 50))
        for round in 0..<500 {
            under.take(
                request(
                    [
                        gauge("name\(round)", point(1)), counter("a", point(1, [("k", "\(round)")])),
                        histogram("h", histogramPoint([1, 2], [Double(round)], [("k", "\(round)")])),
                    ], resource: [("service.name", "s\(round)"), ("x", "y")], scope: "scope\(round)"))
        }
        let store = under.store
        #expect(store.slab.count <= 100)
        #expect(store.bytes < 300_000)
        let events = store.takeEvents()
        #expect(events.overLimit.count <= SeriesStore.namedMetricsMax + 1)
        #expect(events.overLimit.values.reduce(0, +) == events[.seriesLimit] + events[.metricLimit])
    }

    @Test("Series without updates expire, scraped or not, and with them all that only they needed")
    func expiry() {
        let under = StoreUnderTest(limits: limits(expiration: 100))
        let resource = [("service.name", "s"), ("service.instance.id", "i")]
        under.take(
            request(
                [
                    histogram("h", histogramPoint([1, 2], [1], exemplars: [exemplar(0.5)])),
                    gauge("g", point(1)),
                ],
                resource: resource), at: 1000)
        under.take(
            request([gauge("g", point(2, time: 11))], resource: resource), at: 1080)
        #expect(under.samples(at: 1100).count == 5)
        #expect(
            under.samples(at: 1101) == [
                "g{instance=\"i\",job=\"s\"} 2", "target_info{instance=\"i\",job=\"s\"} 1",
            ])
        while !under.store.sweep(1, now: 1101) {}
        #expect(under.store.slab.count == 2)
        #expect(under.store.exemplarBytes == 0)
        while !under.store.sweep(1, now: 1181) {}
        #expect(under.store.slab.count == 0)
        #expect(under.store.ownedBytes == 0)
        #expect(under.store.aliases.count == 0)
        #expect(under.store.finals.count == 0)
        #expect(under.store.contexts.count == 0)
        #expect(under.store.descriptors.count == 0)
        #expect(under.store.targets.isEmpty)
    }

    /// Without it a few points of thousands of attributes would take the memory that thousands of series may have.
    @Test(
        "Points with too many attributes, of their own, of their resource or scope, are dropped and counted")
    func tooManyAttributes() {
        let attributes = { (count: Int) in (0..<count).map { ("k\($0)", "v") } }
        let under = StoreUnderTest()
        let most = SeriesStore.attributesMax
        #expect(under.take(gauge("a", point(1, attributes(most)), point(2, attributes(most + 1)))) == 1)
        let many = attributes(10_000)
        #expect(under.take(request([gauge("b", point(1), point(2, [("k", "1")]))], resource: many)) == 0)
        #expect(under.take(request([gauge("c", point(1))], scope: "s", scopeAttributes: many)) == 0)
        #expect(under.take(gauge("d", point(nil, many, flags: 1))) == 1)
        #expect(under.drops() == [.attributes: 4])
        #expect(under.samples().count == 1 && under.store.families["b"] == nil)
    }

    @Test("Long names of refused metrics are remembered by their beginning")
    func longNames() {
        let under = StoreUnderTest()
        let name = String(repeating: "a", count: 4_000)
        under.take(upDownCounter(name, delta, point(1)))
        let notices = under.store.takeEvents().notices
        #expect(notices == [.temporality(metric: name.prefix(StoreNotice.nameBytesMax) + "…")])
        // A name of a family that is held counts as memory.
        under.take(gauge(name, point(1)))
        #expect(under.store.ownedBytes > 4_000)
    }

    @Test("Time goes on over the end of the tick counter")
    func ticksWrap() {
        let under = StoreUnderTest(limits: limits(expiration: 100))
        under.take(gauge("a", point(1)), at: .max - 10)
        #expect(under.samples(at: 50).count == 1)
        #expect(under.samples(at: 90).isEmpty)
    }

    @Test("A page that is being written has each series whole or not at all, and misses none that stays")
    func pageDuringChange() {
        let under = StoreUnderTest()
        for value in 0..<600 { under.take(gauge("a", point(1, [("k", "\(value)")]))) }
        let key = PageKey(format: .text, escaping: .underscores, isGzipped: false, names: [])
        var maker = PageMaker(key, sendsTimestamps: false)
        let cursor = under.store.beginPage(names: nil)
        var round = 0
        var isMore = true
        while isMore {
            isMore = maker.writeSlice(under.store, cursor, now: 100)
            // Every second series ends, from both ends, and others come.
            for offset in 0..<50 where round < 3 {
                let value = (round * 50 + offset) * 2
                under.take(gauge("a", point(nil, [("k", "\(value)")], flags: 1)))
                under.take(gauge("a", point(nil, [("k", "\(598 - value)")], flags: 1)))
                under.take(gauge("a", point(1, [("new", "\(value)")])))
                under.take(gauge("0\(value)", point(1)), gauge("z\(value)", point(1)))
            }
            round += 1
        }
        under.store.endPage(cursor)
        #expect(under.store.cursors.isEmpty)
        let lines = maker.finish().flatMap { String(buffer: $0).split(separator: "\n").map(String.init) }
        for value in stride(from: 1, to: 600, by: 2) {
            #expect(lines.filter { $0 == "a{k=\"\(value)\"} 1" }.count == 1)
        }
        #expect(Set(lines).count == lines.count)
        #expect(lines.filter { $0.hasPrefix("# TYPE a ") }.count == 1)
    }

    @Test("What is counted of memory comes back to nothing; else the limit would close for good")
    func accounting() {
        let under = StoreUnderTest(limits: limits(series: 200))
        var random = SeededRandom(seed: 7)
        for round in 0..<2000 {
            let attributes = [
                ("k", "\(random.below(30))"), ("l", String(repeating: "x", count: random.below(20))),
            ]
            let ends = random.below(4) == 0
            let bounds = (0..<random.below(6)).map(Double.init)
            let counts = bounds.isEmpty ? [] : (0...bounds.count).map { _ in UInt64(random.below(9)) }
            let exemplars = (0..<random.below(3)).map { _ in
                exemplar(Double(random.below(6)), time: UInt64(round + 1))
            }
            let name = "m\(random.below(5))"
            let metric =
                random.below(2) == 0
                ? counter(
                    name,
                    point(
                        ends ? nil : 1, attributes, time: UInt64(round + 1), flags: ends ? 1 : 0,
                        exemplars: exemplars))
                : histogram(
                    "h" + name,
                    histogramPoint(
                        counts, bounds, attributes, time: UInt64(round + 1), flags: ends ? 1 : 0,
                        exemplars: exemplars))
            under.take(
                request(
                    [metric],
                    resource: [("service.name", "s\(random.below(3))"), ("v", "\(random.below(4))")]))
        }
        #expect(under.store.slab.count > 20)
        for index in 0..<under.store.slab.end where under.store.slab[index].flags.contains(.isLive) {
            if !under.store.slab[index].flags.contains(.isPinned) { under.store.remove(index) }
        }
        #expect(under.store.slab.count == 0)
        #expect(under.store.ownedBytes == 0)
        #expect(under.store.exemplarBytes == 0)
        #expect(under.store.families.isEmpty)
    }
}

@Suite("Table of keys")
struct KeyTableTests {
    @Test("Finds what a dictionary finds, after any sequence of changes", arguments: [1, 8])
    func model(parts: Int) {
        let table = KeyTable(parts: parts)
        var model: [SeriesKey: UInt32] = [:]
        var random = SeededRandom(seed: 3)
        // Few different homes, so that entries push each other around.
        let keys = (0..<400).map { SeriesKey(low: UInt64($0 % 40) << 1, high: UInt32($0)) }
        for round in 0..<20_000 {
            let key = keys[random.below(keys.count)]
            if random.below(3) == 0 {
                table.remove(key)
                model[key] = nil
            } else {
                table.set(key, UInt32(round))
                model[key] = UInt32(round)
            }
        }
        #expect(table.count == model.count)
        for key in keys { #expect(table.find(key) == model[key] ?? noIndex) }
    }
}

@Suite("List of families")
struct FamilyListTests {
    @Test("Is sorted and complete after any sequence of changes; else a page would miss metrics")
    func model() {
        var list = FamilyList()
        var model: [String: Family] = [:]
        var random = SeededRandom(seed: 5)
        for round in 0..<8000 {
            let name = "m\(random.below(3000))"
            if let known = model[name], random.below(round < 5000 ? 4 : 2) == 0 {
                list.remove(known)
                model[name] = nil
            } else if model[name] == nil {
                let family = Family(name: name, type: .gauge, help: [], unit: "", id: UInt64(round))
                list.insert(family)
                model[name] = family
            }
        }
        var listed: [String] = []
        while let next = list.next(after: listed.last) { listed.append(next.name) }
        #expect(listed == model.keys.sorted { $0.utf8Precedes($1) })
        #expect(listed.count > 2 * FamilyList.runMax)
        for number in 0..<3000 { #expect(list["m\(number)"] === model["m\(number)"]) }
        #expect(list.next(after: "zz") == nil)
        #expect(list.next(after: "a")?.name == listed.first)
    }
}

@Suite("Sources of one series")
struct SourceTests {
    /// If it failed, a sender of attribute keys that differ in punctuation would make every further point cost a walk
    /// over all of them, or a page with them would never come.
    @Test("There are so many sources of a series at most; those that are there go on")
    func limit() {
        var limits = SeriesStore.Limits(series: 1000, seriesPerMetric: 1000)
        limits.sourcesPerSeries = 3
        let under = StoreUnderTest(limits: limits)
        for key in ["a.b", "a-b", "a/b", "a+b", "a*b"] { under.take(counter("n", point(1, [(key, "x")]))) }
        #expect(under.drops() == [.sourceLimit: 2])
        under.take(counter("n", point(5, [("a.b", "x")], time: 20)))
        #expect(under.samples() == ["n_total{a_b=\"x\"} 7"])
        under.take(counter("n", point(nil, [("a.b", "x")], time: 20, flags: 1)))
        #expect(under.take(counter("n", point(9, [("a*b", "x")]))) == 1)
        #expect(under.samples() == ["n_total{a_b=\"x\"} 11"])
    }

    /// If it failed, sources that come and go would be counted twice, or be on no page any more.
    @Test("Sources come and go in any order", arguments: 0..<20)
    func random(seed: UInt64) {
        let under = StoreUnderTest()
        let keys = [".", "-", "/", "+", "*", "#", " "].map { "a\($0)b" }
        var random = SeededRandom(seed: seed)
        var model: [String: Int64] = [:]
        for time in 0..<200 {
            let key = keys.randomElement(using: &random)!
            let value = Int64.random(in: 1...100, using: &random)
            let ends = Int.random(in: 0..<3, using: &random) == 0
            model[key] = ends ? nil : value
            under.take(
                counter(
                    "n",
                    point(
                        ends ? nil : .int(value), [(key, "x")], time: UInt64(10 + time), flags: ends ? 1 : 0))
            )
            let sum = model.values.reduce(0, +)
            #expect(under.samples() == (model.isEmpty ? [] : ["n_total{a_b=\"x\"} \(sum)"]))
            #expect(under.store.slab.count == model.count)
            #expect(under.store.sources.count == max(model.count - 1, 0))
            #expect(under.store.sourceCounts.values.first ?? 1 == max(model.count, 1))
        }
    }
}
