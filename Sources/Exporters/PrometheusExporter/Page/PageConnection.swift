internal import Configuration
internal import HTTP
internal import NIOCore
internal import NIOHTTP1
internal import Pipeline

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
/// A page is written elsewhere and sent as fast as the scraper reads: a part more whenever the socket took the last.
final class PageConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// No request, or not its head.
        case idle
        /// The head of a request; its end is awaited.
        case reading(HTTPRequestHead, bodyBytes: Int)
        /// A page is being written, of which nothing was sent; `bytes` were counted for an answer without a body.
        case writing(PageReader, HTTPRequestHead, PageChoice, bytes: Int)
        /// A page is being sent.
        case sending(PageReader, closing: Bool)
        /// The answer under way is the last; what comes in is thrown away.
        case closing
    }

    /// What of a page is handed to the socket in a row.
    private static let turnBytes = 128 << 10

    private let desk: PageDesk
    private let rules: PageRules
    private var state = State.idle
    private var timeout: Scheduled<Void>?
    private var isInSend = false
    private var isAnswering = false
    /// Pages that were asked for.
    private var asked = 0
    /// The client has ended its side; the last answer is in the socket.
    private var (hasEnded, isLastSent) = (false, false)
    /// Nothing comes after the answer under way: the client has ended its side, or sent what is no request.
    private var isLastAnswer = false
    /// The rest of a page waits until others of the loop have had their turn.
    private var waitsForTurn = false

    init(desk: PageDesk, rules: PageRules) {
        self.desk = desk
        self.rules = rules
    }

    /// Adds the HTTP codec and this handler. On the channel's event loop.
    static func install(on channel: any Channel, desk: PageDesk, rules: PageRules) throws {
        // A client may end its side after the request and still wants the page.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: false)
        try pipeline.addHandler(PageConnection(desk: desk, rules: rules))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        limit(rules.requestTime, context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timeout?.cancel()
        switch state {
        case .writing(let reader, _, _, _), .sending(let reader, _): reader.leave()
        case .idle, .reading, .closing: break
        }
        state = .closing
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle):
            state = .reading(head, bodyBytes: 0)
            begin(head, context)
        case (.body(let part), .reading(let head, let bodyBytes)):
            let bytes = bodyBytes + part.readableBytes
            state = .reading(head, bodyBytes: bytes)
            if bytes > PageRules.requestBodyBytesMax { refuseBody(head, context) }
        case (.end, .reading(let head, _)): answerInTurn(head, context)
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
        case .closing where isLastSent: context.close(promise: nil)
        case .writing, .sending, .closing: endBehindAnswer()
        }
    }

    /// The answer under way is the last.
    private func endBehindAnswer() {
        isLastAnswer = true
        if case .sending(let reader, _) = state { state = .sending(reader, closing: true) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Said again of what comes behind; the first word of it comes behind all requests before it.
        if case .dataReceivedInErrorState? = error as? ByteToMessageDecoderError { return }
        guard isNoRequest(error) else { return context.close(promise: nil) }
        switch state {
        case .idle: refuse(.noRequest, HTTPRequestHead(version: .http1_1, method: .GET, uri: "/"), context)
        case .reading(let head, _): refuse(.noRequest, head, context)
        // What comes behind the last request is no matter.
        case .writing, .sending, .closing: endBehindAnswer()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .sending = state { sendMore(context) }
        context.fireChannelWritabilityChanged()
    }

    /// The head of a request has come: it may be refused, or the client wait for a word before it sends the body.
    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        do throws(PageRefusal) {
            try head.checkForPages()
        } catch {
            return refuse(error, head, context)
        }
        if let length = head.headers.first(name: "content-length"),
            Int(length) ?? .max > PageRules.requestBodyBytesMax
        {
            return refuseBody(head, context)
        }
        // Nobody knows whether a body will follow that was not asked for.
        guard head.awaitsContinue, !answerWithoutPage(head, closing: true, context) else { return }
        context.writeAndFlush(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    // MARK: - Answers

    /// The end of an answer lets the next request in, within the same call. Answers to many that were sent ahead would
    /// lie upon each other on the stack, so that every second one waits for the loop's next turn.
    private func answerInTurn(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard isAnswering else {
            isAnswering = true
            defer { isAnswering = false }
            return answer(head, context)
        }
        let here = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = here.value
            guard case .reading = handler.state else { return }
            handler.answerInTurn(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        if answerWithoutPage(head, context) { return }
        let choice = PageChoice(
            accept: head.headers["accept"], acceptEncoding: head.headers["accept-encoding"],
            openMetrics: rules.openMetrics)
        let query = head.pageTarget.query
        let wanted = query.isEmpty ? [] : familyNames(ofQuery: query[...])
        let names = wanted.isEmpty ? [] : desk.known(wanted)
        guard wanted.isEmpty || !names.isEmpty else {
            // None of these families is there: that costs no page.
            return answer(
                head, status: .ok, choice.format == .openMetrics ? "# EOF\n" : "",
                with: ["content-type": choice.contentType, "vary": "accept, accept-encoding"], context)
        }
        let key = PageKey(
            format: choice.format, escaping: choice.escaping, isGzipped: choice.isGzipped, names: names)
        asked += 1
        let here = NIOLoopBound((self, context, asked), eventLoop: context.eventLoop)
        let wake: @Sendable () -> Void = { [eventLoop = context.eventLoop] in
            // All who read it are woken at once: one in each turn of the loop.
            eventLoop.executeInTurn {
                let (handler, context, asked) = here.value
                // The page may have come to its end meanwhile, and another one have been asked for.
                if handler.asked == asked { handler.goOn(context) }
            }
        }
        do throws(PageDeskBusy) {
            state = .writing(try desk.open(key, for: context.channel, wake: wake), head, choice, bytes: 0)
            limit(rules.answerTime, context)
        } catch {
            answer(
                head, status: .serviceUnavailable, "503 too many pages are being sent\n",
                with: ["retry-after": "1"], context)
        }
    }

    /// Answers a request that is not for the page.
    /// - Returns: whether it was one.
    private func answerWithoutPage(
        _ head: HTTPRequestHead, closing: Bool = false, _ context: ChannelHandlerContext
    ) -> Bool {
        guard head.pageTarget.path == rules.path else {
            answer(head, status: .notFound, "404 page not found\n", closing: closing, context)
            return true
        }
        guard head.method == .GET || head.method == .HEAD else {
            answer(
                head, status: .methodNotAllowed, "405 method not allowed\n", with: ["allow": "GET, HEAD"],
                closing: closing, context)
            return true
        }
        return false
    }

    /// There is more of the page.
    private func goOn(_ context: ChannelHandlerContext) {
        switch state {
        case .writing(let reader, let head, let choice, let bytes):
            if head.method == .HEAD { return count(reader, head, choice, bytes, context) }
            let closing = write(head, .ok, headers(choice), length: reader.page.byteCount, context)
            state = .sending(reader, closing: closing)
            sendMore(context)
        case .sending: sendMore(context)
        case .idle, .reading, .closing: break
        }
    }

    private func headers(_ choice: PageChoice) -> HTTPHeaders {
        var headers: HTTPHeaders = ["content-type": choice.contentType, "vary": "accept, accept-encoding"]
        if choice.isGzipped { headers.add(name: "content-encoding", value: "gzip") }
        return headers
    }

    /// Measures a page of which only the head is wanted.
    private func count(
        _ reader: PageReader, _ head: HTTPRequestHead, _ choice: PageChoice, _ bytes: Int,
        _ context: ChannelHandlerContext
    ) {
        var bytes = bytes
        while true {
            switch reader.take() {
            case .part(let part): bytes += part.readableBytes
            case .nothingYet:
                state = .writing(reader, head, choice, bytes: bytes)
                return
            case .end:
                reader.leave()
                return end(write(head, .ok, headers(choice), length: bytes, context), context)
            case .cut: return
            }
        }
    }

    /// Hands parts to the socket until it has enough, there are no more or it is the turn of others of the loop.
    private func sendMore(_ context: ChannelHandlerContext) {
        // A write may make the channel writable again before it returns.
        guard !isInSend, !waitsForTurn else { return }
        isInSend = true
        defer { isInSend = false }
        var left = Self.turnBytes
        while case .sending(let reader, let closing) = state, context.channel.isWritable {
            guard left > 0 else { return sendMoreInTurn(context) }
            switch reader.take() {
            case .part(let part):
                left -= part.readableBytes
                context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(part))), promise: nil)
            case .nothingYet, .cut: return
            case .end:
                reader.leave()
                return end(closing, context)
            }
        }
    }

    private func sendMoreInTurn(_ context: ChannelHandlerContext) {
        waitsForTurn = true
        let here = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.executeInTurn {
            let (handler, context) = here.value
            handler.waitsForTurn = false
            handler.sendMore(context)
        }
    }

    private func answer(
        _ request: HTTPRequestHead, status: HTTPResponseStatus, _ text: String,
        with headers: HTTPHeaders = [:],
        closing: Bool = false, _ context: ChannelHandlerContext
    ) {
        var headers = headers
        if !headers.contains(name: "content-type") {
            headers.add(name: "content-type", value: "text/plain; charset=utf-8")
        }
        let isLast = write(request, status, headers, length: text.utf8.count, closing: closing, context)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
        end(isLast, context)
    }

    private func refuse(_ refusal: PageRefusal, _ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        answer(
            head, status: HTTPResponseStatus(statusCode: refusal.status), refusal.text, closing: true, context
        )
    }

    private func refuseBody(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let text = "413 request body larger than \(PageRules.requestBodyBytesMax) bytes\n"
        answer(head, status: .payloadTooLarge, text, closing: true, context)
    }

    /// Writes the head of an answer; returns whether the connection ends with it. Without a length the body comes in
    /// chunks, or to those who do not know these ends with the connection.
    private func write(
        _ request: HTTPRequestHead, _ status: HTTPResponseStatus, _ headers: HTTPHeaders, length: Int?,
        closing: Bool = false, _ context: ChannelHandlerContext
    ) -> Bool {
        let isOld = request.version.minor == 0
        let closing =
            closing || isLastAnswer || !request.isKeepAlive || !rules.keepsAlive || isOld && length == nil
        var headers = headers
        for header in rules.headers { headers.replaceOrAdd(name: header.name, value: header.value) }
        if let length { headers.replaceOrAdd(name: "content-length", value: String(length)) }
        if closing {
            headers.replaceOrAdd(name: "connection", value: "close")
        } else if isOld {
            headers.replaceOrAdd(name: "connection", value: "keep-alive")
        }
        context.write(
            wrapOutboundOut(
                .head(
                    HTTPResponseHead(
                        version: isOld && length == nil ? .http1_0 : .http1_1, status: status,
                        headers: headers))),
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
        let here = NIOLoopBound((self, context.channel), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            let (connection, channel) = here.value
            connection.isLastSent = true
            guard !connection.hasEnded, channel.isActive else { return channel.close(promise: nil) }
            connection.timeout?.cancel()
            connection.timeout = channel.endBehindLastPage()
        }
    }

    /// From here on the connection has so long for what it is at.
    private func limit(_ time: TimeAmount?, _ context: ChannelHandlerContext) {
        timeout?.cancel()
        let channel = context.channel
        timeout = time.map { context.eventLoop.scheduleTask(in: $0) { channel.close(promise: nil) } }
    }
}
