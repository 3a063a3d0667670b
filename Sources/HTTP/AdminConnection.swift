internal import NIOCore
internal import NIOHTTP1

/// One connection of an `AdminServer`, behind NIO's HTTP/1.1 decoder. On its channel's event loop, as NIO calls it.
final class AdminConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let routes: [String: AdminHandler]
    private let idleTimeout: TimeAmount
    private var request: HTTPRequestHead?
    private var bodyBytes = 0
    private var timeout: Scheduled<Void>?
    /// The last answer said so; what the client still sends is thrown away.
    private var isClosing = false

    private init(routes: [String: AdminHandler], idleTimeout: TimeAmount) {
        self.routes = routes
        self.idleTimeout = idleTimeout
    }

    /// Adds the HTTP codec and this handler. On the channel's event loop.
    static func install(
        on channel: any Channel, routes: [String: AdminHandler],
        idleTimeout: TimeAmount = AdminServer.idleTimeout
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: false)
        try pipeline.addHandler(AdminConnection(routes: routes, idleTimeout: idleTimeout))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        restartTimeout(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timeout?.cancel()
        timeout = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isClosing { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            bodyBytes = 0
            begin(head, context)
        case .body(let part):
            bodyBytes += part.readableBytes
            if bodyBytes > AdminServer.requestBodyBytesMax, let request {
                refuseBody(request, context)
            }
        case .end:
            guard let head = request else { return }
            request = nil
            // The client asks on while it has not read what it asked for before.
            guard context.channel.isWritable else {
                isClosing = true
                context.close(promise: nil)
                return
            }
            restartTimeout(context)
            let response =
                switch page(for: head) {
                case .success(let handler): handler()
                case .failure(let none): none.response
                }
            send(response, to: head, closing: !head.isKeepAlive, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What comes behind the last request is no matter: its answer is on its way.
        if isClosing, isNoRequest(error) { return }
        guard isNoRequest(error), context.channel.isWritable else {
            isClosing = true
            context.close(promise: nil)
            return
        }
        // Every answer before is written whole.
        refuse(.noRequest, request ?? HTTPRequestHead(version: .http1_1, method: .GET, uri: "/"), context)
    }

    /// The head of a request has come: it may be refused, or the client wait for a word before it sends the body.
    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        do throws(PageRefusal) {
            try head.checkForPages()
        } catch {
            return refuse(error, head, context)
        }
        request = head
        if let text = head.headers.first(name: "content-length"),
            Int(text) ?? .max > AdminServer.requestBodyBytesMax
        {
            return refuseBody(head, context)
        }
        guard head.awaitsContinue else { return }
        if case .failure(let none) = page(for: head) {
            // Nobody knows whether the body will follow that was not asked for.
            return send(none.response, to: head, closing: true, context)
        }
        context.writeAndFlush(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    /// Why there is no page for a request.
    private enum NoPage: Error {
        case notFound
        case notAllowed

        var response: AdminResponse {
            switch self {
            case .notFound: AdminResponse(status: 404, text: "404 page not found\n")
            case .notAllowed: AdminResponse(status: 405, text: "405 method not allowed\n")
            }
        }
    }

    private func page(for head: HTTPRequestHead) -> Result<() -> AdminResponse, NoPage> {
        let (path, query) = head.pageTarget
        guard let handler = handler(for: path) else { return .failure(.notFound) }
        guard head.method == .GET || head.method == .HEAD else { return .failure(.notAllowed) }
        return .success { handler(AdminRequest(path: path, query: query)) }
    }

    private func handler(for path: String) -> AdminHandler? {
        if let handler = routes[path] { return handler }
        let below = routes.filter { $0.key.hasSuffix("/") && path.hasPrefix($0.key) }
        return below.max { $0.key.utf8.count < $1.key.utf8.count }?.value
    }

    private func refuseBody(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let text = "413 request body larger than \(AdminServer.requestBodyBytesMax) bytes\n"
        send(AdminResponse(status: 413, text: text), to: head, closing: true, context)
    }

    private func refuse(_ refusal: PageRefusal, _ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        send(AdminResponse(status: refusal.status, text: refusal.text), to: head, closing: true, context)
    }

    private func send(
        _ response: AdminResponse, to head: HTTPRequestHead, closing: Bool,
        _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: response.contentType)
        headers.add(name: "content-length", value: String(response.body.count))
        if response.status == 405 {
            headers.add(name: "allow", value: "GET, HEAD")
        }
        if closing {
            headers.add(name: "connection", value: "close")
        } else if head.version.minor == 0 {
            headers.add(name: "connection", value: "keep-alive")
        }
        let status = HTTPResponseStatus(statusCode: response.status)
        let responseHead = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(responseHead)), promise: nil)
        if head.method != .HEAD, !response.body.isEmpty {
            let body = context.channel.allocator.buffer(bytes: response.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        guard closing else {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            return
        }
        isClosing = true
        let here = NIOLoopBound((self, context.channel), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            let (connection, channel) = here.value
            guard channel.isActive else { return }
            connection.timeout?.cancel()
            connection.timeout = channel.endBehindLastPage()
        }
    }

    private func restartTimeout(_ context: ChannelHandlerContext) {
        timeout?.cancel()
        let channel = context.channel
        timeout = context.eventLoop.scheduleTask(in: idleTimeout) { channel.close(promise: nil) }
    }
}
