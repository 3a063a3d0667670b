internal import NIOCore

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by a connection's first bytes, then makes way for the right handlers.
///
/// The connection preface of HTTP/2 (RFC 9113 §3.4) starts with "PRI"; no method of HTTP/1.1 does. On its channel's event loop, as NIO
/// calls it.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler, ReceiverConnection {
    typealias InboundIn = ByteBuffer

    private static let preface: [UInt8] = Array("PRI".utf8)
    /// The first byte of a TLS handshake (RFC 8446 §5.1), with which no method begins.
    private static let handshake: UInt8 = 0x16
    private let connections: Connections
    private let timeout: TimeAmount
    private let onTLS: () -> Void
    private let decide: (_ isHTTP2: Bool, _ pipeline: ChannelPipeline.SynchronousOperations) throws -> Void
    private var seen = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var opened = NIODeadline.distantFuture

    /// - Parameters:
    ///   - timeout: how long a client may take for its first bytes.
    ///   - onTLS: called when a client speaks TLS, which should have been taken off before.
    ///   - decide: adds the handlers of the protocol behind this one.
    init(
        connections: Connections, timeout: TimeAmount, onTLS: @escaping () -> Void,
        decide: @escaping (_ isHTTP2: Bool, _ pipeline: ChannelPipeline.SynchronousOperations) throws -> Void
    ) {
        self.connections = connections
        self.timeout = timeout
        self.onTLS = onTLS
        self.decide = decide
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        opened = context.eventLoop.now
        connections.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connections.remove(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen.writeImmutableBuffer(unwrapInboundIn(data))
        if seen.readableBytesView.first == Self.handshake {
            // It would wait for the other half of the handshake for as long as it may.
            onTLS()
            close()
            return
        }
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
        // A probe that only connects, or a client that gives up: nobody else would close its half.
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: - ReceiverConnection

    func check(_ now: NIODeadline) {
        if now - opened >= timeout { close() }
    }

    var idleSince: NIODeadline? { opened }

    func drain() {
        close()
    }

    func close() {
        context?.close(promise: nil)
    }
}
