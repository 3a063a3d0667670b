internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What becomes of a body that is complete.
extension RequestReader {
    /// The body is complete: decompresses, checks, and hands it on.
    /// - Parameters:
    ///   - deadline: when the client gives up: a large request is not begun after that.
    ///   - later: makes the acknowledgement for pipelines that answer later; called at most once.
    /// - Returns: the answer; nil when it comes through the acknowledgement, and while `isBeside`.
    func finish(before deadline: NIODeadline = .distantFuture, later: () -> Acknowledgement) -> Answer? {
        let calls = target?.counters.calls
        let answer: Answer?
        do throws(Answer.Failure) {
            if case .beside(let request) = phase {
                answer = try ended(request)
            } else {
                answer = try handOn(deadline, later)
            }
        } catch {
            phase = .complete
            answer = .failed(error)
        }
        if isBeside { return nil }
        if let span { span.end(answer, items) }
        if let calls, let answer { calls.ended(answer, form, began: began, bytes: finishedBytes) }
        abandon()
        return answer
    }

    /// The body as it was received; nil for a message of no bytes.
    private func received() throws(Answer.Failure) -> Payload? {
        switch phase {
        case .discarding, .complete, .beside: return payload
        case .body(missing: nil): return payload ?? takePayload(0)
        case .body(let missing?):
            throw malformed("unexpected end of message, \(missing) bytes missing")
        case .prefix(_, let have):
            throw malformed("unexpected end of message, \(have) of 5 prefix bytes received")
        }
    }

    private func handOn(
        _ deadline: NIODeadline, _ later: () -> Acknowledgement
    ) throws(Answer.Failure) -> Answer? {
        finishedBytes = 0
        guard let target, isReading else { return nil }
        guard var whole = try received() else { return .accepted }
        payload = nil
        finishedBytes = whole.bytes.readableBytes
        let body = BodyDecoding(
            target: target, limits: limits, encoding: compressed ? encoding : .identity, ledger: tools.ledger,
            decoders: tools.decoders, pool: tools.pool, client: client, metadata: metadata)
        let mayWait = memory != nil && resume != nil
        let large = LargeRequest.bytesMax(target)
        if mayWait, finishedBytes > (compressed ? min(LargeRequest.compressedBytesMax, large) : large) {
            goBeside(whole, body, deadline, later)
            return nil
        }
        if compressed {
            guard let inflated = try body.inflatedSoon(whole, mayWait: mayWait) else {
                goBeside(whole, body, deadline, later)
                return nil
            }
            whole = inflated
        }
        let summary: RequestSummary
        (whole, summary) = try body.checked(whole)
        items = summary.items
        if items == 0 { return .accepted }
        if mayWait,
            items > LargeRequest.smallItemsMax || whole.bytes.readableBytes > target.input.largeBytes
        {
            goBeside(whole, items: items, body, deadline, later)
            return nil
        }
        let acknowledgement = target.input.isAnsweredWhenSettled ? counted(later(), target) : nil
        // Nobody else has the bytes from here on.
        let batch = Batch(
            target.signal, payload: consume whole, items: items, acknowledgement: acknowledgement,
            isGiven: true)
        batch.entry = Batch.Entry(target.counters.accepted, items: items)
        if let refusal = target.input.consumer.consume(batch) {
            target.counters.refused.add(items)
            throw Answer.Failure(refusal)
        }
        return acknowledgement == nil ? .accepted : nil
    }

    // MARK: - Beside the loop

    private func goBeside(
        _ payload: Payload, items: Int? = nil, _ body: BodyDecoding, _ deadline: NIODeadline,
        _ later: () -> Acknowledgement
    ) {
        guard let memory else { return }
        var body = body
        body.pool = nil
        let target = body.target
        let request = LargeRequest(
            payload, items: items, receivedBytes: finishedBytes, body, deadline: deadline,
            eventLoop: tools.eventLoop,
            acknowledgement: target.input.isAnsweredWhenSettled ? counted(later(), target) : nil)
        phase = .beside(request)
        // It is complete: nobody's upload is ended for it. The ledger charges what it takes.
        hold(0)
        tools.besideRequests += 1
        work(on: request, memory.account)
    }

    private func isOurs(_ request: LargeRequest) -> Bool {
        if case .beside(let current) = phase { current === request } else { false }
    }

    private func work(on request: LargeRequest, _ account: ConnectionAccount) {
        account.doBeside(request.run) { [self] in
            if request.waits, isOurs(request) {
                workLater(on: request, account)
            } else {
                end(request)
            }
        }
    }

    private func workLater(on request: LargeRequest, _ account: ConnectionAccount) {
        let bound = NIOLoopBound((self, account), eventLoop: tools.eventLoop)
        tools.eventLoop.scheduleTask(in: LargeRequest.pause) {
            let (reader, account) = bound.value
            if reader.isOurs(request) {
                reader.work(on: request, account)
            } else {
                reader.end(request)
            }
        }
    }

    private func end(_ request: LargeRequest) {
        tools.besideRequests -= 1
        guard isOurs(request) else { return request.end() }
        lastProgress = tools.eventLoop.now
        resume?()
    }

    /// - Returns: nil when the answer comes through the acknowledgement.
    private func ended(_ request: LargeRequest) throws(Answer.Failure) -> Answer? {
        phase = .complete
        items = request.items
        request.end()
        if let failure = request.failure { throw failure }
        return target?.input.isAnsweredWhenSettled == true && items > 0 ? nil : .accepted
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
    if reader.isBeside { return nil }
    return answer?.isTaken ?? true ? reader.finishedBytes : nil
}
