import HTTP
import NIOCore
import NIOPosix
import TestSupport

/// A gRPC server on one address that answers every call as the test wants, with OK unless told otherwise, at once or when
/// the test says so.
final class GRPCServer: Sendable {
    struct Answer: Sendable {
        var head = [(":status", "200"), ("content-type", "application/grpc")]
        /// With its five-byte prefix.
        var body: [UInt8]? = [0, 0, 0, 0, 0]
        /// nil: the head is all there is.
        var trailers: [(String, String)]? = [("grpc-status", "0")]
    }

    struct Seen: Sendable {
        var calls = 0
        var connections = 0
        var open = 0
        /// Whether answers wait for `answerHeld`.
        var holds = false
        /// Whether connections end as soon as they are made, without a word.
        var hangsUp = false
        /// How calls are answered.
        var answer = Answer()
    }

    let address: SocketAddress
    let seen: Noted<Seen>
    private let channel: any Channel
    private let peers: Noted<[Peer]>

    /// One server for each of the addresses, all on the same port.
    static func listen(_ hosts: [String], on group: any EventLoopGroup) async throws -> [GRPCServer] {
        for _ in 0..<20 {
            var servers: [GRPCServer] = []
            do {
                for host in hosts {
                    let port = servers.first?.address.port ?? 0
                    servers.append(try await GRPCServer(host, port, group))
                }
                return servers
            } catch {
                for server in servers { await server.stop() }
            }
        }
        throw IOError(errnoCode: EADDRINUSE, reason: "bind")
    }

    convenience init(_ host: String, _ port: Int, _ group: any EventLoopGroup) async throws {
        let seen = Noted(Seen())
        let peers = Noted<[Peer]>([])
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    seen.change {
                        $0.connections += 1
                        $0.open += 1
                    }
                    channel.closeFuture.whenComplete { _ in seen.change { $0.open -= 1 } }
                    if seen.value.hangsUp {
                        channel.close(promise: nil)
                        return
                    }
                    let peer = Peer(seen, channel)
                    peers.change { $0.append(peer) }
                    try channel.pipeline.syncOperations.addHandler(
                        HTTP2Handler(role: .server, settings: HTTP2Settings(), delegate: peer))
                }
            }
            .bind(host: host, port: port).get()
        self.init(channel, seen, peers)
    }

    private init(_ channel: any Channel, _ seen: Noted<Seen>, _ peers: Noted<[Peer]>) {
        self.channel = channel
        self.seen = seen
        self.peers = peers
        address = channel.localAddress!
    }

    /// Answers everything that was held back.
    func answerHeld() {
        for peer in peers.value { peer.channel.eventLoop.execute { peer.answerHeld() } }
    }

    /// Gone, with all its connections.
    func stop() async {
        try? await channel.close()
        for peer in peers.value { try? await peer.channel.close() }
    }
}

/// One connection of the server. Event loop only.
private final class Peer: HTTP2ConnectionDelegate, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): used on the channel's loop only.
    private let seen: Noted<GRPCServer.Seen>
    let channel: any Channel
    private var handler: HTTP2Handler?
    private var held: [HTTP2Stream] = []

    init(_ seen: Noted<GRPCServer.Seen>, _ channel: any Channel) {
        self.seen = seen
        self.channel = channel
    }

    func opened(_ handler: HTTP2Handler) { self.handler = handler }
    func reading(at now: NIODeadline) {}
    func connectionClosed(reason: String) { handler = nil }
    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {}
    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {}
    func closed(_ stream: HTTP2Stream, code: UInt32) {}
    func goAway(lastStream: Int32, code: UInt32) {}
    func pingReceived() {}
    func pingAcknowledged() {}

    func ended(_ stream: HTTP2Stream) {
        seen.change { $0.calls += 1 }
        if seen.value.holds { held.append(stream) } else { answer(stream) }
    }

    func answerHeld() {
        let streams = held
        held = []
        for stream in streams { answer(stream) }
    }

    private func answer(_ stream: HTTP2Stream) {
        guard let handler, let session = handler.session else { return }
        do {
            let answer = seen.value.answer
            try session.respond(
                stream, HTTP2Fields(answer.head.map { (name: $0.0, value: $0.1) }),
                body: answer.body.map { ByteBuffer(bytes: $0) },
                trailers: answer.trailers.map { HTTP2Fields($0.map { (name: $0.0, value: $0.1) }) })
        } catch {
            handler.close(because: "\(error)")
        }
        handler.flushSoon()
    }
}

/// A resolver that says what the test wants.
final class FakeResolver: AddressResolver {
    let answer = Noted<Result<[SocketAddress], ResolutionError>>(.success([]))
    let asked = Noted(0)

    init(_ addresses: [SocketAddress] = []) { answer.value = .success(addresses) }

    func resolve(_ host: String, port: Int, on eventLoop: any EventLoop) -> EventLoopFuture<[SocketAddress]> {
        asked.change { $0 += 1 }
        return eventLoop.makeCompletedFuture { try answer.value.get() }
    }
}
