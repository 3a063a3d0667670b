import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import TestSupport
import Testing

@testable import HTTP

private typealias Script = [ScriptedServer.Step]
private let readRequest = ScriptedServer.readRequest

/// Answers that cannot be read, or a server that can hold the gateway, would cost every destination over HTTP its data.
@Suite struct HTTP1ClientTests {
    private let get = HTTPClientRequest(method: "GET", target: "/")

    /// Answers are read however HTTP/1.1 marks their end.
    @Test(arguments: [
        ("content-length: 5\r\n\r\nhello", false),
        ("transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false),
        ("connection: close\r\n\r\nhello", true),
        ("transfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nt: u\r\n\r\n", false),
    ])
    func answersComeWhole(rest: String, closes: Bool) async throws {
        let end: Script = closes ? [.close] : []
        try await withScripts([[readRequest, .send("HTTP/1.1 200 OK\r\nX-Name: v\r\n" + rest)] + end]) {
            client, server in
            let answer = try await client.get("/a?b=c")
            #expect(answer.status == 200 && answer.text == "hello" && !answer.bodyTruncated)
            #expect(answer.headers.first("x-name") == "v" && answer.headers.first("other") == nil)
            #expect(server.text(0) == "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n\r\n")
        }
    }

    /// A batch's slices arrive as one body, in order, with its length.
    @Test func bodiesAreSentInPieces() async throws {
        let pieces = [3, 5000, 1, 0, 20_000].enumerated().map {
            ByteBuffer(bytes: pattern($1, seed: UInt64($0)))
        }
        let whole = pieces.flatMap { Array($0.readableBytesView) }
        let script: Script = [readRequest, .readBytes(whole.count), ScriptedServer.answer("ok")]
        try await withScripts([script]) { client, server in
            let answer = try await client.post(pieces).text
            #expect(answer == "ok")
            #expect(server.heard.value[0].suffix(whole.count).elementsEqual(whole))
            #expect(server.text(0).contains("Content-Length: \(whole.count)\r\n"))
        }
    }

    /// A connection that is kept for months would keep the heads of all answers, until there is no memory.
    @Test(arguments: ["HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"])
    func headsOfAnswersAreLetGo(head: String) throws {
        let reader = ResponseHeadReader()
        let channel = EmbeddedChannel(handler: reader)
        reader.expectHead()
        for _ in 0..<2_000 {
            if head.contains("204") { reader.expectHead() }
            // The second half begins a head that ends with the next answer's first.
            for part in [head.prefix(20), head.dropFirst(20)] {
                try channel.writeInbound(ByteBuffer(string: String(part)))
            }
        }
        #expect(reader.keptBytes < 1_000)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    /// One connection serves requests one after the other: a handshake for each would cost more than the data.
    @Test func connectionsAreKept() async throws {
        let turn: Script = [readRequest, ScriptedServer.answer("x")]
        try await withScripts([turn + turn + turn]) { client, server in
            for _ in 0..<3 {
                let text = try await client.get().text
                #expect(text == "x")
            }
            #expect(server.connectionCount == 1)
        }
    }

    /// A server that says "close" gets a new connection for the next request, and so does one that is asked for it.
    @Test(arguments: [true, false]) func connectionsEndWhenAsked(byServer: Bool) async throws {
        let header = byServer ? "connection: close\r\n" : ""
        let script: Script = [readRequest, ScriptedServer.answer("x", header: header)]
        try await withScripts([script, script], options { $0.keepsAlive = byServer }) { client, server in
            for _ in 0..<2 {
                let text = try await client.get().text
                #expect(text == "x")
            }
            #expect(server.connectionCount == 2)
            #expect(server.text(0).contains("Connection: close") == !byServer)
        }
    }

    /// A server that closes an idle connection at the moment of a request does not cost that request.
    @Test(arguments: [false, true]) func staleConnectionsAreReplaced(reset: Bool) async throws {
        let first: Script = [readRequest, ScriptedServer.answer("1"), readRequest, reset ? .reset : .close]
        try await withScripts([first, [readRequest, ScriptedServer.answer("2")]]) { client, server in
            let first = try await client.get().text
            #expect(first == "1")
            let second = try await client.post([ByteBuffer(string: "b")]).text
            #expect(second == "2")
            #expect(server.connectionCount == 2)
        }
    }

    /// What a server may have begun to answer is not sent twice behind the caller's back, nor more than once again.
    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe",
        "HTTP/1.1 100 Go\r\n\r\n",
    ])
    func begunAnswersAreNotRepeated(part: String) async throws {
        let first: Script = [readRequest, ScriptedServer.answer("1"), readRequest, .send(part), .close]
        try await withScripts([first, [readRequest, ScriptedServer.answer("2")]]) { client, server in
            let first = try await client.get().text
            #expect(first == "1")
            let error = try await client.failure(get)
            guard case .closed? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(server.connectionCount == 1)
        }
    }

    @Test func aNewConnectionIsNotTriedTwice() async throws {
        try await withScripts([[readRequest, .close], [readRequest, .close]]) { client, server in
            let error = try await client.failure(get)
            guard case .closed(_, beforeAnswer: true, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.isRetryable == true)
            #expect(server.connectionCount == 1)
        }
    }

    /// A server that refuses a large body before it has read it is heard; its connection is not used again.
    @Test func earlyAnswersAreHeard() async throws {
        let large = [ByteBuffer(bytes: pattern(16 << 20))]
        let first: Script = [readRequest, ScriptedServer.answer("no", status: "413 Too Large")]
        try await withScripts([first, [readRequest, ScriptedServer.answer("2")]]) { client, server in
            let answer = try await client.post(large)
            #expect(answer.status == 413 && answer.text == "no")
            let next = try await client.get().text
            #expect(next == "2")
            #expect(server.connectionCount == 2)
        }
    }

    /// Data is never sent to a place that the configuration does not name.
    @Test(arguments: [301, 302, 303, 307, 308]) func redirectsAreRefused(status: Int) async throws {
        let header = "location: https://elsewhere.example/\r\n"
        let script: Script = [
            readRequest, ScriptedServer.answer("moved", status: "\(status) Moved", header: header),
        ]
        try await withScripts([script, script]) { client, _ in
            let error = try await client.failure(get)
            #expect(error?.isRetryable == false)
            #expect("\(error!)".contains("https://elsewhere.example/"))
            var request = get
            request.acceptsRedirects = true
            let location = try await client.send(request).headers.first("Location")
            #expect(location == "https://elsewhere.example/")
        }
    }

    /// An answer of any size costs no more memory than its limit.
    @Test func bodiesAreBounded() async throws {
        let endless: Script = [
            readRequest,
            .send(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                    + String(repeating: "4\r\nabcd\r\n", count: 1000)),
        ]
        try await withScripts(
            [endless, [readRequest, ScriptedServer.answer("2")]], options { $0.responseBytesMax = 10 }
        ) {
            client, server in
            let answer = try await client.get()
            #expect(answer.text == "abcdabcdab" && answer.bodyTruncated)
            let next = try await client.get().text
            #expect(next == "2")
            #expect(server.connectionCount == 2)
        }
    }

    /// What is not an answer is an error that says so, at once.
    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: " + String(repeating: "a", count: 200_000) + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + String(repeating: "a: b\r\n", count: 30_000) + "\r\n",
        String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 100),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
    ])
    func nonsenseIsRefused(bytes: String) async throws {
        try await withScripts([[readRequest, .send(bytes)]]) { client, _ in
            let error = try await client.failure(get)
            guard case .malformed? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    /// Old servers of metrics write their heads so; without it they could not be scraped.
    @Test(arguments: [
        "HTTP/1.1 200 OK\nx: 1\ncontent-length: 1\n\na", "HTTP/1.0 200 OK\r\nx: 1\ncontent-length: 1\r\n\na",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nx: 1\ncontent-length: 1\n\na",
        "HTTP/1.1 200 OK\r\nx:\r\n 1\r\ncontent-length:\r\n\t 1\r\n\r\na",
        "HTTP/1.1 200 OK\nx: 1\ntransfer-encoding: chunked\n\n1\r\na\r\n0\r\n\r\n",
    ])
    func looseHeadsAreRead(bytes: String) async throws {
        for step in [bytes.utf8.count, 1] {
            let sends = stride(from: 0, to: bytes.utf8.count, by: step).map {
                ScriptedServer.Step.sendBytes(Array(bytes.utf8.dropFirst($0).prefix(step)))
            }
            let next = [readRequest, ScriptedServer.answer("\n\n b")]
            try await withScripts([[readRequest] + sends + next, next]) { client, _ in
                let answer = try await client.get()
                #expect(answer.text == "a" && answer.headers.first("x") == "1")
                let other = try await client.get().text
                #expect(other == "\n\n b")
            }
        }
    }

    /// OTLP's ports taken for each other are the commonest mistake; the operator reads which key to change.
    @Test(arguments: [
        ([0, 0, 0, 4, 0, 0, 0, 0, 0], "otlp_grpc instead of otlp_http"),
        ([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100], "otlp_grpc instead of otlp_http"),
        ([0x15, 3, 1, 0, 2, 2, 22], "write https://"),
    ])
    func otherProtocolsAreNamed(bytes: [UInt8], words: String) async throws {
        try await withScripts([[readRequest, .sendBytes(bytes)]]) { client, _ in
            let error = try await client.failure(get)
            guard case .malformed(_, let reason)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.contains(words))
        }
    }

    /// Interim answers are not taken for the answer.
    @Test func interimAnswersAreSkipped() async throws {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
        try await withScripts([[readRequest, .send(interim), ScriptedServer.answer("x")]]) { client, _ in
            let answer = try await client.get()
            #expect(answer.status == 200 && answer.text == "x" && answer.headers.first("link") == nil)
        }
    }

    /// The answer to HEAD has a length and no body: waiting for one would block the connection.
    @Test func headHasNoBody() async throws {
        let head: Script = [readRequest, .send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")]
        try await withScripts([head + [readRequest, ScriptedServer.answer("x")]]) { client, server in
            let isEmpty = try await client.send(HTTPClientRequest(method: "HEAD", target: "/")).text.isEmpty
            #expect(isEmpty)
            let next = try await client.get().text
            #expect(next == "x")
            #expect(server.connectionCount == 1)
        }
    }

    /// A server that says nothing, or drips, is given up at the deadline, which says what it was waiting for.
    @Test(arguments: ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"])
    func silenceEndsAtTheDeadline(part: String) async throws {
        // On a connection that is there: on a busy machine making one may take all of the time.
        let script: Script = [readRequest, ScriptedServer.answer("x"), readRequest, .send(part)]
        try await withScripts([script], options { $0.connectionsMax = 1 }) { client, _ in
            _ = try await client.get()
            let phase = part.isEmpty ? "after the request was sent or begun" : "in the middle of its answer"
            let error = try await client.failure(get, within: .seconds(2))
            #expect(error == .timeout(origin: client.client.origin, while: phase))
        }
    }

    /// More requests than connections wait for their turn and all get it.
    @Test func connectionsAreBounded() async throws {
        let turn: Script = [readRequest, ScriptedServer.answer("x")]
        let script = Script((0..<20).flatMap { _ in turn })
        try await withScripts([script, script, script], options { $0.connectionsMax = 2 }) { client, server in
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<20 { group.addTask { try await client.get().text } }
                for try await text in group { #expect(text == "x") }
            }
            #expect(server.connectionCount <= 2)
        }
    }

    @Test func nobodyListens() async throws {
        try await withScripts([]) { client, server in
            try await server.stop()
            // Nor will another test's server, which could be given the same port.
            let held = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(held) }
            var yes: Int32 = 1
            setsockopt(held, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: client.client.origin.port)
            let isBound = address.withSockAddr { bind(held, $0, socklen_t($1)) == 0 }
            try #require(isBound)
            let error = try await client.failure(get)
            #expect("\(error!)" == "connection to \(client.client.origin) failed: Connection refused")
            #expect(error?.isRetryable == true)
        }
    }

    /// A header that came from a configuration or a target cannot smuggle another request.
    @Test func lineFeedsAreNotSent() async throws {
        try await withScripts([]) { client, server in
            var request = get
            request.headers = [("x", "a\r\nGET /other HTTP/1.1")]
            let withHeader = try await client.failure(request)?.isRetryable
            #expect(withHeader == false)
            request = HTTPClientRequest(method: "GET", target: "/ HTTP/1.1\r\n")
            let withTarget = try await client.failure(request)?.isRetryable
            #expect(withTarget == false)
            #expect(server.connectionCount == 0)
        }
    }

    /// A watch gets each piece as it comes, and ends when its caller says so.
    @Test func streamsAreHandedOutAndCancelled() async throws {
        let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"
        try await withScripts([[readRequest, .send(first)]]) { client, _ in
            let got = Noted("")
            let status = Noted(0)
            let failure = Noted<HTTPClientError?>(nil)
            let loop = client.client.eventLoop
            let ended: EventLoopFuture<Void> = loop.flatSubmit {
                let promise = loop.makePromise(of: Void.self)
                var call: HTTPClientCall?
                call = client.client.stream(
                    HTTPClientRequest(method: "GET", target: "/watch"), deadline: .now() + .seconds(20),
                    onHead: { head in status.value = head.status },
                    onBytes: { bytes in
                        got.change { $0 += String(buffer: bytes) }
                        call?.cancel()
                        return true
                    })
                call!.result.whenComplete { result in
                    if case .failure(let error) = result { failure.value = error as? HTTPClientError }
                    promise.succeed()
                }
                return promise.futureResult
            }
            try await ended.get()
            #expect(status.value == 200 && got.value == "one" && failure.value == .cancelled)
        }
    }

    /// Closing the client answers everybody who waits.
    @Test func closingEndsWhatIsUnderWay() async throws {
        try await withScripts([[readRequest]], options { $0.connectionsMax = 1 }) { client, server in
            async let first = client.failure(get)
            async let second = client.failure(get)
            while server.heard.value.first?.isEmpty ?? true { await Task.yield() }
            try await client.close()
            let errors = [try await first, try await second]
            #expect(errors.contains(.cancelled) && !errors.contains(nil))
        }
    }
}
