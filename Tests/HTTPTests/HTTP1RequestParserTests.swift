import TestSupport
import Testing

@testable import HTTP

/// What came out of a connection's bytes.
private struct Request: Equatable {
    var method: String
    var path: String
    var fields: [String: String] = [:]
    var body = ""
    var keepAlive = true
}

/// Reads a connection's bytes, shown to the parser in pieces of at most `step`.
private func requests(
    _ bytes: some Collection<UInt8>, step: Int = .max
) throws -> (whole: [Request], rest: Int) {
    let all = Array(bytes)
    var parser = HTTP1RequestParser()
    let head = HeaderBlock()
    var whole: [Request] = []
    var begun: Request?
    var shown = min(step, all.count)
    var done = 0
    while true {
        var consumed = 0
        let window = Array(all[done..<shown])
        let next: HTTP1RequestParser.Step
        next = try unsafe window.withUnsafeBytes { bytes in
            try unsafe parser.next(bytes, head: head, consumed: &consumed)
        }
        precondition(consumed >= 0 && consumed <= window.count)
        switch next {
        case .head(let framing):
            precondition(begun == nil)
            var fields: [String: String] = [:]
            for field in head.all where !field.name.hasPrefix(":") { fields[field.name] = field.value }
            begun = Request(
                method: head[":method"]!, path: head[":path"]!, fields: fields,
                keepAlive: framing.keepAlive)
        case .body(let range):
            begun!.body += String(decoding: window[range], as: UTF8.self)
        case .end:
            whole.append(begun!)
            begun = nil
        case .needMore:
            guard shown < all.count else { return (whole, all.count - done - consumed) }
            shown = min(shown + step, all.count)
        }
        done += consumed
    }
}

/// What goes wrong here makes two servers disagree about where a request ends, or loses what a client sent.
@Suite struct HTTP1RequestParserTests {
    static let post = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
    static let steps = [1, 2, 3, 7, 64, Int.max]

    /// Guarantees: clients that go through what they take for a proxy reach their path (RFC 9112 §3.2.2).
    @Test(arguments: [
        ("http://gateway:4318/v1/logs", "/v1/logs"), ("HTTPS://[::1]:1/a?b", "/a?b"), ("http://h", "/"),
        ("http://h?a=/b", "/"), ("*", "*"), ("/http://h/x", "/http://h/x"), ("http:/", "http:/"),
        ("ftp://h/x", "ftp://h/x"),
    ])
    func absoluteTargetsAreTheirPath(target: String, path: String) throws {
        let (whole, rest) = try requests(
            "POST \(target) HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".utf8)
        #expect(whole.map(\.path) == [path] && rest == 0)
    }

    @Test(arguments: ["a b/c@d", "a/b", "user@h", "h#x", "h\\x", "<h>", "h\"x"])
    func hostsThatAreNoneAreRefused(host: String) {
        #expect(throws: HTTP1Error.badHost(host)) {
            try requests("POST / HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8)
        }
    }

    @Test(arguments: ["h", "h:4318", "[::1]:4318", "", "a_b.c-d", "outbound|4318||h", "%41"])
    func hostsAreTaken(host: String) throws {
        let request = "POST / HTTP/1.1\r\nHost: \(host)\r\nContent-Length: 0\r\n\r\n"
        #expect(try requests(request.utf8).whole.count == 1)
    }

    @Test(arguments: steps) func aRequestIsReadHoweverItsBytesCome(step: Int) throws {
        let text = Self.post + "Content-Length: 5\r\nX-Empty:\r\nX-Spaced: \t a b \t\r\n\r\nhello"
        let read = try requests(text.utf8, step: step)
        #expect(
            read.whole == [
                Request(
                    method: "POST", path: "/v1/traces",
                    fields: [
                        "host": "a", "content-type": "application/x-protobuf", "content-length": "5",
                        "x-empty": "", "x-spaced": "a b",
                    ], body: "hello")
            ])
        #expect(read.rest == 0)
    }

    @Test(arguments: steps) func requestsSentAheadAreAllRead(step: Int) throws {
        let text =
            "\r\n\r\n" + Self.post + "Content-Length: 1\r\n\r\na" + Self.post
            + "Transfer-Encoding: Chunked\r\n\r\n3\r\nbcd\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n\r\n"
            + "GET /?q#f HTTP/1.0\r\n\r\n" + Self.post + "Content-Length: 0\r\n\r\nPOST /unfinished"
        let read = try requests(text.utf8, step: step)
        #expect(read.whole.map { $0.body } == ["a", "bcd0123456789", "", ""])
        #expect(read.whole.map { $0.method } == ["POST", "POST", "GET", "POST"])
        #expect(read.rest == "POST /unfinished".utf8.count)
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: foo, CLOSE ,bar\r\n", false),
        ("HTTP/1.1", "Connection: foo\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.0", "", false), ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ]) func aConnectionStaysOpenAsLongAsTheClientWants(version: String, fields: String, keepAlive: Bool)
        throws
    {
        let read = try requests("POST / \(version)\r\nHost: a\r\n\(fields)\r\n".utf8)
        #expect(read.whole.map { $0.keepAlive } == [keepAlive])
    }

    @Test(arguments: [
        ("POST /\r\n\r\n", HTTP1Error.badRequestLine),
        ("DELETE HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        (" POST / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST  / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST / x HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("P(ST / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST /\u{7F} HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST /é HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST / http/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST / HTTP/1.1 \r\nHost: a\r\n\r\n", .badRequestLine),
        ("POST / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
        ("POST / HTTP/1.1\nHost: a\n\n", .bareLineFeed), ("\nPOST / HTTP/1.1", .bareLineFeed),
        ("POST / HTTP/2.0\r\nHost: a\r\n\r\n", .badVersion),
        ("POST / HTTP/1.2\r\nHost: a\r\n\r\n", .badVersion),
        ("POST / HTTP/1.1\r\n\r\n", .noHost),
        ("POST / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", .severalHosts),
        ("POST / HTTP/1.1\r\nHost : a\r\n\r\n", .badField(name: "Host : a")),
        ("POST / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", .badField(name: ": b")),
        ("POST / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", .badField(name: "nothing")),
        ("POST / HTTP/1.1\r\nHost: a\r\nx: a\nb: c\r\n\r\n", .bareLineFeed),
        ("POST / HTTP/1.1\r\nHost: a\r\nx: a\rb\r\n\r\n", .badField(name: "x")),
        ("POST / HTTP/1.1\r\nHost: a\r\nx: a\u{0}b\r\n\r\n", .badField(name: "x")),
        ("POST / HTTP/1.1\r\nHost: a\r\nx: a\r\n b\r\n\r\n", .foldedField),
    ]) func aMalformedHeadIsRefused(text: String, error: HTTP1Error) {
        for step in Self.steps {
            #expect(throws: error) { try requests(text.utf8, step: step) }
        }
    }

    @Test(arguments: [
        ("Content-Length: -5", HTTP1Error.badContentLength("-5")),
        ("Content-Length: +5", .badContentLength("+5")),
        ("Content-Length:", .badContentLength("")),
        ("Content-Length: 5, 5", .badContentLength("5, 5")),
        ("Content-Length: 0x5", .badContentLength("0x5")),
        ("Content-Length: 9999999999999999999", .badContentLength("9999999999999999999")),
        ("Content-Length: 5\r\nContent-Length: 5", .severalLengths),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", .severalLengths),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", .severalLengths),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .severalLengths),
        ("Transfer-Encoding: gzip, chunked", .unknownTransferCoding("gzip, chunked")),
        ("Transfer-Encoding: identity", .unknownTransferCoding("identity")),
    ]) func anAmbiguousLengthIsRefused(fields: String, error: HTTP1Error) {
        #expect(throws: error) { try requests((Self.post + fields + "\r\n\r\n").utf8) }
    }

    @Test func chunksNeedVersion11() {
        #expect(throws: HTTP1Error.unknownTransferCoding("chunked")) {
            try requests("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        }
    }

    @Test(arguments: [
        "zz\r\n", "\r\n", ";x\r\n", "-1\r\n", "1 2\n", "1\nx\r\n", "1\r\nxy\r\n", "1\r\nx\n0\r\n\r\n",
        "1000000000000000\r\n", "1;" + String(repeating: "x", count: 2000), "0\r\nTrailer: x\n\r\n",
    ]) func malformedChunksAreRefused(chunks: String) {
        for step in Self.steps {
            #expect(throws: HTTP1Error.badChunk) {
                try requests((Self.post + "Transfer-Encoding: chunked\r\n\r\n" + chunks).utf8, step: step)
            }
        }
    }

    @Test func aHeadWithoutEndIsNotKept() {
        let limit = HTTP1RequestParser.headBytesMax
        let endless = Self.post + "x: " + String(repeating: "x", count: limit)
        for text in [endless, endless + "\r\n\r\n"] {
            #expect(throws: HTTP1Error.headTooLarge(limit: limit)) { try requests(text.utf8, step: 4096) }
        }
        let trailers =
            Self.post + "Transfer-Encoding: chunked\r\n\r\n0\r\n"
            + String(repeating: "x: " + String(repeating: "x", count: 1000) + "\r\n", count: 70)
        #expect(throws: HTTP1Error.headTooLarge(limit: limit)) { try requests(trailers.utf8, step: 4096) }
    }

    /// Damaged bytes must end in requests or an error, the same however they are cut.
    @Test func damagedBytesReadTheSameHoweverTheyCome() throws {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(fuzzSeconds)
        let whole = Array(
            (Self.post + "Transfer-Encoding: chunked\r\n\r\n3\r\nbcd\r\n0\r\n\r\n" + Self.post
                + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET / HTTP/1.0\r\n\r\n").utf8)
        var seed: UInt64 = 0
        while seed < 20_000 || clock.now < end {
            seed += 1
            var random = SeededRandom(seed: seed)
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = .random(in: 0...255, using: &random)
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(contentsOf: Array("\r\n :;0".utf8).shuffled(using: &random), at: at)
                default: bytes.insert(contentsOf: bytes[at...].prefix(40), at: at)
                }
            }
            let together = Result { try requests(bytes).whole }
            let apart = Result {
                try requests(bytes, step: .random(in: 1...9, using: &random)).whole
            }
            switch (together, apart) {
            case (.success(let a), .success(let b)): #expect(a == b)
            case (.failure(let a), .failure(let b)): #expect(a as? HTTP1Error == b as? HTTP1Error)
            default:
                Issue.record("cut differently, read differently: \(String(decoding: bytes, as: UTF8.self))")
            }
        }
    }
}
