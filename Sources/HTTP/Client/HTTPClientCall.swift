package import NIOCore

/// One request under way, for its caller to cancel. Event loop only.
package final class HTTPClientCall {
    /// What is being done for it.
    enum Phase: String {
        case waiting = "waiting for one of the connections"
        case connecting = "while connecting"
        case asked = "after the request was sent or begun"
        case answering = "in the middle of its answer"
    }

    let request: HTTPClientRequest
    private let origin: HTTPOrigin
    private let onHead: (HTTPClientResponseHead) -> Void
    private let onBytes: (ByteBuffer) -> Bool
    private var promise: EventLoopPromise<Void>?
    private var timer: Scheduled<Void>?
    private weak var client: HTTPClient?
    var phase = Phase.waiting
    /// Where it was sent last.
    weak var connection: (any HTTPClientConnection)?
    /// Whether it was sent before, on a connection that ended without a word. Then it needs a new one.
    private(set) var wasRepeated = false
    /// From the head on; nil = what held before.
    private let bodyDeadline: NIODeadline?

    /// Succeeds when the answer is complete.
    package let result: EventLoopFuture<Void>

    init(
        _ request: HTTPClientRequest, client: HTTPClient, bodyDeadline: NIODeadline?,
        onHead: @escaping (HTTPClientResponseHead) -> Void, onBytes: @escaping (ByteBuffer) -> Bool
    ) {
        self.request = request
        self.client = client
        self.bodyDeadline = bodyDeadline
        origin = client.origin
        self.onHead = onHead
        self.onBytes = onBytes
        let promise = client.eventLoop.makePromise(of: Void.self)
        self.promise = promise
        result = promise.futureResult
    }

    /// Gives it up: nothing is told of it any more, and `result` fails. Does nothing when it has ended.
    package func cancel() {
        client?.eventLoop.preconditionInEventLoop()
        guard !isDone else { return }
        client?.withdraw(self)
        finish(.cancelled)
    }

    /// Whether it has ended.
    var isDone: Bool { promise == nil }

    /// Whether a byte of an answer has been understood.
    var isAnswered: Bool { phase == .answering }

    /// Until when the answer must be complete, or its head when the body has a deadline of its own.
    func setTimer(_ deadline: NIODeadline) {
        client?.eventLoop.preconditionInEventLoop()
        timer?.cancel()
        timer = nil
        guard deadline < .distantFuture, let client, !isDone else { return }
        let bound = NIOLoopBound(self, eventLoop: client.eventLoop)
        timer = client.eventLoop.scheduleTask(deadline: deadline) { bound.value.expire() }
    }

    private func expire() {
        guard !isDone else { return }
        let phase = phase
        client?.withdraw(self)
        finish(.timeout(origin: origin, while: phase.rawValue))
    }

    /// May it be sent once more, though a server may have seen it?
    func takeRepetition() -> Bool {
        guard !wasRepeated, !isAnswered, !isDone else { return false }
        wasRepeated = true
        return true
    }

    // MARK: - The answer

    /// The final head has come. It may end the call.
    func received(_ head: HTTPClientResponseHead) {
        guard !isDone else { return }
        phase = .answering
        if !request.acceptsRedirects, [301, 302, 303, 307, 308].contains(head.status) {
            let location = head.headers.first("location") ?? ""
            finish(.redirected(origin: origin, status: head.status, location: String(location.prefix(300))))
            return
        }
        if let bodyDeadline { setTimer(bodyDeadline) }
        onHead(head)
    }

    /// Bytes of the body have come.
    /// - Returns: whether more are wanted; if not, the call is still to be finished.
    func received(_ bytes: ByteBuffer) -> Bool {
        guard !isDone else { return true }
        return onBytes(bytes)
    }

    /// Ends the call, well or not; later ends are ignored.
    func finish(_ error: HTTPClientError?) {
        guard let promise else { return }
        self.promise = nil
        timer?.cancel()
        timer = nil
        if let error { promise.fail(error) } else { promise.succeed() }
    }
}

/// A connection as the client sees it. Event loop only.
protocol HTTPClientConnection: AnyObject {
    /// Sends a request. HTTP/1.1 connections take one at a time.
    func start(_ call: HTTPClientCall)
    /// Nobody waits for this answer any more.
    func withdraw(_ call: HTTPClientCall)
    /// Since when there is nothing to do; nil while there is.
    var idleSince: NIODeadline? { get }
    /// Ends the connection, and with it what is under way.
    func close(because reason: String)
}

/// What connections tell their client. Event loop only.
protocol HTTPClientConnectionOwner: AnyObject {
    /// The connection can take another request.
    func connectionIdle(_ connection: any HTTPClientConnection)
    /// It takes no more requests; those under way go on.
    func connectionEnding(_ connection: any HTTPClientConnection)
    /// It is gone, and every call of it was told.
    func connectionClosed(_ connection: any HTTPClientConnection)
    /// Sends a request once more, on a new connection.
    func sendAgain(_ call: HTTPClientCall)
}
