internal import Configuration
internal import NIOCore
internal import Pipeline
internal import Synchronization

/// Gathers spans or log lines about the gateway itself and sends them in batches: `processors` of `traces` and `logs`. Any
/// thread; bounded.
final class OwnRecords: Component {
    private struct State {
        var waiting: [[UInt8]] = []
        var timer: Scheduled<Void>?
        var isStopped = false
    }

    private let exporter: OwnExporter
    private let request: OwnRequest
    private let delay: TimeAmount
    private let queueSize: Int
    private let batchSize: Int
    private let eventLoop: any EventLoop
    private let overflow: Counter
    private let state = Mutex(State())

    /// - Parameter overflow: counts what there was no room for.
    init(
        _ config: TelemetryProcessorConfig, _ exporter: OwnExporter, _ request: OwnRequest,
        eventLoop: any EventLoop, overflow: Counter
    ) {
        self.exporter = exporter
        self.request = request
        delay = TimeAmount(config.delay)
        queueSize = config.queueSize
        batchSize = config.batchSize
        self.eventLoop = eventLoop
        self.overflow = overflow
    }

    /// Takes an encoded item.
    func add(_ item: [UInt8]) {
        let hasRoom = state.withLock { state in
            guard !state.isStopped, state.waiting.count < queueSize else { return false }
            state.waiting.append(item)
            if state.waiting.count == batchSize { state.timer?.cancel() }
            if state.waiting.count == 1 || state.waiting.count == batchSize {
                let wait = state.waiting.count >= batchSize ? .zero : delay
                state.timer = eventLoop.scheduleTask(in: wait) { [weak self] in self?.flush() }
            }
            return true
        }
        if !hasRoom { overflow.add(1) }
    }

    private func flush() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for start in stride(from: 0, to: waiting.count, by: batchSize) {
            let part = waiting[start..<min(start + batchSize, waiting.count)]
            exporter.send(request.request(Array(part)), items: part.count)
        }
    }

    func start() async throws { try await exporter.start() }

    func stop(until deadline: NIODeadline) async -> Remainder {
        state.withLock {
            $0.isStopped = true
            $0.timer?.cancel()
        }
        flush()
        return await exporter.stop(until: deadline)
    }
}

/// Sends the gateway's own metrics every so often: a `periodic` reader.
final class OwnMetrics: Component {
    private let exporter: OwnExporter
    private let request: OwnRequest
    private let registry: MetricRegistry
    private let interval: TimeAmount
    private let eventLoop: any EventLoop
    private let task = Mutex<RepeatedTask?>(nil)
    private let sent: Mutex<Sent>

    private struct Sent {
        /// nil: what is sent is cumulative.
        var last: LastValues?
        /// Since when what is sent next has come.
        var startNanoseconds = SystemClock.unixNanoseconds()
    }

    init(
        _ config: PeriodicReaderConfig, _ exporter: OwnExporter, _ request: OwnRequest,
        _ registry: MetricRegistry,
        eventLoop: any EventLoop
    ) {
        self.exporter = exporter
        self.request = request
        self.registry = registry
        interval = TimeAmount(config.interval)
        self.eventLoop = eventLoop
        sent = Mutex(Sent(last: config.exporter.sendsDeltas ? LastValues() : nil))
    }

    func start() async throws {
        try await exporter.start()
        task.withLock {
            $0 = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
                self?.collect()
            }
        }
    }

    private func collect() {
        let (items, points) = sent.withLock { sent in
            let now = SystemClock.unixNanoseconds()
            defer { if sent.last != nil { sent.startNanoseconds = now } }
            return OwnRequest.metrics(
                registry.gather(), since: &sent.last, from: sent.startNanoseconds, to: now)
        }
        exporter.send(request.request(items), items: points)
    }

    /// Sends them once more.
    func stop(until deadline: NIODeadline) async -> Remainder {
        task.withLock { $0 }?.cancel()
        collect()
        return await exporter.stop(until: deadline)
    }
}
