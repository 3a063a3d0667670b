internal import Glibc
package import Logging
package import NIOCore

/// Stops to accept connections for a second when the system has no file or no memory for one more. On its channel's event loop, as NIO calls it.
///
/// Connections wait in the listener's backlog meanwhile. Tried again at once, the same failure would keep a loop busy
/// with nothing else. NIO's `AcceptBackoffHandler` holds back reads that are asked for; the one that failed stays asked
/// for, so this turns `autoRead` off. Says in the log that it began and that it is over: places that idle connections
/// gave up and that are taken at once are no end of it.
package final class AcceptTrouble: ChannelInboundHandler {
    package typealias InboundIn = any Channel

    private static let pauseTime = TimeAmount.seconds(1)
    /// Without a failure for so long after a connection was accepted, it is over.
    private static let quietTime = TimeAmount.seconds(5)
    private let logger: Logger?
    private var isTroubled = false
    private var lastFailure = NIODeadline.distantPast
    private var waitsForQuiet = false

    private init(_ logger: Logger?) {
        self.logger = logger
    }

    /// Watches a listening channel. On its event loop, before it listens.
    /// - Parameter logger: nil for listeners that have nobody to tell.
    package static func install(on channel: any Channel, logger: Logger?) throws {
        try channel.pipeline.syncOperations.addHandler(AcceptTrouble(logger))
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isTroubled, !waitsForQuiet {
            waitForQuiet(context.eventLoop)
        }
        context.fireChannelRead(data)
    }

    private func waitForQuiet(_ loop: any EventLoop) {
        waitsForQuiet = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: Self.quietTime) {
            let handler = bound.value
            handler.waitsForQuiet = false
            guard handler.lastFailure + Self.quietTime <= loop.now else { return }
            handler.isTroubled = false
            handler.logger?.info("Connections are accepted again.")
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) {
            pause(context)
            lastFailure = context.eventLoop.now
            if !isTroubled {
                isTroubled = true
                logger?.error(
                    "Cannot accept connections. Trying again every second.",
                    metadata: [
                        "error": "\(error)",
                        "help": "raise the limit of open files (ulimit -n), or lower the number of clients",
                    ])
            }
        }
        context.fireErrorCaught(error)
    }

    private func pause(_ context: ChannelHandlerContext) {
        setReading(false, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.pauseTime) {
            let (handler, context) = bound.value
            handler.setReading(true, context)
        }
    }

    private func setReading(_ reads: Bool, _ context: ChannelHandlerContext) {
        // Fails only when the listener is closed, and then nobody accepts any more.
        try? context.channel.syncOptions?.setOption(.autoRead, value: reads)
    }
}
