internal import NIOCore

/// Tells when a connection reads or writes. On its channel's event loop, as NIO calls it.
final class ActivityWatch: ChannelDuplexHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny

    private let moved: (NIODeadline) -> Void

    init(_ moved: @escaping (NIODeadline) -> Void) {
        self.moved = moved
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        moved(context.eventLoop.now)
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        moved(context.eventLoop.now)
        context.write(data, promise: promise)
    }
}
