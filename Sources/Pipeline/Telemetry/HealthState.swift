internal import Synchronization

/// What the gateway can say about its own health. Components set it, health pages read it.
///
/// Any thread; each member is one atomic. Starts as: not listening, not refusing, not draining.
package final class HealthState: Sendable {
    private let clock: @Sendable () -> Int64
    private let listening = Atomic<Bool>(false)
    private let listeningSince = Atomic<Int64>(0)
    private let refusers = Atomic<Int>(0)
    private let draining = Atomic<Bool>(false)

    /// A gateway that has only just started. `clock` gives nanoseconds since 1970.
    package init(clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds) {
        self.clock = clock
    }

    /// Every receiver has its port. Set by the service once all have started.
    package var isListening: Bool {
        get { listening.load(ordering: .acquiring) }
        set {
            if newValue { listeningSince.store(clock(), ordering: .relaxed) }
            listening.store(newValue, ordering: .releasing)
        }
    }

    /// When it began to listen, and how long ago that is, in nanoseconds; nil when it does not listen.
    package var upSince: (unixNanoseconds: Int64, agoNanoseconds: Int64)? {
        guard isListening else { return nil }
        let since = listeningSince.load(ordering: .relaxed)
        return (since, max(0, clock() - since))
    }

    /// Data is refused for want of memory, by one memory limiter at least.
    package var isRefusing: Bool { refusers.load(ordering: .acquiring) > 0 }

    /// Said by each memory limiter on entering that state.
    package func beginRefusing() {
        refusers.add(1, ordering: .releasing)
    }

    /// Said by each memory limiter on leaving that state, once for each `beginRefusing`.
    package func endRefusing() {
        refusers.subtract(1, ordering: .releasing)
    }

    /// The gateway is shutting down and sends what it still holds. Never unset.
    package var isDraining: Bool {
        get { draining.load(ordering: .acquiring) }
        set { draining.store(newValue, ordering: .releasing) }
    }

    /// The process answers: always, as long as it can be asked. A restart helps no state that is known here.
    package var isLive: Bool { true }

    /// New data should be sent here: listening, not refusing, not draining.
    package var isReady: Bool { notReadyReason == nil }

    /// Why no new data should be sent here, as a sentence for an operator; nil when it may.
    package var notReadyReason: String? {
        if isDraining { return "Shutting down: sending what is still held." }
        if !isListening { return "Starting: not every receiver is listening yet." }
        if isRefusing { return "Refusing data: memory use is above the soft limit of memory_limiter." }
        return nil
    }
}
