package import NIOCore

/// The connections of one event loop that are not read from because those who take their requests have enough to do: bytes are
/// left in their sockets. One timer, so that thousands that wait cost no more than one. Event loop only, but for `init`.
package final class PausedReads: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    private static let askAgain = TimeAmount.milliseconds(2)
    private let eventLoop: any EventLoop
    private let condition: (UInt64) -> Bool
    /// In the order in which they came to wait.
    private var gates: [ReadGate] = []
    private var goneCount = 0
    private var isScheduled = false

    /// - Parameter shouldPause: asked on the event loop, before every read, and every few milliseconds while one waits, with the
    ///   connection's routes (`ConnectionAccount.routes`).
    package init(eventLoop: any EventLoop, shouldPause: @escaping (_ routes: UInt64) -> Bool) {
        self.eventLoop = eventLoop
        condition = shouldPause
    }

    func shouldPause(_ account: ConnectionAccount) -> Bool { condition(account.routes) }

    /// Calls `resume` of the gate once there is no reason to wait.
    func add(_ gate: ReadGate) {
        eventLoop.preconditionInEventLoop()
        gates.append(gate)
        schedule()
    }

    /// A gate that waited here is gone. Those are not kept until the pause ends, which may take long.
    func forget() {
        eventLoop.preconditionInEventLoop()
        goneCount += 1
        guard goneCount > gates.count / 2 else { return }
        gates.removeAll { !$0.isWaiting }
        goneCount = 0
    }

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.askAgain) { bound.value.ask() }
    }

    private func ask() {
        isScheduled = false
        let waiting = exchange(&gates, with: [])
        var ready: [ReadGate] = []
        // Nearly all have the same routes.
        var asked: (routes: UInt64, pauses: Bool)?
        for gate in waiting {
            let routes = gate.account.routes
            if asked?.routes != routes { asked = (routes, condition(routes)) }
            if asked?.pauses == true { gates.append(gate) } else { ready.append(gate) }
        }
        if gates.isEmpty { goneCount = 0 } else { schedule() }
        // The first reads may be reason enough to pause again: the rest comes back here, in the same order.
        for gate in ready { gate.resume() }
    }
}
