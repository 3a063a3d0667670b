import Configuration
import Interval
import NIOCore
import NIOEmbedded
import Pipeline
import TestSupport
import Testing

/// Fewer points, none of them lost.
@Suite("interval")
struct IntervalTests {
    private func read(_ yaml: String) -> (IntervalConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = IntervalConfig(ConfigSection(yaml: yaml, path: "i", diagnostics: diagnostics))
        return (config, diagnostics.items.map(\.message))
    }

    private func rig(_ yaml: String, ledger: MemoryLedger = MemoryLedger()) -> (ProcessorRig, Interval) {
        let config = read(yaml).0
        var interval: Interval!
        let rig = ProcessorRig("interval", ledger: ledger) { context, next in
            interval = Interval(config, context, next: next)
            return EditingProcessor(interval, context, next: next, dropReason: .merged)
        }
        return (rig, interval)
    }

    /// What is sent in so many seconds.
    private func sent(_ rig: ProcessorRig, _ interval: Interval, seconds: Int) -> [String] {
        let before = rig.sink.requests.value.count
        for _ in 0..<seconds { #expect(interval.tick()) }
        return rig.sink.requests.value[before...].flatMap(MetricText.lines).sorted()
    }

    /// Stops it; points that were given up, nil if it does not end within a minute.
    private func finish(_ rig: ProcessorRig, _ interval: Interval, seconds: Int64 = 5) -> Int? {
        let items = Noted<Int?>(nil)
        interval.finish(until: rig.loop.now + .seconds(seconds)).whenSuccess { items.value = $0.items }
        for _ in 0..<6_000 where items.value == nil { rig.loop.advanceTime(by: .milliseconds(10)) }
        return items.value
    }

    private let request = MetricText.request(
        "c sum cumulative mono | a=x | 0..20 | int 5", "c sum cumulative mono | a=y | 0..10 | int 1",
        "g gauge | | 0..10 | int 3", "h hist cumulative | | 0..10 | hist 1 1 [1] [1,0]",
        "d sum delta mono | | 0..10 | int 7", "u sum cumulative | | 0..10 | int 8")

    /// A stream that is sent twice, or never, is a wrong rate.
    @Test("the newest point of each stream is sent once an interval; deltas pass at once")
    func newest() {
        let (rig, interval) = rig("interval: 3s")
        #expect(
            rig.send(request) == [
                "d sum delta mono |  | 0..10 | int 7", "u sum cumulative |  | 0..10 | int 8",
            ])
        rig.send(
            MetricText.request("c sum cumulative mono | a=x | 0..15 | int 4", "g gauge | | 0..10 | int 9"))
        #expect(
            sent(rig, interval, seconds: 3) == [
                "c sum cumulative mono | a=x | 0..20 | int 5", "c sum cumulative mono | a=y | 0..10 | int 1",
                "g gauge |  | 0..10 | int 9", "h hist cumulative |  | 0..10 | hist 1 1 [1] [1,0]",
            ])
        #expect(sent(rig, interval, seconds: 3) == [])
        let reading = rig.context.account.read()
        #expect(reading.inside == 0 && reading.made == 4 && reading.entered == 8 && reading.left == 6)
    }

    /// If it failed, whoever has a hundred thousand streams would stand still each interval, with all their points twice in memory.
    @Test("many points are sent in parts, one in each turn of the loop; memory is given back with each")
    func parts() {
        let ledger = MemoryLedger()
        let (rig, interval) = rig("interval: 1s", ledger: ledger)
        for part in 0..<5 {
            let lines = (0..<500).map { "g gauge | a=\(part * 500 + $0) | 0..1 | int 1" }
            rig.send(MetricText.request(lines))
        }
        let before = rig.sink.requests.value.count
        #expect(interval.tick())
        #expect(rig.sink.requests.value.count == before + 1)
        let held = ledger.bytes
        #expect(rig.context.account.read().made == 1000 && held > 1500 * 50)
        for _ in 0..<10 { rig.loop.advanceTime(by: .milliseconds(1)) }
        let sent = rig.sink.requests.value[before...].map { MetricText.lines($0).count }
        #expect(sent == [1000, 1000, 500])
        #expect(Set(rig.sink.requests.value[before...].flatMap(MetricText.lines)).count == 2500)
        // What the processor works with stays.
        #expect(rig.context.account.read().inside == 0 && held - ledger.bytes > 1500 * 100)
    }

    /// If it failed, a service with many metrics and a long resource would be sent many times as large as it came.
    @Test(
        "metrics of a resource are sent in it, once for each request, however large it is",
        arguments: [40, 1_100_000])
    func together(resourceBytes: Int) {
        let (rig, interval) = rig("interval: 1s")
        let service = String(repeating: "s", count: resourceBytes)
        let lines = (0..<1500).map { "m\($0) gauge | | 0..1 | int 1" }
        rig.send(MetricText.request(lines, service: service))
        rig.send(MetricText.request("g gauge | | 0..1 | int 1"))
        #expect(interval.tick())
        for _ in 0..<10 { rig.loop.advanceTime(by: .milliseconds(1)) }
        let sent = rig.sink.requests.value.filter { !MetricText.lines($0).isEmpty }
        let points = sent.map { MetricText.lines($0).count }
        #expect(points.first == 1000 && points.reduce(0, +) == 1501 && points.count <= 3)
        #expect(sent.reduce(0) { $0 + $1.count } < 2 * resourceBytes + 1500 * 60)
    }

    /// Streams of two services must not become one.
    @Test("what stands around a point is sent with it")
    func surroundings() {
        let (rig, interval) = rig("interval: 1s")
        rig.send(MetricText.request("g gauge | | 0..1 | int 1", service: "cart", scope: "other"))
        rig.send(MetricText.request("g gauge | | 0..1 | int 2"))
        #expect(
            sent(rig, interval, seconds: 1) == [
                "g gauge |  | 0..1 | int 2", "service.name=cart / other / g gauge |  | 0..1 | int 1",
            ])
    }

    /// If it failed, streams of an interval that is not a round number of shares would be sent more often than was asked for.
    @Test("every stream is sent once in an interval of any length", arguments: [7, 90, 119, 7000])
    func lengths(seconds: Int) {
        let (rig, interval) = rig("interval: \(seconds)s")
        let lines = (0..<300).map { "m\($0) gauge | | 0..1 | int 1" }
        rig.send(MetricText.request(lines))
        let (early, late) = (
            sent(rig, interval, seconds: seconds / 2), sent(rig, interval, seconds: seconds - seconds / 2)
        )
        #expect(early.count > 60 && late.count > 60 && Set(early + late).count == 300)
        rig.send(MetricText.request(lines))
        #expect(Set(sent(rig, interval, seconds: seconds / 2)) == Set(early))
    }

    /// What was acknowledged is not given up because somebody had no room for a second.
    @Test("what nobody takes is sent later, and at the stop")
    func refused() {
        let (rig, interval) = rig("{interval: 1s, pass_through: {summary: true}}")
        rig.sink.refusal.value = Refusal(.queueFull, "full")
        rig.send(MetricText.request("g gauge | | 0..1 | int 1"))
        #expect(sent(rig, interval, seconds: 2) == [] && rig.context.account.read().inside == 1)
        rig.sink.refusal.value = nil
        #expect(sent(rig, interval, seconds: 1) == ["g gauge |  | 0..1 | int 1"])
        rig.send(MetricText.request("g gauge | | 0..2 | int 2"))
        #expect(finish(rig, interval) == 0)
        #expect(rig.sink.requests.value.last.map(MetricText.lines) == ["g gauge |  | 0..2 | int 2"])
        #expect(!interval.tick() && rig.context.account.read().inside == 0)
    }

    /// If it failed, a stop would lose most of what is held: shares that wait for the ones before them are not too many.
    @Test("a stop sends all shares on, also past a destination that is full for a moment")
    func stops() {
        let ledger = MemoryLedger()
        let (rig, interval) = rig("interval: 60s", ledger: ledger)
        for part in 0..<20 {
            rig.send(MetricText.request((0..<2_000).map { "m\(part * 2_000 + $0) gauge | | 0..1 | int 1" }))
        }
        rig.sink.requests.value = []
        rig.sink.refusal.value = Refusal(.queueFull, "full")
        rig.loop.scheduleTask(in: .milliseconds(50)) { rig.sink.refusal.value = nil }
        #expect(finish(rig, interval) == 0)
        #expect(Set(rig.sink.requests.value.flatMap(MetricText.lines)).count == 40_000)
        #expect(rig.context.account.read().inside == 0 && !interval.tick())
    }

    /// What nobody takes is told, not lost in silence.
    @Test("a stop gives up at its deadline, and says how much")
    func stopsInTime() {
        let (rig, interval) = rig("interval: 60s")
        rig.send(MetricText.request((0..<2_000).map { "m\($0) gauge | | 0..1 | int 1" }))
        rig.sink.refusal.value = Refusal(.queueFull, "full")
        #expect(finish(rig, interval, seconds: 2) == 2_000)
        let reading = rig.context.account.read()
        #expect(reading.inside == 0 && reading.made == 2_000)
    }

    /// Memory must not grow with the number of streams that a client makes up.
    @Test("streams beyond the limit pass at once; memory is charged and given back")
    func bounds() {
        let ledger = MemoryLedger()
        let (rig, interval) = rig(
            "{interval: 1s, max_streams: 1, pass_through: {gauge: true}}", ledger: ledger)
        #expect(rig.send(MetricText.request("g gauge | | 0..1 | int 1")).count == 1)
        rig.sink.requests.value = []
        let idle = ledger.bytes
        rig.send(MetricText.request("c sum cumulative mono | a=x | 0..20 | int 5"))
        #expect(ledger.bytes > idle)
        #expect(rig.send(MetricText.request("c sum cumulative mono | a=y | 0..20 | int 5")).count == 1)
        #expect(sent(rig, interval, seconds: 1).count == 1)
        rig.sink.requests.value = []
        let page = String(decoding: rig.context.registry.render(), as: UTF8.self)
        #expect(page.contains("sluice_interval_points_passed{processor=\"interval\"} 1"))
        #expect(page.contains("sluice_interval_streams_held{processor=\"interval\"} 0"))
    }

    @Test("an interval that could not be kept is refused")
    func broken() {
        #expect(read("interval: 0s").1 == ["invalid interval value"])
        #expect(read("interval: -1s").1 == ["invalid interval value"])
        #expect(read("interval: 200ms").1 == ["must be at least 1s, found 200ms"])
        #expect(read("").0 == IntervalConfig())
    }
}
