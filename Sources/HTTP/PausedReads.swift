package import NIOCore

/// Where a connection's requests go, which may have enough for the moment.
package protocol PauseCondition: AnyObject {
    /// Whether bytes should be left in the sockets. A few nanoseconds.
    var shouldPause: Bool { get }
}

/// The connections of one event loop that are not read from because those who take their requests have enough to do: bytes are
/// left in their sockets. One timer, so that thousands that wait cost no more than one. Event loop only, but for `init`.
package final class PausedReads: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    private static let askAgain = TimeAmount.milliseconds(2)
    private let eventLoop: any EventLoop
    private let condition: () -> Bool
    /// By where their last requests went, of which there are a few; in the order in which they came to wait.
    private var waiting: [(destination: (any PauseCondition)?, gates: [ReadGate])] = []
    private var goneCount = 0
    private var isScheduled = false

    /// - Parameter shouldPause: asked on the event loop for connections without a request yet.
    package init(eventLoop: any EventLoop, shouldPause: @escaping () -> Bool) {
        self.eventLoop = eventLoop
        condition = shouldPause
    }

    /// Asked before every read, and every few milliseconds while one waits.
    func shouldPause(_ destination: (any PauseCondition)?) -> Bool { destination?.shouldPause ?? condition() }

    /// Calls `resume` of the gate once there is no reason to wait.
    func add(_ gate: ReadGate) {
        eventLoop.preconditionInEventLoop()
        let destination = gate.account.destination
        if let index = waiting.firstIndex(where: { $0.destination === destination }) {
            waiting[index].gates.append(gate)
        } else {
            waiting.append((destination, [gate]))
        }
        schedule()
    }

    /// A gate that waited here is gone. Those are not kept until the pause ends, which may take long.
    func forget() {
        eventLoop.preconditionInEventLoop()
        goneCount += 1
        guard goneCount > waiting.reduce(0, { $0 + $1.gates.count }) / 2 else { return }
        for index in waiting.indices { waiting[index].gates.removeAll { !$0.isWaiting } }
        waiting.removeAll { $0.gates.isEmpty }
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
        let asked = exchange(&waiting, with: [])
        var ready: [ReadGate] = []
        for (destination, gates) in asked {
            if shouldPause(destination) { waiting.append((destination, gates)) } else { ready += gates }
        }
        if waiting.isEmpty { goneCount = 0 } else { schedule() }
        // The first reads may be reason enough to pause again: the rest comes back here, in the same order.
        for gate in ready { gate.resume() }
    }
}
