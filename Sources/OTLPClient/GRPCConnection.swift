internal import HTTP
internal import NIOCore
internal import OTLP

/// How one gRPC call ended.
struct GRPCResult: Sendable {
    var code: GRPCCode
    var message: String
    /// What the server asked for in `grpc-status-details-bin` (`google.rpc.RetryInfo`).
    var retryDelay: Duration?
    /// The response message; empty unless `code` is `ok`.
    var response: [UInt8] = []
    /// The HTTP status, when that alone says how the call ended: no server of gRPC has answered.
    var httpStatus: Int?

    static func unavailable(_ message: String) -> GRPCResult {
        GRPCResult(code: .unavailable, message: message)
    }
}

/// What an answer says in terms of HTTP, before its trailers.
private struct HTTPAnswerHead {
    var status = 200
    var contentType = ""
    var retryAfter: String?

    /// Whether a server of gRPC may have written it.
    var isGRPC: Bool { status == 200 && contentType.hasPrefix("application/grpc") }

    /// How a call ends whose answer has no `grpc-status`, or an `OK` that no server of gRPC has said.
    var result: GRPCResult {
        if isGRPC {
            let message =
                "the answer ended without a grpc-status; a proxy on the way may have taken its trailers off"
            return GRPCResult(code: .unknown, message: message, httpStatus: status)
        }
        var message = "HTTP status \(status)"
        if !contentType.isEmpty { message += " with content type \(contentType.prefix(100))" }
        message += " and no grpc-status: no gRPC server has answered"
        if (200...399).contains(status) || status == 404 || status == 405 {
            message +=
                "; check endpoint, and write otlp_http instead of otlp_grpc for a port of OTLP over HTTP"
        }
        return GRPCResult(
            code: GRPCCode(ofHTTPStatusAlone: status), message: message,
            retryDelay: retryDelay, httpStatus: status)
    }

    var retryDelay: Duration? {
        retryAfter.flatMap { RetryAfter.delay($0) }.map { .nanoseconds($0.nanoseconds) }
    }
}

/// A unary call. Event loop only.
final class GRPCCall {
    let head: HTTP2Fields
    /// The message with its five-byte prefix; kept until the call ends, for a server that did not look at it.
    private(set) var body: [ByteBuffer]
    /// Whether a server has handed the call back without having looked at it: once, it is sent again.
    var wasRefused = false
    private var done: ((GRPCResult) -> Void)?
    var timer: Scheduled<Void>?
    /// Where it is under way.
    private(set) var channel: GRPCChannel?
    fileprivate var stream: HTTP2Stream?
    fileprivate var streamID: Int32 = 0
    fileprivate var response = ByteBuffer()
    fileprivate var status: GRPCResult?
    fileprivate var answer = HTTPAnswerHead()

    /// Forgets what came of an earlier stream.
    fileprivate func begin(on stream: HTTP2Stream) {
        self.stream = stream
        streamID = stream.id
        response.clear()
        status = nil
        answer = HTTPAnswerHead()
    }

    /// - Parameter done: called once.
    init(_ head: HTTP2Fields, body: [ByteBuffer], done: @escaping (GRPCResult) -> Void) {
        self.head = head
        self.body = body
        self.done = done
    }

    /// Whether it has ended.
    var isDone: Bool { done == nil }

    /// Counts it as the load of another channel, or of none.
    func move(to channel: GRPCChannel?) {
        self.channel?.load -= 1
        self.channel = channel
        channel?.load += 1
    }

    /// Ends the call; later ends of the same call are ignored.
    func finish(_ result: GRPCResult) {
        guard let done else { return }
        self.done = nil
        move(to: nil)
        body = []
        timer?.cancel()
        timer = nil
        done(result)
    }
}

/// What a connection tells the channel that made it. Event loop only.
protocol GRPCConnectionOwner: AnyObject {
    func connectionOpened(_ connection: GRPCConnection)
    /// The server has answered for the first time.
    func connectionSpoke(_ connection: GRPCConnection)
    /// It takes no new calls; those under way go on.
    func connectionEnding(_ connection: GRPCConnection)
    /// - Parameter spoke: whether the server spoke HTTP/2 before that.
    func connectionClosed(_ connection: GRPCConnection, reason: String, spoke: Bool)
    /// The server has not looked at this call and never will (RFC 9113 §8.7).
    func callRefused(_ call: GRPCCall, reason: String)
}

/// One HTTP/2 connection to a gRPC server, from its opening to its end. Event loop only.
final class GRPCConnection: HTTP2ConnectionDelegate {
    struct Keepalive: Sendable {
        var time: TimeAmount
        var timeout: TimeAmount
        var permitWithoutStream: Bool
    }

    private let keepalive: Keepalive?
    private let eventLoop: any EventLoop
    private weak var owner: (any GRPCConnectionOwner)?
    /// The handler keeps this object; both let go of each other when the connection ends.
    private var handler: HTTP2Handler?
    private var session: HTTP2Session?
    /// By stream slot.
    private var calls: [GRPCCall?] = []
    private var keepaliveTimer: RepeatedTask?
    private var pingSent: NIODeadline?
    private var hasSpoken = false
    /// Why it ends with the last of its calls; nil: it does not.
    private var drainReason: String?

    /// Reading more of a response is of no use: an export response is a few bytes.
    private static let responseBytesMax = 64 << 10

    init(keepalive: Keepalive?, eventLoop: any EventLoop, owner: any GRPCConnectionOwner) {
        self.keepalive = keepalive
        self.eventLoop = eventLoop
        self.owner = owner
    }

    /// Starts a call.
    func start(_ call: GRPCCall) {
        eventLoop.preconditionInEventLoop()
        guard let handler, let session = handler.session else {
            later(call, .unavailable("the connection was closed"))
            return
        }
        do throws(HTTP2SessionError) {
            let stream = try session.request(call.head, body: call.body)
            call.begin(on: stream)
            while calls.count <= stream.slot { calls.append(nil) }
            calls[stream.slot] = call
            handler.flushSoon()
        } catch {
            later(call, .unavailable("HTTP/2: \(error)"))
        }
    }

    /// Ends a call's stream, if it has one here.
    func cancel(_ call: GRPCCall) {
        eventLoop.preconditionInEventLoop()
        guard let stream = call.stream, stream.slot < calls.count, calls[stream.slot] === call else { return }
        calls[stream.slot] = nil
        if stream.id == call.streamID {
            handler?.session?.reset(stream, code: 8)  // CANCEL
            handler?.flushSoon()
        }
        closeIfDrained()
    }

    /// Ends the connection.
    func close(because reason: String) {
        eventLoop.preconditionInEventLoop()
        handler?.close(because: reason)
    }

    /// Takes no more calls, and ends when those under way have ended.
    func drain(because reason: String) {
        eventLoop.preconditionInEventLoop()
        drainReason = reason
        closeIfDrained()
    }

    private func closeIfDrained() {
        guard let drainReason, !calls.contains(where: { $0 != nil }) else { return }
        close(because: drainReason)
    }

    /// Gives a call back that no server has looked at, after the session's own call has returned.
    private func refuse(_ call: GRPCCall, _ reason: String) {
        let bound = NIOLoopBound((self, call), eventLoop: eventLoop)
        eventLoop.execute {
            let (connection, call) = bound.value
            guard let owner = connection.owner else { return call.finish(.unavailable(reason)) }
            owner.callRefused(call, reason: reason)
        }
    }

    /// Ends a call after the session's own call has returned: the next batch may follow at once.
    private func later(_ call: GRPCCall, _ result: GRPCResult) {
        let bound = NIOLoopBound(call, eventLoop: eventLoop)
        eventLoop.execute { bound.value.finish(result) }
    }

    private func finish(_ stream: HTTP2Stream, _ result: GRPCResult) {
        guard stream.slot < calls.count, let call = calls[stream.slot] else { return }
        calls[stream.slot] = nil
        later(call, result)
        closeIfDrained()
    }

    // MARK: - HTTP2ConnectionDelegate

    func opened(_ handler: HTTP2Handler) {
        self.handler = handler
        session = handler.session
        owner?.connectionOpened(self)
        guard let keepalive else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let interval = min(keepalive.time, keepalive.timeout)
        keepaliveTimer = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            bound.value.keepAlive(keepalive)
        }
    }

    func reading(at now: NIODeadline) {}

    func connectionClosed(reason: String) {
        keepaliveTimer?.cancel()
        keepaliveTimer = nil
        handler = nil
        let broken = calls
        calls = []
        let spoke = session?.hasPeerSettings ?? false
        session = nil
        owner?.connectionClosed(self, reason: reason, spoke: spoke)
        for case let call? in broken {
            // One that never spoke HTTP/2 has looked at nothing; another address may.
            if spoke {
                later(call, .unavailable("the connection was lost: \(reason)"))
            } else {
                refuse(call, "the connection was lost: \(reason)")
            }
        }
    }

    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
        if !hasSpoken {
            hasSpoken = true
            owner?.connectionSpoke(self)
        }
        guard stream.slot < calls.count, let call = calls[stream.slot] else { return }
        if !isTrailers, let status = stream.headers[":status"].flatMap({ Int($0) }) {
            call.answer = HTTPAnswerHead(
                status: status, contentType: stream.headers["content-type"].map { $0.lowercased() } ?? "",
                retryAfter: stream.headers["retry-after"].map { String($0) })
        }
        withdrawOK(call)
        guard let code = stream.headers["grpc-status"] else { return }
        let details = stream.headers["grpc-status-details-bin"].flatMap { HeaderText.decodeBase64($0) }
        let known = Int32(code).flatMap { GRPCCode(rawValue: $0) }
        call.status = GRPCResult(
            code: known ?? .unknown,
            message: stream.headers["grpc-message"].map { HeaderText.percentDecode($0) }
                ?? (known == nil
                    ? "the answer has the grpc-status \"\(code.prefix(20))\", which is none" : ""),
            retryDelay: details.flatMap { RPCStatus(decoding: $0) }?.retryDelay)
    }

    /// An OK in a head counts only where the answer is all head ("Trailers-Only"); a refusal stays one, to be tried again.
    private func withdrawOK(_ call: GRPCCall) {
        if call.status?.code == .ok { call.status = nil }
    }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {
        guard stream.slot < calls.count, let call = calls[stream.slot] else { return }
        withdrawOK(call)
        if call.response.readableBytes + bytes.count <= Self.responseBytesMax {
            _ = unsafe call.response.writeBytes(bytes)
        }
    }

    func ended(_ stream: HTTP2Stream) {
        guard stream.slot < calls.count, let call = calls[stream.slot] else { return }
        // Answered before it has everything: it does not want the rest, and may never open the window for it.
        if !stream.isSent { session?.reset(stream, code: 8) }  // CANCEL
        guard var result = call.status, result.code != .ok || call.answer.isGRPC else {
            return finish(stream, call.answer.result)
        }
        if result.retryDelay == nil, result.code.isRetryable(hasRetryInfo: false) {
            // Proxies answer in gRPC's form and say it in HTTP's.
            result.retryDelay = call.answer.retryDelay
        }
        if result.code == .ok, let prefix = call.response.readBytes(length: 5), prefix[0] == 0 {
            result.response = call.response.readBytes(length: call.response.readableBytes) ?? []
        }
        finish(stream, result)
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {
        // A call that has its answer is not in `calls` any more.
        // REFUSED_STREAM says that the server did not look at the call; without the message it could not.
        if code == 7 || !stream.isBodyBegun, stream.slot < calls.count, let call = calls[stream.slot] {
            calls[stream.slot] = nil
            refuse(call, "the server refused the stream with HTTP/2 error code \(code)")
            closeIfDrained()
            return
        }
        finish(stream, .unavailable("the stream was reset with HTTP/2 error code \(code)"))
    }

    func goAway(lastStream: Int32, code: UInt32) {
        owner?.connectionEnding(self)
    }

    // MARK: - Keepalive

    func pingReceived() {}

    func pingAcknowledged() {
        pingSent = nil
    }

    private func keepAlive(_ keepalive: Keepalive) {
        guard let handler else { return }
        let now = NIODeadline.now()
        if let pingSent {
            if now - pingSent >= keepalive.timeout {
                handler.close(
                    because: "no answer to a keepalive ping within \(keepalive.timeout.milliseconds) ms")
            }
            return
        }
        let busy = calls.contains { $0 != nil }
        guard now - handler.lastRead >= keepalive.time, busy || keepalive.permitWithoutStream else { return }
        pingSent = now
        handler.session?.ping()
        handler.flush()
    }
}

extension TimeAmount {
    /// Whole milliseconds, for messages.
    var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
