internal import HTTP
internal import NIOCore

/// Waits for a connection's first bytes, tells HTTP/2 with prior knowledge from HTTP/1.1 by them, then makes way for the right
/// handlers. A client that sends nothing costs no more than this.
///
/// The connection preface of HTTP/2 (RFC 9113 §3.4) starts with "PRI"; no method of HTTP/1.1 does. On its channel's event loop, as NIO
/// calls it.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler, ReceiverConnection {
    typealias InboundIn = ByteBuffer

    /// What there is of a connection before its first bytes.
    enum Arrival {
        /// Nothing but what it reads into.
        case silent(ReadBuffers)
        /// A `ReadGate` and TLS, before this handler.
        case decrypted(ConnectionAccount)
    }

    private static let preface: [UInt8] = Array("PRI".utf8)
    /// The first byte of a TLS handshake (RFC 8446 §5.1), with which no method begins.
    private static let handshake: UInt8 = 0x16
    private let loop: AcceptingLoop
    private let arrival: Arrival
    private var seen = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var opened = NIODeadline.distantFuture

    /// - Parameter loop: adds the handlers of the protocol behind this one.
    init(_ loop: AcceptingLoop, _ arrival: Arrival) {
        self.loop = loop
        self.arrival = arrival
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        opened = context.eventLoop.now
        if case .silent(let buffers) = arrival { buffers.install(on: context.channel) }
        loop.connections.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.connections.remove(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen.writeImmutableBuffer(unwrapInboundIn(data))
        if case .silent(let buffers) = arrival, loop.isTLS {
            return makeWay(context) { try loop.beginTLS(context.channel, buffers) }
        }
        if seen.readableBytesView.first == Self.handshake {
            // It would wait for the other half of the handshake for as long as it may.
            loop.service.foreign.tell(.tls)
            close()
            return
        }
        let count = min(seen.readableBytes, Self.preface.count)
        let isHTTP2 = seen.readableBytesView.prefix(count).elementsEqual(Self.preface.prefix(count))
        if isHTTP2, count < Self.preface.count { return }
        makeWay(context) { try loop.begin(context.channel, arrival, isHTTP2: isHTTP2) }
    }

    /// Lets what comes next have what was read.
    private func makeWay(_ context: ChannelHandlerContext, for next: () throws -> Void) {
        do {
            try next()
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
            return
        }
        // That the read is complete is told by whoever tells it: there may be more of what has come.
        context.fireChannelRead(NIOAny(seen))
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

    var connectionBytes: Int {
        switch arrival {
        case .silent: ProtocolService.plainConnectionBytes
        case .decrypted: loop.service.connectionBytes
        }
    }

    var gate: ReadGate? {
        guard case .decrypted(let account) = arrival else { return nil }
        return account.gate
    }

    func check(_ now: NIODeadline) {
        if now - opened >= loop.firstBytesTimeout { close() }
    }

    var idleSince: NIODeadline? { opened }

    func drain() {
        close()
    }

    func close() {
        context?.close(promise: nil)
    }
}
