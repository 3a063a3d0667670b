internal import Glibc
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

// The gateway's own pages: metrics, health. Small on purpose: GET and HEAD, whole answers, handlers that return at
// once. Telemetry never comes in here. Pages that take longer bring connections of their own.

/// A request for one of the gateway's own pages.
package struct AdminRequest: Sendable {
    /// The path, without the query.
    package let path: String
    /// What follows the question mark, as it was sent; empty when there is none.
    package let query: String

    package init(path: String, query: String = "") {
        self.path = path
        self.query = query
    }
}

/// The answer to an `AdminRequest`.
package struct AdminResponse: Sendable {
    /// The HTTP status code.
    package var status: Int
    /// The `Content-Type`.
    package var contentType: String
    /// The whole body. A HEAD request gets its length only.
    package var body: [UInt8]

    /// An answer of bytes.
    package init(status: Int = 200, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// An answer of plain text.
    package init(status: Int = 200, text: String) {
        self.init(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }
}

/// Makes the answer to one request. Runs on an event loop: it must be quick and must not block.
package typealias AdminHandler = @Sendable (AdminRequest) -> AdminResponse

/// Why a server for own pages does not start.
package enum AdminServerError: Error, Equatable, CustomStringConvertible {
    /// The port could not be had. `key` is the configuration key that names it.
    case cannotListen(host: String, port: Int, key: String, reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let host, let port, let key, let reason):
            "Cannot listen on \(host):\(port): \(reason). Free that port or change \(key)."
        }
    }
}

/// An HTTP/1.1 server for the gateway's own pages on one port.
///
/// Answers GET and HEAD on the paths of its routes, 404 elsewhere, 405 to other methods. A route that ends with a
/// slash answers for everything below it too, unless a longer one does. Connections are kept alive
/// and bounded: `connectionsMax` of them, the one that was silent longest makes room, `requestBodyBytesMax` a request, `idleTimeout` without a whole request;
/// a client that asks on without reading answers is closed, one whose pages take too much time is served in turn with
/// others of its kind. Any thread may start it, once, and stop it after that.
package final class AdminServer: Sendable {
    /// Connections at a time, fewer where the process may open few files: some such servers leave most of them to others.
    /// For one more the one is closed that was silent longest: whoever holds them all open must not keep a probe out.
    package static let connectionsMax = connectionsMax(ofFiles: FreeDescriptors.limit)

    /// `connectionsMax` where so many files may be open.
    static func connectionsMax(ofFiles limit: Int) -> Int { min(256, max(4, limit / 32)) }

    /// The largest request body, which is read and thrown away.
    package static let requestBodyBytesMax = 64 << 10
    /// What is read at a time.
    private static let readBytes = 4 << 10
    /// How long a connection may go without a whole request.
    package static let idleTimeout = TimeAmount.seconds(60)

    private enum State {
        case new
        case starting
        case listening(any Channel)
        case stopped
    }

    private let group: any EventLoopGroup
    private let host: String
    private let port: Int
    private let key: String
    private let connectionsMax: Int
    /// Whether what `install` adds decrypts: see `ReadGate`.
    private let isTLS: Bool
    private let install: @Sendable (any Channel) throws -> Void
    private let state = Mutex(State.new)
    /// By event loop.
    private let paused: [ObjectIdentifier: PausedReads]
    private struct Connection {
        let channel: any Channel
        /// When anything was last read or written.
        var lastMoved: NIODeadline
    }

    private let connections = Mutex<[ObjectIdentifier: Connection]>([:])

    /// A server that does not listen yet.
    ///
    /// - Parameters:
    ///   - host: `localhost` means 127.0.0.1, as it does for the Collector, whatever the resolver puts first.
    ///   - port: 0 lets the system choose.
    ///   - key: the configuration key of host and port, for the error when they cannot be had.
    ///   - connectionsMax: connections at a time.
    ///   - idleTimeout: how long a connection may go without a whole request.
    ///   - routes: handlers by path, each with a leading slash.
    package convenience init(
        group: any EventLoopGroup, host: String, port: Int, key: String,
        connectionsMax: Int = AdminServer.connectionsMax, idleTimeout: TimeAmount = AdminServer.idleTimeout,
        routes: [String: AdminHandler]
    ) {
        precondition(
            routes.keys.allSatisfy { $0.hasPrefix("/") }, "A path starts with a slash: \(routes.keys)")
        self.init(group: group, host: host, port: port, key: key, connectionsMax: connectionsMax) { channel in
            try AdminConnection.install(on: channel, routes: routes, idleTimeout: idleTimeout)
        }
    }

    /// A server with connections of the caller's own kind, for answers that take their time. Parameters as above.
    ///
    /// - Parameter install: adds the handlers of a connection; runs on its event loop.
    package init(
        group: any EventLoopGroup, host: String, port: Int, key: String,
        connectionsMax: Int = AdminServer.connectionsMax, isTLS: Bool = false,
        install: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.group = group
        self.host = host
        self.port = port
        self.key = key
        self.connectionsMax = connectionsMax
        self.isTLS = isTLS
        self.install = install
        var paused: [ObjectIdentifier: PausedReads] = [:]
        for loop in group.makeIterator() {
            paused[ObjectIdentifier(loop)] = PausedReads(eventLoop: loop) { _ in false }
        }
        self.paused = paused
    }

    /// Starts to listen.
    ///
    /// - Returns: the address, with the port that the system chose.
    /// - Throws: when the port cannot be had.
    package func start() async throws(AdminServerError) -> SocketAddress {
        state.withLock { state in
            guard case .new = state else { preconditionFailure("Started twice") }
            state = .starting
        }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try AcceptTrouble.install(on: channel, logger: nil)
                }
            }
            // Others have their turn after each read.
            .childChannelOption(.maxMessagesPerRead, value: ReadGate.readsAtFirst)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel) }
            }
        do {
            let channel = try await bootstrap.listen(
                host: host == "localhost" ? "127.0.0.1" : host, port: port)
            state.withLock { $0 = .listening(channel) }
            guard let address = channel.localAddress else {
                preconditionFailure("A socket that listens has an address")
            }
            return address
        } catch {
            state.withLock { $0 = .stopped }
            throw .cannotListen(host: host, port: port, key: key, reason: Self.reason(error))
        }
    }

    /// Stops listening and closes every connection. Does nothing when it never started or has stopped.
    package func stop() async {
        let listening: (any Channel)? = state.withLock { state in
            defer { state = .stopped }
            if case .starting = state { preconditionFailure("Stopped before start returned") }
            guard case .listening(let channel) = state else { return nil }
            return channel
        }
        guard let listening else { return }
        await Self.close(listening)
        for connection in connections.withLock({ Array($0.values) }) {
            await Self.close(connection.channel)
        }
    }

    /// Connections at this moment.
    package var connectionCount: Int { connections.withLock { $0.count } }

    private func accept(_ channel: any Channel) throws {
        let id = ObjectIdentifier(channel)
        let silent: (any Channel)? = connections.withLock { connections in
            var silent: (key: ObjectIdentifier, value: Connection)?
            if connections.count >= connectionsMax {
                silent = connections.min { $0.value.lastMoved < $1.value.lastMoved }
                if let silent { connections[silent.key] = nil }
            }
            connections[id] = Connection(channel: channel, lastMoved: channel.eventLoop.now)
            return silent?.value.channel
        }
        silent?.close(promise: nil)
        // Accepted just before `stop`, which may have missed it.
        if case .stopped = state.withLock({ $0 }) {
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in
            _ = self.connections.withLock { $0.removeValue(forKey: id) }
        }
        guard let paused = paused[ObjectIdentifier(channel.eventLoop)] else {
            preconditionFailure("a connection runs on a loop of another group")
        }
        // Pages earn nothing: whoever asks for too many waits, and is ended when that does not help.
        let account = ConnectionAccount(now: channel.eventLoop.now)
        try channel.pipeline.syncOperations.addHandler(
            ReadGate(
                paused, account: account, readBytesMax: Self.readBytes, servesPages: true, isTLS: isTLS))
        let watch = ActivityWatch { now in
            self.connections.withLock { $0[id]?.lastMoved = now }
        }
        try channel.pipeline.syncOperations.addHandler(watch)
        try install(channel)
    }

    /// Closes a channel; that it was closed already is just as well.
    private static func close(_ channel: any Channel) async {
        channel.close(promise: nil)
        _ = try? await channel.closeFuture.get()
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError where error.errnoCode == EADDRINUSE: "another process listens there"
        case let error as IOError where error.errnoCode == EACCES: "ports below 1024 need more rights"
        case let error as IOError where error.errnoCode == EADDRNOTAVAIL: "no interface here has that address"
        default: String(describing: error)
        }
    }
}
