import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// Without these a request that arrives in pieces, or beside others, is lost, mixed up, or answered to somebody else.
@Suite struct HTTP2SessionTests {
    /// What a client sends for three requests: with a body, without one, and with one in two frames.
    private func conversation() throws -> [UInt8] {
        let client = try Peer(.client)
        defer { client.close() }
        _ = try client.session.request(post, body: [ByteBuffer(bytes: pattern(300))])
        _ = try client.session.request(post, body: nil)
        _ = try client.session.request(
            post, body: [ByteBuffer(bytes: pattern(20_000)), ByteBuffer(string: "end")])
        client.session.ping()
        return try client.output()
    }

    private func events(of chunks: [ArraySlice<UInt8>]) throws -> (events: [Event], answer: [UInt8]) {
        let server = try Peer.answering()
        defer { server.close() }
        for chunk in chunks { try server.receive(Array(chunk)) }
        return (server.take(), try server.output())
    }

    /// TCP cuts where it likes.
    @Test func bytesCutAnywhereAreTheSameEvents() throws {
        let bytes = try conversation()
        let whole = try events(of: [bytes[...]])
        #expect(whole.events.filter { if case .ended = $0 { true } else { false } }.count == 3)
        #expect(whole.events.contains(.body(5, pattern(20_000) + Array("end".utf8))))
        #expect(try events(of: bytes.indices.map { bytes[$0...$0] }) == whole)
        for offset in Array(0..<600) + stride(from: 600, to: bytes.count, by: 997) {
            #expect(try events(of: [bytes[..<offset], bytes[offset...]]) == whole, "cut at \(offset)")
        }
        var random = SeededRandom(seed: 7)
        for _ in 0..<50 {
            var chunks: [ArraySlice<UInt8>] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = min(rest.count, 1 + random.below(random.below(4) == 0 ? 5000 : 40))
                chunks.append(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(try events(of: chunks) == whole)
        }
    }

    /// If it failed, a delegate's mistake would corrupt nghttp2's memory instead of naming itself.
    @Test func enteringASessionFromInsideItsCallsStopsTheGateway() async {
        await #expect(processExitsWith: .failure) {
            let server = try Peer(.server)
            server.onEnded = { server, _ in noThrow { try server.session.send { _ in } } }
            try server.receive(Frame.preface + Frame.settings() + requests(1))
        }
        await #expect(processExitsWith: .failure) {
            let server = try Peer(.server)
            server.onEnded = { server, _ in server.session.close() }
            try server.receive(Frame.preface + Frame.settings() + requests(1))
        }
        await #expect(processExitsWith: .failure) {
            let server = try Peer.answering()
            server.onClosed = { server, _ in noThrow { try server.receive(requests(1)) } }
            try server.receive(Frame.preface + Frame.settings() + requests(1))
            _ = try server.output()
        }
    }

    /// A system call for each small answer would cost more than the answer.
    @Test func answersToOneReadAreOneWrite() throws {
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(
            Frame.preface + Frame.settings() + requests(50))
        let written = try server.buffers()
        #expect(written.count == 1)
        let heads = Frame.parse(Array(written[0].readableBytesView)).filter { $0.type == 1 }
        #expect(heads.map(\.stream) == Array(stride(from: UInt32(1), to: 100, by: 2)))
    }

    @Test func aMessageWithTrailersArrivesWhole() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        server.onEnded = { server, stream in
            let trailers = HTTP2Fields([("grpc-status", "0")])
            noThrow {
                try server.session.respond(stream, ok, body: ByteBuffer(string: "hello"), trailers: trailers)
            }
        }
        let stream = try client.session.request(post, body: [ByteBuffer(string: "question")])
        try exchange(client, server)
        #expect(
            server.take() == [
                .head(1, [":method=POST", ":scheme=http", ":path=/p", ":authority=h", "x=y"]),
                .body(1, Array("question".utf8)), .ended(1), .closed(1, 0),
            ])
        #expect(
            client.take() == [
                .head(1, [":status=200", "content-type=text/plain"]), .body(1, Array("hello".utf8)),
                .trailers(1, ["grpc-status=0"]), .ended(1), .closed(1, 0),
            ])
        #expect(stream.id == 0 && client.session.openStreams == 0 && server.session.openStreams == 0)
    }

    /// A refusal of gRPC is one head that ends the stream; a server with trailers and no body is as valid.
    @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
    func everyShapeOfAnswerEndsTheStream(body: Bool, trailers: Bool) throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        server.onEnded = { server, stream in
            noThrow {
                try server.session.respond(
                    stream, ok, body: body ? ByteBuffer(string: "b") : nil,
                    trailers: trailers ? HTTP2Fields([("t", "1")]) : nil)
            }
            // A second answer to the same request is ignored.
            noThrow { try server.session.respond(stream, ok, body: nil) }
        }
        for _ in 0..<3 { _ = try client.session.request(post, body: []) }
        try exchange(client, server)
        for id in [Int32(1), 3, 5] {
            let own = client.events.filter {
                switch $0 {
                case .head(id, _), .trailers(id, _), .body(id, _), .ended(id), .closed(id, _): true
                default: false
                }
            }
            let expected: [Event] =
                [.head(id, [":status=200", "content-type=text/plain"])] + (body ? [.body(id, [98])] : [])
                + (trailers ? [.trailers(id, ["t=1"])] : []) + [.ended(id), .closed(id, 0)]
            #expect(own == expected)
        }
    }

    /// An interim answer must not be taken for the answer.
    @Test func interimAnswersAreSkipped() throws {
        let client = try Peer(.client)
        defer { client.close() }
        _ = try client.session.request(post, body: nil)
        _ = try client.output()
        try client.receive(
            Frame.settings() + Frame.headers(1, [(":status", "100")])
                + Frame.headers(1, [(":status", "103"), ("a", "b")])
                + Frame.headers(1, [(":status", "200")]) + Frame.headers(1, [("grpc-status", "0")], end: true)
        )
        #expect(
            client.take() == [
                .head(1, [":status=200"]), .trailers(1, ["grpc-status=0"]), .ended(1), .closed(1, 0),
            ])
    }

    /// One client's cookie collection must not end the connection that others' requests share, nor take its memory; the
    /// owner is told, so that the client gets a status instead of a reset.
    @Test func tooLargeAHeaderCostsItsStreamOnly() throws {
        var settings = HTTP2Settings()
        settings.maxHeaderBytes = 400
        let server = try Peer.answering(settings)
        defer { server.close() }
        var tooMany: [Bool] = []
        server.onHead = { _, stream in tooMany.append(stream.hasTooManyFields) }
        let many = (0..<20).map { ("name-\($0)", "value") }
        let valid = [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "h")]
        try server.receive(
            Frame.preface + Frame.settings() + Frame.headers(1, valid + many)
                + Frame.data(1, [1, 2, 3], end: true)
                + Frame.request(3))
        let frames = Frame.parse(try server.output())
        let events = server.take()
        #expect(events.contains(.head(3, valid.map { "\($0)=\($1)" })) && events.contains(.closed(3, 0)))
        #expect(tooMany == [true, false])
        for case .head(1, let fields) in events { #expect(fields.count < 10) }
        #expect(frames.contains { $0.type == 1 && $0.stream == 3 })
        #expect(!frames.contains { $0.type == 7 })
    }

    @Test func pingsAreAnsweredAndReported() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        client.session.ping()
        try exchange(client, server)
        #expect(server.take() == [.ping])
        #expect(client.take() == [.pingAcknowledged])
    }

    @Test func settingsTellThatThePeerSpeaksHTTP2() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        #expect(!client.session.hasPeerSettings)
        try exchange(client, server)
        #expect(client.session.hasPeerSettings && server.session.hasPeerSettings)
        #expect(client.session.remoteMaxConcurrentStreams == 10_000)
    }
}

/// Without these a large request stands still, takes memory twice, or runs over a peer that is not ready for it.
@Suite struct HTTP2FlowControlTests {
    /// A round trip for each window would cap a client's rate by its distance.
    @Test func aRequestOfMegabytesIsNotThrottled() throws {
        let client = try Peer(.client)
        let server = try Peer.answering()
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        let body = pattern(4 << 20)
        _ = try client.session.request(post, body: [ByteBuffer(bytes: body)])
        try server.receive(try client.output())
        #expect(server.take().contains(.body(1, body)))
        #expect(try client.output().isEmpty)
    }

    @Test(arguments: [1, 999, 16_384, 65_535])
    func aSmallWindowIsRespectedAndTheBodyResumes(window: Int32) throws {
        var settings = HTTP2Settings()
        settings.streamWindowBytes = window
        let client = try Peer(.client)
        let server = try Peer.answering(settings)
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        let body = pattern(Int(window) * 4 + 3)
        _ = try client.session.request(post, body: [ByteBuffer(bytes: body)])
        let bytes = try client.output()
        let first = Frame.parse(bytes).filter { $0.type == 0 }
        #expect(first.reduce(0) { $0 + $1.payload.count } == Int(window))
        try server.receive(bytes)
        try exchange(client, server)
        #expect(server.take().contains(.body(1, body)))
        #expect(client.session.openStreams == 0)
    }

    /// Batches are large: copying them once more, or out of order, would cost the gateway its rate or the data.
    @Test func largeBodiesGoByReferenceAndInOrder() throws {
        let client = try Peer(.client)
        let server = try Peer.answering()
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        let parts = [5, 200_000, 3, 0, 70_000, 4096, 4095, 1].enumerated().map {
            ByteBuffer(bytes: pattern($1, seed: UInt64($0)))
        }
        _ = try client.session.request(post, body: parts)
        let written = try client.buffers()
        func address(_ buffer: ByteBuffer) -> Int {
            buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
        }
        let shared = [parts[1], parts[4]].allSatisfy { part in
            written.contains { address($0) == address(part) }
        }
        #expect(shared)
        try server.receive(written.flatMap { Array($0.readableBytesView) })
        #expect(server.take().contains(.body(1, parts.flatMap { Array($0.readableBytesView) })))
    }

    /// A peer that never opens its window holds back its own body only.
    @Test func aStalledBodyLeavesOthersAlone() throws {
        var settings = HTTP2Settings()
        settings.streamWindowBytes = 10
        let client = try Peer(.client)
        let server = try Peer(.server, settings)
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        _ = try client.session.request(post, body: [ByteBuffer(bytes: pattern(100))])
        _ = try client.session.request(post, body: [ByteBuffer(bytes: pattern(10))])
        let data = Frame.parse(try client.output()).filter { $0.type == 0 }
        #expect(data.map(\.stream).sorted() == [1, 3])
        #expect(data.first { $0.stream == 3 }?.flags == 1)
    }

    /// More requests than the peer takes at a time wait for their turn.
    @Test func theLimitOfStreamsIsKept() throws {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 2
        let client = try Peer(.client)
        let server = try Peer(.server, settings)
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        var streams: [HTTP2Stream] = []
        server.onEnded = { _, stream in streams.append(stream) }
        for _ in 0..<5 { _ = try client.session.request(post, body: nil) }
        try exchange(client, server)
        #expect(streams.map(\.id) == [1, 3])
        while !streams.isEmpty {
            try server.session.respond(streams.removeFirst(), ok, body: nil)
            try exchange(client, server)
        }
        #expect(client.take().filter { if case .ended = $0 { true } else { false } }.count == 5)
        #expect(server.session.openStreams == 0 && client.session.openStreams == 0)
    }
}
