internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// One client's HTTP/1.1 connection to the receiver: OTLP/HTTP. Event loop only.
///
/// Requests are served one after the other; what a client sends ahead waits for the answer before it, first here, then
/// in its socket. The answers to all requests of one read are written at once.
final class HTTP1Connection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// No request is under way.
        case idle
        /// A request's body comes in. Its answer may be written already; the rest of the body is then thrown away.
        case receiving(answered: Bool)
        /// A request waits for a look at its credentials, or a complete one for what the pipeline says.
        case waiting
        /// The last answer is written. Bytes are thrown away until the client closes, so that it can read the answer.
        case lingering(since: NIODeadline)
        case closed
    }

    /// How long a client may take to close after it was told that the connection ends.
    static let lingerLimit = TimeAmount.seconds(5)
    /// More of a body that nobody wants costs more than a new connection.
    static let unwantedBytesMax = 256 << 10
    /// Answers that are gathered before they are written.
    private static let answersBytesMax = 32 << 10
    /// Room that is kept while nothing is under way.
    static let keptBytesMax = 4096
    /// A chunk of fewer bytes carries nothing (`FrameBudget`).
    private static let chunkBytesMin = 64

    let service: ProtocolService
    let connections: Connections
    let account: ConnectionAccount
    let memory: ConnectionMemory
    let reader: RequestReader
    let limits: HTTP1Limits
    var context: ChannelHandlerContext?
    private let head = HeaderBlock()
    private var parser = HTTP1RequestParser()
    var phase = Phase.idle
    /// What was read and not looked at yet.
    var unread = ByteBuffer()
    /// Answers that are not written yet.
    var answers = ByteBuffer()
    /// Whether the rest of `unread` waits until the client has read answers.
    private var isBlocked = false
    /// A read that was asked for while a request waits.
    private var heldRead = false
    /// The look at the credentials of the request that waits.
    var credentials: CredentialCheck?
    /// Counts requests, so that a late answer knows whether its own is still waiting.
    var request = 0
    var keepAlive = true
    var isVersion10 = false
    /// Whether the request's method is HEAD.
    var isHead = false
    /// What the answer says to a browser.
    var corsFields: CORSPolicy.Fields = []
    /// When it ends with its next answer, or at once when it is idle.
    var ageLimit: NIODeadline?
    var draining = false
    var inputClosed = false
    /// When the first byte of a header came that is not complete.
    var headSince: NIODeadline?
    /// When the last request's header came.
    var requestBegan = NIODeadline.distantPast
    /// When anything of a request last came, or was answered.
    var lastMoved = NIODeadline.distantPast
    var lastChecked = NIODeadline.distantPast
    /// Bytes of the body that are still to come, where its length is known.
    var bodyLeft: Int?
    /// Bytes of the body that came after its answer.
    private var unwantedBytes = 0

    /// - Parameter address: the client's, where the memory of an address is bounded.
    init(
        service: ProtocolService, connections: Connections, account: ConnectionAccount,
        address: String? = nil,
        limits: HTTP1Limits
    ) {
        self.service = service
        self.connections = connections
        self.account = account
        self.limits = limits
        memory = ConnectionMemory(service.memory, account, address: address)
        reader = RequestReader(tools: connections.tools, limits: service.routes.limits, memory: memory)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        reader.client = ClientAddress(context.remoteAddress)
        lastMoved = context.eventLoop.now
        lastChecked = lastMoved
        ageLimit = limits.age.map { $0.limit(from: lastMoved, jitter: .random(in: -1...1)) }
        account.end = { [weak self] in self?.end($0) }
        account.isHandingOn = { [weak self] in self?.reader.isHandingOn ?? false }
        reader.resume = { [weak self] in self?.resume() }
        connections.add(self)
    }

    func end(_ reason: ConnectionEnd) {
        service.ends.count(reason)
        phase = .closed
        // What it held is free now, not when the channel has closed: who asks for memory ends no more than needed.
        reader.abandon()
        unread = ByteBuffer()
        publish()
        close()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        phase = .closed
        credentials?.giveUp()
        reader.abandon()
        memory.end()
        connections.remove(self)
    }

    // MARK: - Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        connections.tools.now = account.now
        switch phase {
        case .lingering, .closed: return
        case .idle, .receiving, .waiting: break
        }
        lastMoved = connections.tools.now
        if unread.readableBytes == 0 {
            unread = bytes
        } else {
            // What was read is dropped when it is the larger part, so that each byte is moved once.
            if unread.readerIndex > unread.readableBytes { unread.discardReadBytes() }
            unread.writeImmutableBuffer(bytes)
        }
        if !isBlocked { readOn(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        writeAnswers(context)
        publish()
        context.fireChannelReadComplete()
    }

    /// Tells what the connection holds.
    func publish() {
        memory.unreadBytes = unread.readableBytes == 0 ? 0 : unread.capacity
        memory.publish()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isBlocked, context.channel.isWritable {
            isBlocked = false
            readOn(context)
            writeAnswers(context)
            publish()
            endBehindInput(context)
            readHeld(context)
        }
        context.fireChannelWritabilityChanged()
    }

    func readHeld(_ context: ChannelHandlerContext) {
        guard heldRead, !isBlocked else { return }
        heldRead = false
        read(context: context)
    }

    func read(context: ChannelHandlerContext) {
        // One that sends ahead without end must not fill the memory; what it has sent waits in the socket.
        if isWaiting || isBlocked {
            heldRead = true
        } else {
            context.read()
        }
    }

    /// Works on what was read until it is used up, or a request has to wait for its answer.
    func readOn(_ context: ChannelHandlerContext) {
        reading: while true {
            switch phase {
            case .waiting, .lingering, .closed: break reading
            case .idle, .receiving: break
            }
            do throws(HTTP1Error) {
                guard try step() else {
                    shrinkUnread()
                    break reading
                }
            } catch {
                refuse(error, context)
            }
            if answers.readableBytes > Self.answersBytesMax {
                writeAnswers(context)
                isBlocked = !context.channel.isWritable
                if isBlocked { break reading }
            }
        }
        if case .lingering = phase { unread = ByteBuffer() }
        if unread.readableBytes == 0 { unread = ByteBuffer() }
    }

    /// Keeps the beginning of a header in a buffer of its own size, not in the one that all of a read came in.
    private func shrinkUnread() {
        guard unread.capacity > 2 * unread.readableBytes + Self.keptBytesMax else { return }
        unread = ByteBuffer(bytes: unread.readableBytesView)
    }

    /// - Returns: false when more bytes are needed.
    private func step() throws(HTTP1Error) -> Bool {
        var consumed = 0
        var failure: Answer.Failure?
        let step = try unsafe unread.withUnsafeReadableBytes { (bytes) throws(HTTP1Error) in
            let step = try unsafe parser.next(bytes, head: head, consumed: &consumed)
            if case .body(let range) = step {
                failure = unsafe reader.append(UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            return step
        }
        unread.moveReaderIndex(forwardBy: consumed)
        switch step {
        case .needMore:
            if parser.isBetweenRequests, unread.readableBytes > 0, headSince == nil {
                headSince = connections.tools.now
            }
            return false
        case .head(let head):
            guard isWithinFrames(1) else { return false }
            begin(head)
        case .body(let range):
            if bodyLeft == nil, range.count < Self.chunkBytesMin, !isWithinFrames(1) { return false }
            bodyLeft = bodyLeft.map { $0 - range.count }
            if let failure {
                answer(.failed(failure))
            } else if case .receiving(answered: true) = phase {
                throwAway(range.count)
            }
        case .end:
            finish()
        }
        return true
    }

    /// Takes for what carries nothing; too much of it ends the connection.
    private func isWithinFrames(_ count: Int) -> Bool {
        if account.frames.take(count, now: connections.tools.now) { return true }
        end(.frames)
        return false
    }

    /// Counts bytes of a body that was answered already. The connection ends when they become too many.
    private func throwAway(_ count: Int) {
        unwantedBytes += count
        guard unwantedBytes > Self.unwantedBytesMax else { return }
        keepAlive = false
        phase = .lingering(since: connections.tools.now)
    }

    private func begin(_ framing: HTTP1RequestParser.Head) {
        request += 1
        phase = .receiving(answered: false)
        headSince = nil
        isVersion10 = framing.isVersion10
        keepAlive = framing.keepAlive && limits.keepAlives && !draining && !isTooOld(connections.tools.now)
        bodyLeft = framing.contentLength
        unwantedBytes = 0
        requestBegan = connections.tools.now
        isHead = head.field(":method", is: "HEAD") == true
        corsFields = service.cors?.fields(for: head) ?? []
        let judgement = service.judge(head)
        guard let check = judgement.check else { return begin(judgement.way) }
        phase = .waiting
        credentials = check
        check.run(account, connections.tools) { [self, request] refusal in
            credentials = nil
            goOn(request) {
                // The time was not the client's.
                requestBegan = connections.tools.now
                lastMoved = requestBegan
                phase = .receiving(answered: false)
                begin(refusal.map { .failure($0) } ?? judgement.way)
            }
        }
    }

    private func begin(_ way: Judgement.Way) {
        let expectsContinue = head["expect"]?.lowercased() == "100-continue"
        var failure: Answer.Failure?
        switch way {
        case .failure(let reason):
            failure = reason
        case .success(let (target, encoding, _)):
            failure = reader.begin(target, encoding: encoding, contentLength: bodyLeft, head: head)
        }
        head.giveBack()
        if let failure {
            // Nobody knows whether the body will follow that was not asked for (RFC 9110 §10.1.1).
            if expectsContinue { keepAlive = false }
            answer(.failed(failure))
        } else if expectsContinue, !isVersion10 {
            answers.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
        }
    }

    // MARK: - The end

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that half-closes has sent its last request; what it still waits for is answered first.
        if case ChannelEvent.inputClosed = event {
            inputClosed = true
            endBehindInput(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Closes when the client has ended its side and nothing of what it sent waits for an answer.
    func endBehindInput(_ context: ChannelHandlerContext) {
        guard inputClosed else { return }
        switch phase {
        case .waiting, .closed: return
        case .idle, .receiving, .lingering: break
        }
        writeAnswers(context)
        if case .closed = phase { return }
        closeBehind(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        service.logger.debug("Connection failed.", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }
}
