import Configuration
import Dispatch
import OTLP
import Pipeline
import Synchronization
import Testing

/// Without these a user's dashboards and alerts read wrong values, or Prometheus refuses the page.
@Suite struct MetricRegistryTests {
    /// Scenario: two families registered in the other order, one with two series and text to escape.
    /// Guarantees: the page is exactly what the text format 0.0.4 asks for, sorted, without suffixes.
    @Test func pageIsSortedAndEscaped() {
        let registry = MetricRegistry()
        registry.counter(
            "otelcol_receiver_accepted_spans", help: "Spans in.",
            labels: ["transport": "http", "receiver": "otlp"]
        ).add(7)
        registry.counter(
            "otelcol_receiver_accepted_spans", help: "Spans in.",
            labels: ["receiver": "otlp", "transport": "grpc"]
        ).add(1_234_567_890_123)
        registry.gauge(
            "otelcol_exporter_queue_size", help: "A \\ and\na line.", labels: ["exporter": "a\"b\\c\nd"]
        ).set(-3)
        registry.gauge("plain", help: "").set(0)

        #expect(
            text(registry) == #"""
                # HELP otelcol_exporter_queue_size A \\ and\na line.
                # TYPE otelcol_exporter_queue_size gauge
                otelcol_exporter_queue_size{exporter="a\"b\\c\nd"} -3
                # HELP otelcol_receiver_accepted_spans Spans in.
                # TYPE otelcol_receiver_accepted_spans counter
                otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"} 1234567890123
                otelcol_receiver_accepted_spans{receiver="otlp",transport="http"} 7
                # HELP plain 
                # TYPE plain gauge
                plain 0

                """#)
    }

    /// Guarantees: who asks for the names that dashboards of other versions expect gets them, each suffix once.
    @Test func namesMayHaveSuffixes() {
        let registry = MetricRegistry()
        registry.counter("otelcol_exporter_sent_spans", help: "").add(1)
        registry.counter("otelcol_process_uptime", help: "").add(1)
        registry.counter("otelcol_process_cpu_seconds", help: "").add(1)
        registry.gauge("otelcol_process_memory_rss", help: "").set(1)
        registry.gauge("otelcol_exporter_queue_size", help: "", labels: ["env": "own"]).set(1)
        registry.gauge("target_info", help: "").set(1)
        func names(_ style: MetricPageStyle) -> [String] {
            String(decoding: registry.render(style), as: UTF8.self).split(separator: "\n")
                .filter { !$0.hasPrefix("#") }.map { String($0.dropLast(2)) }
        }
        var style = MetricPageStyle()
        style.hasTypeSuffix = true
        style.constantLabels = [(name: "env", value: "test")]
        #expect(
            names(style) == [
                "otelcol_exporter_queue_size{env=\"own\"}", "otelcol_exporter_sent_spans_total{env=\"test\"}",
                "otelcol_process_cpu_seconds_total{env=\"test\"}",
                "otelcol_process_memory_rss{env=\"test\"}", "otelcol_process_uptime_total{env=\"test\"}",
                "target_info",
            ])
        style = MetricPageStyle()
        style.hasUnits = true
        #expect(
            names(style) == [
                "otelcol_exporter_queue_size{env=\"own\"}", "otelcol_exporter_sent_spans",
                "otelcol_process_cpu_seconds", "otelcol_process_memory_rss_bytes",
                "otelcol_process_uptime_seconds", "target_info",
            ])
    }

    /// Guarantees: buckets are inclusive and cumulative, the last one equals the count, fractions keep their sum.
    @Test func histogramIsCumulative() {
        let registry = MetricRegistry()
        let sizes = registry.histogram(
            "otelcol_processor_batch_batch_send_size", help: "Size.", bounds: [10, 25, 0.5e4],
            labels: ["processor": "batch"])
        for value in [1, 10, 10.5, 25, 26, 5000, 5001, 1e9] {
            sizes.observe(value)
        }
        #expect(
            text(registry) == """
                # HELP otelcol_processor_batch_batch_send_size Size.
                # TYPE otelcol_processor_batch_batch_send_size histogram
                otelcol_processor_batch_batch_send_size_bucket{le="10",processor="batch"} 2
                otelcol_processor_batch_batch_send_size_bucket{le="25",processor="batch"} 4
                otelcol_processor_batch_batch_send_size_bucket{le="5000",processor="batch"} 6
                otelcol_processor_batch_batch_send_size_bucket{le="+Inf",processor="batch"} 8
                otelcol_processor_batch_batch_send_size_sum{processor="batch"} 1000010073.5
                otelcol_processor_batch_batch_send_size_count{processor="batch"} 8

                """)
    }

    @Test(arguments: [
        (0.0, "0"), (-0.0, "-0"), (5.0, "5"), (0.1, "0.1"), (1e-5, "1e-05"), (1e21, "1e+21"),
        (Double.infinity, "+Inf"), (-Double.infinity, "-Inf"), (Double.nan, "NaN"), (123456.75, "123456.75"),
    ])
    func numbersAreSpelledForPrometheus(value: Double, spelling: String) {
        let registry = MetricRegistry()
        registry.observeGauge("value", help: "") { value }
        #expect(text(registry).hasSuffix("\nvalue \(spelling)\n"))
    }

    @Test func registeringAgainGivesTheSameObject() {
        let registry = MetricRegistry()
        let first = registry.counter("a", help: "", labels: ["x": "1", "y": "2"])
        #expect(registry.counter("a", help: "", labels: ["y": "2", "x": "1"]) === first)
        #expect(registry.counter("a", help: "", labels: ["x": "1", "y": "3"]) !== first)
        #expect(registry.gauge("g", help: "") === registry.gauge("g", help: ""))
        #expect(
            registry.histogram("h", help: "", bounds: [1]) === registry.histogram("h", help: "", bounds: [1]))
    }

    @Test func closuresAreReadOnEveryScrape() {
        let registry = MetricRegistry()
        let reads = Progress()
        registry.observeCounter("n", help: "") {
            Double(reads.taken.wrappingAdd(1, ordering: .relaxed).newValue)
        }
        #expect(text(registry).hasSuffix("\nn 1\n"))
        #expect(text(registry).hasSuffix("\nn 2\n"))
    }

    /// Scenario: items are counted in, handed over, and counted out by another thread, while pages are rendered.
    /// Guarantees: on every page in = out + held, and held is never negative.
    @Test func whatIsHeldIsNeverNegative() async {
        let registry = MetricRegistry()
        let account = NodeAccount(kind: .exporter, id: ComponentID(type: "x"), signal: .traces)
        registry.add(account)
        let accepted = account.counter(.entered, "accepted", help: "", labels: [:])
        let sent = account.counter(.left, "sent", help: "", labels: [:])
        let progress = Progress()
        let rounds = 20_000
        registry.addCollector { page in
            page.gauge("held", help: "", page.reading(of: account).inside)
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<rounds {
                    accepted.add(3)
                    progress.handedOver.wrappingAdd(1, ordering: .releasing)
                }
            }
            group.addTask {
                while progress.taken.load(ordering: .relaxed) < rounds {
                    if progress.taken.load(ordering: .relaxed)
                        < progress.handedOver.load(ordering: .acquiring)
                    {
                        sent.add(3)
                        progress.taken.wrappingAdd(1, ordering: .relaxed)
                    } else {
                        await Task.yield()
                    }
                }
            }
            group.addTask {
                repeat {
                    let values = samples(registry)
                    let held = values["held"] ?? -1
                    #expect(held >= 0)
                    #expect(values["accepted"] == (values["sent"] ?? 0) + held)
                    await Task.yield()
                } while progress.taken.load(ordering: .relaxed) < rounds
            }
        }
        let last = samples(registry)
        #expect([last["accepted"], last["sent"], last["held"]] == [60_000, 60_000, 0])
    }

    @Test func countingFromManyThreadsLosesNothing() {
        let registry = MetricRegistry()
        let counter = registry.counter("c", help: "")
        let gauge = registry.gauge("g", help: "")
        let histogram = registry.histogram("h", help: "", bounds: [0.5])
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for _ in 0..<10_000 {
                counter.add()
                gauge.add(2)
                gauge.add(-1)
                histogram.observe(1)
            }
        }
        #expect(counter.value == 40_000)
        #expect(gauge.value == 40_000)
        #expect(histogram.read() == ([0, 40_000], 40_000))
    }

    @Test func ourOwnMistakesTrap() async {
        await #expect(processExitsWith: .failure) {
            let registry = MetricRegistry()
            _ = registry.counter("a", help: "")
            _ = registry.gauge("a", help: "", labels: ["x": "1"])
        }
        await #expect(processExitsWith: .failure) {
            _ = MetricRegistry().counter("0a", help: "")
        }
        await #expect(processExitsWith: .failure) {
            _ = MetricRegistry().counter("a", help: "", labels: ["a:b": ""])
        }
        await #expect(processExitsWith: .failure) {
            let registry = MetricRegistry()
            _ = registry.counter("a", help: "")
            registry.observeCounter("a", help: "") { 0 }
        }
        await #expect(processExitsWith: .failure) {
            let registry = MetricRegistry()
            _ = registry.counter("a", help: "")
            registry.addCollector { $0.counter("a", help: "", 1 as UInt64) }
            _ = registry.render()
        }
    }
}

/// Without these an operator cannot see what the gateway itself costs.
@Suite struct ProcessMetricsTests {
    @Test func everyProcessMetricIsThereAndPlausible() throws {
        let registry = MetricRegistry()
        ProcessMetrics.register(in: registry, residentSize: try ResidentSize())
        let values = samples(registry)
        #expect(
            Set(values.keys) == [
                "otelcol_process_uptime", "otelcol_process_cpu_seconds", "otelcol_process_memory_rss",
                "otelcol_process_runtime_heap_alloc_bytes", "otelcol_process_runtime_total_alloc_bytes",
                "otelcol_process_runtime_total_sys_memory_bytes",
            ])
        #expect(values["otelcol_process_cpu_seconds"] ?? 0 > 0)
        #expect(values["otelcol_process_memory_rss"] ?? 0 > 1_000_000)
        let used = values["otelcol_process_runtime_heap_alloc_bytes"] ?? 0
        #expect(used > 0 && used <= values["otelcol_process_runtime_total_sys_memory_bytes"] ?? 0)
    }

    /// Guarantees: memory that is touched shows at once; the memory limiter decides on it.
    @Test func residentSizeSeesTouchedMemory() throws {
        let size = try ResidentSize()
        let before = try size.read()
        let count = 64 << 20
        let block = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4096)
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 1, count: count)
        #expect(try size.read() - before > count / 4)
    }

    /// Guarantees: what the operator says about the gateway is on its page, in names that Prometheus takes.
    @Test func targetInfoNamesTheGateway() {
        let registry = MetricRegistry()
        ProcessMetrics.registerTargetInfo(
            in: registry,
            attributes: [
                (name: "service.name", value: "edge"), (name: "service.version", value: "0.1"),
                (name: "1st/zone", value: "a\"b"),
            ])
        #expect(
            text(registry).hasSuffix(
                "\ntarget_info{_1st_zone=\"a\\\"b\",service_name=\"edge\",service_version=\"0.1\"} 1\n"))
    }
}

/// Without these a load balancer sends data to a gateway that refuses it, or none to one that is well.
@Suite struct HealthStateTests {
    @Test(arguments: [
        (false, false, false, "Starting: not every receiver is listening yet."),
        (true, false, false, nil),
        (true, true, false, "Refusing data: memory use is above the soft limit of memory_limiter."),
        (true, false, true, "Shutting down: sending what is still held."),
        (true, true, true, "Shutting down: sending what is still held."),
        (false, false, true, "Shutting down: sending what is still held."),
    ])
    func readyOnlyWhenDataMayCome(listening: Bool, refusing: Bool, draining: Bool, reason: String?) {
        let state = HealthState()
        state.isListening = listening
        if refusing { state.beginRefusing() }
        state.isDraining = draining
        #expect(state.isReady == (reason == nil))
        #expect(state.notReadyReason == reason)
        #expect(state.isLive)
    }
}

private final class Progress: Sendable {
    let handedOver = Atomic<Int>(0)
    let taken = Atomic<Int>(0)
}

private func text(_ registry: MetricRegistry) -> String {
    String(decoding: registry.render(), as: UTF8.self)
}

/// The values of a page whose series have no labels.
private func samples(_ registry: MetricRegistry) -> [String: Double] {
    var result: [String: Double] = [:]
    for line in text(registry).split(separator: "\n") where !line.hasPrefix("#") {
        let parts = line.split(separator: " ")
        result[String(parts[0])] = Double(parts[1])
    }
    return result
}
