internal import NIOCore

/// One HTTP/2 connection to a server, many requests at a time. Event loop only.
final class HTTP2ClientConnection: HTTP2ConnectionDelegate, HTTPClientConnection {
    private let origin: HTTPOrigin
    private let eventLoop: any EventLoop
    /// The client keeps its connections; they let go of it when they end.
    private var owner: (any HTTPClientConnectionOwner)?
    /// The handler keeps this object; both let go of each other when the connection ends.
    private var handler: HTTP2Handler?
    private var session: HTTP2Session?
    private struct Entry {
        let call: HTTPClientCall
        let stream: HTTP2Stream
        /// The stream object serves other streams later.
        let id: Int32
        let begun: NIODeadline
    }

    /// By stream slot.
    private var calls: [Entry?] = []
    private var callCount = 0
    /// Whether a request was answered here, and whether the server has said that it goes away.
    private var hasServed = false
    private var isGoingAway = false
    private let pingAfter: TimeAmount?
    private let pingTimeout: TimeAmount
    private var pingTimer: RepeatedTask?
    private var pingSent: NIODeadline?
    private(set) var idleSince: NIODeadline?

    /// A request given up after such a silence takes its connection with it.
    private static let silenceMax = TimeAmount.milliseconds(500)
    private static let refusedStream: UInt32 = 7
    private static let cancel: UInt32 = 8
    /// Not to be sent in HTTP/2 (RFC 9113 §8.2.2), or written by the client itself.
    private static let ownFields = [
        "host", "content-length", "connection", "keep-alive", "proxy-connection", "transfer-encoding",
        "upgrade",
    ]

    /// - Parameters:
    ///   - pingAfter: silence after which the server is pinged; nil = never.
    ///   - pingTimeout: time for its answer.
    init(
        origin: HTTPOrigin, eventLoop: any EventLoop, pingAfter: TimeAmount?, pingTimeout: TimeAmount,
        owner: any HTTPClientConnectionOwner
    ) {
        self.pingAfter = pingAfter
        self.pingTimeout = pingTimeout
        self.origin = origin
        self.eventLoop = eventLoop
        self.owner = owner
    }

    // MARK: - Requests

    func start(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        call.connection = self
        call.phase = .asked
        idleSince = nil
        guard let handler, let session = handler.session else {
            owner?.connectionEnding(self)
            later(call, .closed(origin: origin, beforeAnswer: true, reason: "the connection ended"))
            return
        }
        do throws(HTTP2SessionError) {
            let body = call.request.body
            let stream = try session.request(fields(call.request), body: body.isEmpty ? nil : body)
            while calls.count <= stream.slot { calls.append(nil) }
            calls[stream.slot] = Entry(call: call, stream: stream, id: stream.id, begun: eventLoop.now)
            callCount += 1
            handler.flushSoon()
        } catch {
            // No more streams here. Those that are open go on.
            owner?.connectionEnding(self)
            if callCount == 0 { handler.close(because: "HTTP/2: \(error)") }
            later(call, .closed(origin: origin, beforeAnswer: true, reason: "HTTP/2: \(error)"))
        }
    }

    private func fields(_ request: HTTPClientRequest) -> HTTP2Fields {
        var host = origin.authority
        var rest: [(String, String)] = []
        for (name, value) in request.headers {
            let name = name.lowercased()
            if name == "host" { host = value }
            if !Self.ownFields.contains(name) { rest.append((name, value)) }
        }
        if !request.body.isEmpty { rest.append(("content-length", "\(request.bodyBytes)")) }
        return HTTP2Fields(
            [
                (":method", request.method), (":scheme", origin.scheme.rawValue), (":authority", host),
                (":path", request.target),
            ] + rest)
    }

    func withdraw(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        guard let slot = calls.firstIndex(where: { $0?.call === call }), let entry = take(slot) else {
            return
        }
        guard let handler, let session = handler.session else { return }
        if entry.stream.id == entry.id { session.reset(entry.stream, code: Self.cancel) }
        // Not a byte of anything since it was sent: the other end may be gone without a word.
        if handler.lastRead < entry.begun, eventLoop.now - entry.begun > Self.silenceMax {
            handler.close(because: "nothing came while a request waited")
        } else {
            handler.flushSoon()
        }
    }

    func close(because reason: String) {
        eventLoop.preconditionInEventLoop()
        handler?.close(because: reason)
    }

    private func take(_ slot: Int) -> Entry? {
        guard slot < calls.count, let entry = calls[slot] else { return nil }
        calls[slot] = nil
        callCount -= 1
        if callCount == 0 {
            idleSince = eventLoop.now
            owner?.connectionIdle(self)
        }
        return entry
    }

    /// Ends a call after the session's own call has returned: the next request may follow at once.
    private func later(_ call: HTTPClientCall, _ error: HTTPClientError?) {
        let bound = NIOLoopBound(call, eventLoop: eventLoop)
        eventLoop.execute { bound.value.finish(error) }
    }

    private func call(_ stream: HTTP2Stream) -> HTTPClientCall? {
        stream.slot < calls.count ? calls[stream.slot]?.call : nil
    }

    // MARK: - HTTP2ConnectionDelegate

    func opened(_ handler: HTTP2Handler) {
        self.handler = handler
        session = handler.session
        idleSince = eventLoop.now
        guard let pingAfter else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let interval = max(min(pingAfter, pingTimeout), .milliseconds(10))
        pingTimer = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            bound.value.pingIfSilent(pingAfter)
        }
    }

    private func pingIfSilent(_ pingAfter: TimeAmount) {
        guard let handler else { return }
        let now = eventLoop.now
        if let pingSent {
            if now - pingSent >= pingTimeout { handler.close(because: "no answer to a ping in time") }
            return
        }
        guard now - handler.lastRead >= pingAfter else { return }
        pingSent = now
        handler.session?.ping()
        handler.flush()
    }

    func reading(at now: NIODeadline) {}

    func connectionClosed(reason: String) {
        pingTimer?.cancel()
        pingTimer = nil
        // A server that closes an idle connection and requests that are sent at that moment cross on the way. One that
        // says how far it got, with GOAWAY, has perhaps done what it did not answer.
        let mayRepeat = hasServed && !isGoingAway && handler?.isClosedHere == false
        handler = nil
        let spoke = session?.hasPeerSettings ?? false
        session = nil
        let broken = calls
        calls = []
        callCount = 0
        let owner = owner
        self.owner = nil
        owner?.connectionClosed(self)
        for case let entry? in broken {
            let call = entry.call
            if mayRepeat, let owner, call.takeRepetition() {
                let bound = NIOLoopBound((owner, call), eventLoop: eventLoop)
                eventLoop.execute { bound.value.0.sendAgain(bound.value.1) }
                continue
            }
            let why = spoke ? reason : "it does not speak HTTP/2 (\(reason))"
            later(call, .closed(origin: origin, beforeAnswer: !call.isAnswered, reason: why))
        }
    }

    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
        guard !isTrailers, let call = call(stream) else { return }
        guard let status = stream.headers[":status"].flatMap({ Int($0) }), (200...599).contains(status) else {
            end(stream, .malformed(origin: origin, reason: "no status"))
            return
        }
        let fields = stream.headers.all.filter { !$0.name.hasPrefix(":") }
        call.received(HTTPClientResponseHead(status: status, headers: HTTPClientHeaders(fields)))
        // A redirect, or cancelled.
        if call.isDone { end(stream, nil) }
    }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {
        guard let call = call(stream) else { return }
        let more = unsafe call.received(ByteBuffer(bytes: bytes))
        if !more || call.isDone { end(stream, nil) }
    }

    func ended(_ stream: HTTP2Stream) {
        guard let call = call(stream) else { return }
        // Answered before it has everything: it does not want the rest, and may never open the window for it.
        if !stream.isSent { session?.reset(stream, code: Self.cancel) }
        hasServed = true
        _ = take(stream.slot)
        later(call, nil)
    }

    /// Takes no more of an answer.
    private func end(_ stream: HTTP2Stream, _ error: HTTPClientError?) {
        guard let entry = take(stream.slot) else { return }
        session?.reset(stream, code: Self.cancel)
        later(entry.call, error)
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {
        // A call that has its answer is not in `calls` any more.
        guard let call = call(stream) else { return }
        _ = take(stream.slot)
        // REFUSED_STREAM says that the server did not look at the request (RFC 9113 §8.7).
        if code == Self.refusedStream, owner != nil, call.takeRepetition() {
            let bound = NIOLoopBound((self, call), eventLoop: eventLoop)
            eventLoop.execute {
                let (connection, call) = bound.value
                let closed = HTTPClientError.closed(
                    origin: connection.origin, beforeAnswer: true, reason: "HTTP/2 error code \(code)")
                guard let owner = connection.owner else { return call.finish(closed) }
                owner.sendAgain(call)
            }
            return
        }
        later(
            call,
            .closed(
                origin: origin, beforeAnswer: !call.isAnswered,
                reason: "the stream was reset with HTTP/2 error code \(code)"))
    }

    func goAway(lastStream: Int32, code: UInt32) {
        isGoingAway = true
        owner?.connectionEnding(self)
    }

    func pingAcknowledged() {
        pingSent = nil
    }

    func pingReceived() {}
}
