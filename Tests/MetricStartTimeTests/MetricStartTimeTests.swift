import Configuration
import MetricStartTime
import Pipeline
import TestSupport
import Testing

/// Start times for metrics that come without, as those of Prometheus.
@Suite("metricstarttime")
struct MetricStartTimeTests {
    private let time = Noted<UInt64>(7_000_000_000)

    private func read(_ yaml: String) -> (MetricStartTimeConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = MetricStartTimeConfig(
            ConfigSection(yaml: yaml, path: "m", diagnostics: diagnostics))
        return (config, diagnostics.items.map(\.message))
    }

    private func rig(_ yaml: String = "") -> ProcessorRig {
        let config = read(yaml).0
        return ProcessorRig("metricstarttime") { context, next in
            let transform = MetricStartTime(config, context, now: { [time] in time.value })
            return EditingProcessor(transform, context, next: next, dropReason: .merged)
        }
    }

    private func sum(_ value: String, _ times: String) -> [UInt8] {
        MetricText.request("c sum cumulative mono | a=x | \(times) | \(value)")
    }

    /// Without a start time a backend cannot tell a restart from a rate.
    @Test("true_reset_point: streams start at their first point, and anew when a value falls")
    func trueReset() {
        let rig = rig()
        #expect(rig.send(sum("int 5", "0..10")) == ["c sum cumulative mono | a=x | 10..10 | int 5"])
        #expect(rig.send(sum("int 9", "20..20")) == ["c sum cumulative mono | a=x | 10..20 | int 9"])
        #expect(rig.send(sum("stale", "0..25")) == ["c sum cumulative mono | a=x | 10..25 | stale"])
        #expect(rig.send(sum("int 2", "0..30")) == ["c sum cumulative mono | a=x | 30..30 | int 2"])
        #expect(rig.send(sum("int 4", "1..40")) == ["c sum cumulative mono | a=x | 1..40 | int 4"])
        #expect(
            rig.send(
                MetricText.request("u sum cumulative | | 0..10 | int 9", "u sum cumulative | | 0..20 | int 3")
            )
                == ["u sum cumulative |  | 10..10 | int 9", "u sum cumulative |  | 10..20 | int 3"])
    }

    /// Values that were counted before the gateway looked would be a jump at its start.
    @Test("subtract_initial_point: the first point is what the others count from")
    func subtract() {
        let rig = rig("strategy: subtract_initial_point")
        #expect(rig.send(sum("int 5", "0..10")) == [])
        #expect(rig.send(sum("int 9", "0..20")) == ["c sum cumulative mono | a=x | 10..20 | int 4"])
        #expect(rig.send(sum("int 6", "0..30")) == ["c sum cumulative mono | a=x | 29..30 | int 6"])
        #expect(rig.send(sum("int 8", "0..40")) == ["c sum cumulative mono | a=x | 29..40 | int 8"])
        func histogram(_ value: String, _ end: Int) -> [String] {
            rig.send(MetricText.request("h hist cumulative | | 0..\(end) | \(value)"))
        }
        #expect(histogram("hist 6 6 [1,5] [1,2,3]", 10) == [])
        #expect(
            histogram("hist 9 8 [1,5] [2,3,4]", 20) == [
                "h hist cumulative |  | 10..20 | hist 3 2 [1,5] [1,1,1]"
            ])
        #expect(rig.context.account.read().dropped[.merged] == 2)
    }

    /// A process knows best when it started.
    @Test("start_time_metric: a metric of the request tells")
    func startTimeMetric() {
        let rig = rig("{strategy: start_time_metric, start_time_metric_regex: start}")
        let request = MetricText.request(
            "my_start gauge | | 0..10 | double 4.5", "c sum cumulative mono | | 0..10 | int 1")
        #expect(rig.send(request).last == "c sum cumulative mono |  | 4..10 | int 1")
        #expect(rig.send(sum("int 1", "0..10")) == ["c sum cumulative mono | a=x | 7..10 | int 1"])
    }

    /// Memory must not grow with every stream that ever was.
    @Test("streams are forgotten after gc_interval, and bounded")
    func bounds() {
        let rig = rig("{gc_interval: 10s, max_streams: 1}")
        rig.send(sum("int 5", "0..10"))
        let other = MetricText.request("d sum cumulative mono | | 0..10 | int 1")
        #expect(rig.send(other) == MetricText.lines(other))
        time.value += 30_000_000_000
        #expect(rig.send(sum("int 9", "0..40")) == ["c sum cumulative mono | a=x | 40..40 | int 9"])
        let page = String(decoding: rig.context.registry.render(), as: UTF8.self)
        #expect(page.contains("sluice_metricstarttime_streams_forgotten{processor=\"metricstarttime\"} 1"))
        #expect(page.contains("sluice_metricstarttime_points_untracked{processor=\"metricstarttime\"} 1"))
    }

    @Test("what makes no sense is refused")
    func broken() {
        #expect(read("strategy: guess").1 == ["\"guess\" is not a valid strategy"])
        #expect(read("gc_interval: 0s").1 == ["gc_interval must be positive"])
        #expect(
            read("start_time_metric_regex: a").1 == [
                "start_time_metric_regex can only be used with the start_time_metric strategy"
            ])
        #expect(read("").0 == MetricStartTimeConfig())
    }
}
