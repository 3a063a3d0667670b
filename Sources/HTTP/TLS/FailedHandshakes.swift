internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Tells of a client whose handshake failed because of its certificate, or because it speaks no TLS; goes when the handshake is done.
/// Behind the handler of TLS, on its channel's event loop, as NIO calls it.
final class FailedHandshakes: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    /// What Go's servers say, and clients know.
    private static let answer =
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

    private let tls: NIOSSLServerHandler
    private let refused: ServerTLS.Refused?
    private let plainText: () -> Void
    private let keepsSession: () -> Void

    /// - Parameters:
    ///   - tls: the handler before this one.
    ///   - refused: hears of clients without a certificate that is trusted; nil: they need none.
    ///   - plainText: hears of clients that speak no TLS.
    ///   - keepsSession: hears of sessions that the context keeps.
    init(
        _ tls: NIOSSLServerHandler, refused: ServerTLS.Refused?, plainText: @escaping () -> Void,
        keepsSession: @escaping () -> Void
    ) {
        self.tls = tls
        self.refused = refused
        self.plainText = plainText
        self.keepsSession = keepsSession
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        let isDone = if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { true } else { false }
        // Those of TLS 1.3 are with the client.
        if isDone, tls.tlsVersion != .tlsv13 { keepsSession() }
        context.fireUserInboundEventTriggered(event)
        if isDone { context.pipeline.syncOperations.removeHandler(self, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case NIOSSLError.handshakeFailed(.sslError(let stack)) = error {
            for entry in stack { judge("\(entry)", context) }
        }
        context.fireErrorCaught(error)
    }

    private func judge(_ words: String, _ context: ChannelHandlerContext) {
        // A method of HTTP/1.1; the preface of HTTP/2 is but a version that nobody knows.
        if words.contains("HTTP_REQUEST") {
            plainText()
            // Before the handler of TLS, which could only encrypt it.
            guard let before = try? context.pipeline.syncOperations.context(handler: tls) else { return }
            before.writeAndFlush(NIOAny(context.channel.allocator.buffer(string: Self.answer)), promise: nil)
        } else if words.contains("WRONG_VERSION_NUMBER") {
            plainText()
        } else if let reason = Self.reason(words) {
            refused?(reason, context.remoteAddress?.ipAddress)
        }
    }

    /// What is wrong with the client's certificate; nil for handshakes that failed for something else.
    private static func reason(_ words: String) -> String? {
        if words.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") { return "no certificate" }
        if words.contains("CERTIFICATE_VERIFY_FAILED") { return "certificate not trusted" }
        if words.contains("BAD_SIGNATURE") { return "certificate of somebody else" }
        return nil
    }
}
