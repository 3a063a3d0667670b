package import NIOCore
internal import Synchronization

/// The time that one connection may take from its event loop beyond what its requests are worth.
///
/// One number, nanoseconds of credit: work takes from it; passing time adds to it up to what a new connection has, requests
/// beyond that. Below zero the connection is served in its turn only, with the others that are; far below it is ended. Nanoseconds are those of the machine of the
/// measurements: on a slower one more time passes for each. No clock of its own; event loop only.
package struct WorkBudget {
    /// How credit comes and goes. Generous to requests: they are worth several times what they take.
    package struct Limits: Sendable, Equatable {
        /// Credit of a new connection, and the most that waiting brings, nanoseconds.
        package var start = 2_000_000
        /// The most credit, nanoseconds.
        package var most = 20_000_000
        /// The debt at which the connection is ended, nanoseconds.
        package var debt = 250_000_000
        /// What a request is worth, nanoseconds.
        package var request = 50_000
        /// What a byte of its body is worth, nanoseconds.
        package var byte = 20
        /// What is excused at most of the time that a request taken needs, nanoseconds, and for a byte of it.
        package var excuse = 1_000_000
        package var excuseByte = 100
        /// The percentage of passing time that is added; many that wait share what four would have.
        package var percentage = 10

        /// The defaults.
        package init() {}

    }

    /// How much longer than on the machine of the measurements work takes here: slow or emulated processors, builds
    /// without the optimizer, instrumented ones. At least 1. Measured, unless it is set before the first connection.
    package static var slowness: Int {
        get {
            let given = given.load(ordering: .relaxed)
            return given > 0 ? given : measured
        }
        set { given.store(newValue, ordering: .relaxed) }
    }
    private static let given = Atomic(0)

    /// Measured once, in a fraction of a millisecond.
    private static let measured: Int = {
        var (leastHash, leastAllocation) = (Int.max, Int.max)
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for _ in 0..<5 {
            let began = ThreadTime.nanoseconds()
            for byte in 0..<20_000 as Range<UInt64> {
                hash = (hash ^ (byte & 0xff)) &* 0x100_0000_01b3
            }
            let middle = ThreadTime.nanoseconds()
            for size in 0..<500 {
                hash ^= UInt64(truncatingIfNeeded: ByteBuffer(repeating: 1, count: 64 + size).readableBytes)
            }
            leastHash = min(leastHash, Int(middle - began))
            leastAllocation = min(leastAllocation, Int(ThreadTime.nanoseconds() - middle))
        }
        // Never so, which the optimizer does not know.
        if hash == 0 { return 1 }
        return max(1, leastHash / hashTime, leastAllocation / allocationTime)
    }()
    /// What the two loops take there.
    private static let (hashTime, allocationTime) = (26_000, 60_000)

    private let limits: Limits
    private let slowness: Int
    /// Nanoseconds; below zero it is a debt.
    package private(set) var credit: Int
    private var filledAt: NIODeadline

    /// A connection that opens now.
    package init(_ limits: Limits = Limits(), slowness: Int = Self.slowness, now: NIODeadline) {
        self.limits = limits
        self.slowness = slowness
        credit = limits.start
        filledAt = now
    }

    /// Whether the connection may be served as soon as it has something to say.
    package var isInCredit: Bool { credit > 0 }

    /// Whether little that it has earned is left, so that it matters what time was spent on.
    package var isLow: Bool { credit <= limits.start }

    /// Whether it has completed a request since it was last in debt.
    package private(set) var isProven = false

    /// Whether it has taken so much for nothing that it should end.
    package var isOverdrawn: Bool { credit < -limits.debt }

    /// Work was done for the connection.
    /// - Parameter among: how many of its event loop wait for their turn.
    package mutating func spend(_ time: TimeAmount, now: NIODeadline, among: Int = 0) {
        let passed = Int((now - filledAt).nanoseconds) / max(1, among / 4)
        filledAt = now
        credit -= Int(time.nanoseconds) / slowness
        if credit <= 0 { isProven = false }
        // Who has only waited has earned nothing: it may be the next flood.
        guard credit < limits.start else { return }
        credit = min(credit + passed / 100 * limits.percentage / slowness, limits.start)
    }

    /// A request was complete. Who sends such may have to wait, but is not ended.
    /// - Parameter isTaken: not refused, for whatever reason.
    package mutating func earn(bytes: Int, isTaken: Bool = true) {
        credit = max(credit, -limits.debt / 2)
        add(limits.request + bytes * limits.byte)
        if isTaken { isProven = credit > 0 }
    }

    /// Time was spent on what the operator wants done with a complete request, which is not the connection's fault.
    /// - Parameter bytes: of the request as it was received: they say how much time may be excused.
    package mutating func excuse(_ time: TimeAmount, bytes: Int) {
        let most = limits.excuse + bytes * limits.excuseByte
        add(min(Int(time.nanoseconds) / slowness, most))
    }

    private mutating func add(_ nanoseconds: Int) {
        credit = min(credit + nanoseconds, limits.most)
    }
}
