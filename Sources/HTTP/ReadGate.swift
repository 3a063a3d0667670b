package import NIOCore

/// The connections of one event loop that leave bytes in their sockets while the process has enough to do.
///
/// One timer asks for all of them, so that thousands that wait cost no more than one. Event loop only, but for `init`.
package final class PausedReads: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    private static let askAgain = TimeAmount.milliseconds(2)
    private let eventLoop: any EventLoop
    private let condition: () -> Bool
    /// In the order in which they came to wait.
    private var gates: [ReadGate] = []
    private var goneCount = 0
    private var isScheduled = false

    /// - Parameter shouldPause: asked on the event loop, before every read, and every few milliseconds while one waits.
    package init(eventLoop: any EventLoop, shouldPause: @escaping () -> Bool) {
        self.eventLoop = eventLoop
        condition = shouldPause
    }

    fileprivate var shouldPause: Bool { condition() }

    /// Calls `resume` of the gate once there is no reason to wait.
    fileprivate func add(_ gate: ReadGate) {
        eventLoop.preconditionInEventLoop()
        gates.append(gate)
        schedule()
    }

    /// A gate that waited here is gone. Those are not kept until the pause ends, which may take long.
    fileprivate func forget() {
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
        guard !gates.isEmpty else { return }
        if shouldPause { return schedule() }
        let ready = gates
        gates = []
        goneCount = 0
        // The first reads may be reason enough to pause again: the rest comes back here, in the same order.
        for gate in ready { gate.resume() }
    }
}

/// Leaves bytes in the socket while the process has enough to do, or while the peer does not read what it is sent: its
/// windows fill and it slows down.
///
/// Stands first in a server connection's pipeline. Asks before every read; while the answer is "pause" it waits with the
/// other connections of its loop. A peer that does not read is read from again when it has. Event loop only.
package final class ReadGate: ChannelDuplexHandler {
    package typealias InboundIn = NIOAny
    package typealias OutboundIn = NIOAny

    private let paused: PausedReads
    private var context: ChannelHandlerContext?
    fileprivate private(set) var isWaiting = false
    private var waitingForWrites = false

    /// - Parameter paused: of the connection's event loop.
    package init(_ paused: PausedReads) {
        self.paused = paused
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        guard isWaiting else { return }
        isWaiting = false
        paused.forget()
    }

    package func read(context: ChannelHandlerContext) {
        guard !isWaiting else { return }
        if !context.channel.isWritable {
            waitingForWrites = true
        } else if paused.shouldPause {
            isWaiting = true
            paused.add(self)
        } else {
            context.read()
        }
    }

    fileprivate func resume() {
        guard isWaiting, let context else { return }
        isWaiting = false
        read(context: context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if waitingForWrites, context.channel.isWritable {
            waitingForWrites = false
            read(context: context)
        }
        context.fireChannelWritabilityChanged()
    }
}
