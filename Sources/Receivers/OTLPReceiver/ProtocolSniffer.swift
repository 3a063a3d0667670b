internal import NIOCore

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by a connection's first bytes, then makes way for the right handlers.
///
/// The connection preface of HTTP/2 (RFC 9113 §3.4) starts with "PRI"; no method of HTTP/1.1 does. Event loop only.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private static let preface: [UInt8] = Array("PRI".utf8)
    private let decide: (_ isHTTP2: Bool, _ pipeline: ChannelPipeline.SynchronousOperations) throws -> Void
    private var seen = ByteBuffer()

    /// - Parameter decide: adds the handlers of the protocol behind this one.
    init(
        decide: @escaping (_ isHTTP2: Bool, _ pipeline: ChannelPipeline.SynchronousOperations) throws -> Void
    ) {
        self.decide = decide
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen.writeImmutableBuffer(unwrapInboundIn(data))
        let count = min(seen.readableBytes, Self.preface.count)
        let isHTTP2 = seen.readableBytesView.prefix(count).elementsEqual(Self.preface.prefix(count))
        if isHTTP2, count < Self.preface.count { return }
        do {
            try decide(isHTTP2, context.pipeline.syncOperations)
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(NIOAny(seen))
        context.fireChannelReadComplete()
        seen = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that ends before it has said which protocol it speaks wants nothing.
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
