internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What is made of one request's body once it is complete: OTLP, checked. By one thread: the request's event loop, or for a
/// large one a thread beside it.
struct BodyDecoding {
    let target: Target
    let limits: RequestLimits
    /// `identity` for a message that is not compressed.
    let encoding: ContentEncoding
    let ledger: MemoryLedger
    /// Of the request's loop.
    let decoders: Decoders
    /// The loop's; nil beside it.
    var pool: BufferPool?
    let client: ClientAddress?
    let metadata: ClientMetadata?

    private func makePayload(_ capacity: Int) -> Payload {
        guard let pool else {
            return Payload(capacity: capacity, ledger: ledger)
        }
        return Payload(capacity: capacity, pool: pool, ledger: ledger)
    }

    // MARK: - Compressed ones

    /// One that inflates to more than so many times its size, and to so many bytes, takes long: many fit into one read.
    private static let (expansionMax, expandedBytesMin) = (32, 64 << 10)

    /// Decompresses a body that does not take long. Event loop only.
    /// - Parameter mayWait: whether there is another way; else each is decompressed.
    /// - Returns: nil when it takes long.
    func inflatedSoon(_ received: Payload, mayWait: Bool) throws(Answer.Failure) -> Payload? {
        let count = received.bytes.readableBytes
        let small = min(LargeRequest.bytesMax(target), max(Self.expansionMax * count, Self.expandedBytesMin))
        let isWhole = !mayWait || limits.bodyBytesMax <= small
        let most = isWhole ? limits.bodyBytesMax : small
        return try inflated(received) { (input, whole) throws(InflateError) in
            if !isWhole, encoding == .gzip, Gunzipper.guess(input) > most { return false }
            do throws(InflateError) {
                try decoders.decode(
                    input, as: encoding, limitBytes: most, appending: { whole.bytes.append($0, $1) })
                return true
            } catch {
                if !isWhole, case .tooLarge = error { return false }
                throw error
            }
        }
    }

    /// Decompresses any body, and asks for memory as it goes. Not on an event loop.
    /// - Parameter isWanted: asked now and then whether to go on.
    /// - Returns: nil when it is not wanted any more.
    func inflated(_ received: Payload, while isWanted: () -> Bool) throws(Answer.Failure) -> Payload? {
        var refusal: Answer.Failure?
        let whole = try inflated(received) { (input, whole) throws(InflateError) in
            guard let format = encoding.pieces else {
                try decoders.decode(
                    input, as: encoding, limitBytes: limits.bodyBytesMax,
                    appending: { whole.bytes.append($0, $1) })
                return true
            }
            try decoders.pieces.begin(input, as: format, limitBytes: limits.bodyBytesMax)
            var isDone = false
            while !isDone {
                refusal = target.admit(bytes: PieceDecoder.pieceBytes)
                if refusal != nil || !isWanted() { return false }
                isDone = try decoders.pieces.next(
                    input, limitBytes: limits.bodyBytesMax, appending: { whole.bytes.append($0, $1) })
                whole.adjustCharge()
            }
            return true
        }
        if let refusal { throw refusal }
        return whole
    }

    /// What a body probably inflates to; the decoder asks for more when it needs it. A gzip body says it: with four times as much
    /// as came, which telemetry often exceeds, each body of 1000 spans was moved to fresh memory, 111 page faults.
    private func expectedBytes(_ received: Payload) -> Int {
        let count = received.bytes.readableBytes
        guard encoding == .gzip else { return 4 * count }
        // SAFETY: used within this call only.
        let said = unsafe received.bytes.withUnsafeReadableBytes {
            Gunzipper.guess(unsafe RawSpan(_unsafeBytes: $0))
        }
        return min(said, 32 * count)
    }

    /// - Parameter decode: returns false when what it did is of no use.
    private func inflated(
        _ received: Payload, _ decode: (borrowing RawSpan, Payload) throws(InflateError) -> Bool
    ) throws(Answer.Failure) -> Payload? {
        let count = received.bytes.readableBytes
        if count == 0 { return received }
        let room = min(expectedBytes(received), limits.bodyBytesMax)
        if let refusal = target.admit(bytes: room) { throw refusal }
        do throws(InflateError) {
            let whole = makePayload(room)
            let isWhole = try unsafe received.bytes.withUnsafeReadableBytes { (bytes) throws(InflateError) in
                // SAFETY: used within this call only.
                try unsafe decode(RawSpan(_unsafeBytes: bytes), whole)
            }
            guard isWhole else { return nil }
            whole.adjustCharge()
            if encoding == .gzip, target.input.keepsGzip { whole.gzipMembers = received }
            return whole
        } catch {
            switch error {
            case .tooLarge:
                throw target.tooLarge("more than \(limits.bodyBytesMax)", limits, decompressed: true)
            case .corrupt(let damage):
                target.counters.failedRequests.add(1)
                throw .corrupt(encoding.rawValue, damage.rawValue, grpc: limits.isGRPC)
            }
        }
    }

    // MARK: - Formats

    /// The OTLP that a decompressed body means, and what is in it.
    func checked(_ body: Payload) throws(Answer.Failure) -> (Payload, RequestSummary) {
        var request = body
        if let translator = target.translator {
            request = try translated(body, translator)
        } else if target.mediaType == .json {
            request = try fromJSON(body)
        }
        request.client = client
        request.metadata = metadata
        let summary = try check(&request)
        if let metadata, let refusal = target.admit(bytes: metadata.byteCount) {
            target.counters.failed.add(summary.items)
            throw refusal
        }
        return (request, summary)
    }

    /// The OTLP that a body in another format means. The room for it is asked for, and charged, before it is looked at.
    private func translated(
        _ body: Payload, _ translator: any RequestTranslator
    ) throws(Answer.Failure) -> Payload {
        let room = body.bytes.readableBytes * translator.growth + 1024
        if let refusal = target.admit(bytes: room) { throw refusal }
        ledger.charge(room)
        defer { ledger.release(room) }
        do throws(TranslationError) {
            return try unsafe body.bytes.withUnsafeReadableBytes { (bytes) throws(TranslationError) in
                Payload(
                    try translator.translate(unsafe WireBytes(bytes), limitBytes: limits.bodyBytesMax),
                    ledger: ledger)
            }
        } catch {
            switch error {
            case .tooLarge: throw target.tooLarge("as OTLP more than \(limits.bodyBytesMax)", limits)
            case .malformed(let message):
                target.counters.failedRequests.add(1)
                throw Answer.Failure(.invalidArgument, 400, message)
            }
        }
    }

    /// The protobuf encoding of a body in JSON, which is the form of everything behind a receiver.
    private func fromJSON(_ text: Payload) throws(Answer.Failure) -> Payload {
        let count = text.bytes.readableBytes
        // Nearly always smaller than the text; lists of small numbers are up to four times as large.
        for capacity in [count, 4 * count + 64] {
            let room = min(capacity, limits.bodyBytesMax)
            if let refusal = target.admit(bytes: room) { throw refusal }
            let request = makePayload(room)
            do throws(OTLPJSONError) {
                try request.write(text, as: target.signal, limitBytes: limits.bodyBytesMax)
                return request
            } catch {
                guard case .invalid(let fault) = error else { continue }
                target.counters.failedRequests.add(1)
                throw .undecodable(fault)
            }
        }
        throw target.tooLarge("as protobuf more than \(limits.bodyBytesMax)", limits)
    }

    /// Checks a request and counts what is in it; one that is not right, but can be made so, is replaced.
    private func check(_ payload: inout Payload) throws(Answer.Failure) -> RequestSummary {
        var repairs = 0
        while true {
            do throws(WireError) {
                return try unsafe payload.bytes.withUnsafeReadableBytes { (bytes) throws(WireError) in
                    try unsafe summarize(bytes, as: target.signal)
                }
            } catch {
                // Each of the two kinds leaves nothing for another repair of its kind.
                guard error.isRepairable, repairs < 2 else { throw undecodable(error) }
                repairs += 1
                payload = try repaired(payload, error.reason)
            }
        }
    }

    private func repaired(_ payload: Payload, _ reason: WireError.Reason) throws(Answer.Failure) -> Payload {
        let repair: RequestRepair
        do throws(WireError) {
            repair = try unsafe payload.bytes.withUnsafeReadableBytes { (bytes) throws(WireError) in
                try unsafe RequestRepair(of: bytes, as: target.signal, for: reason)
            }
        } catch {
            throw undecodable(error)
        }
        if let refusal = target.admit(bytes: repair.roomBytes) {
            target.counters.failed.add(repair.summary.items)
            throw refusal
        }
        let repaired = makePayload(repair.roomBytes)
        repaired.metadata = payload.metadata
        repaired.client = payload.client
        unsafe payload.bytes.withUnsafeReadableBytes { bytes in
            _ = unsafe repaired.bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: repair.roomBytes) {
                // SAFETY: both live for the closures, and the room was asked for.
                unsafe repair.write(bytes, into: $0)
            }
        }
        unsafe repaired.bytes.withUnsafeReadableBytes { bytes in
            // SAFETY: used within this call only.
            target.counters.repairs.count(repair, in: unsafe WireBytes(bytes))
        }
        return repaired
    }

    private func undecodable(_ error: WireError) -> Answer.Failure {
        target.counters.failedRequests.add(1)
        return .undecodable(error, grpc: limits.isGRPC)
    }
}

extension Target {
    /// The memory limiter's objection to so many bytes more, counted.
    func admit(bytes: Int) -> Answer.Failure? {
        guard let refusal = input.admit(bytes: BufferPool.roundedCapacity(bytes)) else { return nil }
        counters.refusedRequests.add(1)
        return Answer.Failure(refusal)
    }

    /// The refusal of a body of so many bytes, counted.
    func tooLarge(_ bytes: String, _ limits: RequestLimits, decompressed: Bool = false) -> Answer.Failure {
        counters.tooLargeRequests.add(1)
        return .tooLarge(bytes: bytes, limits: limits, decompressed: decompressed)
    }
}

extension ByteBuffer {
    fileprivate mutating func append(_ minimum: Int, _ fill: (inout OutputRawSpan) -> Void) {
        writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
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

extension ContentEncoding {
    /// How it is decompressed in pieces, if that can be done.
    fileprivate var pieces: PieceDecoder.Format? {
        switch self {
        case .gzip: .gzip
        case .zlib: .zlib
        case .zstd: .zstd
        case .lz4: .lz4
        case .identity, .snappy, .framedSnappy: nil
        }
    }
}
