import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// Without these a stream or a connection that ends early leaves memory behind, or takes other requests with it.
@Suite struct HTTP2EndTests {
    @Test func aPeerThatResetsMidBodyIsForgotten() throws {
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(
            Frame.preface + Frame.settings() + Frame.request(1, end: false) + Frame.data(1, [1, 2])
                + Frame.reset(1, 8)
                + Frame.data(1, [3]) + Frame.request(3))
        let events = server.take()
        #expect(events.contains(.body(1, [1, 2])))
        #expect(events.contains(.closed(1, 8)))
        #expect(!events.contains(.ended(1)))
        #expect(events.contains(.ended(3)))
        _ = try server.output()
        #expect(server.session.openStreams == 0)
    }

    /// A large answer or request that the peer no longer wants must not be sent, nor kept.
    @Test func aResetWhileSendingDropsTheBody() throws {
        var settings = HTTP2Settings()
        settings.streamWindowBytes = 1000
        let client = try Peer(.client)
        let server = try Peer(.server, settings)
        defer {
            client.close()
            server.close()
        }
        server.onHead = { server, stream in server.session.reset(stream, code: 7) }
        try exchange(client, server)
        let stream = try client.session.request(post, body: [ByteBuffer(bytes: pattern(5000))])
        try exchange(client, server)
        #expect(client.take() == [.closed(1, 7)])
        #expect(stream.bodyBytesLeft == 0 && client.session.openStreams == 0)
        #expect(server.session.openStreams == 0)
    }

    /// A refused upload must not go on to its end: under overload that is the load.
    @Test func aClientThatIsAnsweredEarlyIsAskedToStop() throws {
        var settings = HTTP2Settings()
        settings.streamWindowBytes = 1000
        let client = try Peer(.client)
        let server = try Peer(.server, settings)
        defer {
            client.close()
            server.close()
        }
        server.onHead = { server, stream in
            noThrow {
                try server.session.respond(
                    stream, ok, body: ByteBuffer(string: "no"), trailers: HTTP2Fields([("grpc-status", "14")])
                )
            }
        }
        try exchange(client, server)
        _ = try client.session.request(post, body: [ByteBuffer(bytes: pattern(100_000))])
        try exchange(client, server)
        let events = client.take()
        #expect(events.contains(.body(1, Array("no".utf8))))
        #expect(events.contains(.trailers(1, ["grpc-status=14"])))
        #expect(events.suffix(2) == [.ended(1), .closed(1, 0)])
        #expect(client.session.openStreams == 0 && server.session.openStreams == 0)
        #expect(!server.events.contains(.ended(1)))
    }

    /// The end of a request that came in the same read needs no reset behind the answer.
    @Test func anAnswerToAWholeRequestIsFollowedByNoReset() throws {
        let server = try Peer(.server)
        defer { server.close() }
        server.onHead = { server, stream in noThrow { try server.session.respond(stream, ok, body: nil) } }
        try server.receive(
            Frame.preface + Frame.settings() + Frame.request(1, end: false)
                + Frame.data(1, [1, 2], end: true))
        #expect(!Frame.parse(try server.output()).contains { $0.type == 3 })
        #expect(server.session.openStreams == 0)
    }

    /// A slot serves one stream after the other; what belongs to an earlier one must not show.
    @Test func slotsAreUsedAgain() throws {
        let client = try Peer(.client)
        let server = try Peer.answering()
        defer {
            client.close()
            server.close()
        }
        for index in 0..<100 {
            let stream = try client.session.request(post, body: [ByteBuffer(bytes: pattern(100))])
            let other = try client.session.request(post, body: [ByteBuffer(bytes: pattern(100))])
            #expect(Set([stream.slot, other.slot]) == [0, 1])
            #expect(stream.id == Int32(4 * index + 1) && other.id == stream.id + 2)
            if index % 3 == 0 { client.session.reset(other, code: 8) }
            try exchange(client, server)
            #expect(client.session.openStreams == 0 && server.session.openStreams == 0)
        }
        #expect(!client.events.contains { if case .goAway = $0 { true } else { false } })
        let answered = client.events.filter { if case .ended = $0 { true } else { false } }
        #expect(answered.count == 166)
    }

    /// A request that has timed out while it waited for its turn is never sent.
    @Test func aRequestThatWaitsCanBeTakenBack() throws {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 1
        let client = try Peer(.client)
        let server = try Peer(.server, settings)
        defer {
            client.close()
            server.close()
        }
        try exchange(client, server)
        var open: HTTP2Stream?
        server.onEnded = { _, stream in open = stream }
        _ = try client.session.request(post, body: nil)
        let waiting = try client.session.request(post, body: [ByteBuffer(bytes: pattern(100))])
        try exchange(client, server)
        client.session.reset(waiting, code: 8)
        try exchange(client, server)
        try server.session.respond(try #require(open), ok, body: nil)
        try exchange(client, server)
        #expect(client.take().contains(.closed(3, 8)))
        #expect(server.take().allSatisfy { if case .head(3, _) = $0 { false } else { true } })
        #expect(client.session.openStreams == 0)
    }

    /// Requests on their way when the server stops are answered; those that it did not take are handed back.
    @Test func goAwayIsGraceful() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        var taken: [HTTP2Stream] = []
        server.onEnded = { _, stream in taken.append(stream) }
        _ = try client.session.request(post, body: nil)
        try exchange(client, server)
        server.session.goAway(isFinal: false)
        let notice = try server.output()
        // Sent before the client knows.
        _ = try client.session.request(post, body: nil)
        try server.receive(try client.output())
        try client.receive(notice)
        #expect(client.take() == [.goAway(Int32.max, 0)])
        server.session.goAway(isFinal: true)
        try exchange(client, server)
        #expect(client.take() == [.goAway(3, 0)])
        #expect(!server.session.isFinished && !client.session.isFinished)
        for stream in taken { try server.session.respond(stream, ok, body: nil) }
        try exchange(client, server)
        #expect(client.take().contains(.ended(3)))
        #expect(server.session.isFinished && client.session.isFinished)
    }

    /// Streams above the last one of a GOAWAY were not looked at and may be sent again elsewhere.
    @Test func streamsThatTheServerDidNotTakeAreRefused() throws {
        let client = try Peer(.client)
        defer { client.close() }
        for _ in 0..<3 { _ = try client.session.request(post, body: [ByteBuffer(bytes: [1])]) }
        _ = try client.output()
        try client.receive(Frame.settings() + Frame.goAway(1, 0))
        #expect(client.take() == [.goAway(1, 0), .closed(3, 7), .closed(5, 7)])
        #expect(client.session.openStreams == 1)
    }

    @Test func aClientsGoAwayEndsTheServerWithItsLastAnswer() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        var taken: HTTP2Stream?
        server.onEnded = { _, stream in taken = stream }
        _ = try client.session.request(post, body: nil)
        client.session.goAway(isFinal: true)
        try exchange(client, server)
        #expect(!server.session.isFinished)
        try server.session.respond(try #require(taken), ok, body: nil)
        try exchange(client, server)
        #expect(client.take().contains(.ended(1)))
        #expect(server.session.isFinished)
    }

    /// A client that half-closes still gets the answers to what it has asked for, and holds nothing after that.
    @Test func theEndOfInputEndsIncompleteRequestsOnly() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        defer {
            client.close()
            server.close()
        }
        var whole: HTTP2Stream?
        server.onEnded = { _, stream in whole = stream }
        _ = try client.session.request(post, body: nil)
        try exchange(client, server)
        try server.receive(Frame.request(3, end: false) + Frame.data(3, [1]))
        server.session.inputEnded()
        _ = try server.output()
        #expect(server.take().contains(.closed(3, 8)))
        #expect(!server.session.isFinished)
        try server.session.respond(try #require(whole), ok, body: nil)
        let last = Frame.parse(try server.output())
        #expect(last.contains { $0.type == 1 && $0.stream == 1 })
        #expect(server.session.isFinished)
    }

    @Test func aClosedSessionDoesNothing() throws {
        let server = try Peer.answering()
        try server.receive(Frame.preface + Frame.settings() + Frame.request(1, end: false))
        server.session.close()
        server.session.close()
        try server.receive(Frame.request(3))
        #expect(try server.output().isEmpty)
        server.session.ping()
        server.session.goAway(isFinal: true)
        #expect(server.session.isFinished)
        server.close()
        let client = try Peer(.client)
        client.session.close()
        #expect(throws: HTTP2SessionError.self) { try client.session.request(post, body: nil) }
        client.close()
    }
}
