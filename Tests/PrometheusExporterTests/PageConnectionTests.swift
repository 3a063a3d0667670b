import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import PrometheusExporter

/// If these failed, a scrape would fail, or one scraper could harm another or the gateway.
@Suite struct PageConnectionTests {
    @Test func aPageIsServedAndTheConnectionKept() throws {
        let client = try Client()
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(client.received() == "")
        client.runner.runAll()
        #expect(
            client.received() == """
                HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r
                vary: accept, accept-encoding\r\ncontent-length: 20\r\n\r\ntext||underscores|[]
                """)
        client.send("GET /metrics?name[]=b&name[]=a HTTP/1.1\r\nhost: h\r\naccept-encoding: gzip\r\n\r\n")
        client.runner.runAll()
        let second = client.received()
        #expect(second.contains("\r\ncontent-encoding: gzip\r\n"))
        #expect(second.hasSuffix("text|gzip|underscores|[\"a\", \"b\"]"))
        #expect(client.channel.isActive)
    }

    @Test func aHeadRequestGetsTheSameHeadersAndNoBody() throws {
        let client = try Client()
        client.send("HEAD /metrics HTTP/1.1\r\nhost: h\r\n\r\nGET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        client.runner.runAll()
        client.loop.advanceTime(by: .microseconds(100))
        client.runner.runAll()
        let answers = client.received()
        let heads = answers.components(of: "\r\n\r\n")
        #expect(heads.count == 3 && heads[0] == heads[1] && heads[2] == "text||underscores|[]")
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", "404 Not Found"), ("GET /metrics/ HTTP/1.1", "404 Not Found"),
        ("POST /metrics HTTP/1.1", "405 Method Not Allowed"),
        ("DELETE /metrics HTTP/1.1", "405 Method Not Allowed"),
        ("POST / HTTP/1.1", "404 Not Found"), ("OPTIONS * HTTP/1.1", "404 Not Found"),
    ])
    func whatIsNotAPageIsAnsweredAtOnce(line: String, status: String) throws {
        let client = try Client()
        client.send(line + "\r\nhost: h\r\ncontent-length: 2\r\n\r\nab")
        let answer = client.received()
        #expect(answer.hasPrefix("HTTP/1.1 \(status)\r\n") && client.channel.isActive)
        #expect(answer.contains("\r\nallow: GET, HEAD\r\n") == status.hasPrefix("405"))
        #expect(client.runner.count == 0)
    }

    @Test func whatTheConfigurationSaysIsInEveryAnswer() throws {
        var rules = PageRules()
        rules.headers = [("x-gateway", "one"), ("vary", "none")]
        rules.keepsAlive = false
        for target in ["/metrics", "/"] {
            let client = try Client(rules)
            client.send("GET \(target) HTTP/1.1\r\nhost: h\r\n\r\n")
            client.runner.runAll()
            let answer = client.received()
            #expect(answer.contains("\r\nx-gateway: one\r\n") && answer.contains("\r\nvary: none\r\n"))
            #expect(answer.contains("\r\nconnection: close\r\n") && !client.channel.isActive)
        }
    }

    @Test func theConnectionIsClosedOrKeptAsAsked() throws {
        for (version, header, isKept) in [
            ("1.1", "connection: close", false), ("1.0", "accept: */*", false),
            ("1.0", "connection: keep-alive", true),
        ] {
            let client = try Client()
            client.send("GET /metrics HTTP/\(version)\r\nhost: h\r\n\(header)\r\n\r\n")
            client.runner.runAll()
            #expect(client.received().contains("\r\nconnection: \(isKept ? "keep-alive" : "close")\r\n"))
            #expect(client.channel.isActive == isKept)
        }
    }

    /// Scenario: a scraper that reads a chunk, waits, reads on.
    /// Guarantees: no more of the page is handed to the socket than it takes; the page comes whole, in order.
    @Test func aSlowScraperGetsThePageAsItReads() throws {
        let client = try Client(chunks: 5)
        client.channel.isWritable = false
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        client.runner.runAll()
        #expect(client.received() == "")
        var text = ""
        client.sizes = []
        for _ in 0..<200 where client.sizes.count < 5 {
            // Takes one chunk at a time.
            client.closesAfterOne = true
            client.channel.isWritable = true
            client.channel.pipeline.fireChannelWritabilityChanged()
            text += client.received()
        }
        #expect(text.hasSuffix(String(repeating: "text||underscores|[]", count: 5)))
        #expect(client.sizes.count == 5)
    }

    /// Scenario: a page of which not all is written when the first of it can be sent; an old client, who does not know
    /// chunks.
    /// Guarantees: the old client sees where the page ends, or would take a part of it for the whole.
    @Test func aPageOfUnknownSizeIsSentInChunks() throws {
        let (parts, partBytes) = (40, PageStream.heldBytesMax / 20)
        let client = try Client(chunks: parts, partBytes: partBytes)
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n")
        let old = try Client(chunks: parts, partBytes: partBytes)
        old.send("GET /metrics HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        var (answer, oldAnswer) = ("", "")
        while client.runner.count + old.runner.count > 0 {
            client.runner.runAll()
            old.runner.runAll()
            // It is sent in turns.
            client.loop.advanceTime(by: .milliseconds(10))
            old.loop.advanceTime(by: .milliseconds(10))
            answer += client.received()
            oldAnswer += old.received()
        }
        #expect(
            answer.contains(
                "\r\ntransfer-encoding: chunked\r\n\r\n\(String(20 + partBytes, radix: 16))\r\ntext|"))
        #expect(answer.components(of: "\r\ncontent-length: ").count == 2)
        #expect(answer.contains("\r\n0\r\n\r\nHTTP/1.1 404") && client.channel.isActive)
        #expect(oldAnswer.hasPrefix("HTTP/1.0 200") && oldAnswer.contains("\r\nconnection: close\r\n"))
        #expect(
            oldAnswer.utf8.count > parts * partBytes && !oldAnswer.contains("chunked")
                && !old.channel.isActive)
    }

    /// Guarantees: silence, a request sent a byte at a time, a page never written and a page never read hold a
    /// connection for their limits and no longer.
    @Test func nothingHoldsAConnectionForEver() throws {
        var rules = PageRules()
        rules.requestTime = .seconds(5)
        rules.idleTime = .seconds(7)
        rules.answerTime = .seconds(9)
        let silent = try Client(rules)
        silent.loop.advanceTime(by: .milliseconds(4999))
        silent.send("GET /met")
        #expect(silent.channel.isActive)
        silent.loop.advanceTime(by: .milliseconds(1))
        #expect(!silent.channel.isActive)

        let kept = try Client(rules)
        kept.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        kept.loop.advanceTime(by: .milliseconds(6999))
        #expect(kept.channel.isActive)
        kept.loop.advanceTime(by: .milliseconds(1))
        #expect(!kept.channel.isActive)

        let unwritten = try Client(rules)
        unwritten.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        unwritten.loop.advanceTime(by: .milliseconds(8999))
        #expect(unwritten.channel.isActive)
        unwritten.loop.advanceTime(by: .milliseconds(1))
        #expect(!unwritten.channel.isActive)
        unwritten.runner.runAll()
        #expect(unwritten.received() == "")

        let unread = try Client(rules)
        unread.channel.isWritable = false
        unread.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        unread.runner.runAll()
        unread.loop.advanceTime(by: .seconds(9))
        #expect(!unread.channel.isActive)
    }

    @Test func largeBodiesAreRefused() throws {
        let declared = try Client()
        declared.send("GET /metrics HTTP/1.1\r\nhost: h\r\ncontent-length: 65537\r\n\r\n")
        #expect(declared.received().hasPrefix("HTTP/1.1 413 ") && !declared.channel.isActive)

        let chunked = try Client()
        let chunk = "8000\r\n" + String(repeating: "x", count: 0x8000) + "\r\n"
        chunked.send("GET /metrics HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n" + chunk + chunk)
        #expect(chunked.received() == "" && chunked.channel.isActive)
        chunked.send("1\r\nx\r\n")
        #expect(chunked.received().hasPrefix("HTTP/1.1 413 ") && !chunked.channel.isActive)
    }

    @Test(arguments: ["\u{16}\u{3}\u{1}nonsense\r\n\r\n", "GET / HTTP/9\r\n\r\n", "\r\n\r\n\u{0}\r\n\r\n"])
    func nonsenseIsAnsweredAndClosed(text: String) throws {
        let client = try Client()
        client.send(text)
        #expect(client.received().hasPrefix("HTTP/1.1 400 ") && !client.channel.isActive)
    }

    /// Guarantees: as on the gateway's other pages, two readers do not disagree about what a request is.
    @Test(arguments: [
        ("GET /metrics HTTP/1.1\r\n\r\n", 400), ("GET /metrics HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("GET /metrics HTTP/1.1\r\nhost: h\r\nexpect: 200-ok\r\n\r\n", 417),
        ("POST /metrics HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", 405),
    ])
    func whatIsRefusedEndsTheConnection(text: String, status: Int) throws {
        let client = try Client()
        client.send(text)
        let answer = client.received()
        #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("\r\nconnection: close\r\n"))
        #expect(answer.components(of: "HTTP/1.1 ").count == 2 && !client.channel.isActive)
        #expect(client.runner.count == 0)
    }

    @Test func rareFormsAreUnderstood() throws {
        let client = try Client()
        client.send("GET http://h/metrics?name[]=a HTTP/1.1\r\nhost: h\r\n\r\n")
        client.runner.runAll()
        #expect(client.received().hasSuffix("text||underscores|[\"a\"]"))
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        #expect(client.received() == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("ab")
        client.runner.runAll()
        #expect(client.received().hasSuffix("text||underscores|[]") && client.channel.isActive)
    }

    /// Scenario: bytes behind a request that says it is the last, and behind one that does not: no request.
    /// Guarantees: the page that is on its way comes whole; a client that had a second answer behind the last would take
    /// it for its next request's.
    @Test func whatComesBehindARequestDoesNotHarmItsAnswer() throws {
        let last = try Client()
        let request = "GET /metrics HTTP/1.1\r\nhost: h\r\n"
        last.send(request + "connection: close\r\n\r\n" + request + "\r\n")
        last.runner.runAll()
        let answer = last.received()
        #expect(answer.components(of: "HTTP/1.1 ").count == 2 && answer.hasSuffix("text||underscores|[]"))
        #expect(!last.channel.isActive)

        let rude = try Client()
        rude.send(request + "\r\n\u{0}\r\n\r\n")
        rude.runner.runAll()
        let answers = rude.received().components(of: "HTTP/1.1 ")
        #expect(answers.count == 3 && answers[1].hasSuffix("text||underscores|[]"))
        #expect(answers.last?.hasPrefix("400 ") == true && !rude.channel.isActive)
    }

    /// Scenario: a large page, and a socket that takes all it is given.
    /// Guarantees: others of the loop have their turn after a part of it; else a hundred scrapers would hold it for long.
    @Test func aLargePageIsSentInTurns() throws {
        let client = try Client(chunks: 10, partBytes: 64 << 10)
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        client.runner.runAll()
        var sent: [Int] = []
        for _ in 0..<10 { sent.append(client.received().utf8.count / (64 << 10)) }
        #expect(sent.prefix(5) == [2, 2, 2, 2, 2])
    }

    /// Scenario: a client that ends its side after the request; one that does so instead of sending one.
    @Test func aClientThatHasNoMoreToSayGetsItsPage() throws {
        let client = try Client()
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")
        client.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(client.channel.isActive)
        client.runner.runAll()
        #expect(client.received().hasSuffix("text||underscores|[]") && !client.channel.isActive)

        let silent = try Client()
        silent.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!silent.channel.isActive)
    }

    /// Guarantees: requests sent ahead are answered in order, one after the other.
    /// Each answered within the answer before it, they would take the stack and the gateway with it.
    @Test func thousandsOfRequestsBehindAPage() throws {
        let client = try Client()
        let many = String(repeating: "GET / HTTP/1.1\r\nhost: h\r\n\r\n", count: 20_000)
        client.send("GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n" + many)
        client.runner.runAll()
        client.loop.advanceTime(by: .microseconds(100))
        #expect(client.received().components(of: "404 Not Found").count == 20_001)
        #expect(client.channel.isActive)
    }

    /// Who asks for names that nobody has must not take the pages of those who ask for what is there.
    @Test func unknownFamiliesTakeNoPage() throws {
        let client = try Client(known: ["a"])
        client.send("GET /metrics?name[]=x&name[]=y HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(client.runner.count == 0)
        let answer = client.received()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 0\r\n"))
        #expect(
            answer.contains(
                "content-type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\n"))
        client.send("GET /metrics?name[]=x&name[]=a HTTP/1.1\r\nhost: h\r\n\r\n")
        client.runner.runAll()
        #expect(client.received().hasSuffix("|[\"a\"]"))
    }

    @Test func pipelinedRequestsWait() throws {
        let client = try Client()
        let request = "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n"
        client.send(request + request + request)
        for _ in 0..<3 {
            #expect(client.runner.count == 1)
            client.runner.runAll()
            #expect(client.received().components(of: "HTTP/1.1 200").count == 2)
        }
        #expect(client.runner.count == 0)
    }
}

/// A connection without a socket, and a desk that works when the test says so.
private final class Client {
    let loop = EmbeddedEventLoop()
    let channel: EmbeddedChannel
    let runner = Runner()
    /// Body chunks that were handed out.
    var sizes: [Int] = []
    /// The socket is full after one write.
    var closesAfterOne = false

    init(
        _ rules: PageRules = PageRules(), chunks: Int = 1, partBytes: Int = 0, known: Set<String>? = nil
    ) throws {
        channel = EmbeddedChannel(loop: loop)
        let runner = runner
        let render: PageDesk.Render = { key in
            let text = "\(key.format)|\(key.isGzipped ? "gzip" : "")|\(key.escaping)|\(key.names)"
            let part = ByteBuffer(string: text + String(repeating: ".", count: partBytes))
            return ListedPage(Array(repeating: part, count: chunks))
        }
        let desk = PageDesk(
            run: { runner.add($0) }, now: { .uptimeNanoseconds(1) },
            known: { names in names.filter { known?.contains($0) ?? true } }, render: render)
        let full = FullAfterOne()
        try channel.pipeline.syncOperations.addHandler(full)
        try PageConnection.install(on: channel, desk: desk, rules: rules)
        full.wrote = { [unowned self] size in
            guard closesAfterOne else { return }
            sizes.append(size)
            channel.isWritable = false
        }
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    deinit {
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    func send(_ text: String) {
        _ = try? channel.writeInbound(ByteBuffer(string: text))
    }

    func received() -> String {
        // What waits for a turn of the loop has one.
        loop.advanceTime(by: .microseconds(100))
        var answer = ""
        while let part = try? channel.readOutbound(as: ByteBuffer.self) { answer += String(buffer: part) }
        return answer
    }
}

/// Tells of every write of a body that reaches the socket.
private final class FullAfterOne: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var wrote: (Int) -> Void = { _ in }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let buffer = unwrapOutboundIn(data)
        if String(buffer: buffer).hasPrefix("text|") { wrote(buffer.readableBytes) }
        context.write(data, promise: promise)
    }
}

extension String {
    fileprivate func components(of separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
