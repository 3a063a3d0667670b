import Configuration
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import HTTP

/// A server of HTTP/2 that answers every request with its own path and body, or does what its path says.
final class EchoServer: HTTP2ConnectionDelegate {
    private var handler: HTTP2Handler?
    private var bodies: [Int32: [UInt8]] = [:]
    private var paths: [Int32: String] = [:]
    private let refusals: Noted<Int>

    /// - Parameter refusals: how many requests for `/refuse` are still refused.
    init(refusals: Noted<Int>) { self.refusals = refusals }

    static func listen(
        _ group: any EventLoopGroup, tls: ServerTLS? = nil, refusals: Noted<Int> = Noted(0),
        connections: Noted<Int> = Noted(0)
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    connections.change { $0 += 1 }
                    try tls?.addHandler(to: channel)
                    try channel.pipeline.syncOperations.addHandler(
                        HTTP2Handler(
                            role: .server, settings: HTTP2Settings(),
                            delegate: EchoServer(refusals: refusals)))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func opened(_ handler: HTTP2Handler) { self.handler = handler }
    func reading(at now: NIODeadline) {}
    func connectionClosed(reason: String) { handler = nil }
    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) { paths[stream.id] = stream.headers[":path"] }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {
        bodies[stream.id, default: []] += bytes
    }

    func ended(_ stream: HTTP2Stream) {
        let path = paths[stream.id] ?? ""
        let session = handler!.session!
        if path == "/silent" { return }
        if path == "/refuse", refusals.value > 0 {
            refusals.change { $0 -= 1 }
            session.reset(stream, code: 7)
            return
        }
        if path == "/drop", refusals.value > 0 {
            refusals.change { $0 -= 1 }
            handler!.close(because: "as told")
            return
        }
        if path == "/leave" { session.goAway(isFinal: true) }
        let body = Array(path.utf8) + (bodies.removeValue(forKey: stream.id) ?? [])
        noThrow {
            try session.respond(
                stream, HTTP2Fields([(":status", "200"), ("x-name", "v")]), body: ByteBuffer(bytes: body))
        }
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {}
    func goAway(lastStream: Int32, code: UInt32) {}
    func pingAcknowledged() {}
    func pingReceived() {}
}

/// Many requests share a connection; one that goes wrong must cost neither the others nor itself more than it has to.
@Suite struct HTTP2ClientTests {
    private func withServer(
        refusals: Noted<Int> = Noted(0), connections: Noted<Int> = Noted(0),
        _ options: HTTPClient.Options = HTTPClient.Options(),
        _ body: (ClientUnderTest, any Channel) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let server = try await EchoServer.listen(group, refusals: refusals, connections: connections)
        var options = options
        options.http2 = true
        let client = ClientUnderTest(group, port: server.localAddress!.port!, options)
        let result: Result<Void, any Error>
        do {
            try await body(client, server)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try await client.close()
        try? await server.close().get()
        try await group.shutdownGracefully()
        try result.get()
    }

    @Test func requestsShareAConnection() async throws {
        let connections = Noted(0)
        try await withServer(connections: connections) { client, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<50 {
                    group.addTask {
                        let body = pattern(index * 700, seed: UInt64(index))
                        let half = body.count / 2
                        var request = HTTPClientRequest(
                            method: "POST", target: "/\(index)",
                            body: [ByteBuffer(bytes: body[..<half]), ByteBuffer(bytes: body[half...])])
                        request.headers = [("Host", "name"), ("X-Upper", "1"), ("Connection", "close")]
                        let answer = try await client.send(request)
                        #expect(answer.status == 200 && answer.headers.first("X-Name") == "v")
                        #expect(Array(answer.body.readableBytesView) == Array("/\(index)".utf8) + body)
                    }
                }
                try await group.waitForAll()
            }
            #expect(connections.value == 1)
        }
    }

    /// What a server refused to look at is sent once more, and not for ever.
    @Test(arguments: [1, 2]) func refusedStreamsAreSentAgain(times: Int) async throws {
        try await withServer(refusals: Noted(times)) { client, _ in
            let request = HTTPClientRequest(method: "GET", target: "/refuse")
            let error = try await client.failure(request)
            #expect((error == nil) == (times == 1))
            #expect(error?.isRetryable != false)
        }
    }

    /// A server that closes an idle connection, without GOAWAY, at the moment of a request does not cost that request.
    @Test(arguments: [(1, true, true), (2, true, false), (1, false, false)])
    func staleConnectionsAreReplaced(times: Int, hasServed: Bool, isAnswered: Bool) async throws {
        let connections = Noted(0)
        try await withServer(refusals: Noted(times), connections: connections) { client, _ in
            if hasServed { _ = try await client.get("/x") }
            let error = try await client.failure(
                HTTPClientRequest(method: "POST", target: "/drop", body: [ByteBuffer(string: "b")]))
            #expect((error == nil) == isAnswered, "\(String(describing: error))")
            #expect(connections.value == (hasServed ? 2 : 1))
        }
    }

    /// A server that goes away gets no new requests on that connection.
    @Test func goneServersAreLeft() async throws {
        let connections = Noted(0)
        try await withServer(connections: connections) { client, _ in
            let last = try await client.get("/leave").text
            #expect(last == "/leave")
            let next = try await client.get("/x").text
            #expect(next == "/x")
            #expect(connections.value == 2)
        }
    }

    @Test func bodiesAreBounded() async throws {
        try await withServer(options { $0.responseBytesMax = 10 }) { client, _ in
            let answer = try await client.post([ByteBuffer(repeating: 0x61, count: 100_000)])
            #expect(answer.bodyTruncated && answer.text == "/paaaaaaaa")
            let next = try await client.get("/next").text
            #expect(next == "/next")
        }
    }

    /// One request that is never answered ends at its deadline, and the others are answered.
    @Test func silenceCostsOneRequest() async throws {
        try await withServer { client, _ in
            async let silent = client.failure(
                HTTPClientRequest(method: "GET", target: "/silent"), within: .milliseconds(300))
            let other = try await client.get("/x").text
            #expect(other == "/x")
            let error = try await silent
            guard case .timeout? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let next = try await client.get("/y").text
            #expect(next == "/y")
        }
    }

    /// A server that has gone without a word is found out before its requests' deadlines, if pings are asked for.
    @Test func silentServersArePinged() async throws {
        let script: [ScriptedServer.Step] = [.read(until: "SM\r\n\r\n"), .sendBytes(Frame.settings())]
        let impatient = options {
            $0.http2 = true
            $0.pingAfter = .milliseconds(20)
            $0.pingTimeout = .milliseconds(20)
        }
        try await withScripts([script], impatient) { client, _ in
            let error = try await client.failure(HTTPClientRequest(method: "GET", target: "/"))
            #expect("\(error!)".contains("no answer to a ping in time"), "\(error!)")
        }
    }

    /// A server of HTTP/1.1 is told from one that is down.
    @Test func otherProtocolsAreNamed() async throws {
        try await withScripts(
            [
                [
                    .read(until: "\r\n\r\n"), .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
                    .close,
                ]
            ],
            options { $0.http2 = true }
        ) { client, _ in
            let error = try await client.failure(HTTPClientRequest(method: "GET", target: "/"))
            #expect("\(error!)".contains("does not speak HTTP/2"), "\(error!)")
        }
    }
}
