internal import NIOCore

/// The beginning of a client's connection, served without a session: preface and settings, and then silence, take a
/// hundred bytes instead of nghttp2's thirteen thousand.
///
/// Answers the client's SETTINGS itself. The session that follows is given the same bytes; what it has to say about them
/// is left out, since it was said. Anything out of the ordinary is left to the session.
struct HTTP2Greeting {
    /// What comes of some bytes.
    enum Step: Equatable {
        /// Nothing that needs a session has come.
        case wait
        /// Make a session and give it `seen`; of its output nothing is news.
        case begin
    }

    /// More than settings and windows need.
    private static let bytesMax = 512
    private static let preface: [UInt8] = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let settingsAcknowledged: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]

    /// The whole frames that were understood here.
    private(set) var seen: [UInt8] = []
    /// What came behind them; the session reads it after `seen`.
    private(set) var rest: [UInt8] = []
    /// Whether the client's settings have come.
    private(set) var hasPeerSettings = false
    private var acknowledgements = 0
    private var windowBytes = 0

    /// Reads on.
    /// - Parameter answer: gets what the client must be told at once.
    mutating func receive(_ bytes: UnsafeRawBufferPointer, answer: inout ByteBuffer) -> Step {
        guard seen.count + rest.count + bytes.count <= Self.bytesMax else {
            unsafe rest.append(contentsOf: bytes)
            return .begin
        }
        unsafe rest.append(contentsOf: bytes)
        if seen.isEmpty {
            guard rest.starts(with: Self.preface) else {
                return Self.preface.starts(with: rest) ? .wait : .begin
            }
            take(Self.preface.count)
        }
        while rest.count >= 9 {
            let length = Int(rest[0]) << 16 | Int(rest[1]) << 8 | Int(rest[2])
            let isConnection = rest[5...8].allSatisfy { $0 == 0 }
            guard isConnection, length <= Self.bytesMax else { return .begin }
            guard rest.count >= 9 + length else { return rest[3] == 4 || rest[3] == 8 ? .wait : .begin }
            let payload = rest[9..<9 + length]
            switch (rest[3], rest[4]) {
            case (4, 0) where Self.areUsual(payload):
                hasPeerSettings = true
                answer.writeBytes(Self.settingsAcknowledged)
            // Theirs have to come first (RFC 9113 §3.4).
            case (4, 1) where length == 0 && hasPeerSettings && acknowledgements == 0: acknowledgements = 1
            case (8, _) where length == 4 && hasPeerSettings:
                let increment = payload.reduce(0) { $0 << 8 | Int($1) }
                windowBytes += increment
                guard increment > 0, windowBytes < 1 << 30 else { return .begin }
            default: return .begin
            }
            take(9 + length)
        }
        return .wait
    }

    private mutating func take(_ count: Int) {
        seen += rest.prefix(count)
        rest.removeFirst(count)
    }

    /// Whether settings are what RFC 9113 §6.5.2 allows.
    private static func areUsual(_ payload: ArraySlice<UInt8>) -> Bool {
        guard payload.count % 6 == 0 else { return false }
        for at in stride(from: payload.startIndex, to: payload.endIndex, by: 6) {
            let value = payload[at + 2..<at + 6].reduce(0) { $0 << 8 | Int($1) }
            switch Int(payload[at]) << 8 | Int(payload[at + 1]) {
            case 2, 8: guard value <= 1 else { return false }
            case 4: guard value < 1 << 31 else { return false }
            case 5: guard (16_384...16_777_215).contains(value) else { return false }
            default: break
            }
        }
        return true
    }
}

extension HTTP2Settings {
    /// SETTINGS and the connection's window of a server, as they are sent first.
    var greeting: ByteBuffer {
        var bytes = ByteBuffer()
        let entries: [(UInt16, UInt32)] = [
            (4, UInt32(streamWindowBytes)), (5, maxFrameBytes), (6, UInt32(maxHeaderBytes)),
            (3, maxConcurrentStreams),
        ]
        bytes.writeInteger(UInt32(entries.count * 6) << 8 | 4)
        bytes.writeBytes([0, 0, 0, 0, 0])
        for (id, value) in entries {
            bytes.writeInteger(id)
            bytes.writeInteger(value)
        }
        let increment = connectionWindowBytes - 65_535
        if increment > 0 {
            bytes.writeBytes([0, 0, 4, 8, 0, 0, 0, 0, 0])
            bytes.writeInteger(UInt32(increment))
        }
        return bytes
    }
}
