internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What becomes of a body that is complete.
extension RequestReader {
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
    func received() throws(Answer.Failure) -> Payload? {
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
}

/// The bytes received for which a request's time is excused: none when nothing of it was taken.
func excused(_ answer: Answer?, _ reader: RequestReader) -> Int? {
    if reader.isInPieces { return nil }
    return answer?.isTaken ?? true ? reader.finishedBytes : nil
}
