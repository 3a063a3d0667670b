package import NIOCore

/// What a connection's owner does besides the session's calls. Event loop only.
package protocol HTTP2ConnectionDelegate: HTTP2SessionDelegate {
    /// The connection is up; `handler.session` may be used.
    func opened(_ handler: HTTP2Handler)
    /// Bytes have come; what they cause is told next.
    func reading(at now: NIODeadline)
    /// The connection is gone. Streams that were open get no call of their own.
    func connectionClosed(reason: String)
}

/// Carries one HTTP/2 session on a channel: socket bytes in, one write for everything that one read caused.
///
/// Owns the session and its delegate. Event loop only.
package final class HTTP2Handler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private let role: HTTP2Session.Role
    private let settings: HTTP2Settings
    private let delegate: any HTTP2ConnectionDelegate
    private var context: ChannelHandlerContext?
    private var reading = false
    /// Whether nothing has come yet.
    private var isSilent = true
    /// Whether to close when the session, which is calling its delegate, has returned.
    private var closeWanted = false
    private var flushScheduled = false
    private var closeReason = "the peer closed the connection"
    /// Whether this end has closed the connection, not the peer or the network.
    package private(set) var isClosedHere = false
    /// The session while the channel is active.
    package private(set) var session: HTTP2Session?
    /// When bytes last came, for keepalive and idle limits.
    package private(set) var lastRead = NIODeadline.now()

    /// - Parameter delegate: kept alive by the handler.
    package init(role: HTTP2Session.Role, settings: HTTP2Settings, delegate: any HTTP2ConnectionDelegate) {
        self.role = role
        self.settings = settings
        self.delegate = delegate
    }

    /// The channel's loop; nil before the handler is added and after it is removed.
    package var eventLoop: (any EventLoop)? { context?.eventLoop }

    /// The other end of the connection; as `eventLoop`.
    package var remoteAddress: SocketAddress? { context?.remoteAddress }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { open(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        open(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let session else { return }
        lastRead = context.eventLoop.now
        delegate.reading(at: lastRead)
        let buffer = unwrapInboundIn(data)
        if isSilent {
            isSilent = false
            if role == .client, let foreign = ForeignProtocol(buffer.readableBytesView, asked: .http2) {
                return close(because: "\(foreign)")
            }
        }
        reading = true
        do throws(HTTP2SessionError) {
            try unsafe buffer.withReadableBytes { (bytes) throws(HTTP2SessionError) in
                try unsafe session.receive(bytes)
            }
            if closeWanted { close(because: closeReason) }
        } catch {
            close(because: "HTTP/2: \(error)")
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        reading = false
        flush()
        context.fireChannelReadComplete()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isClosedHere = isClosedHere
        close(because: TransportFault.text(error))
        self.isClosedHere = isClosedHere
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event, let session {
            // What the peer has asked for completely is still answered; the end of the last answer is the session's.
            session.inputEnded()
            flush()
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        flush()
        context.fireChannelWritabilityChanged()
    }

    /// Writes what the session has to say. While a read is going on it waits for the read's end, so that many answers
    /// share one write. While the socket is full it waits too: what the peer does not read stays within the session,
    /// whose limits bound it.
    package func flush() {
        guard let context else { return }
        context.eventLoop.preconditionInEventLoop()
        guard !reading, let session, context.channel.isWritable else { return }
        if session.isBusy { return flushSoon() }
        do throws(HTTP2SessionError) {
            var wrote = false
            try session.send { buffer in
                wrote = true
                context.write(NIOAny(buffer), promise: nil)
            }
            if wrote { context.flush() }
            if closeWanted { return close(because: closeReason) }
        } catch {
            close(because: "HTTP/2: \(error)")
            return
        }
        if session.isFinished {
            context.close(promise: nil)
        }
    }

    /// Flushes at the end of the loop's turn: for answers that come one by one from other threads.
    package func flushSoon() {
        guard let context else { return }
        context.eventLoop.preconditionInEventLoop()
        guard !flushScheduled else { return }
        flushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            bound.value.flushScheduled = false
            bound.value.flush()
        }
    }

    /// Closes the connection after writing what is due (a GOAWAY, perhaps); inside a delegate call, after that.
    package func close(because reason: String) {
        context?.eventLoop.preconditionInEventLoop()
        closeReason = reason
        isClosedHere = true
        if session?.isBusy == true {
            closeWanted = true
            return
        }
        closeWanted = false
        reading = false
        guard let context else { return }
        if let session {
            // The session may be past sending; the connection ends either way.
            try? session.send { context.write(NIOAny($0), promise: nil) }
            context.flush()
        }
        context.close(promise: nil)
    }

    private func open(_ context: ChannelHandlerContext) {
        guard session == nil else { return }
        lastRead = context.eventLoop.now
        do throws(HTTP2SessionError) {
            session = try HTTP2Session(role: role, settings: settings, delegate: delegate)
        } catch {
            closeReason = "HTTP/2: \(error)"
            context.close(promise: nil)
            return
        }
        delegate.opened(self)
        flush()
    }

    private func end() {
        guard let session else { return }
        self.session = nil
        session.close()
        delegate.connectionClosed(reason: closeReason)
    }
}
