internal import NIOCore
internal import NIOHTTP1

/// One HTTP/1.1 connection to a server: one request at a time. Event loop only.
///
/// Stands behind NIO's request encoder and response decoder, and that behind `ResponseHeadReader`. The decoder bounds
/// heads and refuses answers that nobody asked for; a head, a body or an end that is not HTTP ends the connection.
final class HTTP1ClientConnection: ChannelInboundHandler, HTTPClientConnection {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// Interim answers (1xx) that are tolerated for one request.
    private static let interimMax = 16
    private let origin: HTTPOrigin
    private let keepsAlive: Bool
    private let eventLoop: any EventLoop
    /// The client keeps its connections; they let go of it when they end.
    private var owner: (any HTTPClientConnectionOwner)?
    private var context: ChannelHandlerContext?
    private let heads: ResponseHeadReader
    private var call: HTTPClientCall?
    /// Requests that were answered before this one.
    private var served = 0
    /// Whether the socket has taken all of the request.
    private var isSent = true
    private var serverKeepsAlive = true
    private var interim = 0
    private var isClosing = false
    private var closeReason = "the end of the stream"
    private(set) var idleSince: NIODeadline?

    /// - Parameter keepsAlive: whether it serves more than one request.
    init(
        origin: HTTPOrigin, keepsAlive: Bool, eventLoop: any EventLoop, owner: any HTTPClientConnectionOwner
    ) {
        self.eventLoop = eventLoop
        self.origin = origin
        self.keepsAlive = keepsAlive
        self.owner = owner
        heads = ResponseHeadReader()
    }

    /// Adds the handlers of HTTP/1.1, this one last.
    static func install(_ connection: HTTP1ClientConnection, on channel: any Channel) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 16 << 10
        limits.maxHeaderListSize = 64 << 10
        let decoder = HTTPResponseDecoder(
            leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward,
            limitConfiguration: limits)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(HTTPRequestEncoder())
        try pipeline.addHandler(connection.heads)
        try pipeline.addHandler(ByteToMessageHandler(decoder))
        try pipeline.addHandler(connection)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    // MARK: - Requests

    func start(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        precondition(self.call == nil, "HTTP/1.1 connections take one request at a time")
        self.call = call
        idleSince = nil
        interim = 0
        call.connection = self
        call.phase = .asked
        guard let context, !isClosing else {
            // Lost in this moment, before the client heard of it: `end` is on its way, or has been.
            self.call = nil
            refuse(call, "the connection ended")
            return
        }
        let request = call.request
        var output = HTTP2Output()
        for buffer in request.body { output.append(buffer) }
        var pieces: [ByteBuffer] = []
        output.drain { pieces.append($0) }
        let written = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, call), eventLoop: context.eventLoop)
        written.futureResult.whenSuccess {
            let (connection, call) = bound.value
            if connection.call === call { connection.isSent = true }
        }
        isSent = false
        heads.expectHead()
        context.write(wrapOutboundOut(.head(head(request))), promise: pieces.isEmpty ? written : nil)
        for index in pieces.indices {
            context.write(
                wrapOutboundOut(.body(.byteBuffer(pieces[index]))),
                promise: index == pieces.count - 1 ? written : nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func head(_ request: HTTPClientRequest) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.reserveCapacity(request.headers.count + 3)
        var host = origin.authority
        for (name, value) in request.headers {
            switch name.lowercased() {
            case "host": host = value
            case "content-length", "transfer-encoding", "connection": break
            default: headers.add(name: name, value: value)
            }
        }
        headers.add(name: "Host", value: host)
        let bytes = request.bodyBytes
        if bytes > 0 || !["GET", "HEAD", "DELETE", "OPTIONS"].contains(request.method) {
            headers.add(name: "Content-Length", value: "\(bytes)")
        }
        if !keepsAlive { headers.add(name: "Connection", value: "close") }
        return HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: request.method), uri: request.target,
            headers: headers)
    }

    func withdraw(_ call: HTTPClientCall) {
        eventLoop.preconditionInEventLoop()
        guard self.call === call else { return }
        self.call = nil
        close(because: "the request was given up")
    }

    func close(because reason: String) {
        eventLoop.preconditionInEventLoop()
        isClosing = true
        closeReason = reason
        guard let context else { return }
        context.close(promise: nil)
    }

    // MARK: - Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let call else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): received(head, call)
        case .body(let bytes):
            // Enough: what follows is not read.
            if !call.received(bytes) { finish(call, mayStay: false) }
        case .end: finish(call, mayStay: serverKeepsAlive)
        }
        // A cancelled call or a redirect: the rest of the answer is nobody's.
        if call.isDone, self.call === call { withdraw(call) }
    }

    private func received(_ head: HTTPResponseHead, _ call: HTTPClientCall) {
        let status = Int(head.status.code)
        if status == 101 || status < 100 || status > 599 {
            fail(call, .malformed(origin: origin, reason: "status \(status)"))
            return
        }
        guard status >= 200 else {
            interim += 1
            if interim > Self.interimMax {
                fail(call, .malformed(origin: origin, reason: "more than \(Self.interimMax) interim answers"))
            }
            return
        }
        serverKeepsAlive = head.isKeepAlive
        let headers = HTTPClientHeaders(head.headers.map { (name: $0.name, value: $0.value) })
        call.received(HTTPClientResponseHead(status: status, headers: headers))
    }

    /// The answer is there. A request that was not sent whole ends the connection: the server does not want the rest.
    private func finish(_ call: HTTPClientCall, mayStay: Bool) {
        self.call = nil
        served += 1
        if mayStay, isSent, keepsAlive, !isClosing {
            idleSince = .now()
            owner?.connectionIdle(self)
        } else {
            close(because: "the answer was the connection's last")
        }
        call.finish(nil)
    }

    private func fail(_ call: HTTPClientCall, _ error: HTTPClientError) {
        self.call = nil
        close(because: "\(error)")
        call.finish(error)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeReason = TransportFault.text(error)
        if let call {
            switch error {
            case HTTPParserError.invalidEOFState:
                fail(call, .closed(origin: origin, beforeAnswer: false, reason: "its end is missing"))
            case is HTTPParserError, is NIOHTTPDecoderError, is ForeignProtocol:
                fail(call, .malformed(origin: origin, reason: closeReason))
            default: break
            }
        }
        close(because: closeReason)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        guard let owner else { return }
        self.owner = nil
        isClosing = true
        owner.connectionClosed(self)
        guard let call else { return }
        self.call = nil
        // A server that closes an idle connection and a request that is sent at that moment cross on the way.
        if served > 0, interim == 0, call.takeRepetition() {
            owner.sendAgain(call)
        } else {
            call.finish(.closed(origin: origin, beforeAnswer: !call.isAnswered, reason: closeReason))
        }
    }

    private func refuse(_ call: HTTPClientCall, _ reason: String) {
        if let owner, call.takeRepetition() {
            owner.sendAgain(call)
        } else {
            let error = HTTPClientError.closed(origin: origin, beforeAnswer: true, reason: reason)
            let bound = NIOLoopBound(call, eventLoop: eventLoop)
            eventLoop.execute { bound.value.finish(error) }
        }
    }
}
