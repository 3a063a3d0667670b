internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Tells of a client whose handshake failed because of its certificate; goes when the handshake is done. Behind the handler of TLS, on
/// its channel's event loop, as NIO calls it.
final class RefusedCertificates: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private let tell: ServerTLS.Refused

    init(_ tell: @escaping ServerTLS.Refused) {
        self.tell = tell
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        let isDone = if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { true } else { false }
        context.fireUserInboundEventTriggered(event)
        if isDone { context.pipeline.syncOperations.removeHandler(self, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let reason = Self.reason(error) { tell(reason, context.remoteAddress?.ipAddress) }
        context.fireErrorCaught(error)
    }

    /// What is wrong with the client's certificate; nil for handshakes that failed for something else.
    private static func reason(_ error: any Error) -> String? {
        guard case NIOSSLError.handshakeFailed(.sslError(let stack)) = error else { return nil }
        for entry in stack {
            let words = "\(entry)"
            if words.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") { return "no certificate" }
            if words.contains("CERTIFICATE_VERIFY_FAILED") { return "certificate not trusted" }
            if words.contains("BAD_SIGNATURE") { return "certificate of somebody else" }
        }
        return nil
    }
}
