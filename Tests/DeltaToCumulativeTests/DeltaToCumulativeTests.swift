import Configuration
import DeltaToCumulative
import Pipeline
import TestSupport
import Testing

/// Sums of deltas, for backends that know only counters.
@Suite("deltatocumulative")
struct DeltaToCumulativeTests {
    private let time = Noted<UInt64>(1_000_000_000_000)

    private func read(_ yaml: String) -> (DeltaToCumulativeConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = DeltaToCumulativeConfig(
            ConfigSection(yaml: yaml, path: "d", diagnostics: diagnostics))
        return (config, diagnostics.items.map(\.message))
    }

    private func rig(_ yaml: String = "") -> ProcessorRig {
        let config = read(yaml).0
        return ProcessorRig("deltatocumulative") { context, next in
            let transform = DeltaToCumulative(config, context, now: { [time] in time.value })
            return EditingProcessor(transform, context, next: next, dropReason: .invalid)
        }
    }

    private func sum(_ value: String, _ times: String, _ attributes: String = "a=x") -> [UInt8] {
        MetricText.request("c sum delta mono | \(attributes) | \(times) | \(value)")
    }

    /// A counter that loses a delta is too low for ever.
    @Test("deltas of a stream add up from the start of the first")
    func sums() {
        let rig = rig()
        #expect(rig.send(sum("int 10", "0..10")) == ["c sum cumulative mono | a=x | 0..10 | int 10"])
        #expect(rig.send(sum("int 5", "10..20", "a=x")) == ["c sum cumulative mono | a=x | 0..20 | int 15"])
        #expect(rig.send(sum("none", "20..25")) == ["c sum cumulative mono | a=x | 0..25 | int 15"])
        #expect(rig.send(sum("int 1", "20..25", "b=y")) == ["c sum cumulative mono | b=y | 20..25 | int 1"])
        #expect(rig.send(sum("double 2.5", "25..30")) == ["c sum cumulative mono | a=x | 0..30 | double 2.5"])
    }

    /// A point that is counted twice, or that belongs to a time before, makes a rate that never was.
    @Test("points that are older than the stream, or not newer than the last one, are dropped")
    func order() {
        let rig = rig()
        rig.send(sum("int 10", "10..20"))
        #expect(rig.send(sum("int 1", "5..30")) == [])
        #expect(rig.send(sum("int 1", "10..20")) == [])
        #expect(rig.send(sum("int 2", "20..40")) == ["c sum cumulative mono | a=x | 10..40 | int 12"])
        let page = String(decoding: rig.context.registry.render(), as: UTF8.self)
        for (error, count) in [("delta.ErrOlderStart", 1), ("delta.ErrOutOfOrder", 1)] {
            #expect(
                page.contains(
                    "otelcol_deltatocumulative_datapoints{error=\"\(error)\",processor=\"deltatocumulative\"} \(count)"
                ))
        }
        #expect(rig.context.account.read().dropped[.invalid] == 2)
    }

    /// Percentiles come from these counts.
    @Test("histograms add up bucket by bucket, other bounds begin anew")
    func histograms() {
        let rig = rig()
        func send(_ value: String, _ times: String) -> [String] {
            rig.send(MetricText.request("h hist delta | | \(times) | \(value)"))
        }
        _ = send("hist 6 6 [1,5] [1,2,3]", "0..10")
        #expect(
            send("hist 10 - [1,5] [0,1,9]", "0..20") == [
                "h hist cumulative |  | 0..20 | hist 16 - [1,5] [1,3,12]"
            ])
        #expect(
            send("hist 3 1 [1,6] [1,1,1]", "20..30") == [
                "h hist cumulative |  | 20..30 | hist 3 1 [1,6] [1,1,1]"
            ])
    }

    /// Clients change scales on their own.
    @Test("exponential histograms add up at the coarser scale, with the wider zero bucket, in bounded memory")
    func exponential() {
        let rig = rig()
        func send(_ value: String, _ times: String, _ name: String = "e") -> [String] {
            rig.send(MetricText.request("\(name) exp delta | | \(times) | \(value)"))
        }
        _ = send("exp 10 1 2 0 0 0 [1,2,3,4] 0 []", "0..10")
        #expect(
            send("exp 2 1 1 0 0 0 [1,1] 0 []", "0..20") == [
                "e exp cumulative |  | 0..20 | exp 12 2 1 0 0 0 [4,8] 0 []"
            ])
        _ = send("exp 11 1 0 1 0.1 -3 [1,2,3,4] 0 []", "0..10", "z")
        #expect(
            send("exp 2 1 0 1 0.5 0 [1] 0 []", "0..20", "z") == [
                "z exp cumulative |  | 0..20 | exp 13 2 0 5 0.5 -1 [3,5] 0 []"
            ])
        _ = send("exp 1 1 4 0 0 -2147483648 [1] 0 []", "0..10", "far")
        let far = send("exp 1 1 4 0 0 2147483000 [1] 0 []", "0..20", "far")
        #expect(far.count == 1 && far[0].split(separator: ",").count <= 160, "\(far)")
    }

    /// Without them memory grows with every stream that ever was.
    @Test("streams are forgotten after max_stale, and bounded")
    func bounds() {
        let rig = rig("{max_stale: 2m, max_streams: 1}")
        rig.send(sum("int 1", "0..10"))
        #expect(rig.send(sum("int 1", "0..10", "b=y")) == [])
        time.value += 181_000_000_000
        #expect(rig.send(sum("int 1", "0..10", "b=y")) == ["c sum cumulative mono | b=y | 0..10 | int 1"])
        let page = String(decoding: rig.context.registry.render(), as: UTF8.self)
        #expect(
            page.contains("sluice_deltatocumulative_streams_forgotten{processor=\"deltatocumulative\"} 1"))
        #expect(page.contains("error=\"limit\",processor=\"deltatocumulative\"} 1"))
    }

    /// Gauges have no sum.
    @Test("all other metrics pass unchanged")
    func others() {
        let request = MetricText.request("g gauge | | 0..1 | int 1", "c sum cumulative | | 0..1 | int 1")
        #expect(rig().send(request) == MetricText.lines(request))
    }

    @Test("what makes no sense is refused in the Collector's words")
    func broken() {
        #expect(read("max_streams: -1").1 == ["max_streams must be a positive number (got -1)"])
        #expect(read("max_stale: 0s").1 == ["max_stale must be a positive duration (got 0s)"])
        #expect(read("").0 == DeltaToCumulativeConfig())
    }
}
