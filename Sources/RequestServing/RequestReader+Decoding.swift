internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Bodies made into what the pipelines take.
extension RequestReader {
    /// - Returns: nil while it is decompressed in pieces.
    func decompressed(_ body: Payload) throws(Answer.Failure) -> Payload? {
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
    func translated(
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
    func checked(_ payload: inout Payload, _ target: Target) throws(Answer.Failure) -> RequestSummary {
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
    func fromJSON(_ text: Payload, _ target: Target) throws(Answer.Failure) -> Payload {
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
