import NIOCore
import NIOPosix
import TestSupport

@testable import HTTP

/// A server that does with each connection what a test says, in order of arrival; a connection too many is closed.
final class ScriptedServer: Sendable {
    enum Step: Sendable {
        /// Until these bytes have come, which are then used up with all before them.
        case read(until: String)
        /// So many bytes more.
        case readBytes(Int)
        case send(String)
        case sendBytes([UInt8])
        case close
        /// The connection is torn down: the client gets an error, not an end.
        case reset
    }

    static let readRequest = Step.read(until: "\r\n\r\n")
    static func answer(_ body: String = "", status: String = "200 OK", header: String = "") -> Step {
        .send("HTTP/1.1 \(status)\r\n\(header)content-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    private let listener: any Channel
    /// What came, by connection.
    let heard: Noted<[[UInt8]]>
    var connectionCount: Int { heard.value.count }
    var port: Int { listener.localAddress!.port! }

    init(_ group: any EventLoopGroup, _ scripts: [[Step]]) async throws {
        let heard = Noted<[[UInt8]]>([])
        self.heard = heard
        listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var index = 0
                    heard.change {
                        index = $0.count
                        $0.append([])
                    }
                    let script = index < scripts.count ? scripts[index] : [.close]
                    try channel.pipeline.syncOperations.addHandler(
                        Player(script, index: index, heard: heard))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func stop() async throws { try await listener.close().get() }

    func text(_ connection: Int) -> String { String(decoding: heard.value[connection], as: UTF8.self) }

    private final class Player: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var script: ArraySlice<Step>
        private var pending: [UInt8] = []
        private let index: Int
        private let heard: Noted<[[UInt8]]>

        init(_ script: [Step], index: Int, heard: Noted<[[UInt8]]>) {
            self.script = script[...]
            self.index = index
            self.heard = heard
        }

        func channelActive(context: ChannelHandlerContext) { play(context) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Array(unwrapInboundIn(data).readableBytesView)
            pending += bytes
            heard.change { $0[index] += bytes }
            play(context)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func play(_ context: ChannelHandlerContext) {
            while let step = script.first {
                switch step {
                case .read(let end):
                    guard let at = find(Array(end.utf8)) else { return }
                    pending.removeFirst(at)
                case .readBytes(let count):
                    guard pending.count >= count else { return }
                    pending.removeFirst(count)
                case .send(let text):
                    context.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
                case .sendBytes(let bytes):
                    context.writeAndFlush(NIOAny(ByteBuffer(bytes: bytes)), promise: nil)
                case .close: context.close(promise: nil)
                case .reset:
                    let linger = ChannelOptions.Types.SocketOption(level: .socket, name: .so_linger)
                    try? context.channel.syncOptions?.setOption(
                        linger, value: SocketOptionValue(0))
                    context.close(promise: nil)
                }
                script = script.dropFirst()
            }
        }

        private func find(_ end: [UInt8]) -> Int? {
            guard pending.count >= end.count else { return nil }
            for start in 0...(pending.count - end.count)
            where pending[start..<start + end.count].elementsEqual(end) {
                return start + end.count
            }
            return nil
        }
    }
}

/// A client on one loop of a group, with what tests do with it.
struct ClientUnderTest {
    let group: MultiThreadedEventLoopGroup
    let client: HTTPClient

    init(
        _ group: MultiThreadedEventLoopGroup, port: Int, scheme: HTTPOrigin.Scheme = .http,
        _ options: HTTPClient.Options = HTTPClient.Options()
    ) {
        self.group = group
        client = HTTPClient(
            origin: HTTPOrigin(scheme: scheme, host: "127.0.0.1", port: port), options: options,
            eventLoop: group.next(), logger: makeSilentLogger())
    }

    func send(_ request: HTTPClientRequest, within time: TimeAmount = .seconds(20)) async throws
        -> HTTPClientResponse
    {
        try await client.eventLoop.flatSubmit { client.send(request, deadline: .now() + time) }.get()
    }

    func get(_ target: String = "/", within time: TimeAmount = .seconds(20)) async throws
        -> HTTPClientResponse
    {
        try await send(HTTPClientRequest(method: "GET", target: target), within: time)
    }

    func post(_ body: [ByteBuffer], within time: TimeAmount = .seconds(20)) async throws -> HTTPClientResponse
    {
        try await send(HTTPClientRequest(method: "POST", target: "/p", body: body), within: time)
    }

    /// The error that a request ends with.
    func failure(_ request: HTTPClientRequest, within time: TimeAmount = .seconds(20)) async throws
        -> HTTPClientError?
    {
        do {
            _ = try await send(request, within: time)
            return nil
        } catch {
            return error as? HTTPClientError
        }
    }

    func close() async throws { try await client.eventLoop.flatSubmit { client.close() }.get() }
}

extension HTTPClientResponse {
    var text: String { String(buffer: body) }
}

/// Options other than the usual ones.
func options(_ change: (inout HTTPClient.Options) -> Void) -> HTTPClient.Options {
    var options = HTTPClient.Options()
    // A test may wait for others' work between two requests, longer than 90 s when it is instrumented.
    options.idleTimeout = .hours(1)
    change(&options)
    return options
}

/// Runs a test with two loops, a server that plays scripts, and a client.
func withScripts(
    _ scripts: [[ScriptedServer.Step]], _ options: HTTPClient.Options = options { _ in },
    _ body: (ClientUnderTest, ScriptedServer) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let server = try await ScriptedServer(group, scripts)
    let client = ClientUnderTest(group, port: server.port, options)
    let result: Result<Void, any Error>
    do {
        try await body(client, server)
        result = .success(())
    } catch {
        result = .failure(error)
    }
    try await client.close()
    // Some tests have stopped it themselves.
    try? await server.stop()
    try await group.shutdownGracefully()
    try result.get()
}
