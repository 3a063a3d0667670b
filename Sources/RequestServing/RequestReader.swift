internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Reads one request's body and hands it to the pipelines.
///
/// Knows nothing of connections: bytes in, an `Answer` out. Reused from request to request. Event loop only.
final class RequestReader {
    enum Phase {
        /// Answered, or not begun: bytes are thrown away.
        case discarding
        /// Reading the gRPC prefix; so many of its bytes are there.
        case prefix(UInt32, have: Int)
        /// Reading the body; so many bytes are missing, if that is known.
        case body(missing: Int?)
        /// The gRPC message is complete.
        case complete
        /// The body is complete, and large: it is worked on beside the loop.
        case beside(LargeRequest)
    }

    let tools: LoopTools
    let limits: RequestLimits
    let memory: ConnectionMemory?
    /// What of `memory` is this request's.
    private var heldBytes = 0
    var phase = Phase.discarding
    var target: Target?
    var encoding = ContentEncoding.identity
    var compressed = false
    var payload: Payload?
    /// How many bytes the client said the body has; 0 when it did not.
    private var announcedBytes = 0
    /// What has come of the body, and what its buffer has room for: to ask the buffer takes longer.
    private var bodyBytes = 0
    var capacity = 0
    /// What that buffer has in front of the body.
    private var headRoom = 0
    /// Bytes that came since `lastProgress`.
    private var bytesSinceProgress = 0
    var metadata: ClientMetadata?
    /// The other end of the connection.
    var client: ClientAddress?
    /// When bytes of this request last came, in an amount worth the name.
    var lastProgress = NIODeadline.distantPast
    /// The body of the request that `finish` was called for last, bytes as they were received.
    var finishedBytes = 0
    /// Called when a large request was worked on beside the loop: `finish` is to be called again then. Nil: all is done on the
    /// loop. Set once: a closure for each request is two allocations.
    var resume: (() -> Void)?
    /// How the last request that was begun is answered.
    var form = AnswerForm()
    /// About the request, if somebody wants to know of this one.
    var span: RequestSpan?
    /// What the request holds, once that is known.
    var items = 0
    /// When the request began, where that is counted.
    var began = NIODeadline.distantPast

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
    var isBeside: Bool {
        if case .beside = phase { true } else { false }
    }

    /// Whether a part of the request may have been taken: it is gone on with, whatever its deadline.
    var isHandingOn: Bool {
        if case .beside(let request) = phase { request.hasBegun } else { false }
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
        memory?.account.routes |= Routes.bit(target)
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
            if let refusal = target.admit(bytes: 0) { return fail(refusal) }
            phase = .prefix(0, have: 0)
            return nil
        }
        if let contentLength, contentLength > limits.bodyBytesMax {
            return fail(target.tooLarge("\(contentLength)", limits))
        }
        let size = contentLength ?? min(Self.unknownBodyBytes, limits.bodyBytesMax)
        announcedBytes = contentLength ?? 0
        // Asked for whole; room is made as it comes.
        if let refusal = target.admit(bytes: size) { return fail(refusal) }
        phase = .body(missing: nil)
        return nil
    }

    /// Takes bytes of the body; they are copied.
    /// - Returns: why the request fails already. The rest of its bytes will be thrown away.
    func append(_ bytes: UnsafeRawBufferPointer) -> Answer.Failure? {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            switch phase {
            case .discarding, .beside:
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

    /// Forgets the request and releases its memory; what still comes of it is thrown away.
    func abandon() {
        if case .beside(let request) = phase { request.giveUp() }
        phase = .discarding
        hold(0)
        payload = nil
        target = nil
        span = nil
        items = 0
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
    func malformed(_ message: String) -> Answer.Failure {
        target?.counters.failedRequests.add(1)
        return Answer.Failure(.internal, 400, "grpc: \(message)")
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
        if size > limits.bodyBytesMax { return target?.tooLarge("\(size)", limits) }
        if size == 0 {
            phase = .complete
            return nil
        }
        announcedBytes = Int(size)
        phase = .body(missing: Int(size))
        return target?.admit(bytes: Int(size))
    }

    func takePayload(_ capacity: Int) -> Payload {
        Payload(capacity: capacity, pool: tools.pool, ledger: tools.ledger)
    }

    /// Counts the room of a body that is not complete.
    private func holdWhatCame() {
        guard payload != nil, case .body = phase else { return hold(0) }
        let isWhole = announcedBytes > 0 && bodyBytes >= announcedBytes
        hold(isWhole ? 0 : headRoom + capacity)
    }

    func hold(_ bytes: Int) {
        guard let memory, bytes != heldBytes else { return }
        memory.bodyBytes += bytes - heldBytes
        memory.bodies += (bytes > 0 ? 1 : 0) - (heldBytes > 0 ? 1 : 0)
        heldBytes = bytes
    }

    /// Grows the room for a body as it comes, within the limits.
    private func makeRoom(for count: Int) -> Answer.Failure? {
        let size = bodyBytes + count
        // The buffer may be larger than the limit.
        if size > limits.bodyBytesMax { return target?.tooLarge("more than \(limits.bodyBytesMax)", limits) }
        if payload != nil, capacity - bodyBytes >= count { return nil }
        let capacity = room(for: size)
        if size != announcedBytes, let memory,
            let objection = memory.objection(to: capacity - heldBytes, request: heldBytes)
        {
            target?.counters.refusedRequests.add(1)
            return objection
        }
        // The first time it was asked when the request began.
        if payload != nil, let refusal = target?.admit(bytes: capacity) { return refusal }
        if let payload, capacity > BufferPool.bufferBytesMax {
            // The system moves the pages of one so large: to copy them would take many milliseconds. Once, as it becomes so large,
            // it is moved to the front: with the room there it would have twice the memory that was asked for.
            payload.bytes.discardReadBytes()
            payload.bytes.reserveCapacity(capacity)
            payload.adjustCharge()
        } else {
            let larger = takePayload(capacity)
            if let payload { larger.bytes.writeImmutableBuffer(payload.bytes) }
            payload = larger
        }
        headRoom = payload?.bytes.readerIndex ?? 0
        self.capacity = (payload?.bytes.capacity ?? 0) - headRoom
        return nil
    }

    /// The room for a body of which `size` bytes are here. A multiple where the end is known: little is copied once more,
    /// and no more than that is held unused. A client that has completed a request is believed more: a body of 512 KiB has its
    /// room with the first frame of 16 KiB (copied in two steps, requests of 1000 spans took 3 % more CPU time).
    func room(for size: Int) -> Int {
        let before = capacity
        guard announcedBytes >= size else { return min(max(size, before * 2), limits.bodyBytesMax) }
        if size < Self.worthyBytes { return min(4 * size, announcedBytes) }
        let isProven = memory?.account.work.isProven ?? false
        let believed = isProven ? size * 32 : max(before * 8, Self.announcedRoomBytes)
        return min(max(size, believed), announcedBytes)
    }
}
