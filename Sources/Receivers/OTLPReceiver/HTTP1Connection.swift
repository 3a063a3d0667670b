internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import OTLP
internal import Pipeline

/// One client's HTTP/1.1 connection to the receiver: OTLP/HTTP. One request at a time, as the pipeline handler before
/// it takes care of. Event loop only.
final class HTTP1Connection: ChannelInboundHandler, ReceiverConnection {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let service: ProtocolService
    private let connections: Connections
    private let reader: RequestReader
    private let limits: HTTP1Limits
    private let clock: FirstByteClock
    private var context: ChannelHandlerContext?
    private let head = HeaderBlock()
    /// Counts requests, so that a late answer knows whether its own is still waiting.
    private var request = 0
    private var waiting = false
    private var receiving = false
    private var keepAlive = true
    private var draining = false
    /// When the last request's header came.
    private var requestBegan = NIODeadline.distantPast
    /// When anything of a request last came, or was answered.
    private var lastMoved = NIODeadline.distantPast

    /// - Parameter clock: stands before the parser of the same pipeline.
    init(
        service: ProtocolService, tools: LoopTools, connections: Connections, limits: HTTP1Limits,
        clock: FirstByteClock
    ) {
        self.service = service
        self.connections = connections
        self.limits = limits
        self.clock = clock
        reader = RequestReader(tools: tools, limits: service.routes.limits)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastMoved = context.eventLoop.now
        connections.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        reader.abandon()
        connections.remove(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connections.tools.now = context.eventLoop.now
        switch unwrapInboundIn(data) {
        case .head(let requestHead): begin(requestHead, context)
        case .body(let bytes):
            lastMoved = connections.tools.now
            let failure = unsafe bytes.withUnsafeReadableBytes { bytes in unsafe reader.append(bytes) }
            if let failure { answer(.failed(failure)) }
        case .end:
            receiving = false
            lastMoved = connections.tools.now
            clock.restart()
            let answer = reader.finish { acknowledgement() }
            if let answer { self.answer(answer) }
            // Answered before, and told to end since.
            if !waiting, draining { finishWriting(context) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that half-closes has sent its last request; what it still waits for is answered first.
        if case ChannelEvent.inputClosed = event {
            keepAlive = false
            if !waiting { finishWriting(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The parser's errors have been answered with 400 by the error handler before this one.
        service.logger.debug("Connection failed.", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    private func begin(_ requestHead: HTTPRequestHead, _ context: ChannelHandlerContext) {
        request += 1
        waiting = true
        receiving = true
        keepAlive = requestHead.isKeepAlive && limits.keepAlives && !draining
        requestBegan = connections.tools.now
        lastMoved = requestBegan
        clock.restart()
        head.removeAll()
        head.append(name: ":method", value: requestHead.method.rawValue)
        head.append(name: ":path", value: requestHead.uri)
        for (name, value) in requestHead.headers { head.append(name: name, value: value) }
        let expectsContinue = head.field("expect", is: "100-continue") == true
        switch service.routes.judge(head) {
        case .failure(let failure):
            if expectsContinue { keepAlive = false }
            answer(.failed(failure))
        case .success(let (target, encoding, contentLength)):
            let refused = reader.begin(target, encoding: encoding, contentLength: contentLength, head: head)
            if let failure = refused {
                // Nobody knows whether the body will follow that was not asked for (RFC 9110 §10.1.1).
                if expectsContinue { keepAlive = false }
                answer(.failed(failure))
            } else if expectsContinue {
                context.writeAndFlush(
                    wrapOutboundOut(.head(HTTPResponseHead(version: requestHead.version, status: .continue))),
                    promise: nil)
            }
        }
    }

    private func acknowledgement() -> Acknowledgement {
        let connection = NIOLoopBound(self, eventLoop: connections.eventLoop)
        let request = self.request
        return Acknowledgement { [eventLoop = connections.eventLoop] outcome in
            eventLoop.execute {
                guard connection.value.request == request, connection.value.waiting else { return }
                connection.value.answer(Answer(outcome))
                connection.value.context?.flush()
            }
        }
    }

    private func answer(_ answer: Answer) {
        guard let context, waiting else { return }
        waiting = false
        let response = service.writer.http(answer)
        var headers = HTTPHeaders()
        headers.reserveCapacity(response.fields.count + 2)
        for field in response.fields { headers.add(name: field.name, value: field.value) }
        headers.add(name: "content-length", value: "\(response.body.count)")
        if !keepAlive { headers.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !response.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        }
        guard !keepAlive else {
            context.write(wrapOutboundOut(.end(nil)), promise: nil)
            return
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in bound.value.close(promise: nil)
        }
    }

    /// Closes behind the answers that are not written yet.
    private func finishWriting(_ context: ChannelHandlerContext) {
        context.flush()
        context.close(promise: nil)
    }

    // MARK: - ReceiverConnection

    func check(_ now: NIODeadline) {
        let isStuck = context.map { !$0.channel.isWritable } ?? false
        if let limit = limits.write, (waiting && !receiving) || isStuck, now - requestBegan >= limit {
            return close()
        }
        if receiving {
            if now - lastMoved >= Connections.stallLimit { return close() }
            if let limit = limits.read, now - requestBegan >= limit { return close() }
        } else if !waiting {
            if let since = clock.since {
                if now - since >= limits.readHeader { close() }
            } else if let limit = limits.idle, now - lastMoved >= limit {
                close()
            }
        }
    }

    func drain() {
        draining = true
        keepAlive = false
        if !waiting, !receiving { close() }
    }

    func close() {
        context?.close(promise: nil)
    }
}
