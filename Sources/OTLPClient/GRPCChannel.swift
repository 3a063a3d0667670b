internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix

/// What a channel tells the balancer that made it. Event loop only.
protocol GRPCChannelOwner: AnyObject {
    /// It takes calls from here on.
    func channelReady(_ channel: GRPCChannel)
    /// No address answered.
    func channelFailed(_ channel: GRPCChannel, reason: String)
    /// Its connection ended; it may connect again.
    func channelLost(_ channel: GRPCChannel)
    /// No server has looked at this call and the one that had it never will (RFC 9113 §8.7).
    func callRefused(_ call: GRPCCall, reason: String)
}

/// A way to one address of a gRPC server, or to whichever of several answers first: one connection at a time, made when
/// the owner asks, again after a loss, and not too often. Event loop only.
final class GRPCChannel: GRPCConnectionOwner {
    struct Settings: Sendable {
        var host: String
        var port: Int
        /// What is connected to: the proxy, or the server itself.
        var peerHost: String { proxy?.host ?? host }
        var peerPort: Int { proxy?.port ?? port }
        /// nil = plain text.
        var tls: ClientTLS?
        /// Through which connections go; nil: directly.
        var proxy: HTTPProxy?
        var keepalive: GRPCConnection.Keepalive?
        var http2 = HTTP2Settings()
    }

    private enum State {
        case idle
        case connecting
        case ready(GRPCConnection)
        /// The last attempt failed; the next one is due then.
        case failed(until: NIODeadline)
        case closed
    }

    private let settings: Settings
    private let eventLoop: any EventLoop
    private let logger: Logger
    private weak var owner: (any GRPCChannelOwner)?
    private var state = State.idle
    /// All connections that are open: the ready one and those that only finish their calls.
    private var connections: [ObjectIdentifier: (GRPCConnection, any Channel)] = [:]
    private var backoff = GRPCChannel.firstBackoff
    private var reported = ""

    private static let firstBackoff = TimeAmount.seconds(1)
    private static let backoffMax = TimeAmount.seconds(120)
    private static let connectTimeout = TimeAmount.seconds(20)

    /// Where it connects to. Never empty.
    private(set) var addresses: [SocketAddress]
    /// Calls under way; counted by the calls.
    var load = 0

    init(
        _ settings: Settings, to addresses: [SocketAddress], eventLoop: any EventLoop, logger: Logger,
        owner: any GRPCChannelOwner
    ) {
        precondition(!addresses.isEmpty, "a channel needs an address")
        self.settings = settings
        self.addresses = addresses
        self.eventLoop = eventLoop
        self.logger = logger
        self.owner = owner
    }

    /// Whether it takes calls.
    var isReady: Bool { if case .ready = state { true } else { false } }

    /// Whether an attempt to connect is under way.
    var isConnecting: Bool { if case .connecting = state { true } else { false } }

    /// When it may be asked to connect again, after an attempt that failed.
    var retryTime: NIODeadline? { if case .failed(let until) = state { until } else { nil } }

    /// Whether nothing is left of it, after `drain`.
    var hasEnded: Bool { connections.isEmpty }

    /// Starts a call. Precondition: `isReady`.
    func start(_ call: GRPCCall) {
        eventLoop.preconditionInEventLoop()
        guard case .ready(let connection) = state else { preconditionFailure("the channel is not ready") }
        call.move(to: self)
        connection.start(call)
    }

    /// Ends a call's stream, if it has one here.
    func cancel(_ call: GRPCCall) {
        eventLoop.preconditionInEventLoop()
        for (connection, _) in connections.values { connection.cancel(call) }
    }

    /// Takes other addresses from now on. A connection to one that is none of them finishes its calls.
    func retarget(_ addresses: [SocketAddress]) {
        eventLoop.preconditionInEventLoop()
        self.addresses = addresses
        guard case .ready(let connection) = state,
            let (_, channel) = connections[ObjectIdentifier(connection)],
            let remote = channel.remoteAddress, !addresses.contains(remote)
        else { return }
        state = .idle
        connection.drain(because: "its address is none of the destination's any more")
    }

    /// Takes no more calls; those under way go on.
    func drain() {
        eventLoop.preconditionInEventLoop()
        state = .closed
        for (connection, _) in connections.values {
            connection.drain(because: "its address is none of the destination's any more")
        }
    }

    /// Ends all connections and calls.
    func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        state = .closed
        let closing = connections.values.map { $0.1.closeFuture }
        for (connection, channel) in connections.values {
            connection.close(because: "the exporter was shut down")
            // Still connecting.
            channel.close(promise: nil)
        }
        return .andAllComplete(closing, on: eventLoop)
    }

    // MARK: - Connecting

    /// Connects, unless there is a connection or the wait after a failure is not over.
    func connectIfDue() {
        eventLoop.preconditionInEventLoop()
        switch state {
        case .idle: break
        case .failed(let until): if NIODeadline.now() < until { return }
        case .connecting, .ready, .closed: return
        }
        state = .connecting
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let settings = settings
        let bootstrap = ClientBootstrap(group: eventLoop)
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
                    if let proxy = settings.proxy {
                        try channel.pipeline.syncOperations.addHandler(
                            ProxyTunnel(proxy, host: settings.host, port: settings.port) { fault in
                                bound.value.connectionFailed(fault.description)
                            })
                    }
                    try settings.tls?.addHandler(to: channel, host: settings.host)
                    try channel.pipeline.syncOperations.addHandler(
                        HTTP2Handler(role: .client, settings: settings.http2, delegate: connection))
                }
            }
        let attempt =
            addresses.count == 1
            ? bootstrap.connect(to: addresses[0])
            : bootstrap.resolver(KnownAddresses(addresses, eventLoop: eventLoop))
                .connect(host: settings.host, port: settings.port)
        attempt.whenFailure { error in bound.value.connectionFailed(TransportFault.text(error)) }
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

    /// The endpoint as it was written, with the address where that says more.
    private var place: String {
        let written = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        let name = "\(written):\(settings.port)"
        guard addresses.count == 1, addresses[0].text != name else { return name }
        return "\(name) (\(addresses[0].ipAddress ?? ""))"
    }

    private func connectionFailed(_ reason: String) {
        guard case .connecting = state else { return }
        let text = "connection to \(place) failed: \(reason)"
        let jittered = Double(backoff.nanoseconds) * Double.random(in: 0.8..<1.2)
        backoff = min(.nanoseconds(backoff.nanoseconds / 5 * 8), Self.backoffMax)
        state = .failed(until: .now() + .nanoseconds(Int64(jittered)))
        if reported != text {
            reported = text
            logger.warning("Connection failed.", metadata: ["error": "\(text)"])
        }
        owner?.channelFailed(self, reason: text)
    }

    // MARK: - GRPCConnectionOwner

    func connectionOpened(_ connection: GRPCConnection) {
        guard case .connecting = state else {
            connection.close(because: "the exporter was shut down, or another address was faster")
            return
        }
        state = .ready(connection)
        owner?.channelReady(self)
    }

    func connectionSpoke(_ connection: GRPCConnection) {
        guard !reported.isEmpty else { return }
        reported = ""
        logger.info("Connected.", metadata: ["endpoint": "\(place)"])
    }

    func connectionEnding(_ connection: GRPCConnection) {
        guard case .ready(let current) = state, current === connection else { return }
        state = .idle
        owner?.channelLost(self)
    }

    func connectionClosed(_ connection: GRPCConnection, reason: String, spoke: Bool) {
        connections[ObjectIdentifier(connection)] = nil
        if spoke { backoff = Self.firstBackoff }
        guard case .ready(let current) = state, current === connection else { return }
        guard spoke else {
            // Something listens that is no gRPC server, or is none yet: as good as no connection.
            state = .connecting
            connectionFailed(reason + Self.hint(reason))
            return
        }
        state = .idle
        owner?.channelLost(self)
    }

    /// What an operator may look at when what listens ends the connection without a word of HTTP/2.
    private static func hint(_ reason: String) -> String {
        reason.contains("the server speaks")
            ? "" : "; does a gRPC server listen there, and is tls::insecure right?"
    }

    func callRefused(_ call: GRPCCall, reason: String) {
        guard let owner else { return call.finish(.unavailable(reason)) }
        owner.callRefused(call, reason: reason)
    }
}
