import Configuration
import CumulativeToDelta
import Pipeline
import TestSupport
import Testing

/// Differences of counters, for backends that want them.
@Suite("cumulativetodelta")
struct CumulativeToDeltaTests {
    private let time = Noted<UInt64>(1_000_000_000)

    private func read(_ yaml: String) -> (CumulativeToDeltaConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = CumulativeToDeltaConfig(
            ConfigSection(yaml: yaml, path: "c", diagnostics: diagnostics))
        return (config, diagnostics.items.filter { $0.severity == .error }.map(\.message))
    }

    private func rig(_ yaml: String) -> ProcessorRig {
        let config = read(yaml).0
        return ProcessorRig("cumulativetodelta") { context, next in
            let transform = CumulativeToDelta(config, context, now: { [time] in time.value })
            return EditingProcessor(transform, context, next: next, dropReason: .merged)
        }
    }

    private func sum(_ value: String, at end: Int, start: Int = 0, more: String = "") -> [UInt8] {
        MetricText.request("c sum cumulative mono | a=x\(more) | \(start)..\(end) | \(value)")
    }

    /// What a stream counted before the gateway started is not of now.
    @Test("sums become differences, the first is held back or sent as configured")
    func sums() {
        let auto = rig("")
        #expect(auto.send(sum("int 10", at: 10)) == [])
        #expect(auto.send(sum("int 15", at: 20)) == ["c sum delta mono | a=x | 10..20 | int 5"])
        #expect(auto.send(sum("double 2.5", at: 30)) == [])
        #expect(auto.send(sum("double 4", at: 40)) == ["c sum delta mono | a=x | 30..40 | double 1.5"])
        #expect(auto.send(sum("int 7", at: 90, start: 50)) == ["c sum delta mono | a=x | 50..90 | int 7"])
        #expect(
            rig("initial_value: keep").send(sum("int 9", at: 5)) == ["c sum delta mono | a=x | 0..5 | int 9"])
        #expect(rig("initial_value: drop").send(sum("int 9", at: 5, start: 3)) == [])
        let reading = auto.context.account.read()
        #expect(reading.inside == 0 && reading.dropped[.merged] == 2)
    }

    /// Scenario: the queue behind is full for a while, and the client sends again what it is told was not taken. Otherwise the
    /// second time is compared with the first, gives nothing, and the increase is lost without a trace.
    @Test("what a full queue does not take is kept, not asked for again")
    func fullQueue() {
        let rig = rig("initial_value: drop")
        rig.send(sum("int 10", at: 10))
        rig.sink.refusal.change { $0 = Refusal(.queueFull, "full") }
        #expect(rig.send(sum("int 15", at: 20)) == [])
        rig.wait(seconds: 0)
        #expect(rig.send(sum("int 21", at: 30)) == ["refused"])
        rig.sink.refusal.change { $0 = nil }
        rig.wait(seconds: 1)
        let lines = rig.sink.requests.value.flatMap(MetricText.lines)
        #expect(lines == ["c sum delta mono | a=x | 10..20 | int 5"])
        #expect(rig.send(sum("int 21", at: 30)) == ["c sum delta mono | a=x | 20..30 | int 6"])
        let reading = rig.context.account.read()
        #expect(reading.inside == 0)
    }

    /// A negative difference is a rate below zero on every dashboard.
    @Test("a reset is dropped; what comes after it is the difference to it")
    func reset() {
        let rig = rig("initial_value: keep")
        rig.send(sum("int 10", at: 10))
        #expect(rig.send(sum("int 3", at: 20)) == [])
        #expect(rig.send(sum("int 8", at: 30)) == ["c sum delta mono | a=x | 20..30 | int 5"])
    }

    /// Gauges, deltas and counts that may fall have no difference that means anything.
    @Test("all other metrics pass, points without a value do not")
    func others() {
        let rig = rig("initial_value: keep")
        let others = MetricText.request(
            "g gauge | | 0..1 | int 1", "d sum delta mono | | 0..1 | int 1",
            "u sum cumulative | | 0..1 | int 1")
        #expect(rig.send(others) == MetricText.lines(others))
        rig.send(sum("int 1", at: 1))
        #expect(rig.send(sum("stale", at: 2)) == [])
        #expect(rig.send(sum("int 4", at: 3)) == ["c sum delta mono | a=x | 1..3 | int 3"])
        let choosy = self.rig("{initial_value: keep, include: {metrics: ['^b'], match_type: regexp}}")
        #expect(choosy.send(sum("int 1", at: 1)) == MetricText.lines(sum("int 1", at: 1)))
        let kinds = self.rig("{initial_value: keep, exclude: {metric_types: [Sum]}}")
        #expect(kinds.send(sum("int 1", at: 1)) == MetricText.lines(sum("int 1", at: 1)))
    }

    /// A bucket that wraps below zero is a count of quintillions.
    @Test("histograms become differences of the same buckets")
    func histograms() {
        let rig = rig("initial_value: keep")
        func send(_ value: String, _ end: Int) -> [String] {
            rig.send(MetricText.request("h hist cumulative | | 0..\(end) | \(value)"))
        }
        _ = send("hist 6 9 [1,5] [1,2,3]", 10)
        #expect(send("hist 10 12 [1,5] [2,4,4]", 20) == ["h hist delta |  | 10..20 | hist 4 3 [1,5] [1,2,1]"])
        #expect(send("hist 12 12 [1,5] [1,4,7]", 30) == [])
        #expect(send("hist 11 12 [1,6] [2,4,5]", 40) == [])
        #expect(send("hist 12 13 [1,6] [2,5,5]", 50) == ["h hist delta |  | 40..50 | hist 1 1 [1,6] [0,1,0]"])
    }

    /// Clients coarsen their histograms when values spread.
    @Test("exponential histograms become differences, also after a change of scale or zero threshold")
    func exponential() {
        let rig = rig("initial_value: keep")
        func send(_ value: String, _ end: Int) -> [String] {
            rig.send(MetricText.request("e exp cumulative | | 0..\(end) | \(value)"))
        }
        _ = send("exp 6 5 1 1 0 0 [1,2] 0 [1,1]", 10)
        #expect(
            send("exp 9 9 0 2 0 0 [4,1] 0 [2]", 20) == [
                "e exp delta |  | 10..20 | exp 3 4 0 1 0 0 [1,1] 0 []"
            ])
        #expect(
            send("exp 11 9 0 8 1.5 1 [2] 1 []", 30) == [
                "e exp delta |  | 20..30 | exp 2 0 0 0 1.5 1 [1] 0 []"
            ])
        #expect(send("exp 12 9 1 8 1.5 1 [2] 1 []", 40) == [])
    }

    /// Streams that ended would stay for ever, and a client with a new label each time would take all memory.
    @Test("streams are forgotten after max_staleness, and bounded")
    func bounds() {
        let rig = rig("{initial_value: keep, max_staleness: 10s, max_streams: 2}")
        #expect(
            rig.send(sum("int 1", at: 1)).count == 1 && rig.send(sum("int 1", at: 1, more: ",b=1")).count == 1
        )
        #expect(rig.send(sum("int 1", at: 1, more: ",b=2")) == [])
        time.value += 30_000_000_000
        #expect(rig.send(sum("int 5", at: 40)) == ["c sum delta mono | a=x | 0..40 | int 5"])
        let page = String(decoding: rig.context.registry.render(), as: UTF8.self)
        #expect(
            page.contains("sluice_cumulativetodelta_streams_forgotten{processor=\"cumulativetodelta\"} 2"))
        #expect(page.contains("otelcol_cumulativetodelta_streams_tracked{processor=\"cumulativetodelta\"} 1"))
        #expect(
            page.contains(
                "otelcol_cumulativetodelta_datapoints_dropped{metric_type=\"sum\",processor=\"cumulativetodelta\",reason=\"max_streams\"} 1"
            ))
    }

    /// A key that is read wrongly converts the wrong metrics.
    @Test(
        "what makes no sense is refused in the Collector's words",
        arguments: [
            ("initial_value: maybe", "unknown initial_value: maybe"),
            ("include: {match_type: strict}", "metrics must be supplied if match_type is set"),
            ("exclude: {metrics: [a]}", "match_type must be set if metrics are supplied"),
            ("include: {metrics: ['('], match_type: regexp}", "missing ): ("),
            ("include: {metric_types: [gauge]}", "unknown metric type \"gauge\" in include"),
        ])
    func broken(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }
}
