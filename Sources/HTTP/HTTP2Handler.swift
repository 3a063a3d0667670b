package import NIOCore

/// What a connection's owner does besides the session's calls. Event loop only.
package protocol HTTP2ConnectionDelegate: HTTP2SessionDelegate {
    /// The connection is up; `handler.session` may be used.
    func opened(_ handler: HTTP2Handler)
    /// Bytes have come; what they cause is told next.
    func reading(at now: NIODeadline)
    /// What there was to send has gone to the socket, or the socket takes no more.
    func flushed()
    /// The connection is gone. Streams that were open get no call of their own.
    func connectionClosed(reason: String)
}

extension HTTP2ConnectionDelegate {
    package func flushed() {}
}

/// Carries one HTTP/2 session on a channel: socket bytes in, one write for everything that one read caused.
///
/// Owns the session and its delegate. A server's session is made when a client's first frame but settings comes. Event
/// loop only.
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
    /// A server's, until there is a session.
    private var greeting: HTTP2Greeting?
    /// Why a server's connection ends whose client speaks something else.
    package static let foundNoHTTP2 = "HTTP/2: the client does not speak it"
    /// Whether the client's settings were acknowledged without a session.
    private var isGreeted = false
    private var scanner = HTTP2FrameScanner()
    private let account: ConnectionAccount?
    /// More frames than these are not gathered before they go to the socket.
    private static let gatheredFramesMax = 512
    private var inputEnded = false
    /// Whether this end has closed the connection, not the peer or the network.
    package private(set) var isClosedHere = false
    /// The session while the channel is active; nil for a server whose client has sent nothing but settings.
    package private(set) var session: HTTP2Session?
    /// When bytes last came, for keepalive and idle limits.
    package private(set) var lastRead = NIODeadline.now()

    /// - Parameters:
    ///   - delegate: kept alive by the handler.
    ///   - account: a server's; frames that carry nothing are taken from it.
    package init(
        role: HTTP2Session.Role, settings: HTTP2Settings, delegate: any HTTP2ConnectionDelegate,
        account: ConnectionAccount? = nil
    ) {
        self.account = account
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
        guard session != nil || greeting != nil else { return }
        lastRead = account?.now ?? context.eventLoop.now
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
            try unsafe buffer.withUnsafeReadableBytes { (bytes) throws(HTTP2SessionError) in
                if role == .server, unsafe !isWithinLimits(bytes) { return }
                if greeting != nil { return unsafe try greet(bytes, context) }
                try unsafe session?.receive(bytes)
            }
            if closeWanted { return close(because: closeReason) }
        } catch {
            return close(because: error.isWithoutPreface ? Self.foundNoHTTP2 : "HTTP/2: \(error)")
        }
        if let session, session.outboundFrames > Self.gatheredFramesMax {
            reading = false
            flush()
            reading = true
        }
    }

    /// Looks at the frames that came. Ends the connection when they are too many that carry nothing, or a stream's number
    /// goes back.
    private func isWithinLimits(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let account else { return true }
        let found = unsafe scanner.scan(bytes)
        var end: ConnectionEnd?
        if found.lightFrames > 0, !account.frames.take(found.lightFrames, now: lastRead) { end = .frames }
        if found.streamWentBack { end = .streamNumber }
        guard let end else { return true }
        if let tell = account.end { tell(end) } else { self.end(end) }
        return false
    }

    /// Ends the connection with a GOAWAY that says why.
    package func end(_ reason: ConnectionEnd) {
        startSession()?.goAway(isFinal: true, code: reason.http2Code, debug: reason.words)
        close(because: reason.rawValue)
    }

    // MARK: - The beginning of a server's connection

    /// Answers settings; makes a session when it is needed, which reads everything that has come.
    private func greet(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext)
        throws(HTTP2SessionError)
    {
        var answer = ByteBuffer()
        let step = unsafe greeting?.receive(bytes, answer: &answer)
        // What a session that begins now has to say anyway goes with its first answers.
        if answer.readableBytes > 0, step == .wait || isGreeted {
            isGreeted = true
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }
        if step == .begin { try begin() }
    }

    /// The session, made if there is none yet. Nil when the connection has ended.
    package func startSession() -> HTTP2Session? {
        do throws(HTTP2SessionError) {
            try begin()
        } catch {
            close(because: "HTTP/2: \(error)")
        }
        return session
    }

    private func begin() throws(HTTP2SessionError) {
        guard let greeting else { return }
        self.greeting = nil
        let made = try HTTP2Session(
            role: role, settings: settings, delegate: delegate,
            memory: context.flatMap { SessionMemory(.of($0.eventLoop)) })
        session = made
        // Its settings and its answers to the client's have been sent.
        try made.forgetOutput()
        try unsafe greeting.seen.withReadableBytes { (seen) throws(HTTP2SessionError) in
            try unsafe made.receive(seen)
        }
        if isGreeted { try made.forgetOutput() }
        try unsafe greeting.rest.withReadableBytes { (rest) throws(HTTP2SessionError) in
            try unsafe made.receive(rest)
        }
    }

    /// Whether the peer has spoken HTTP/2: its SETTINGS have come.
    package var hasPeerSettings: Bool { greeting?.hasPeerSettings ?? session?.hasPeerSettings ?? false }

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
        if case ChannelEvent.inputClosed = event {
            if let session {
                // What the peer has asked for completely is still answered; the end of the last answer is the session's.
                session.inputEnded()
                inputEnded = true
                flush()
            } else {
                context.close(promise: nil)
            }
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
        delegate.flushed()
        // After the end of the input no window grows: what could not be sent by now never will be.
        if session.isFinished || inputEnded && !session.isOwnerAsked && context.channel.isWritable {
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
        guard session == nil, greeting == nil else { return }
        lastRead = context.eventLoop.now
        if role == .server {
            greeting = HTTP2Greeting()
            delegate.opened(self)
            context.writeAndFlush(wrapOutboundOut(settings.greeting), promise: nil)
            return
        }
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
        guard session != nil || greeting != nil else { return }
        greeting = nil
        session?.close()
        session = nil
        delegate.connectionClosed(reason: closeReason)
    }
}
