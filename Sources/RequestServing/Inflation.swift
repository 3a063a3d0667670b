internal import Compression
internal import NIOCore
internal import Pipeline

/// Decompresses one body: at once when it is small, else in pieces, so that nobody else waits for megabytes. Event loop
/// only.
final class Inflation {
    /// A body of more bytes than these, as it was received and decompressed, is decompressed in pieces.
    private static let (receivedBytesMax, wholeBytesMax) = (128 << 10, 1 << 20)
    /// So is one that inflates to more than so many times its size, and to so many bytes: many fit into one read.
    private static let (expansionMax, expandedBytesMin) = (32, 64 << 10)
    /// Room that a piece may ask for.
    static let pieceBytes = 256 << 10

    let received: Payload
    /// What it inflates to, as far as that is known. Made when it is needed: many bodies wait for their turn.
    private(set) lazy var whole = Payload(capacity: roomBytes, pool: tools.pool, ledger: tools.ledger)
    private let tools: LoopTools
    private let encoding: ContentEncoding
    private let limitBytes: Int
    private let decoders: Decoders
    private var isBegun = false
    /// How it ended.
    private(set) var result: Result<Void, InflateError>?

    init(_ received: Payload, as encoding: ContentEncoding, limitBytes: Int, _ tools: LoopTools) {
        self.received = received
        self.encoding = encoding
        self.limitBytes = limitBytes
        self.tools = tools
        decoders = tools.decoders
    }

    /// Four times is what telemetry usually inflates to; the decoder asks for more when it needs it.
    private var roomBytes: Int { min(4 * received.bytes.readableBytes, limitBytes) }

    /// Decompresses what does not take long.
    /// - Parameter mayWait: whether there are pieces for the rest; else all of it is done.
    func begin(mayWait: Bool) {
        let count = received.bytes.readableBytes
        let small = min(Self.wholeBytesMax, max(Self.expansionMax * count, Self.expandedBytesMin))
        let isWhole = !mayWait || encoding.pieces == nil || limitBytes <= small
        let most = isWhole ? limitBytes : small
        if !isWhole, count > Self.receivedBytesMax { return }
        decode { input in
            if !isWhole, self.encoding == .gzip, Gunzipper.guess(input) > most { return nil }
            do throws(InflateError) {
                try self.decoders.decode(input, as: self.encoding, limitBytes: most, appending: self.append)
                return .success(())
            } catch {
                if !isWhole, case .tooLarge = error { return nil }
                return .failure(error)
            }
        }
        if result == nil { forget() }
    }

    /// What was decompressed in vain takes no memory.
    private func forget() {
        whole = Payload(capacity: 0, pool: tools.pool, ledger: tools.ledger)
    }

    /// Decompresses a piece more.
    func step() {
        decode { input in
            do throws(InflateError) {
                if !self.isBegun {
                    self.isBegun = true
                    guard let format = self.encoding.pieces else { preconditionFailure("not in pieces") }
                    try self.decoders.pieces.begin(input, as: format, limitBytes: self.limitBytes)
                }
                let isDone = try self.decoders.pieces.next(
                    input, limitBytes: self.limitBytes, appending: self.append)
                return isDone ? .success(()) : nil
            } catch {
                return .failure(error)
            }
        }
    }

    private func decode(_ body: (borrowing RawSpan) -> Result<Void, InflateError>?) {
        result = unsafe received.bytes.withUnsafeReadableBytes { bytes in
            // SAFETY: used within this call only.
            unsafe body(RawSpan(_unsafeBytes: bytes))
        }
        whole.adjustCharge()
    }

    private func append(_ minimum: Int, _ fill: (inout OutputRawSpan) -> Void) {
        whole.bytes.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
    }
}

extension ContentEncoding {
    /// How it is decompressed in pieces, if that can be done.
    fileprivate var pieces: PieceDecoder.Format? {
        switch self {
        case .gzip: .gzip
        case .zlib: .zlib
        case .zstd: .zstd
        case .lz4: .lz4
        case .identity, .snappy, .framedSnappy: nil
        }
    }
}
