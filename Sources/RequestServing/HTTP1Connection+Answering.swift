internal import HTTP
internal import Logging
internal import NIOCore
internal import Pipeline

/// From a request that is complete to the bytes of its answer.
extension HTTP1Connection {
    func finish() {
        if case .receiving(answered: true) = phase {
            endRequest()
            return
        }
        phase = .waiting
        complete()
    }

    /// The request's body is there.
    private func complete() {
        let answer = account.excusing(
            { reader.finish(later: acknowledgement) }, bytes: { excused($0, reader) })
        if reader.isBeside { return }
        if answer?.isOurs ?? true {
            account.earn(bytes: reader.finishedBytes, isTaken: answer?.isTaken ?? true)
        }
        if let answer { self.answer(answer) }
    }

    private func acknowledgement() -> Acknowledgement {
        let connection = NIOLoopBound(self, eventLoop: connections.eventLoop)
        let request = self.request
        return Acknowledgement { [eventLoop = connections.eventLoop] outcome in
            eventLoop.execute { connection.value.answerLate(request, Answer(outcome)) }
        }
    }

    private func answerLate(_ request: Int, _ late: Answer) {
        goOn(request) { answer(late) }
    }

    /// The request, which was worked on beside the loop, is done.
    func resume() {
        goOn(request, complete)
    }

    /// Answers a request that waits, and goes on with what came behind it.
    func goOn(_ request: Int, _ answer: () -> Void) {
        guard request == self.request, case .waiting = phase, let context else { return }
        connections.tools.now = context.eventLoop.now
        answer()
        readOn(context)
        writeAnswers(context)
        publish()
        endBehindInput(context)
        readHeld(context)
    }

    // MARK: - Writing

    /// Puts an answer behind those that are not written yet.
    func answer(_ answer: Answer) {
        let wasWaiting: Bool
        switch phase {
        case .waiting: wasWaiting = true
        case .receiving(answered: false): wasWaiting = false
        case .receiving(answered: true), .idle, .lingering, .closed: return
        }
        lastMoved = connections.tools.now
        if !wasWaiting, (bodyLeft ?? 0) > Self.unwantedBytesMax { keepAlive = false }
        let connection: AnswerWriter.ConnectionField =
            keepAlive ? (isVersion10 ? .keepAlive : .none) : .close
        service.writer.writeHTTP1(
            answer, reader.form, connection, adding: corsFields, isHead: isHead, to: &answers)
        if wasWaiting {
            endRequest()
        } else {
            phase = .receiving(answered: true)
            // The client need not send the rest of a body that nobody reads, nor is it waited for.
            if !keepAlive { phase = .lingering(since: lastMoved) }
        }
    }

    private func endRequest() {
        phase = keepAlive && !draining ? .idle : .lingering(since: connections.tools.now)
    }

    /// Answers bytes that are no request. Nothing behind them can be read.
    func refuse(_ error: HTTP1Error, _ context: ChannelHandlerContext) {
        service.logger.debug("Not a request of HTTP/1.1.", metadata: ["error": "\(error)"])
        reader.abandon()
        keepAlive = false
        corsFields = []
        if case .idle = phase { phase = .receiving(answered: false) }
        answer(.failed(.plain(error.status, "\(error.status) \(error)")))
        phase = .lingering(since: connections.tools.now)
        unread = ByteBuffer()
    }

    func writeAnswers(_ context: ChannelHandlerContext) {
        let isLast: Bool
        if case .lingering = phase { isLast = true } else { isLast = false }
        guard answers.readableBytes > 0 || isLast else { return }
        if answers.readableBytes > 0 {
            context.writeAndFlush(wrapOutboundOut(answers), promise: nil)
            // Keeps the room when all of it is in the socket already.
            if answers.capacity > Self.keptBytesMax { answers = ByteBuffer() } else { answers.clear() }
        }
        guard isLast else { return }
        // Closed at once, the connection would be reset by what the client still sends, its answer unread.
        if inputClosed || draining {
            closeBehind(context)
        } else {
            context.close(mode: .output, promise: nil)
        }
    }

    /// Closes behind the answers that are not written yet.
    func closeBehind(_ context: ChannelHandlerContext) {
        phase = .closed
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }
}
