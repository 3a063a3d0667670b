import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import HTTP

/// Without these Prometheus cannot scrape, or one rude client takes the memory or the connections of the gateway.
@Suite struct AdminServerTests {
    @Test func aPageIsServedAndTheConnectionKept() throws {
        let connection = try Connection()
        #expect(
            try connection.send("GET /metrics?a=b HTTP/1.1\r\nhost: h\r\n\r\n") == """
                HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 12\r\n\r\n/metrics|a=b
                """)
        #expect(
            try connection.send("HEAD /metrics HTTP/1.1\r\nhost: h\r\n\r\n") == """
                HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 9\r\n\r\n
                """)
        #expect(connection.channel.isActive)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", "404 Not Found"), ("GET /metrics/ HTTP/1.1", "404 Not Found"),
        ("GET /sub/any/thing HTTP/1.1", "200 OK"), ("GET /sub/ HTTP/1.1", "200 OK"),
        ("GET /sub HTTP/1.1", "404 Not Found"), ("HEAD /nothing HTTP/1.1", "404 Not Found"),
        ("GET /broken HTTP/1.1", "503 Service Unavailable"),
    ])
    func pathsFindTheirRoutes(line: String, status: String) throws {
        let connection = try Connection()
        let answer = try connection.send(line + "\r\nhost: h\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 \(status)\r\n"))
        #expect(connection.channel.isActive)
    }

    @Test func theLongestRouteAboveAPathAnswers() throws {
        let connection = try Connection()
        #expect(try connection.send("GET /sub/x HTTP/1.1\r\nhost: h\r\n\r\n").hasSuffix("sub"))
        #expect(try connection.send("GET /sub/sub/x HTTP/1.1\r\nhost: h\r\n\r\n").hasSuffix("deeper"))
    }

    /// Guarantees: two readers of a connection, a proxy and the gateway, do not disagree about what a request is.
    @Test(arguments: [
        ("GET /metrics HTTP/1.1\r\n\r\n", 400), ("GET /metrics HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nhost: a b/c@d\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("GET /metrics HTTP/1.1\r\nhost: h\r\nexpect: 200-ok\r\n\r\n", 417),
        ("POST /metrics HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", 405),
        ("GET /nothing HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", 404),
    ])
    func whatIsRefusedEndsTheConnection(text: String, status: Int) throws {
        let connection = try Connection()
        let answer = try connection.send(text)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("\r\nconnection: close\r\n"))
        #expect(answer.ranges(of: "HTTP/1.1 ").count == 1 && !connection.channel.isActive)
    }

    /// Scenario: a proxy's request, a client that waits before it sends a body, an old one that need not name a host.
    @Test func rareFormsAreUnderstood() throws {
        for target in ["http://h/metrics?a=b", "HTTPS://h:1/metrics?a=b"] {
            #expect(
                try Connection().send("GET \(target) HTTP/1.1\r\nhost: h\r\n\r\n").hasSuffix("/metrics|a=b"))
        }
        #expect(try Connection().send("GET http://h HTTP/1.1\r\nhost: h\r\n\r\n").hasPrefix("HTTP/1.1 404 "))
        let waiting = try Connection()
        let head = "GET /metrics HTTP/1.1\r\nhost:\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\n"
        #expect(try waiting.send(head) == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(try waiting.send("ab").hasPrefix("HTTP/1.1 200 ") && waiting.channel.isActive)
        let old = try Connection()
        #expect(
            try old.send("GET /metrics HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n") == "")
        #expect(try old.send("ab").hasPrefix("HTTP/1.1 200 "))
    }

    /// Scenario: a request that says it is the last, and one behind it.
    /// Guarantees: one answer; a client that had two would take the second for its next request's.
    @Test func whatComesBehindTheLastRequestIsNoMatter() throws {
        let connection = try Connection()
        let answer = try connection.send(request + lastRequest + request)
        #expect(answer.ranges(of: "HTTP/1.1 200 OK").count == 2 && answer.ranges(of: "HTTP/1.1").count == 2)
        #expect(!connection.channel.isActive)
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    func otherMethodsAreRefused(method: String) throws {
        let connection = try Connection()
        let answer = try connection.send(
            "\(method) /metrics HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab")
        #expect(answer.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\n"))
        #expect(answer.contains("\r\nallow: GET, HEAD\r\n"))
        #expect(connection.channel.isActive)
    }

    @Test func theConnectionIsClosedOrKeptAsAsked() throws {
        let first = try Connection()
        let answer = try first.send("GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        #expect(answer.contains("\r\nconnection: close\r\n") && !first.channel.isActive)
        let second = try Connection()
        #expect(try second.send("GET /metrics HTTP/1.0\r\n\r\n").hasPrefix("HTTP/1.1 200"))
        #expect(!second.channel.isActive)
        let third = try Connection()
        let kept = try third.send("GET /metrics HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        #expect(kept.contains("\r\nconnection: keep-alive\r\n") && third.channel.isActive)
    }

    /// Guarantees: split anywhere, a request is the same request.
    @Test func requestsMayArriveInPieces() throws {
        let request = Array("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n".utf8)
        for cut in 1..<request.count {
            let connection = try Connection()
            #expect(try connection.send(String(decoding: request[..<cut], as: UTF8.self)) == "")
            let answer = try connection.send(String(decoding: request[cut...], as: UTF8.self))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    /// Scenario: 64 KiB and one byte, declared or in chunks; and exactly 64 KiB.
    @Test func largeBodiesAreRefused() throws {
        let declared = try Connection()
        let head = "GET /metrics HTTP/1.1\r\nhost: h\r\n"
        #expect(try declared.send(head + "content-length: 65537\r\n\r\n").hasPrefix("HTTP/1.1 413 "))
        #expect(!declared.channel.isActive)

        let chunked = try Connection()
        let chunk = "8000\r\n" + String(repeating: "x", count: 0x8000) + "\r\n"
        #expect(try chunked.send(head + "transfer-encoding: chunked\r\n\r\n" + chunk + chunk) == "")
        #expect(try chunked.send("1\r\nx\r\n").hasPrefix("HTTP/1.1 413 "))
        #expect(!chunked.channel.isActive)

        let allowed = try Connection()
        let body = String(repeating: "x", count: 65_536)
        #expect(try allowed.send(head + "content-length: 65536\r\n\r\n" + body).hasPrefix("HTTP/1.1 200 "))
        #expect(allowed.channel.isActive)
    }

    @Test(arguments: [
        "\u{16}\u{3}\u{1}nonsense\r\n\r\n", "GET / HTTP/9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
    func nonsenseIsAnsweredAndClosed(text: String) throws {
        let connection = try Connection()
        #expect(try connection.send(text).hasPrefix("HTTP/1.1 400 "))
        #expect(!connection.channel.isActive)
    }

    /// Guarantees: neither silence nor a request sent a byte at a time holds a connection longer than the timeout.
    @Test func aConnectionWithoutAWholeRequestIsClosed() throws {
        let silent = try Connection()
        silent.loop.advanceTime(by: .seconds(59))
        #expect(silent.channel.isActive)
        _ = try silent.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        silent.loop.advanceTime(by: .seconds(59))
        #expect(silent.channel.isActive)
        silent.loop.advanceTime(by: .seconds(1))
        #expect(!silent.channel.isActive)

        let slow = try Connection()
        for _ in 0..<60 {
            #expect(slow.channel.isActive)
            _ = try slow.send(slow.sent == 0 ? "GET /" : "a")
            slow.loop.advanceTime(by: .seconds(1))
        }
        #expect(!slow.channel.isActive)
    }

    /// Scenario: a client that pipelines requests and reads nothing.
    @Test func aClientThatDoesNotReadIsClosed() throws {
        let connection = try Connection()
        connection.channel.isWritable = false
        #expect(try connection.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n") == "")
        #expect(!connection.channel.isActive)
    }

    /// Where 256 files may be open, four pages leave most of them to receivers and destinations.
    @Test func connectionsAreFewWhereFilesAre() {
        let most = [64, 256, 1024, 1 << 20, .max].map { AdminServer.connectionsMax(ofFiles: $0) }
        #expect(most == [4, 8, 32, 256, 256])
    }

    /// Scenario: connections whose numbers say nothing of how many there are, because lower ones were given back.
    @Test func receiversLeaveFilesToOthers() {
        let places = DescriptorPlaces(limit: 256, open: 60)
        for _ in 0..<132 { places.take() }
        #expect(!places.areTooFew)
        places.take()
        #expect(places.areTooFew)
        places.giveBack()
        #expect(!places.areTooFew)
        let many = DescriptorPlaces(limit: 1 << 20, open: 60)
        for _ in 0..<100_000 { many.take() }
        #expect(!many.areTooFew)
        #expect(FreeDescriptors.openCount(below: 3) == 3)
    }

    /// Scenario: one connection more than there may be, over loopback.
    /// Guarantees: it is closed, the others serve on, and a place that becomes free is free.
    @Test func connectionsAreBounded() async throws {
        let server = AdminServer(
            group: MultiThreadedEventLoopGroup.singleton, host: "127.0.0.1", port: 0, key: "k",
            // No connection is closed for its silence, however slow the machine is.
            connectionsMax: 8, idleTimeout: .hours(1), routes: routes)
        let port = try #require(try await server.start().port)
        var clients: [any Channel] = []
        for _ in 0..<8 {
            clients.append(try await connect(port))
            try await clients[clients.count - 1].writeAndFlush(ByteBuffer(string: request)).get()
            #expect(try await answer(clients[clients.count - 1]).hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
        #expect(server.connectionCount == 8)
        // The first has moved again, so that the second was silent longest.
        try await clients[0].writeAndFlush(ByteBuffer(string: request)).get()
        _ = try await answer(clients[0], 1)
        let probe = try await connect(port)
        try await probe.writeAndFlush(ByteBuffer(string: request)).get()
        #expect(try await answer(probe).hasPrefix("HTTP/1.1 200 OK\r\n"))
        try await clients[1].closeFuture.get()
        #expect(clients[0].isActive && clients[2].isActive)
        #expect(server.connectionCount == 8)
        clients.append(probe)
        await server.stop()
        for client in clients {
            try await client.closeFuture.get()
        }
        #expect(server.connectionCount == 0)
        await server.stop()
    }
}

private let request = "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n"
private let lastRequest = "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"

private let routes: [String: AdminHandler] = [
    "/metrics": { AdminResponse(text: $0.path + ($0.query.isEmpty ? "|" : "|" + $0.query)) },
    "/sub/": { _ in AdminResponse(text: "sub") },
    "/sub/sub/": { _ in AdminResponse(text: "deeper") },
    "/broken": { _ in AdminResponse(status: 503, text: "no") },
]

/// A connection without a socket, at a time that the test sets.
private final class Connection {
    let loop = EmbeddedEventLoop()
    let channel: EmbeddedChannel
    private(set) var sent = 0

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        try AdminConnection.install(on: channel, routes: routes)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    deinit {
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    /// What comes back for `text`.
    func send(_ text: String) throws -> String {
        sent += text.utf8.count
        _ = try? channel.writeInbound(ByteBuffer(string: text))
        var answer = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            answer += String(buffer: buffer)
        }
        return answer
    }
}

private func connect(_ port: Int) async throws -> any Channel {
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Answers(channel.eventLoop))
            }
        }
        .connect(host: "127.0.0.1", port: port).get()
}

private func answer(_ channel: any Channel, _ index: Int = 0) async throws -> String {
    try await channel.pipeline.handler(type: Answers.self).flatMap { $0.promises[index].futureResult }.get()
}

/// The first two reads of a connection; empty when it is closed before.
private final class Answers: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    let promises: [EventLoopPromise<String>]
    private let count = Atomic(0)

    init(_ loop: any EventLoop) {
        promises = (0..<2).map { _ in loop.makePromise() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let index = count.add(1, ordering: .relaxed).oldValue
        if index < promises.count { promises[index].succeed(String(buffer: unwrapInboundIn(data))) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        for promise in promises { promise.succeed("") }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
