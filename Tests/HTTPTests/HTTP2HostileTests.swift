import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// Without these one hostile or broken peer takes the gateway's memory, its time, or the process.
@Suite struct HTTP2HostileTests {
    private let start = Frame.preface + Frame.settings()

    /// Whether the connection is over after these bytes, and with which error code of GOAWAY, if there was one.
    private func end(_ bytes: [UInt8], _ role: HTTP2Session.Role = .server) throws -> (
        isOver: Bool, code: UInt32?
    ) {
        let peer = role == .server ? try Peer.answering() : try Peer(.client)
        defer { peer.close() }
        if role == .client { _ = try peer.session.request(post, body: nil) }
        do throws(HTTP2SessionError) {
            try peer.receive(bytes)
        } catch {
            return (true, nil)
        }
        let goAway = Frame.parse(try peer.output()).last { $0.type == 7 }
        return (
            peer.session.isFinished,
            goAway.map { $0.payload[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }
        )
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nhost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{FC}",
        "POST /v1/traces HTTP/1.1\r\n",
    ])
    func garbageInsteadOfThePrefaceEndsTheConnection(text: String) throws {
        #expect(try end(Array(text.utf8)).isOver)
    }

    /// Scenario: frames that RFC 9113 forbids, each after a valid start.
    /// Guarantees: GOAWAY with the RFC's error code (1 PROTOCOL, 3 FLOW_CONTROL, 6 FRAME_SIZE, 9 COMPRESSION) and the end.
    @Test(arguments: forbidden)
    func forbiddenFramesEndTheConnection(name: String, frame: [UInt8], code: UInt32) throws {
        let (isOver, found) = try end(start + frame + Frame.request(101))
        #expect(isOver, "\(name)")
        #expect(found == nil || found == code, "\(name)")
    }

    /// nghttp2 takes it for a stream that has closed: nobody is asked, and nothing is opened.
    @Test func aStreamNumberThatGoesBackIsIgnored() throws {
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(start + Frame.request(5) + Frame.request(3) + Frame.request(7))
        _ = try server.output()
        #expect(
            server.events.filter { if case .ended = $0 { true } else { false } } == [.ended(5), .ended(7)])
        #expect(server.session.openStreams == 0)
    }

    /// Faults of one request: RFC 9113 §8.1.1 lets them cost that request only.
    @Test(arguments: broken)
    func brokenRequestsCostThemselvesOnly(name: String, fields: [(String, String)]) throws {
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(start + Frame.headers(1, fields, end: true) + Frame.request(3))
        let frames = Frame.parse(try server.output())
        #expect(!frames.contains { $0.type == 7 }, "\(name)")
        #expect(frames.contains { $0.type == 1 && $0.stream == 3 }, "\(name)")
        #expect(!server.events.contains(.ended(1)), "\(name)")
        #expect(server.session.openStreams == 0)
    }

    /// Scenario: what Envoy, Istio, sockets and sloppy clients send. Guarantees: served; a reset would cost a mesh all its
    /// telemetry.
    @Test(
        arguments: [
            [(":authority", "outbound|4317||gateway.example.svc.cluster.local")],
            [(":authority", "/run/gateway.sock")],
            [(":authority", "")], [(":authority", "a b")], [], [("host", "a|b")], [("te", "Trailers")],
            [("x", " blanks around ")], [("x", "\u{1}")], [("a(b", "c")], [("x-empty", "")],
            [(":authority", "gateway:4317"), ("host", "other")], [("cookie", "a"), ("cookie", "b")],
        ] as [[(String, String)]])
    func oddRequestsAreServed(fields: [(String, String)]) throws {
        let usual = [(":method", "POST"), (":scheme", "http"), (":path", "/p")]
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(start + Frame.headers(1, usual + fields, end: true))
        #expect(Frame.parse(try server.output()).contains { $0.type == 1 && $0.stream == 1 }, "\(fields)")
        #expect(server.resets.isEmpty)
    }

    /// Guarantees: whoever wonders why a client's streams are reset finds the reason among the metrics.
    @Test func resetsAreReportedWithTheirReason() throws {
        let server = try Peer.answering()
        defer { server.close() }
        var bytes = start
        var stream: UInt32 = 1
        for (_, fields) in broken {
            bytes += Frame.headers(stream, fields, end: true)
            stream += 2
        }
        let usual = [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("content-length", "2")]
        bytes += Frame.headers(stream, usual) + Frame.data(stream, [1, 2, 3], end: true)
        stream += 2
        bytes += Frame.headers(stream, usual) + Frame.headers(stream, [("a", "b")])
        try server.receive(bytes)
        _ = try server.output()
        #expect(
            server.resets == [
                "missing_pseudo_field", "misplaced_pseudo_field", "unknown_pseudo_field",
                "duplicate_pseudo_field", "malformed_field_name", "connection_specific_field",
                "connection_specific_field", "malformed_field_value", "body_differs_from_content_length",
                "body_differs_from_content_length", "trailers_without_end",
            ])
    }

    /// Frames whose answers pile up while the attacker reads nothing.
    @Test(arguments: [("PING", Frame.ping), ("SETTINGS", Frame.settings([(4, 65_535)]))])
    func floodsThatNobodyReadsEndTheConnection(name: String, frame: [UInt8]) throws {
        let server = try Peer.answering()
        defer { server.close() }
        try server.receive(start)
        #expect(throws: HTTP2SessionError.self, "\(name)") {
            for _ in 0..<20_000 { try server.receive(frame) }
        }
    }

    @Test func endlessHeaderSectionsEndTheConnection() throws {
        let server = try Peer.answering()
        defer { server.close() }
        let field = Frame.block([("name", String(repeating: "v", count: 100))])
        try server.receive(start + Frame.headers(1, [(":method", "POST")], complete: false))
        var sent = 0
        while sent < 10_000, !server.session.isFinished {
            do throws(HTTP2SessionError) {
                try server.receive(Frame.continuation(1, field, complete: false))
            } catch {
                break
            }
            _ = try server.output()
            sent += 1
        }
        #expect(sent < 1000)
        #expect(
            server.events.isEmpty || !server.events.contains { if case .head = $0 { true } else { false } })
    }

    @Test func moreStreamsThanAnnouncedAreRefused() throws {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 3
        let server = try Peer(.server, settings)
        defer { server.close() }
        try server.receive(start + Frame.settingsAcknowledged)
        _ = try server.output()
        try server.receive(
            Frame.settingsAcknowledged + requests(10))
        let resets = Frame.parse(try server.output()).filter { $0.type == 3 }
        #expect(server.session.openStreams <= 3)
        #expect(resets.count >= 7 || server.session.isFinished)
    }

    /// A server that pushes, or answers what nobody asked.
    @Test(arguments: [
        (
            "PUSH_PROMISE",
            Frame.raw(5, flags: 4, stream: 1, [0, 0, 0, 2] + Frame.block([(":method", "GET")]))
        ),
        ("DATA before the head", Frame.data(1, [1])),
        ("HEADERS on a stream that was not opened", Frame.headers(7, [(":status", "200")])),
    ])
    func aBrokenServerEndsItsConnectionOrStream(name: String, frame: [UInt8]) throws {
        let client = try Peer(.client)
        defer { client.close() }
        _ = try client.session.request(post, body: nil)
        _ = try client.output()
        try client.receive(Frame.settings() + frame)
        let frames = Frame.parse(try client.output())
        #expect(frames.contains { $0.type == 7 || $0.type == 3 }, "\(name)")
    }
}

private let forbidden: [(String, [UInt8], UInt32)] = [
    ("DATA on stream 0", Frame.data(0, [1]), 1),
    ("DATA on an idle stream", Frame.data(1, [1]), 1),
    ("HEADERS on stream 0", Frame.request(0), 1), ("HEADERS on an even stream", Frame.request(2), 1),
    ("CONTINUATION alone", Frame.continuation(1, [], complete: true), 1),
    ("a frame inside a header section", Frame.headers(1, [("a", "b")], complete: false) + Frame.ping, 1),
    ("WINDOW_UPDATE of 0", Frame.windowUpdate(0, 0), 1),
    ("WINDOW_UPDATE beyond 2^31-1", Frame.windowUpdate(0, 0x7FFF_FFFF), 3),
    ("WINDOW_UPDATE of 3 bytes", Frame.raw(8, [0, 0, 1]), 6),
    ("SETTINGS of 5 bytes", Frame.raw(4, [0, 1, 0, 0, 0]), 6),
    ("SETTINGS ACK with content", Frame.raw(4, flags: 1, [0, 1, 0, 0, 0, 0]), 6),
    ("SETTINGS on a stream", Frame.raw(4, stream: 1), 1),
    ("SETTINGS initial window beyond 2^31-1", Frame.settings([(4, 0x8000_0000)]), 3),
    ("SETTINGS frame size too small", Frame.settings([(5, 100)]), 1),
    ("SETTINGS push of 2", Frame.settings([(2, 2)]), 1),
    ("PING of 7 bytes", Frame.raw(6, [0, 0, 0, 0, 0, 0, 0]), 6),
    ("PING on a stream", Frame.raw(6, stream: 1, [0, 0, 0, 0, 0, 0, 0, 0]), 1),
    ("RST_STREAM of an idle stream", Frame.reset(1, 8), 1),
    ("RST_STREAM of stream 0", Frame.reset(0, 8), 1),
    ("RST_STREAM of 3 bytes", Frame.request(1, end: false) + Frame.raw(3, stream: 1, [0, 0, 0]), 6),
    ("GOAWAY on a stream", Frame.raw(7, stream: 1, [0, 0, 0, 0, 0, 0, 0, 0]), 1),
    ("PUSH_PROMISE of a client", Frame.raw(5, flags: 4, stream: 1, [0, 0, 0, 2]), 1),
    (
        "padding longer than the frame",
        Frame.request(1, end: false) + Frame.raw(0, flags: 8, stream: 1, [9, 1]), 1
    ),
    (
        "a broken header block",
        Frame.raw(1, flags: 5, stream: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), 9
    ),
    ("an unknown HPACK index", Frame.raw(1, flags: 5, stream: 1, [0xFE]), 9),
    ("a frame beyond the maximum", [0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1], 6),
]

private let broken: [(String, [(String, String)])] = [
    ("no path", [(":method", "POST"), (":scheme", "http"), (":authority", "h")]),
    (
        "a pseudo field behind others",
        [(":method", "POST"), ("a", "b"), (":scheme", "http"), (":path", "/p")]
    ),
    (
        "an unknown pseudo field",
        [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":x", "y")]
    ),
    ("a second path", [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":path", "/q")]),
    ("upper case", [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("Name", "v")]),
    ("connection", [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("connection", "close")]),
    ("te", [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("te", "gzip")]),
    ("a line feed", [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("a", "b\nc: d")]),
    (
        "content-length",
        [(":method", "POST"), (":scheme", "http"), (":path", "/p"), ("content-length", "9")]
    ),
]
