package import NIOCore

/// The time that one connection may take from its event loop beyond what its requests are worth.
///
/// One number, nanoseconds of credit: work takes from it, requests and passing time add to it. Below zero the connection
/// is served in its turn only, with the others that are; far below it is ended. No clock of its own; event loop only.
package struct WorkBudget {
    /// How credit comes and goes. Generous to requests: they are worth several times what they take.
    package struct Limits: Sendable, Equatable {
        /// Credit of a new connection, nanoseconds.
        package var start = 2_000_000
        /// The most credit, nanoseconds.
        package var most = 20_000_000
        /// The debt at which the connection is ended, nanoseconds.
        package var debt = 250_000_000
        /// What a request is worth, nanoseconds.
        package var request = 50_000 * slowness
        /// What a byte of its body is worth, nanoseconds.
        package var byte = 20 * slowness
        /// The percentage of passing time that is added.
        package var percentage = 10

        /// The defaults.
        package init() {}

        /// How much longer a request takes without the optimizer.
        private static let slowness: Int = {
            var slowness = 1
            // Evaluated in debug builds only.
            assert(
                {
                    slowness = 40
                    return true
                }())
            return slowness
        }()
    }

    private let limits: Limits
    private var credit: Int
    private var filledAt: NIODeadline

    /// A connection that opens now.
    package init(_ limits: Limits = Limits(), now: NIODeadline) {
        self.limits = limits
        credit = limits.start
        filledAt = now
    }

    /// Whether the connection may be served as soon as it has something to say.
    package var isInCredit: Bool { credit > 0 }

    /// Whether it has taken so much for nothing that it should end.
    package var isOverdrawn: Bool { credit < -limits.debt }

    /// Work was done for the connection.
    package mutating func spend(_ time: TimeAmount, now: NIODeadline) {
        let passed = Int((now - filledAt).nanoseconds)
        filledAt = now
        add(passed / 100 * limits.percentage - Int(time.nanoseconds))
    }

    /// A request was complete.
    package mutating func earn(bytes: Int) {
        add(limits.request + bytes * limits.byte)
    }

    private mutating func add(_ nanoseconds: Int) {
        credit = min(credit + nanoseconds, limits.most)
    }
}
