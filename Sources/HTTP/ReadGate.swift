package import NIOCore

/// Leaves bytes in the socket while the process has enough to do, or while the peer does not read what it is sent: its
/// windows fill and it slows down.
///
/// Stands first in a server connection's pipeline. Asks before every read; while the answer is "pause" it asks again
/// every few milliseconds. A peer that does not read is read from again when it has. Event loop only.
package final class ReadGate: ChannelDuplexHandler {
    package typealias InboundIn = NIOAny
    package typealias OutboundIn = NIOAny

    private static let askAgain = TimeAmount.milliseconds(2)
    private let shouldPause: () -> Bool
    private var waiting = false
    private var waitingForWrites = false

    /// - Parameter shouldPause: asked on the event loop, before every read.
    package init(shouldPause: @escaping () -> Bool) {
        self.shouldPause = shouldPause
    }

    package func read(context: ChannelHandlerContext) {
        guard !waiting else { return }
        if !context.channel.isWritable {
            waitingForWrites = true
        } else if shouldPause() {
            waiting = true
            wait(context)
        } else {
            context.read()
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if waitingForWrites, context.channel.isWritable {
            waitingForWrites = false
            read(context: context)
        }
        context.fireChannelWritabilityChanged()
    }

    private func wait(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.askAgain) {
            let (gate, context) = bound.value
            guard context.channel.isActive else { return }
            if gate.shouldPause() {
                gate.wait(context)
            } else {
                gate.waiting = false
                gate.read(context: context)
            }
        }
    }
}
