internal import CMalloc
internal import Glibc

/// The metrics of the process itself, under the Collector's names.
///
/// `otelcol_process_runtime_total_alloc_bytes` is missing: malloc keeps no running total.
package enum ProcessMetrics {
    /// Registers them. `residentSize` is read on each scrape; the uptime counts from this call.
    package static func register(in registry: MetricRegistry, residentSize: ResidentSize) {
        let start = seconds(CLOCK_MONOTONIC)
        registry.observeCounter("otelcol_process_uptime", help: "Seconds since the process started.") {
            seconds(CLOCK_MONOTONIC) - start
        }
        registry.observeCounter(
            "otelcol_process_cpu_seconds", help: "User and system CPU time spent by the process, in seconds."
        ) {
            seconds(CLOCK_PROCESS_CPUTIME_ID)
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

    /// Registers `target_info`, which names this gateway: version and instance.
    package static func registerTargetInfo(
        in registry: MetricRegistry, serviceName: String, serviceVersion: String, instanceID: String
    ) {
        registry.gauge(
            "target_info", help: "Target metadata",
            labels: [
                "service_name": serviceName, "service_version": serviceVersion,
                "service_instance_id": instanceID,
            ]
        ).set(1)
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        // SAFETY: the kernel writes one timespec, `time`, which outlives the call.
        let code = unsafe clock_gettime(clock, &time)
        precondition(code == 0, "Linux always has clock \(clock)")
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
