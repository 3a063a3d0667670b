internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import OTLP

/// A way to one gRPC server: connects when it is needed, again after a loss, and not too often. Event loop only.
final class GRPCChannel: GRPCConnectionOwner {
    struct Settings: Sendable {
        var host: String
        var port: Int
        /// nil = plain text.
        var tls: ClientTLS?
        /// Whether calls wait for a connection until their deadline, instead of failing with the last attempt.
        var waitForReady: Bool
        var keepalive: GRPCConnection.Keepalive?
        var http2 = HTTP2Settings()
    }

    private enum State {
        case idle
        case connecting
        case ready(GRPCConnection)
        /// The last attempt failed; the next one is due then.
        case failed(until: NIODeadline, reason: String)
        case closed
    }

    private let settings: Settings
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var state = State.idle
    /// All connections that are open: the ready one and those that only finish their calls.
    private var connections: [ObjectIdentifier: (GRPCConnection, any Channel)] = [:]
    private var waiting: [GRPCCall] = []
    private var backoff = GRPCChannel.firstBackoff
    private var reported = ""

    private static let firstBackoff = TimeAmount.seconds(1)
    private static let backoffMax = TimeAmount.seconds(120)
    private static let connectTimeout = TimeAmount.seconds(20)

    /// Calls under way or waiting.
    private(set) var load = 0

    init(_ settings: Settings, eventLoop: any EventLoop, logger: Logger) {
        self.settings = settings
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Makes a unary call. `done` is called once, later, on the event loop.
    /// - Parameter body: the message with its five-byte prefix.
    func call(
        _ head: HTTP2Fields, body: [ByteBuffer], deadline: NIODeadline, done: @escaping (GRPCResult) -> Void
    ) {
        load += 1
        let call = GRPCCall(head, body: body) { [self] result in
            load -= 1
            done(result)
        }
        if deadline < .distantFuture {
            let bound = NIOLoopBound((self, call), eventLoop: eventLoop)
            call.timer = eventLoop.scheduleTask(deadline: deadline) {
                let (channel, call) = bound.value
                channel.expire(call)
            }
        }
        dispatch(call)
    }

    private func dispatch(_ call: GRPCCall) {
        switch state {
        case .ready(let connection):
            connection.start(call)
        case .failed(let until, let reason) where NIODeadline.now() < until && !settings.waitForReady:
            fail(call, reason)
        case .closed:
            fail(call, "the exporter was shut down")
        case .idle, .failed, .connecting:
            waiting.append(call)
            connectIfDue()
        }
    }

    /// Ends all connections and calls.
    func close() -> EventLoopFuture<Void> {
        state = .closed
        failWaiting("the exporter was shut down")
        let closing = connections.values.map { $0.1.closeFuture }
        for (connection, channel) in connections.values {
            connection.close(because: "the exporter was shut down")
            // Still connecting.
            channel.close(promise: nil)
        }
        return .andAllComplete(closing, on: eventLoop)
    }

    private func fail(_ call: GRPCCall, _ reason: String) {
        let bound = NIOLoopBound(call, eventLoop: eventLoop)
        eventLoop.execute { bound.value.finish(.unavailable(reason)) }
    }

    private func failWaiting(_ reason: String) {
        let failed = waiting
        waiting = []
        for call in failed { fail(call, reason) }
    }

    private func expire(_ call: GRPCCall) {
        guard !call.isDone else { return }
        waiting.removeAll { $0 === call }
        for (connection, _) in connections.values { connection.cancel(call) }
        call.finish(GRPCResult(code: .deadlineExceeded, message: "no answer within the timeout"))
    }

    // MARK: - Connecting

    private func connectIfDue() {
        switch state {
        case .idle: break
        case .failed(let until, _): if NIODeadline.now() < until { return }
        case .connecting, .ready, .closed: return
        }
        state = .connecting
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let settings = settings
        ClientBootstrap(group: eventLoop)
            .connectTimeout(Self.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 65536)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Once for each address that is tried; those tried in vain end without having opened.
                    let connection = try bound.value.prepare(channel)
                    try settings.tls?.addHandler(to: channel, host: settings.host)
                    try channel.pipeline.syncOperations.addHandler(
                        HTTP2Handler(role: .client, settings: settings.http2, delegate: connection))
                }
            }
            .connect(host: settings.host, port: settings.port)
            .whenFailure { error in bound.value.connectionFailed(TransportFault.text(error)) }
    }

    private func prepare(_ channel: any Channel) throws -> GRPCConnection {
        guard case .connecting = state else { throw ChannelError.alreadyClosed }
        let connection = GRPCConnection(keepalive: settings.keepalive, eventLoop: eventLoop, owner: self)
        connections[ObjectIdentifier(connection)] = (connection, channel)
        let bound = NIOLoopBound((self, connection), eventLoop: eventLoop)
        channel.closeFuture.whenComplete { _ in
            let (owner, connection) = bound.value
            owner.connections[ObjectIdentifier(connection)] = nil
        }
        return connection
    }

    private func connectionFailed(_ reason: String) {
        guard case .connecting = state else { return }
        let text = "connection to \(settings.host):\(settings.port) failed: \(reason)"
        let jittered = Double(backoff.nanoseconds) * Double.random(in: 0.8..<1.2)
        let delay = TimeAmount.nanoseconds(Int64(jittered))
        backoff = min(.nanoseconds(backoff.nanoseconds / 5 * 8), Self.backoffMax)
        state = .failed(until: .now() + delay, reason: text)
        if reported != text {
            reported = text
            logger.warning("Connection failed.", metadata: ["error": "\(text)"])
        }
        guard settings.waitForReady else {
            failWaiting(text)
            return
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: delay) {
            if !bound.value.waiting.isEmpty { bound.value.connectIfDue() }
        }
    }

    // MARK: - GRPCConnectionOwner

    func connectionOpened(_ connection: GRPCConnection) {
        guard case .connecting = state else {
            connection.close(because: "the exporter was shut down, or another address was faster")
            return
        }
        state = .ready(connection)
        let ready = waiting
        waiting = []
        for call in ready { connection.start(call) }
    }

    func connectionSpoke(_ connection: GRPCConnection) {
        guard !reported.isEmpty else { return }
        reported = ""
        logger.info("Connected.", metadata: ["endpoint": "\(settings.host):\(settings.port)"])
    }

    func connectionEnding(_ connection: GRPCConnection) {
        if case .ready(let current) = state, current === connection { state = .idle }
    }

    func connectionClosed(_ connection: GRPCConnection, reason: String, spoke: Bool) {
        connections[ObjectIdentifier(connection)] = nil
        if spoke { backoff = Self.firstBackoff }
        guard case .ready(let current) = state, current === connection else { return }
        guard spoke else {
            // Something listens that is no gRPC server, or is none yet: as good as no connection.
            state = .connecting
            connectionFailed(reason)
            return
        }
        state = .idle
    }

    func callRefused(_ call: GRPCCall, reason: String) {
        guard !call.isDone else { return }
        guard !call.wasRefused else { return call.finish(.unavailable(reason)) }
        call.wasRefused = true
        dispatch(call)
    }
}
