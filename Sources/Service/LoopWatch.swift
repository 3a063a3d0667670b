internal import HTTP
internal import NIOCore
internal import NIOPosix
internal import Pipeline

/// Measures for how long event loops do not look at their sockets, at `level: detailed`: the processor time that a loop's
/// thread takes between two looks. What others had of the processor meanwhile does not count. On each loop's own thread.
final class LoopWatch: NIOEventLoopMetricsDelegate {
    // SAFETY (@unchecked Sendable): touched by the thread whose variable it is.
    private final class Thread: @unchecked Sendable {
        var nanoseconds = ThreadTime.nanoseconds()
    }

    private let seconds: Histogram
    /// What a loop's thread had taken at its last look.
    private let ofThread = ThreadSpecificVariable<Thread>()

    init(_ registry: MetricRegistry) {
        seconds = registry.histogram(
            "sluice_event_loop_busy_seconds",
            help: "Processor seconds that an event loop takes between two looks at its sockets.",
            bounds: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
    }

    func processedTick(info: NIOEventLoopTickInfo) {
        guard let thread = ofThread.currentValue else {
            ofThread.currentValue = Thread()
            return
        }
        let now = ThreadTime.nanoseconds()
        seconds.observe(Double(now - thread.nanoseconds) / 1e9)
        thread.nanoseconds = now
    }
}
