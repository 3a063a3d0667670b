package import Logging
package import NIOCore

/// An HTTP client for one origin: HTTP/1.1 over kept connections, or HTTP/2 over one. Event loop only, but for `init`.
///
/// Connects when there is something to send. A request that meets a connection which the server has just closed is sent
/// once more on a new one, if not a byte of an answer had come. Redirects are not followed. Every answer is bounded:
/// its head by 64 KiB (HTTP/2: 16 KiB), its body by `responseBytesMax`, its time by the caller's deadline.
package final class HTTPClient: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but constants is touched on `eventLoop` only.
    /// How it connects. Immutable; any thread.
    package struct Options: Sendable {
        /// For `https` origins, made with `protocols(http2:)`; ignored for others.
        package var tls: ClientTLS?
        /// Speaks HTTP/2: with TLS when the server agrees (ALPN), without by prior knowledge.
        package var http2 = false
        /// HTTP/1.1 connections at a time, idle ones too; further requests wait.
        package var connectionsMax = 64
        /// HTTP/1.1 connections that are kept without a request.
        package var idleMax = Int.max
        /// After this without a request a connection is closed.
        package var idleTimeout = TimeAmount.seconds(90)
        /// An HTTP/2 connection that is silent for so long is pinged; nil = never.
        package var pingAfter: TimeAmount?
        /// Time for the answer to a ping before the connection is given up.
        package var pingTimeout = TimeAmount.seconds(15)
        /// Whether HTTP/1.1 connections serve more than one request.
        package var keepsAlive = true
        /// For the name, the connection and TLS.
        package var connectTimeout = TimeAmount.seconds(10)
        /// Through which connections go; nil: directly.
        package var proxy: HTTPProxy?
        /// The largest body that `send` collects.
        package var responseBytesMax = 64 << 10

        package init() {}

        /// What to offer to the server of an `https` origin.
        package static func protocols(http2: Bool) -> [String] { http2 ? ["h2", "http/1.1"] : ["http/1.1"] }
    }

    package let origin: HTTPOrigin
    package let eventLoop: any EventLoop
    let options: Options
    private let logger: Logger

    var isClosed = false
    /// Whether the server speaks HTTP/2; nil until TLS has found out.
    var speaksHTTP2: Bool?
    var connecting = 0
    var connections: [ObjectIdentifier: (connection: any HTTPClientConnection, channel: any Channel)] = [:]
    /// HTTP/1.1 connections without a request; the last one was used last.
    private var idle: [HTTP1ClientConnection] = []
    /// The HTTP/2 connection that takes requests.
    var shared: HTTP2ClientConnection?
    var waiting = CircularBuffer<HTTPClientCall>()
    private var sweep: Scheduled<Void>?

    /// Connects to nobody yet.
    /// - Parameter logger: gets nothing but changes of the server's state.
    package init(origin: HTTPOrigin, options: Options = Options(), eventLoop: any EventLoop, logger: Logger) {
        self.origin = origin
        self.options = options
        self.eventLoop = eventLoop
        self.logger = logger
        precondition(origin.scheme == .http || options.tls != nil, "https needs options.tls")
        speaksHTTP2 = origin.scheme == .https && options.http2 ? nil : options.http2
    }

    // MARK: - Requests

    /// Sends a request and collects the answer, whatever its status.
    ///
    /// Fails with `HTTPClientError`, at the latest when `deadline` passes. The future is never complete on return.
    package func send(_ request: HTTPClientRequest, deadline: NIODeadline) -> EventLoopFuture<
        HTTPClientResponse
    > {
        let answer = Answer()
        let limit = options.responseBytesMax
        let call = begin(
            request, deadline: deadline, bodyDeadline: nil, onHead: { answer.head = $0 },
            onBytes: { bytes in
                let room = limit - answer.body.readableBytes
                guard bytes.readableBytes > room else {
                    answer.append(bytes)
                    return true
                }
                answer.append(bytes.getSlice(at: bytes.readerIndex, length: room)!)
                answer.isTruncated = true
                return false
            })
        let bound = NIOLoopBound(answer, eventLoop: eventLoop)
        return call.result.map {
            let answer = bound.value
            guard let head = answer.head else { preconditionFailure("An answer is complete without a head") }
            return HTTPClientResponse(
                status: head.status, headers: head.headers, body: answer.body,
                bodyTruncated: answer.isTruncated)
        }
    }

    /// Sends a request and hands out the answer as it comes, for bodies that are long or never end.
    ///
    /// - Parameters:
    ///   - deadline: until when the head must have come.
    ///   - bodyDeadline: until when the body must be complete.
    ///   - onHead: called once. Event loop.
    ///   - onBytes: called for every piece; says whether more are wanted. Event loop.
    /// - Returns: the call; its `result` tells how it ended, and it can be cancelled.
    package func stream(
        _ request: HTTPClientRequest, deadline: NIODeadline, bodyDeadline: NIODeadline = .distantFuture,
        onHead: @escaping (HTTPClientResponseHead) -> Void, onBytes: @escaping (ByteBuffer) -> Bool
    ) -> HTTPClientCall {
        begin(request, deadline: deadline, bodyDeadline: bodyDeadline, onHead: onHead, onBytes: onBytes)
    }

    private final class Answer {
        var head: HTTPClientResponseHead?
        var body = ByteBuffer()
        var isTruncated = false

        func append(_ bytes: ByteBuffer) {
            if body.readableBytes == 0 { body = bytes } else { body.writeImmutableBuffer(bytes) }
        }
    }

    private func begin(
        _ request: HTTPClientRequest, deadline: NIODeadline, bodyDeadline: NIODeadline?,
        onHead: @escaping (HTTPClientResponseHead) -> Void, onBytes: @escaping (ByteBuffer) -> Bool
    ) -> HTTPClientCall {
        eventLoop.preconditionInEventLoop()
        let call = HTTPClientCall(
            throughProxy(request), client: self, bodyDeadline: bodyDeadline, onHead: onHead, onBytes: onBytes)
        if let problem = request.problem {
            failSoon(call, .badRequest(problem))
            return call
        }
        call.setTimer(deadline)
        dispatch(call)
        return call
    }

    private func dispatch(_ call: HTTPClientCall) {
        guard !isClosed else { return failSoon(call, .cancelled) }
        if let shared {
            shared.start(call)
            return
        }
        if !call.wasRepeated, let connection = idle.popLast() {
            connection.start(call)
            return
        }
        call.phase = .waiting
        if call.wasRepeated {
            waiting.prepend(call)
            makeRoom()
        } else {
            waiting.append(call)
        }
        connectIfNeeded()
    }

    /// The request as a proxy of `http` wants it: with the whole URL (RFC 9112 §3.2.2).
    private func throughProxy(_ request: HTTPClientRequest) -> HTTPClientRequest {
        guard let proxy = options.proxy, origin.scheme == .http else { return request }
        var request = request
        request.target = "\(origin)\(request.target)"
        if let authorization = proxy.authorization {
            request.headers.append(("Proxy-Authorization", authorization))
        }
        return request
    }

    /// Callers are told after they have asked, not while they ask.
    private func failSoon(_ call: HTTPClientCall, _ error: HTTPClientError) {
        let bound = NIOLoopBound(call, eventLoop: eventLoop)
        eventLoop.execute { bound.value.finish(error) }
    }

    /// Gives up the longest idle connection when a new one is needed and there are as many as may be.
    private func makeRoom() {
        guard connections.count + connecting >= options.connectionsMax, !idle.isEmpty else { return }
        let oldest = idle.removeFirst()
        connections[ObjectIdentifier(oldest)] = nil
        oldest.close(because: "a new connection takes its place")
    }

    /// Nobody waits for this call any more.
    func withdraw(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        if let index = waiting.firstIndex(where: { $0 === call }) {
            waiting.remove(at: index)
        } else {
            call.connection?.withdraw(call)
        }
    }

    /// Ends all calls and connections; the future succeeds when the last one is closed.
    package func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        isClosed = true
        sweep?.cancel()
        failWaiting(.cancelled)
        let open = Array(connections.values)
        for (connection, channel) in open {
            connection.close(because: "the client was closed")
            channel.close(promise: nil)
        }
        return .andAllComplete(open.map { $0.channel.closeFuture }, on: eventLoop)
    }

    func failWaiting(_ error: HTTPClientError) {
        let failed = waiting
        waiting = CircularBuffer()
        for call in failed { call.finish(error) }
    }

    // MARK: - Idle connections

    func scheduleSweep() {
        guard sweep == nil, !isClosed else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        // Half of the time, so that none is idle for more than one and a half of it.
        let interval = TimeAmount.nanoseconds(max(options.idleTimeout.nanoseconds / 2, 1_000_000))
        sweep = eventLoop.scheduleTask(in: interval) { bound.value.closeIdle() }
    }

    private func closeIdle() {
        sweep = nil
        let now = eventLoop.now
        for (connection, _) in Array(connections.values) {
            guard let since = connection.idleSince, now - since >= options.idleTimeout else { continue }
            connectionEnding(connection)
            connection.close(because: "it was idle")
        }
        if connections.values.contains(where: { $0.connection.idleSince != nil }) { scheduleSweep() }
    }
}

extension HTTPClient: HTTPClientConnectionOwner {
    func connectionIdle(_ connection: any HTTPClientConnection) {
        eventLoop.preconditionInEventLoop()
        guard !isClosed else { return }
        if let connection = connection as? HTTP1ClientConnection {
            if let call = waiting.popFirst() {
                connection.start(call)
                return
            }
            idle.append(connection)
            if idle.count > options.idleMax {
                idle.removeFirst().close(because: "enough others are idle")
            }
        }
        scheduleSweep()
    }

    func connectionEnding(_ connection: any HTTPClientConnection) {
        eventLoop.preconditionInEventLoop()
        if shared === connection { shared = nil }
        idle.removeAll { $0 === connection }
    }

    func connectionClosed(_ connection: any HTTPClientConnection) {
        eventLoop.preconditionInEventLoop()
        connectionEnding(connection)
        connections[ObjectIdentifier(connection)] = nil
        connectIfNeeded()
    }

    func sendAgain(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        guard !call.isDone else { return }
        dispatch(call)
    }
}
