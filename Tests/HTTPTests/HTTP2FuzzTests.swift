import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// A trap here is a way for anybody who reaches a port to stop the gateway.
///
/// Runs a fixed number of cases from fixed seeds; `SLUICE_FUZZ_SECONDS` runs for so long with further seeds.
@Suite struct HTTP2FuzzTests {
    /// Valid conversations, to be broken.
    private static func corpus() throws -> (toServer: [[UInt8]], toClient: [[UInt8]]) {
        let client = try Peer(.client)
        let server = try Peer.answering()
        defer {
            client.close()
            server.close()
        }
        var there: [[UInt8]] = []
        var back: [[UInt8]] = []
        for index in 0..<4 {
            _ = try client.session.request(
                post, body: index == 0 ? nil : [ByteBuffer(bytes: pattern(50 * index * index))])
            if index == 2 { client.session.ping() }
            there.append(try client.output())
            try server.receive(there[index])
            back.append(try server.output())
            try client.receive(back[index])
        }
        let frames: [UInt8] =
            Frame.settings([(1, 100), (3, 2), (4, 1000), (5, 16_384), (6, 100)]) + Frame.settingsAcknowledged
            + Frame.ping
            + Frame.windowUpdate(0, 1000) + Frame.request(9, end: false) + Frame.windowUpdate(9, 1)
            + Frame.data(9, pattern(20)) + Frame.headers(9, [("trailer", "x")], end: true)
            + Frame.headers(11, [(":method", "POST"), (":scheme", "http")], complete: false)
            + Frame.continuation(11, Frame.block([(":path", "/")]), complete: true) + Frame.reset(11, 8)
            + Frame.raw(2, stream: 13, [0, 0, 0, 0, 1]) + Frame.goAway(0, 0)
        there.append(frames)
        back.append(
            Frame.headers(1, [(":status", "103")]) + Frame.headers(1, [(":status", "200")])
                + Frame.data(1, pattern(30))
                + Frame.headers(1, [("grpc-status", "0")], end: true) + Frame.reset(3, 7)
                + Frame.goAway(1, 11))
        return (there, back)
    }

    private static func mutate(_ bytes: inout [UInt8], _ other: [UInt8], _ random: inout SeededRandom) {
        for _ in 0..<(1 + random.below(6)) where !bytes.isEmpty {
            let at = random.below(bytes.count)
            switch random.below(8) {
            case 0: bytes[at] ^= 1 << UInt8(random.below(8))
            case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes.remove(at: at)
            case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
            case 4: bytes.removeLast(min(bytes.count, random.below(40)))
            case 5:
                bytes.replaceSubrange(
                    at..<min(bytes.count, at + random.below(30)), with: other.prefix(random.below(60)))
            case 6: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)]
            default: bytes += other.suffix(random.below(200))
            }
        }
    }

    /// One broken conversation with an owner that answers, resets and sends whatever the chance says.
    private static func run(_ role: HTTP2Session.Role, _ corpus: [[UInt8]], seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = UInt32(1 + random.below(5))
        settings.streamWindowBytes = Int32(1 + random.below(3000))
        let peer = try Peer(role, settings)
        defer { peer.close() }
        var decisions = random
        peer.onHead = { peer, stream in
            if role == .server, decisions.below(3) == 0 { try? peer.session.respond(stream, ok, body: nil) }
        }
        peer.onEnded = { peer, stream in
            switch decisions.below(4) {
            case 0: peer.session.reset(stream, code: UInt32(decisions.below(14)))
            case 1: break
            default:
                guard role == .server else { return }
                try? peer.session.respond(
                    stream, ok, body: ByteBuffer(bytes: pattern(decisions.below(6000))),
                    trailers: decisions.below(2) == 0 ? nil : HTTP2Fields([("a", "b")]))
            }
        }
        peer.onClosed = { peer, _ in
            if role == .client, decisions.below(2) == 0 {
                _ = try? peer.session.request(post, body: [ByteBuffer(string: "x")])
            }
        }
        if role == .client {
            for _ in 0..<4 {
                _ = try peer.session.request(post, body: [ByteBuffer(bytes: pattern(random.below(5000)))])
            }
        }
        do {
            for index in corpus.indices {
                var bytes = corpus[index]
                if random.below(3) > 0 { mutate(&bytes, corpus[random.below(corpus.count)], &random) }
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = min(rest.count, 1 + random.below(200))
                    try peer.receive(Array(rest.prefix(count)))
                    rest = rest.dropFirst(count)
                    if random.below(2) == 0 { _ = try peer.output() }
                }
                if random.below(20) == 0 { peer.session.goAway(isFinal: random.below(2) == 0) }
                if random.below(20) == 0 { peer.session.inputEnded() }
            }
            _ = try peer.output()
        } catch is HTTP2SessionError {
            // The connection ends; its owner sends what is left.
            _ = try? peer.output()
        }
        #expect(peer.session.openStreams >= 0 && peer.session.openStreams <= 10_000)
    }

    @Test func brokenBytesNeverTrap() throws {
        let (toServer, toClient) = try Self.corpus()
        let clock = ContinuousClock()
        let end = clock.now + .seconds(fuzzSeconds)
        var seed: UInt64 = 0
        while seed < 3000 || clock.now < end {
            try Self.run(.server, toServer, seed: seed)
            try Self.run(.client, toClient, seed: seed)
            seed += 1
        }
    }
}
