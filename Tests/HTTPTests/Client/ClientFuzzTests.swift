import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import HTTP

/// A trap here is a way for a destination to stop the gateway.
///
/// Runs a fixed number of cases from fixed seeds; `SLUICE_FUZZ_SECONDS` runs for so long with further seeds.
@Suite struct ClientFuzzTests {
    /// Notes what connections do.
    private final class Owner: HTTPClientConnectionOwner {
        var idle = 0
        var closed = 0
        var again = 0
        func connectionIdle(_ connection: any HTTPClientConnection) { idle += 1 }
        func connectionEnding(_ connection: any HTTPClientConnection) {}
        func connectionClosed(_ connection: any HTTPClientConnection) { closed += 1 }
        func sendAgain(_ call: HTTPClientCall) {
            again += 1
            call.finish(.cancelled)
        }
    }

    private static let answers: [String] = [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 500 Oh\r\n\r\nuntil the end",
        "HTTP/1.1 307 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
    ]

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        for _ in 0..<random.below(5) where !bytes.isEmpty {
            let at = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes[at] ^= 1 << UInt8(random.below(8))
            case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes.remove(at: at)
            case 3: bytes.insert([0x0D, 0x0A, 0x3A, 0x20, 0x30, 0xFF][random.below(6)], at: at)
            case 4: bytes.removeLast(min(bytes.count, random.below(30)))
            default: bytes += Array(answers[random.below(answers.count)].utf8)
            }
        }
    }

    /// One request and a broken answer in pieces.
    private static func run(http2: Bool, seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let channel = EmbeddedChannel()
        let loop = channel.embeddedEventLoop
        let origin = HTTPOrigin(scheme: .http, host: "h", port: 80)
        let client = HTTPClient(origin: origin, eventLoop: loop, logger: makeSilentLogger())
        let owner = Owner()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 80)).wait()
        let connection: any HTTPClientConnection
        if http2 {
            let http2 = HTTP2ClientConnection(
                origin: origin, eventLoop: loop, pingAfter: nil, pingTimeout: .seconds(1), owner: owner)
            try channel.pipeline.syncOperations.addHandler(
                HTTP2Handler(role: .client, settings: HTTP2Settings(), delegate: http2))
            connection = http2
        } else {
            let http1 = HTTP1ClientConnection(origin: origin, keepsAlive: true, eventLoop: loop, owner: owner)
            try HTTP1ClientConnection.install(http1, on: channel)
            connection = http1
        }
        var got = 0
        let limit = 1 + random.below(8)
        let call = HTTPClientCall(
            HTTPClientRequest(
                method: ["GET", "POST", "HEAD"][random.below(3)], target: "/", body: [ByteBuffer(string: "b")]
            ),
            client: client, bodyDeadline: nil, onHead: { _ in },
            onBytes: {
                got += $0.readableBytes
                return got < limit
            })
        let ends = Noted(0)
        call.result.whenComplete { _ in ends.change { $0 += 1 } }
        connection.start(call)
        loop.run()
        var bytes = http2 ? http2Answer(&random) : Array(answers[random.below(answers.count)].utf8)
        mutate(&bytes, &random)
        var rest = bytes[...]
        while !rest.isEmpty, channel.isActive {
            let count = min(rest.count, 1 + random.below(60))
            _ = try? channel.writeInbound(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
            loop.run()
            if random.below(40) == 0 { connection.withdraw(call) }
        }
        if channel.isActive { _ = try? channel.finish() }
        loop.run()
        // Withdrawn calls end by whoever withdrew them.
        if ends.value == 0 { call.finish(.cancelled) }
        loop.run()
        #expect(ends.value == 1 && owner.closed == 1, "seed \(seed), http2 \(http2)")
    }

    private static func http2Answer(_ random: inout SeededRandom) -> [UInt8] {
        let status = ["200", "103", "404", "abc"][random.below(4)]
        return Frame.settings([(4, 100)]) + Frame.settingsAcknowledged
            + Frame.headers(1, [(":status", "100")])
            + Frame.headers(1, [(":status", status), ("x", "y")])
            + Frame.data(1, pattern(random.below(40)), end: random.below(2) == 0)
            + (random.below(2) == 0 ? Frame.headers(1, [("trailer", "x")], end: true) : Frame.reset(1, 7))
            + Frame.goAway(1, 0)
    }

    @Test func brokenAnswersNeverTrap() throws {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(fuzzSeconds)
        var seed: UInt64 = 0
        while seed < 3000 || clock.now < end {
            try Self.run(http2: false, seed: seed)
            try Self.run(http2: true, seed: seed)
            seed += 1
        }
    }
}
