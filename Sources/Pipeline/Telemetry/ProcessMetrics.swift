internal import CMalloc
internal import Glibc

/// The metrics of the process itself, under the Collector's names.
///
/// malloc keeps no running total of what was allocated; `otelcol_process_runtime_total_alloc_bytes` is what the kernel has
/// given the process page by page, which grows with large blocks and not with small ones that are used again.
package enum ProcessMetrics {
    /// Registers them. `residentSize` is read on each scrape; the uptime counts from this call.
    package static func register(in registry: MetricRegistry, residentSize: ResidentSize) {
        let start = SystemClock.monotonicNanoseconds()
        registry.observeCounter("otelcol_process_uptime", help: "Seconds since the process started.") {
            Double(SystemClock.monotonicNanoseconds() - start) / 1e9
        }
        registry.observeCounter(
            "otelcol_process_cpu_seconds", help: "User and system CPU time spent by the process, in seconds."
        ) {
            Double(SystemClock.processCPUNanoseconds()) / 1e9
        }
        registry.observeCounter(
            "otelcol_process_runtime_total_alloc_bytes",
            help: "Bytes of memory that the process was given so far, by pages touched for the first time."
        ) {
            Double(SystemClock.processPageFaults()) * Double(sysconf(Int32(_SC_PAGESIZE)))
        }
        registry.addCollector { page in
            // A page without this gauge says that it could not be read; a zero would lie.
            if let bytes = try? residentSize.read() {
                page.gauge(
                    "otelcol_process_memory_rss", help: "Bytes of physical memory that the process holds.",
                    bytes)
            }
            let heap = mallinfo2()
            page.gauge(
                "otelcol_process_runtime_heap_alloc_bytes", help: "Bytes of the heap that are in use.",
                Int(heap.uordblks + heap.hblkhd))
            page.gauge(
                "otelcol_process_runtime_total_sys_memory_bytes",
                help: "Bytes that the heap holds from the operating system.",
                Int(heap.arena + heap.hblkhd))
        }
    }

    /// Registers `target_info`, which names this gateway.
    package static func registerTargetInfo(
        in registry: MetricRegistry, attributes: [(name: String, value: String)]
    ) {
        var values: [String: String] = [:]
        for (name, value) in attributes { values[labelName(name)] = value }
        let labels = MetricLabels(values.map { ($0.key, $0.value) })
        registry.gauge("target_info", help: "Target metadata", labels: labels).set(1)
    }

    /// An attribute's name as Prometheus takes it: letters, digits and underscores, no digit first.
    package static func labelName(_ name: String) -> String {
        let text = String(
            decoding: name.utf8.map { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    byte
                default: UInt8(ascii: "_")
                }
            }, as: UTF8.self)
        return text.first?.isNumber ?? true ? "_" + text : text
    }
}
