package import Logging
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization

/// Keeps the process below its memory limit: `memory_limiter`.
///
/// Two measures: the ledger of admitted bytes, exact and at once, and the process's resident size, read every
/// `check_interval`. From the soft limit (`limit - spike_limit`) on, receivers first leave bytes in their sockets, so
/// that clients slow down; when that has not helped for a second, they refuse requests before reading them, with a hint
/// when to come again. Above the hard limit they refuse at once. Either ends as soon as its measure is below the limit
/// again; there is no further hysteresis.
///
/// The limits are the whole process's. What the process needs besides request bodies (`overheadBytes`) is taken off them
/// before the ledger is compared, so that the resident size stays below the limit, too. The resident size alone, with
/// bodies of less than half the soft limit admitted, refuses nobody: it is not requests that the memory went to.
///
/// One for each component id, shared by the pipelines that name it. All methods from any thread.
package final class MemoryLimiter: AdmissionControl, Component {
    /// How long clients are slowed down before they are refused.
    private static let pauseLimit = TimeAmount.seconds(1)
    private static let tickInterval = TimeAmount.milliseconds(50)

    /// The limits in force.
    package struct Limits: Sendable, Equatable {
        /// Above this the ledger or the resident size refuses at once.
        package var hardBytes: Int
        /// Above this the ledger slows clients down, then refuses.
        package var softBytes: Int

        /// Describes limits; `softBytes` is below `hardBytes`.
        package init(hardBytes: Int, softBytes: Int) {
            self.hardBytes = hardBytes
            self.softBytes = softBytes
        }
    }

    private struct Watch {
        var overSince: NIODeadline?
        var checkedAt: NIODeadline?
        var timer: RepeatedTask?
    }

    private let ledgerLimits: Limits
    private let residentLimit: Int
    private let checkInterval: TimeAmount
    private let eventLoop: any EventLoop
    private let ledger: MemoryLedger
    private let measureResident: @Sendable () -> Int?
    private let health: HealthState
    private let logger: Logger
    private let refusedRequests: Counter
    private let refusal: Refusal
    private let refusing = Atomic<Bool>(false)
    private let residentOver = Atomic<Bool>(false)
    /// What the health state was last told.
    private let saidRefusing = Atomic<Bool>(false)
    private let watch = Mutex(Watch())

    /// - Parameters:
    ///   - limits: of the process.
    ///   - overheadBytes: what the process holds besides bodies: at least a quarter of the limits is left for these.
    ///   - checkInterval: how often the resident size is measured.
    ///   - measureResident: the process's resident size in bytes; nil when it cannot be read.
    ///   - refusedRequests: counts requests refused before their body was read.
    ///   - eventLoop: where it watches.
    package init(
        limits: Limits, overheadBytes: Int, checkInterval: Duration, ledger: MemoryLedger,
        measureResident: @escaping @Sendable () -> Int?,
        health: HealthState, refusedRequests: Counter, eventLoop: any EventLoop, logger: Logger
    ) {
        self.eventLoop = eventLoop
        precondition(limits.softBytes < limits.hardBytes, "the soft limit must be below the hard limit")
        residentLimit = limits.hardBytes
        ledgerLimits = Limits(
            hardBytes: max(limits.hardBytes - overheadBytes, limits.hardBytes / 4),
            softBytes: max(limits.softBytes - overheadBytes, limits.softBytes / 4))
        self.checkInterval = TimeAmount(checkInterval)
        self.ledger = ledger
        self.measureResident = measureResident
        self.health = health
        self.refusedRequests = refusedRequests
        self.logger = logger
        refusal = Refusal(
            .memory,
            "data refused due to high memory usage: memory_limiter limit \(limits.hardBytes >> 20) MiB (limit_mib)",
            retryAfterSeconds: 1)
    }

    // MARK: - AdmissionControl

    package func admit(bytes: Int) -> Refusal? {
        if bytes > ledgerLimits.hardBytes {
            refusedRequests.add(1)
            return tooLarge(bytes)
        }
        let after = ledger.bytes + bytes
        guard after > ledgerLimits.softBytes || residentOver.load(ordering: .relaxed) else { return nil }
        if after > ledgerLimits.hardBytes || refusing.load(ordering: .relaxed)
            || residentOver.load(ordering: .relaxed)
        {
            refusedRequests.add(1)
            return refusal
        }
        return nil
    }

    /// What could not be taken with nothing else in memory: to come again would be for ever.
    private func tooLarge(_ bytes: Int) -> Refusal {
        Refusal(
            .tooLarge,
            "a request of \(bytes) bytes in memory is larger than memory_limiter leaves for requests, \(ledgerLimits.hardBytes) bytes of \(residentLimit >> 20) MiB (limit_mib)",
            isPermanent: true, retryAfterSeconds: nil)
    }

    package var shouldPause: Bool {
        ledger.bytes > ledgerLimits.softBytes && !refusing.load(ordering: .relaxed)
    }

    package var limitBytes: Int { ledgerLimits.softBytes }

    // MARK: - Watching

    /// Begins to watch.
    package func start() async {
        let timer = eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: Self.tickInterval) { _ in
            self.tick(.now())
        }
        watch.withLock { $0.timer = timer }
    }

    /// Stops watching; admits as before.
    package func stop(until deadline: NIODeadline) async -> Remainder {
        watch.withLock { $0.timer.take() }?.cancel()
        return Remainder()
    }

    /// Looks at both measures. Called by the timer; by tests with times of their own.
    package func tick(_ now: NIODeadline) {
        let measures = watch.withLock { watch -> Bool in
            if let checkedAt = watch.checkedAt, now - checkedAt < checkInterval { return false }
            watch.checkedAt = now
            return true
        }
        if measures { checkResident() }
        let over = ledger.bytes > ledgerLimits.softBytes
        let pausedLongEnough = watch.withLock { watch -> Bool in
            guard over else {
                watch.overSince = nil
                return false
            }
            let since = watch.overSince ?? now
            watch.overSince = since
            return now - since >= Self.pauseLimit
        }
        if pausedLongEnough != refusing.exchange(pausedLongEnough, ordering: .relaxed) {
            report(pausedLongEnough, "ledger", ledger.bytes, ledgerLimits.softBytes)
        }
        sayRefusing(pausedLongEnough || residentOver.load(ordering: .relaxed))
    }

    private func sayRefusing(_ refuses: Bool) {
        guard refuses != saidRefusing.exchange(refuses, ordering: .relaxed) else { return }
        if refuses { health.beginRefusing() } else { health.endRefusing() }
    }

    private func checkResident() {
        guard var resident = measureResident() else { return }
        if resident > residentLimit {
            // Freed memory that the allocator still holds is not a reason to refuse anybody.
            ResidentSize.giveBackFreed()
            resident = measureResident() ?? resident
        }
        let over = resident > residentLimit && ledger.bytes > ledgerLimits.softBytes / 2
        if over != residentOver.exchange(over, ordering: .relaxed) {
            report(over, "resident size", resident, residentLimit)
        }
    }

    private func report(_ over: Bool, _ measure: String, _ bytes: Int, _ limit: Int) {
        let metadata: Logger.Metadata = [
            "measure": "\(measure)", "bytes": "\(bytes)", "limit_bytes": "\(limit)",
        ]
        if over {
            logger.warning("Memory usage is above the limit. Refusing data.", metadata: metadata)
        } else {
            logger.info("Memory usage back within limits. Resuming normal operation.", metadata: metadata)
        }
    }
}
