internal import Configuration
internal import NIOCore
internal import NIOHTTP1

/// What holds for every connection of a page server.
struct PageRules: Sendable {
    /// Where the page is; everything else is 404.
    var path = "/metrics"
    /// Whether OpenMetrics may be chosen.
    var openMetrics = false
    /// Added to every answer.
    var headers: [(name: String, value: String)] = []
    /// Time for the first request to come in whole; nil = unlimited.
    var requestTime: TimeAmount?
    /// Time for each further one; nil = unlimited.
    var idleTime: TimeAmount?
    /// Time for an answer to be written and sent; nil = unlimited.
    var answerTime: TimeAmount?
    /// Whether a connection may ask again.
    var keepsAlive = true

    /// The largest body of a request, which is read and thrown away.
    static let requestBodyBytesMax = 64 << 10

    init() {}

    /// The rules of a configuration.
    init(_ config: PrometheusExporterConfig) {
        let limit = { (time: Duration) in time == .zero ? nil : TimeAmount(time) }
        let server = config.server
        openMetrics = config.enableOpenMetrics
        headers = server.responseHeaders.map { ($0.name, $0.value.value) }
        let requestTimes = [server.readHeaderTimeout, server.readTimeout].compactMap(limit)
        requestTime = requestTimes.min()
        idleTime = limit(server.idleTimeout) ?? requestTime
        answerTime = limit(server.writeTimeout)
        keepsAlive = server.keepAlivesEnabled
    }
}

/// One connection of a page server, behind NIO's HTTP/1.1 decoder, which lets one request through at a time. Event loop
/// only.
///
/// A page is written elsewhere and sent as fast as the scraper reads: a chunk more whenever the socket took the last.
final class PageConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// No request, or not its head.
        case idle
        /// The head of a request; its end is awaited.
        case reading(HTTPRequestHead, bodyBytes: Int)
        /// A page is being written.
        case writing
        /// A page is being sent; `next` is the index of the first chunk that is not.
        case sending(Page, next: Int, closing: Bool)
        /// The answer under way is the last; what comes in is thrown away.
        case closing
    }

    private let desk: PageDesk
    private let rules: PageRules
    private var state = State.idle
    private var timeout: Scheduled<Void>?
    private var isInSend = false
    /// The client has ended its side: nothing comes after the answer under way.
    private var hasEnded = false

    init(desk: PageDesk, rules: PageRules) {
        self.desk = desk
        self.rules = rules
    }

    /// Adds the HTTP codec and this handler. On the channel's event loop.
    static func install(on channel: any Channel, desk: PageDesk, rules: PageRules) throws {
        // A client may end its side after the request and still wants the page.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
        try pipeline.addHandler(PageConnection(desk: desk, rules: rules))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        limit(rules.requestTime, context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timeout?.cancel()
        if case .sending(let page, _, _) = state { page.end(on: context.channel) }
        state = .closing
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle):
            state = .reading(head, bodyBytes: 0)
            if let length = head.headers.first(name: "content-length"),
                Int(length) ?? .max > PageRules.requestBodyBytesMax
            {
                refuseBody(head, context)
            }
        case (.body(let part), .reading(let head, let bodyBytes)):
            let bytes = bodyBytes + part.readableBytes
            state = .reading(head, bodyBytes: bytes)
            if bytes > PageRules.requestBodyBytesMax { refuseBody(head, context) }
        case (.end, .reading(let head, _)): answer(head, context)
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { inputClosed(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Comes behind all requests; the answer to the last of them may be under way.
    private func inputClosed(_ context: ChannelHandlerContext) {
        hasEnded = true
        switch state {
        case .idle, .reading: context.close(promise: nil)
        case .sending(let page, let next, _): state = .sending(page, next: next, closing: true)
        case .writing, .closing: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The protocol error handler before this one has answered 400 where it could.
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        sendMore(context)
        context.fireChannelWritabilityChanged()
    }

    // MARK: - Answers

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.first.map(String.init) == rules.path else {
            return answer(head, status: .notFound, "404 page not found\n", context)
        }
        guard head.method == .GET || head.method == .HEAD else {
            return answer(
                head, status: .methodNotAllowed, "405 method not allowed\n", with: ["allow": "GET, HEAD"],
                context)
        }
        let choice = PageChoice(
            accept: head.headers["accept"], acceptEncoding: head.headers["accept-encoding"],
            openMetrics: rules.openMetrics)
        let key = PageKey(
            format: choice.format, escaping: choice.escaping, isGzipped: choice.isGzipped,
            names: parts.count > 1 ? familyNames(ofQuery: parts[1]) : [])
        state = .writing
        limit(rules.answerTime, context)
        let here = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        desk.page(key, on: context.eventLoop).whenComplete { result in
            let (handler, context) = here.value
            guard case .writing = handler.state else { return }
            switch result {
            case .success(let page): handler.send(page, head, choice, context)
            case .failure(PageDeskError.tooLarge):
                handler.answer(
                    head, status: .internalServerError,
                    "500 the page would be larger than 2 GiB; ask for a part of it with name[], or lower max_series\n",
                    context)
            case .failure:
                handler.answer(
                    head, status: .serviceUnavailable, "503 too many pages are being sent\n",
                    with: ["retry-after": "1"],
                    context)
            }
        }
    }

    private func send(
        _ page: Page, _ head: HTTPRequestHead, _ choice: PageChoice, _ context: ChannelHandlerContext
    ) {
        var headers: HTTPHeaders = ["content-type": choice.contentType, "vary": "accept, accept-encoding"]
        if choice.isGzipped { headers.add(name: "content-encoding", value: "gzip") }
        let closing = write(head, .ok, headers, length: page.byteCount, context)
        guard head.method != .HEAD else { return end(closing, context) }
        page.begin(on: context.channel)
        state = .sending(page, next: 0, closing: closing)
        sendMore(context)
    }

    /// Hands chunks to the socket until it has enough or there are no more.
    private func sendMore(_ context: ChannelHandlerContext) {
        // A write may make the channel writable again before it returns.
        guard !isInSend else { return }
        isInSend = true
        defer { isInSend = false }
        while case .sending(let page, let next, let closing) = state, context.channel.isWritable {
            guard next < page.chunks.count else {
                page.end(on: context.channel)
                return end(closing, context)
            }
            state = .sending(page, next: next + 1, closing: closing)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(page.chunks[next]))), promise: nil)
        }
    }

    private func answer(
        _ request: HTTPRequestHead, status: HTTPResponseStatus, _ text: String,
        with headers: HTTPHeaders = [:],
        closing: Bool = false, _ context: ChannelHandlerContext
    ) {
        var headers = headers
        headers.add(name: "content-type", value: "text/plain; charset=utf-8")
        let isLast = write(request, status, headers, length: text.utf8.count, closing: closing, context)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
        end(isLast, context)
    }

    private func refuseBody(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let text = "413 request body larger than \(PageRules.requestBodyBytesMax) bytes\n"
        answer(head, status: .payloadTooLarge, text, closing: true, context)
    }

    /// Writes the head of an answer; returns whether the connection ends with it.
    private func write(
        _ request: HTTPRequestHead, _ status: HTTPResponseStatus, _ headers: HTTPHeaders, length: Int,
        closing: Bool = false, _ context: ChannelHandlerContext
    ) -> Bool {
        let closing = closing || hasEnded || !request.isKeepAlive || !rules.keepsAlive
        var headers = headers
        for header in rules.headers { headers.replaceOrAdd(name: header.name, value: header.value) }
        headers.replaceOrAdd(name: "content-length", value: String(length))
        if closing {
            headers.replaceOrAdd(name: "connection", value: "close")
        } else if request.version.minor == 0 {
            headers.replaceOrAdd(name: "connection", value: "keep-alive")
        }
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))),
            promise: nil)
        return closing
    }

    private func end(_ closing: Bool, _ context: ChannelHandlerContext) {
        guard closing else {
            // Before the write: it lets the next request in.
            state = .idle
            limit(rules.idleTime, context)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            return
        }
        state = .closing
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }

    /// From here on the connection has so long for what it is at.
    private func limit(_ time: TimeAmount?, _ context: ChannelHandlerContext) {
        timeout?.cancel()
        let channel = context.channel
        timeout = time.map { context.eventLoop.scheduleTask(in: $0) { channel.close(promise: nil) } }
    }
}
