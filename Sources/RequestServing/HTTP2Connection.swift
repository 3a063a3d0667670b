internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// One client's HTTP/2 connection to the receiver, gRPC or OTLP/HTTP. Event loop only.
final class HTTP2Connection: HTTP2ConnectionDelegate, ReceiverConnection {
    let service: ProtocolService
    let tools: LoopTools
    private let connections: Connections
    let account: ConnectionAccount
    let memory: ConnectionMemory
    /// The handler keeps this object; both let go of each other when the connection ends.
    var handler: HTTP2Handler?
    /// The other end.
    private var client: ClientAddress?
    /// By stream slot; made when a slot is used for the first time.
    var slots: [Slot] = []
    private var draining = false
    var keeper: ConnectionKeeper
    let times: RequestTimes
    var lastChecked: NIODeadline
    /// The look at a stream's credentials; one at a time.
    private var credentials: (check: CredentialCheck, id: Int32)?
    /// How many requests have come.
    var requests = 0

    /// - Parameter address: the client's, where the memory of an address is bounded.
    init(
        service: ProtocolService, tools: LoopTools, connections: Connections, account: ConnectionAccount,
        address: String? = nil, limits: ConnectionKeeper.Limits, times: RequestTimes = RequestTimes()
    ) {
        self.account = account
        memory = ConnectionMemory(service.memory, account, address: address)
        self.times = times
        lastChecked = tools.eventLoop.now
        self.service = service
        self.tools = tools
        self.connections = connections
        keeper = ConnectionKeeper(limits, now: tools.eventLoop.now, jitter: .random(in: -1...1))
    }

    // MARK: - HTTP2ConnectionDelegate

    func opened(_ handler: HTTP2Handler) {
        self.handler = handler
        client = ClientAddress(handler.remoteAddress)
        account.end = { [weak self] in self?.end($0) }
        account.isHandingOn = { [weak self] in
            self?.slots.contains { $0.stream != nil && $0.reader.isHandingOn } ?? false
        }
        connections.add(self)
    }

    func end(_ reason: ConnectionEnd) {
        service.ends.count(reason)
        handler?.end(reason)
    }

    func flushed() {
        memory.publish()
        handler?.session?.rest()
    }

    func reading(at now: NIODeadline) {
        tools.now = now
    }

    func connectionClosed(reason: String) {
        connections.remove(self)
        handler = nil
        // What is worked on beside the loop stops soon.
        credentials?.check.giveUp()
        for slot in slots { slot.reader.abandon() }
        slots.removeAll()
        memory.end()
        switch reason {
        case HTTP2Handler.foundNoHTTP2: service.foreign.tell(.http1)
        default: break
        }
        service.logger.debug("Connection closed.", metadata: ["reason": "\(reason)"])
    }

    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
        guard !isTrailers else { return }
        // The client may come again with it (RFC 9113 §8.7).
        guard memory.admitsStream else {
            handler?.session?.reset(stream, code: 7)  // REFUSED_STREAM
            return
        }
        while slots.count <= stream.slot {
            let reader = RequestReader(tools: tools, limits: service.routes.limits, memory: memory)
            reader.resume = { [weak self, slot = slots.count] in self?.resume(slot: slot) }
            slots.append(Slot(reader: reader))
            memory.slots = slots.count
        }
        memory.openStreams += 1
        slots[stream.slot].reader.client = client
        slots[stream.slot].stream = stream
        slots[stream.slot].began = tools.now
        slots[stream.slot].deadline = .distantFuture
        slots[stream.slot].corsFields = service.cors?.fields(for: stream.headers) ?? []
        requests += 1
        if stream.hasTooManyFields {
            let failure = Answer.Failure.tooManyFields(limit: HTTP2Settings().maxHeaderBytes)
            return answer(stream, .failed(failure))
        }
        let judgement = service.judge(stream.headers)
        guard let check = judgement.check else { return begin(stream, judgement.way) }
        let isHead = isHead(stream)
        guard credentials == nil else { return answer(stream, .failed(check.putOff()), isHead: isHead) }
        credentials = (check, stream.id)
        begin(stream, judgement.way)
        check.run(account, tools) { [self, id = stream.id] failure in
            credentials = nil
            checked(stream, id, failure, isHead)
        }
    }

    private func isHead(_ stream: HTTP2Stream) -> Bool {
        stream.headers.field(":method", is: "HEAD") == true
    }

    private func begin(_ stream: HTTP2Stream, _ way: Judgement.Way) {
        switch way {
        case .failure(let failure):
            answer(stream, .failed(failure), isHead: isHead(stream))
        case .success(let (target, encoding, contentLength)):
            if service.routes.limits.isGRPC, let failure = readTimeout(stream) {
                return answer(stream, .failed(failure))
            }
            let reader = slots[stream.slot].reader
            let refused = reader.begin(
                target, encoding: encoding, contentLength: contentLength, head: stream.headers)
            if let failure = refused { answer(stream, .failed(failure)) }
        }
    }

    func isBeingChecked(_ stream: HTTP2Stream) -> Bool { credentials?.id == stream.id }

    /// The credentials of a request were looked at. What came of its body meanwhile, of one read at most, was kept.
    private func checked(_ stream: HTTP2Stream, _ id: Int32, _ failure: Answer.Failure?, _ isHead: Bool) {
        guard isKnown(stream), stream.id == id else { return }
        guard !stream.answered else { return }
        tools.now = tools.eventLoop.now
        // The time was not the client's.
        slots[stream.slot].began = tools.now
        slots[stream.slot].reader.excuse(until: tools.now)
        if let failure {
            slots[stream.slot].reader.abandon()
            answer(stream, .failed(failure), isHead: isHead)
        } else if stream.peerEnded {
            ended(stream)
        }
        handler?.flushSoon()
    }

    /// Reads `grpc-timeout`.
    private func readTimeout(_ stream: HTTP2Stream) -> Answer.Failure? {
        switch GRPCTimeout(stream.headers) {
        case .none: return nil
        case .malformed(let text): return .malformedTimeout(text)
        case .after(let time):
            slots[stream.slot].deadline = tools.now + time
            return time > .zero ? nil : .timeoutExpired
        }
    }

    /// The place of a stream that was let in.
    private func isKnown(_ stream: HTTP2Stream) -> Bool {
        stream.slot < slots.count && slots[stream.slot].stream === stream
    }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {
        guard isKnown(stream) else { return }
        if let failure = unsafe slots[stream.slot].reader.append(bytes) { answer(stream, .failed(failure)) }
    }

    func ended(_ stream: HTTP2Stream) {
        guard isKnown(stream), !isBeingChecked(stream) else { return }
        let reader = slots[stream.slot].reader
        // Answered already.
        guard reader.isReading else { return }
        guard tools.now <= slots[stream.slot].deadline else {
            reader.abandon()
            return answer(stream, .failed(.timeoutExpired))
        }
        complete(stream, reader)
    }

    /// The request's body is there.
    private func complete(_ stream: HTTP2Stream, _ reader: RequestReader) {
        let answer = account.excusing(
            { reader.finish(before: slots[stream.slot].deadline) { acknowledgement(for: stream) } },
            bytes: { excused($0, reader) })
        if reader.isBeside { return }
        guard let answer else {
            return account.earn(bytes: reader.finishedBytes)
        }
        if answer.isOurs { account.earn(bytes: reader.finishedBytes, isTaken: answer.isTaken) }
        self.answer(stream, answer)
    }

    /// A request that was worked on beside the loop is done; or was not begun, since its deadline had passed.
    private func resume(slot: Int) {
        guard slot < slots.count, let stream = slots[slot].stream else { return }
        tools.now = tools.eventLoop.now
        complete(stream, slots[slot].reader)
        handler?.flushSoon()
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {
        guard isKnown(stream) else { return }
        if isBeingChecked(stream) { credentials?.check.giveUp() }
        slots[stream.slot].stream = nil
        slots[stream.slot].reader.abandon()
        memory.openStreams -= 1
        guard memory.openStreams == 0 else { return }
        if slots.count > HTTP2Session.idleSlotsMax || handler?.session?.isCrowded == true {
            slots = []
            memory.slots = 0
        }
    }

    func goAway(lastStream: Int32, code: UInt32) {}
    func pingAcknowledged() {}
    func resetSent(_ reason: HTTP2ResetReason) { service.resets.count(reason) }

    func pingReceived() {
        guard let handler, let session = handler.session else { return }
        guard keeper.pingReceived(openStreams: session.openStreams, now: tools.eventLoop.now) else { return }
        session.goAway(isFinal: true, code: 11, debug: "too_many_pings")  // ENHANCE_YOUR_CALM
        handler.close(because: "the client pings too often (enforcement_policy::min_time)")
    }

    // MARK: - Answers

    private func acknowledgement(for stream: HTTP2Stream) -> Acknowledgement {
        let connection = NIOLoopBound(self, eventLoop: tools.eventLoop)
        let (slot, id) = (stream.slot, stream.id)
        return Acknowledgement { [eventLoop = tools.eventLoop] outcome in
            eventLoop.execute { connection.value.answerLater(slot: slot, id: id, outcome) }
        }
    }

    private func answerLater(slot: Int, id: Int32, _ outcome: Outcome) {
        // A stream that the client has reset, or whose connection is gone, is waited for by nobody.
        guard slot < slots.count, let stream = slots[slot].stream, stream.id == id else { return }
        answer(stream, Answer(outcome))
        handler?.flushSoon()
    }

    func answer(_ stream: HTTP2Stream, _ answer: Answer, isHead: Bool = false) {
        guard let session = handler?.session else { return }
        if case .failed(let failure) = answer, isBeingChecked(stream) {
            credentials?.check.failure = failure
            return
        }
        keeper.answered()
        // Refused before it was complete, for reasons that are ours.
        if !stream.peerEnded, case .failed = answer, answer.isOurs {
            account.earn(bytes: 0, isTaken: false)
        }
        slots[stream.slot].answered = tools.now
        let response =
            service.routes.limits.isGRPC
            ? service.writer.grpc(answer)
            : service.writer.http2(
                answer, slots[stream.slot].reader.form, adding: slots[stream.slot].corsFields)
        do throws(HTTP2SessionError) {
            try session.respond(
                stream, response.head, body: isHead ? nil : response.body, trailers: response.trailers)
        } catch {
            session.reset(stream, code: 2)  // INTERNAL_ERROR
            service.logger.error("Answer could not be sent.", metadata: ["error": "\(error)"])
        }
    }

    // MARK: - ReceiverConnection

    var connectionBytes: Int { service.connectionBytes }
    var gate: ReadGate? { account.gate }

    func drain() {
        guard !draining, let handler else { return }
        guard let session = handler.session else { return close() }
        draining = true
        keeper.drained()
        session.goAway(isFinal: false)
        handler.flush()
        // A round trip for streams that are on their way; the session ends by itself with its last stream.
        let connection = NIOLoopBound(self, eventLoop: tools.eventLoop)
        tools.eventLoop.scheduleTask(in: .milliseconds(100)) {
            connection.value.handler?.session?.goAway(isFinal: true)
            connection.value.handler?.flush()
        }
    }

    func close() {
        handler?.close(because: "the gateway makes room, or stops")
    }
}
