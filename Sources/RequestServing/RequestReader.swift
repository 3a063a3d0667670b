internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// The limits that one protocol of a receiver sets.
struct RequestLimits: Sendable {
    /// Whether a body is gRPC's: messages behind five-byte prefixes.
    var isGRPC: Bool
    /// Bytes of a body as received, and again of the same when decompressed.
    var bodyBytesMax: Int
    /// Whether the header fields stay with the data (`include_metadata`).
    var keepsMetadata = false
}

/// What a receiver keeps for one event loop. Event loop only.
final class LoopTools {
    let eventLoop: any EventLoop
    let pool: BufferPool
    let decoders = Decoders()
    let ledger: MemoryLedger
    /// Makes spans about requests; nil: nobody wants any.
    let tracer: Tracer?
    /// When the read that is being worked on began: precise enough for whoever watches slow clients.
    var now: NIODeadline

    init(eventLoop: any EventLoop, ledger: MemoryLedger, tracer: Tracer? = nil) {
        self.eventLoop = eventLoop
        self.tracer = tracer
        now = eventLoop.now
        self.ledger = ledger
        pool = BufferPool(eventLoop: eventLoop)
    }
}

/// Where the requests of one signal go, and who counts them.
final class Target: Sendable {
    let signal: Signal
    let input: PipelineInput
    let counters: RequestCounters
    /// How bodies are encoded.
    let mediaType: MediaType
    /// Makes bodies into OTLP; nil: they are OTLP.
    let translator: (any RequestTranslator)?
    let style: AnswerStyle

    init(
        signal: Signal, input: PipelineInput, counters: RequestCounters, mediaType: MediaType = .protobuf,
        translator: (any RequestTranslator)? = nil, style: AnswerStyle = .otlp
    ) {
        self.translator = translator
        self.style = style
        self.signal = signal
        self.input = input
        self.counters = counters
        self.mediaType = mediaType
    }

    /// The same for bodies in JSON.
    var forJSON: Target {
        Target(signal: signal, input: input, counters: counters, mediaType: .json)
    }
}

/// Reads one request's body and hands it to the pipelines.
///
/// Knows nothing of connections: bytes in, an `Answer` out. Reused from request to request. Event loop only.
final class RequestReader {
    private enum Phase {
        /// Answered, or not begun: bytes are thrown away.
        case discarding
        /// Reading the gRPC prefix; so many of its bytes are there.
        case prefix(UInt32, have: Int)
        /// Reading the body; so many bytes are missing, if that is known.
        case body(missing: Int?)
        /// The gRPC message is complete.
        case complete
        /// The body is complete and decompressed in pieces.
        case inflating(Inflation)
        /// The request is handed on in parts.
        case handingOn(PartedRequest)
    }

    private let tools: LoopTools
    private let limits: RequestLimits
    private let memory: ConnectionMemory?
    /// What of `memory` is this request's.
    private var heldBytes = 0
    private var phase = Phase.discarding
    private var target: Target?
    private var encoding = ContentEncoding.identity
    private var compressed = false
    private var payload: Payload?
    /// How many bytes the client said the body has; 0 when it did not.
    private var announcedBytes = 0
    /// What has come of the body, and what its buffer has room for: to ask the buffer takes longer.
    private var bodyBytes = 0
    private var capacity = 0
    /// Bytes that came since `lastProgress`.
    private var bytesSinceProgress = 0
    private var metadata: ClientMetadata?
    /// The other end of the connection.
    var client: ClientAddress?
    /// When bytes of this request last came, in an amount worth the name.
    private(set) var lastProgress = NIODeadline.distantPast
    /// The body of the request that `finish` was called for last, bytes as they were received.
    private(set) var finishedBytes = 0
    /// Called when a large body was decompressed, or handed on, in pieces: `finish` is to be called again then. Nil: nothing
    /// is done in pieces. Set once: a closure for each request is two allocations.
    var resume: (() -> Void)?
    /// How the last request that was begun is answered.
    private(set) var form = AnswerForm()
    /// About the request, if somebody wants to know of this one.
    private var span: RequestSpan?
    /// Why the body is not decompressed on.
    private var refusal: Answer.Failure?
    /// What the request holds, once that is known.
    private var items = 0
    /// When the request began, where that is counted.
    private var began = NIODeadline.distantPast

    /// What is asked for when the size of a body is not known.
    private static let unknownBodyBytes = 16 << 10
    /// Room for a body whose end is known, once so much of it has come that it is worth a large buffer.
    private static let announcedRoomBytes = 64 << 10
    /// From here on it is. Before, room is for four times what has come: what is only announced takes no memory.
    private static let worthyBytes = 4 << 10
    /// Fewer bytes than these are no progress: one a minute would keep a request for ever.
    private static let progressBytesMin = 1024

    /// - Parameter memory: of the connection, whose incomplete requests it counts.
    init(tools: LoopTools, limits: RequestLimits, memory: ConnectionMemory? = nil) {
        self.tools = tools
        self.limits = limits
        self.memory = memory
    }

    /// How much of the request has come, 0 to 1; of one whose end is not known, as a part of the largest.
    var fullness: Double {
        let whole = announcedBytes > 0 ? announcedBytes : limits.bodyBytesMax
        return Double(bodyBytes) / Double(max(whole, 1))
    }

    /// Whether a request is under way that has not been answered.
    var isReading: Bool {
        if case .discarding = phase { false } else { true }
    }

    /// Whether the body is complete and `finish` has to be called again.
    var isInPieces: Bool {
        switch phase {
        case .inflating, .handingOn: true
        default: false
        }
    }

    /// Whether a part of the request may have been taken: it is gone on with, whatever its deadline.
    var isHandingOn: Bool {
        if case .handingOn = phase { true } else { false }
    }

    /// Starts a request whose head was accepted.
    /// - Parameters:
    ///   - contentLength: what the client says the body has; nil when it does not say.
    ///   - head: the request's header section, for receivers that keep it.
    /// - Returns: a refusal that needs no body.
    func begin(
        _ target: Target, encoding: ContentEncoding, contentLength: Int?, head: HeaderBlock? = nil
    ) -> Answer.Failure? {
        tools.eventLoop.preconditionInEventLoop()
        self.target = target
        form = AnswerForm(mediaType: target.mediaType, signal: target.signal, style: target.style)
        if limits.keepsMetadata, let head {
            let kept = ClientMetadata(header: head.all)
            memory?.headBytes += kept.byteCount
            metadata = kept
        }
        self.encoding = encoding
        compressed = encoding != .identity
        lastProgress = tools.now
        bytesSinceProgress = 0
        announcedBytes = 0
        bodyBytes = 0
        capacity = 0
        if target.counters.calls != nil { began = .now() }
        if let tracer = tools.tracer, let head { span = .begin(tracer, target, head) }
        if limits.isGRPC {
            // Refused before a byte of the body is looked at; the size is asked again when the prefix tells it.
            if let refusal = admit(bytes: 0) { return fail(refusal) }
            phase = .prefix(0, have: 0)
            return nil
        }
        if let contentLength, contentLength > limits.bodyBytesMax {
            return fail(tooLarge("\(contentLength)"))
        }
        let size = contentLength ?? min(Self.unknownBodyBytes, limits.bodyBytesMax)
        announcedBytes = contentLength ?? 0
        // Asked for whole; room is made as it comes.
        if let refusal = admit(bytes: size) { return fail(refusal) }
        phase = .body(missing: nil)
        return nil
    }

    /// Takes bytes of the body; they are copied.
    /// - Returns: why the request fails already. The rest of its bytes will be thrown away.
    func append(_ bytes: UnsafeRawBufferPointer) -> Answer.Failure? {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            switch phase {
            case .discarding, .inflating, .handingOn:
                return nil
            case .prefix(let value, let have):
                if let failure = readPrefix(unsafe rest.removeFirst(), value, have) { return fail(failure) }
            case .body(let missing):
                let count = unsafe min(missing ?? rest.count, rest.count)
                if let failure = makeRoom(for: count) { return fail(failure) }
                _ = unsafe payload?.bytes.writeBytes(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
                bodyBytes += count
                unsafe rest = rest.dropFirst(count)
                if let missing { phase = missing == count ? .complete : .body(missing: missing - count) }
            case .complete:
                return fail(malformed("more than one message in a unary request"))
            }
        }
        holdWhatCame()
        bytesSinceProgress += bytes.count
        if bytesSinceProgress >= Self.progressBytesMin {
            lastProgress = tools.now
            bytesSinceProgress = 0
        }
        return nil
    }

    /// Counts the time until now as progress: the receiver left bytes in the socket.
    func excuse(until now: NIODeadline) {
        lastProgress = now
    }

    /// The body is complete: decompresses, checks, and hands it on.
    /// - Parameter later: makes the acknowledgement for pipelines that answer later; called at most once.
    /// - Returns: the answer; nil when it comes through the acknowledgement, and while `isInPieces`.
    func finish(later: () -> Acknowledgement) -> Answer? {
        let calls = target?.counters.calls
        let answer: Answer?
        do throws(Answer.Failure) {
            answer = try handOn(later)
        } catch {
            phase = .complete
            answer = .failed(error)
        }
        if isInPieces { return nil }
        if let span { span.end(answer, items) }
        if let calls, let answer { calls.ended(answer, form, began: began, bytes: finishedBytes) }
        abandon()
        return answer
    }

    /// The body as it was received; nil for a message of no bytes.
    private func received() throws(Answer.Failure) -> Payload? {
        switch phase {
        case .inflating(let work): return work.received
        case .discarding, .complete, .handingOn: return payload
        case .body(missing: nil): return payload ?? takePayload(0)
        case .body(let missing?):
            throw malformed("unexpected end of message, \(missing) bytes missing")
        case .prefix(_, let have):
            throw malformed("unexpected end of message, \(have) of 5 prefix bytes received")
        }
    }

    private func handOn(_ later: () -> Acknowledgement) throws(Answer.Failure) -> Answer? {
        if case .handingOn(let work) = phase, let target { return try handedOn(work, target) }
        finishedBytes = 0
        guard let target, isReading else { return nil }
        guard var payload = try received() else { return .accepted }
        finishedBytes = payload.bytes.readableBytes
        if compressed {
            let received = payload
            guard let whole = try decompressed(received) else { return nil }
            payload = whole
            if encoding == .gzip, target.input.keepsGzip, payload !== received {
                payload.gzipMembers = received
            }
        }
        if let translator = target.translator {
            payload = try translated(payload, translator)
        } else if target.mediaType == .json {
            payload = try fromJSON(payload, target)
        }
        payload.client = client
        payload.metadata = metadata
        let summary = try checked(&payload, target)
        items = summary.items
        if let metadata, let refusal = admit(bytes: metadata.byteCount) {
            target.counters.failed.add(items)
            throw refusal
        }
        if summary.items == 0 { return .accepted }
        let acknowledgement = target.input.answersLater ? counted(later(), target) : nil
        let batch = Batch(
            target.signal, payload: payload, items: summary.items, acknowledgement: acknowledgement)
        if summary.items > PartedRequest.itemsMax, payload.gzipMembers == nil, let memory, resume != nil {
            if let refusal = admit(bytes: payload.bytes.readableBytes) {
                target.counters.refused.add(summary.items)
                throw refusal
            }
            handOnInParts(PartedRequest(batch, bytes: finishedBytes), target, memory)
            return nil
        }
        batch.entry = Batch.Entry(target.counters.accepted, items: summary.items)
        if let refusal = target.input.consumer.consume(batch) {
            target.counters.refused.add(summary.items)
            throw Answer.Failure(refusal)
        }
        return acknowledgement == nil ? .accepted : nil
    }

    private func handOnInParts(_ work: PartedRequest, _ target: Target, _ memory: ConnectionMemory) {
        phase = .handingOn(work)
        // The parts have copies, or it.
        payload = nil
        hold(capacity)
        offerParts(work, target, memory)
    }

    private func offerParts(_ work: PartedRequest, _ target: Target, _ memory: ConnectionMemory) {
        memory.account.doInPieces { [self] in
            // Given up meanwhile?
            guard case .handingOn(let current) = phase, current === work else { return true }
            lastProgress = tools.eventLoop.now
            switch work.step(target, memory.account, now: lastProgress) {
            case .goOn: return false
            case .wait: offerLater(work, target, memory)
            case .done: resume?()
            }
            return true
        }
    }

    private func offerLater(_ work: PartedRequest, _ target: Target, _ memory: ConnectionMemory) {
        let bound = NIOLoopBound((self, work, memory), eventLoop: tools.eventLoop)
        tools.eventLoop.scheduleTask(in: PartedRequest.pause) {
            let (reader, work, memory) = bound.value
            guard case .handingOn(let current) = reader.phase, current === work else { return }
            reader.offerParts(work, target, memory)
        }
    }

    /// - Returns: nil when the answer comes through the acknowledgement.
    private func handedOn(_ work: PartedRequest, _ target: Target) throws(Answer.Failure) -> Answer? {
        phase = .complete
        if let refusal = work.refusal {
            target.counters.refused.add(work.itemsLeft)
            throw Answer.Failure(refusal)
        }
        return target.input.answersLater ? nil : .accepted
    }

    /// An acknowledgement that is counted when it comes, where calls are.
    private func counted(_ acknowledgement: Acknowledgement, _ target: Target) -> Acknowledgement {
        guard let calls = target.counters.calls else { return acknowledgement }
        let (form, began, bytes) = (form, began, finishedBytes)
        return Acknowledgement { outcome in
            calls.ended(Answer(outcome), form, began: began, bytes: bytes)
            acknowledgement.settle(outcome)
        }
    }

    /// Forgets the request and releases its memory; what still comes of it is thrown away.
    func abandon() {
        if case .handingOn(let work) = phase {
            target?.counters.refused.add(work.itemsLeft)
            work.giveUp()
        }
        phase = .discarding
        hold(0)
        payload = nil
        target = nil
        span = nil
        items = 0
        refusal = nil
        if let metadata {
            memory?.headBytes -= metadata.byteCount
            self.metadata = nil
        }
    }

    private func fail(_ failure: Answer.Failure) -> Answer.Failure {
        if let span { span.end(.failed(failure), 0) }
        target?.counters.calls?.ended(.failed(failure), form, began: began, bytes: bodyBytes)
        abandon()
        return failure
    }

    /// Bytes that break gRPC's framing.
    private func malformed(_ message: String) -> Answer.Failure {
        target?.counters.failedRequests.add(1)
        return Answer.Failure(.internal, 400, "grpc: \(message)")
    }

    private func tooLarge(_ bytes: String, decompressed: Bool = false) -> Answer.Failure {
        target?.counters.tooLargeRequests.add(1)
        return .tooLarge(bytes: bytes, limits: limits, decompressed: decompressed)
    }

    private func admit(bytes: Int) -> Answer.Failure? {
        guard let target, let refusal = target.input.admit(bytes: BufferPool.roundedCapacity(bytes)) else {
            return nil
        }
        target.counters.refusedRequests.add(1)
        return Answer.Failure(refusal)
    }

    private func readPrefix(_ byte: UInt8, _ value: UInt32, _ have: Int) -> Answer.Failure? {
        if have == 0 {
            switch (byte, encoding) {
            case (0, _): compressed = false
            case (1, .identity): return malformed("compressed flag set with identity or empty encoding")
            case (1, _): compressed = true
            default: return malformed("received unexpected payload format \(byte)")
            }
            phase = .prefix(0, have: 1)
            return nil
        }
        let size = value << 8 | UInt32(byte)
        guard have == 4 else {
            phase = .prefix(size, have: have + 1)
            return nil
        }
        if size > limits.bodyBytesMax { return tooLarge("\(size)") }
        if size == 0 {
            phase = .complete
            return nil
        }
        announcedBytes = Int(size)
        phase = .body(missing: Int(size))
        return admit(bytes: Int(size))
    }

    private func takePayload(_ capacity: Int) -> Payload {
        Payload(capacity: capacity, pool: tools.pool, ledger: tools.ledger)
    }

    /// Counts the room of a body that is not complete.
    private func holdWhatCame() {
        guard payload != nil, case .body = phase else { return hold(0) }
        let isWhole = announcedBytes > 0 && bodyBytes >= announcedBytes
        hold(isWhole ? 0 : capacity)
    }

    private func hold(_ bytes: Int) {
        guard let memory, bytes != heldBytes else { return }
        memory.bodyBytes += bytes - heldBytes
        memory.bodies += (bytes > 0 ? 1 : 0) - (heldBytes > 0 ? 1 : 0)
        heldBytes = bytes
    }

    /// Grows the room for a body as it comes, within the limits.
    private func makeRoom(for count: Int) -> Answer.Failure? {
        let size = bodyBytes + count
        // The buffer may be larger than the limit.
        if size > limits.bodyBytesMax { return tooLarge("more than \(limits.bodyBytesMax)") }
        if payload != nil, capacity - bodyBytes >= count { return nil }
        let capacity = room(for: size)
        if size != announcedBytes, let memory,
            let objection = memory.objection(to: capacity - heldBytes, request: heldBytes)
        {
            target?.counters.refusedRequests.add(1)
            return objection
        }
        // The first time it was asked when the request began.
        if payload != nil, let refusal = admit(bytes: capacity) { return refusal }
        let larger = takePayload(capacity)
        if let payload { larger.bytes.writeImmutableBuffer(payload.bytes) }
        payload = larger
        self.capacity = larger.bytes.capacity
        return nil
    }

    /// The room for a body of which `size` bytes are here. Eight times where the end is known: a tenth is copied once more,
    /// and no more than that is held unused.
    private func room(for size: Int) -> Int {
        let before = capacity
        guard announcedBytes >= size else { return min(max(size, before * 2), limits.bodyBytesMax) }
        if size < Self.worthyBytes { return min(4 * size, announcedBytes) }
        return min(max(size, before * 8, Self.announcedRoomBytes), announcedBytes)
    }

    /// - Returns: nil while it is decompressed in pieces.
    private func decompressed(_ body: Payload) throws(Answer.Failure) -> Payload? {
        if case .inflating(let work) = phase {
            phase = .complete
            return try inflated(work)
        }
        let count = body.bytes.readableBytes
        if count == 0 { return body }
        if let refusal = admit(bytes: min(4 * count, limits.bodyBytesMax)) { throw refusal }
        let work = Inflation(body, as: encoding, limitBytes: limits.bodyBytesMax, tools)
        work.begin(mayWait: resume != nil && memory != nil)
        guard work.result == nil, let memory, let resume else { return try inflated(work) }
        phase = .inflating(work)
        hold(capacity)
        memory.account.doInPieces { [self] in
            // Given up meanwhile?
            guard case .inflating(let current) = phase, current === work else { return true }
            lastProgress = tools.eventLoop.now
            refusal = admit(bytes: Inflation.pieceBytes)
            if refusal == nil { work.step() }
            guard refusal != nil || work.result != nil else { return false }
            resume()
            return true
        }
        return nil
    }

    private func inflated(_ work: Inflation) throws(Answer.Failure) -> Payload {
        if let refusal {
            self.refusal = nil
            throw refusal
        }
        switch work.result {
        case .success?: return work.whole
        case .failure(.tooLarge)?: throw tooLarge("more than \(limits.bodyBytesMax)", decompressed: true)
        case .failure(.corrupt(let damage))?:
            target?.counters.failedRequests.add(1)
            throw .corrupt(encoding.rawValue, damage.rawValue, grpc: limits.isGRPC)
        case nil: preconditionFailure("not decompressed to its end")
        }
    }

    /// The OTLP that a body in another format means. The room for it is asked for, and charged, before it is looked at.
    private func translated(
        _ body: Payload, _ translator: any RequestTranslator
    ) throws(Answer.Failure) -> Payload {
        let room = body.bytes.readableBytes * translator.growth + 1024
        if let refusal = admit(bytes: room) { throw refusal }
        tools.ledger.charge(room)
        defer { tools.ledger.release(room) }
        var result = Result<ByteBuffer, TranslationError>.failure(.tooLarge)
        let limit = limits.bodyBytesMax
        unsafe body.bytes.withUnsafeReadableBytes { bytes in
            do throws(TranslationError) {
                result = .success(try translator.translate(unsafe WireBytes(bytes), limitBytes: limit))
            } catch {
                result = .failure(error)
            }
        }
        switch result {
        case .success(let bytes): return Payload(bytes, ledger: tools.ledger)
        case .failure(.tooLarge): throw tooLarge("as OTLP more than \(limits.bodyBytesMax)")
        case .failure(.malformed(let message)):
            target?.counters.failedRequests.add(1)
            throw Answer.Failure(.invalidArgument, 400, message)
        }
    }

    /// Checks a request and counts what is in it; one whose texts are not all UTF-8 is replaced by one whose are.
    private func checked(_ payload: inout Payload, _ target: Target) throws(Answer.Failure) -> RequestSummary
    {
        do throws(WireError) {
            return try unsafe payload.bytes.withReadableBytes { (bytes) throws(WireError) in
                try unsafe summarize(bytes, as: target.signal)
            }
        } catch {
            guard error.reason == .invalidUTF8 else { throw undecodable(error, target) }
        }
        let repair: RequestRepair
        do throws(WireError) {
            repair = try unsafe payload.bytes.withReadableBytes { (bytes) throws(WireError) in
                try unsafe RequestRepair(of: bytes, as: target.signal)
            }
        } catch {
            throw undecodable(error, target)
        }
        if let refusal = admit(bytes: repair.byteCount) {
            target.counters.failed.add(repair.summary.items)
            throw refusal
        }
        let repaired = Payload(capacity: repair.byteCount, pool: tools.pool, ledger: tools.ledger)
        repaired.metadata = payload.metadata
        repaired.client = payload.client
        unsafe payload.bytes.withUnsafeReadableBytes { bytes in
            _ = unsafe repaired.bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: repair.byteCount) {
                // SAFETY: both live for the closures, and the room was asked for.
                unsafe repair.write(bytes, into: $0)
                return repair.byteCount
            }
        }
        payload = repaired
        unsafe repaired.bytes.withUnsafeReadableBytes { bytes in
            // SAFETY: used within this call only.
            target.counters.repairs.count(repair, in: unsafe WireBytes(bytes))
        }
        return repair.summary
    }

    private func undecodable(_ error: WireError, _ target: Target) -> Answer.Failure {
        target.counters.failedRequests.add(1)
        return .undecodable(error, grpc: limits.isGRPC)
    }

    /// The protobuf encoding of a body in JSON, which is the form of everything behind a receiver.
    private func fromJSON(_ text: Payload, _ target: Target) throws(Answer.Failure) -> Payload {
        let count = text.bytes.readableBytes
        // Nearly always smaller than the text; lists of small numbers are up to four times as large.
        for capacity in [count, 4 * count + 64] {
            let room = min(capacity, limits.bodyBytesMax)
            if let refusal = admit(bytes: room) { throw refusal }
            let request = Payload(capacity: room, pool: tools.pool, ledger: tools.ledger)
            do throws(OTLPJSONError) {
                try request.write(text, as: target.signal, limitBytes: limits.bodyBytesMax)
                return request
            } catch {
                guard case .invalid(let fault) = error else { continue }
                target.counters.failedRequests.add(1)
                throw .undecodable(fault)
            }
        }
        throw tooLarge("as protobuf more than \(limits.bodyBytesMax)")
    }
}

extension Payload {
    /// Fills this empty payload, at most to its capacity, with what a text in OTLP JSON means.
    fileprivate func write(_ text: Payload, as signal: Signal, limitBytes: Int) throws(OTLPJSONError) {
        var result = Result<Int, OTLPJSONError>.success(0)
        unsafe text.bytes.withUnsafeReadableBytes { text in
            _ = unsafe bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { output in
                // SAFETY: both live for the closures, and the prefix is within the output.
                let room = unsafe UnsafeMutableRawBufferPointer(rebasing: output.prefix(limitBytes))
                do throws(OTLPJSONError) {
                    let count = unsafe try readOTLPJSON(text, as: signal, into: room)
                    result = .success(count)
                    return count
                } catch {
                    result = .failure(error)
                    return 0
                }
            }
        }
        _ = try result.get()
    }
}

/// The bytes received for which a request's time is excused: none when nothing of it was taken.
func excused(_ answer: Answer?, _ reader: RequestReader) -> Int? {
    if reader.isInPieces { return nil }
    return answer?.isTaken ?? true ? reader.finishedBytes : nil
}
