import Glibc
import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// What a session told its owner.
enum Event: Equatable {
    case head(Int32, [String])
    case trailers(Int32, [String])
    /// Pieces that follow each other are one, so that the way the bytes were cut does not show.
    case body(Int32, [UInt8])
    case ended(Int32)
    case closed(Int32, UInt32)
    case goAway(Int32, UInt32)
    case pingAcknowledged
    case ping
}

/// A session with an owner that remembers everything and does what a test says.
final class Peer: HTTP2SessionDelegate {
    private(set) var events: [Event] = []
    private(set) var resets: [String] = []
    var onHead: (Peer, HTTP2Stream) -> Void = { _, _ in }
    var onEnded: (Peer, HTTP2Stream) -> Void = { _, _ in }
    var onClosed: (Peer, HTTP2Stream) -> Void = { _, _ in }
    private(set) var session: HTTP2Session!

    init(_ role: HTTP2Session.Role, _ settings: HTTP2Settings = HTTP2Settings()) throws {
        session = try HTTP2Session(role: role, settings: settings, delegate: self)
    }

    /// A server that answers every complete request with 200 and no body.
    static func answering(_ settings: HTTP2Settings = HTTP2Settings()) throws -> Peer {
        let peer = try Peer(.server, settings)
        peer.onEnded = { peer, stream in noThrow { try peer.session.respond(stream, ok, body: nil) } }
        return peer
    }

    /// Breaks the cycle between session and owner.
    func close() {
        session.close()
        session = nil
    }

    func receive(_ bytes: [UInt8]) throws(HTTP2SessionError) {
        var failure: HTTP2SessionError?
        bytes.withUnsafeBytes { bytes in
            do throws(HTTP2SessionError) { try session.receive(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    func buffers() throws -> [ByteBuffer] {
        var all: [ByteBuffer] = []
        try session.send { all.append($0) }
        return all
    }

    func output() throws -> [UInt8] {
        try buffers().flatMap { Array($0.readableBytesView) }
    }

    func take() -> [Event] {
        defer { events = [] }
        return events
    }

    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
        let fields = stream.headers.all.map { "\($0.name)=\($0.value)" }
        events.append(isTrailers ? .trailers(stream.id, fields) : .head(stream.id, fields))
        if !isTrailers { onHead(self, stream) }
    }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {
        if case .body(let id, let before) = events.last, id == stream.id {
            events[events.count - 1] = .body(id, before + bytes)
        } else {
            events.append(.body(stream.id, Array(bytes)))
        }
    }

    func ended(_ stream: HTTP2Stream) {
        events.append(.ended(stream.id))
        onEnded(self, stream)
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {
        events.append(.closed(stream.id, code))
        onClosed(self, stream)
    }

    func goAway(lastStream: Int32, code: UInt32) { events.append(.goAway(lastStream, code)) }
    func pingAcknowledged() { events.append(.pingAcknowledged) }
    func pingReceived() { events.append(.ping) }
    func resetSent(_ reason: HTTP2ResetReason) { resets.append(reason.text) }
}

/// Carries bytes both ways until nobody has any left.
func exchange(_ a: Peer, _ b: Peer) throws {
    while true {
        let there = try a.output()
        try b.receive(there)
        let back = try b.output()
        try a.receive(back)
        if there.isEmpty, back.isEmpty { return }
    }
}

let ok = HTTP2Fields([(":status", "200"), ("content-type", "text/plain")])
let post = HTTP2Fields([
    (":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "h"), ("x", "y"),
])

/// HTTP/2 frames by hand (RFC 9113 §4.1, §6), so that the code under test is not checked with itself.
enum Frame {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    static func raw(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        be24(payload.count) + [type, flags] + be32(stream) + payload
    }

    static func data(_ stream: UInt32, _ bytes: [UInt8], end: Bool = false) -> [UInt8] {
        raw(0, flags: end ? 1 : 0, stream: stream, bytes)
    }

    static func headers(
        _ stream: UInt32, _ fields: [(String, String)], end: Bool = false, complete: Bool = true
    ) -> [UInt8] {
        raw(1, flags: (end ? 1 : 0) | (complete ? 4 : 0), stream: stream, block(fields))
    }

    static func request(_ stream: UInt32, end: Bool = true) -> [UInt8] {
        headers(
            stream, [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "h")], end: end
        )
    }

    static func reset(_ stream: UInt32, _ code: UInt32) -> [UInt8] { raw(3, stream: stream, be32(code)) }

    static func settings(_ entries: [(UInt16, UInt32)] = []) -> [UInt8] {
        raw(4, entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + be32($0.1) })
    }

    static let settingsAcknowledged = raw(4, flags: 1)
    static let ping = raw(6, [1, 2, 3, 4, 5, 6, 7, 8])

    static func goAway(_ last: UInt32, _ code: UInt32) -> [UInt8] { raw(7, be32(last) + be32(code)) }
    static func windowUpdate(_ stream: UInt32, _ bytes: UInt32) -> [UInt8] {
        raw(8, stream: stream, be32(bytes))
    }
    static func continuation(_ stream: UInt32, _ block: [UInt8], complete: Bool) -> [UInt8] {
        raw(9, flags: complete ? 4 : 0, stream: stream, block)
    }

    /// Literal fields without indexing (RFC 7541 §6.2.2); names and values below 127 bytes.
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += [0, UInt8(name.utf8.count)]
            bytes += name.utf8
            bytes.append(UInt8(value.utf8.count))
            bytes += value.utf8
        }
        return bytes
    }

    static func be32(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { (shift: UInt32) in UInt8(value >> shift & 0xFF) }
    }

    private static func be24(_ value: Int) -> [UInt8] { Array(be32(UInt32(value)).dropFirst()) }

    /// Type, flags, stream and payload of every frame.
    static func parse(_ bytes: [UInt8]) -> [(type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8])] {
        var frames: [(type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8])] = []
        var rest = bytes[...]
        if rest.starts(with: preface) { rest = rest.dropFirst(preface.count) }
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let stream = head[5...8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            frames.append((head[3], head[4], stream, Array(rest.dropFirst(9).prefix(count))))
            rest = rest.dropFirst(9 + count)
        }
        return frames
    }
}

func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SeededRandom(seed: seed)
    return random.bytes(count)
}

/// How long the fuzz tests run; 0 runs the fixed cases only.
let fuzzSeconds = getenv("SLUICE_FUZZ_SECONDS").flatMap { Int(String(cString: $0)) } ?? 0

/// So many complete requests, on streams 1, 3, 5 and so on.
func requests(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count { bytes += Frame.request(UInt32(2 * index + 1)) }
    return bytes
}

/// For closures that cannot throw: an error fails the test.
func noThrow(_ body: () throws -> Void) {
    do { try body() } catch { Issue.record(error) }
}
