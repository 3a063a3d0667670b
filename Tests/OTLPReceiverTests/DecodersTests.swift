import Compression
import Foundation
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these what a client compressed is lost or altered, or a few kilobytes take the gateway's memory.
@Suite struct DecodersTests {
    private let ledger = MemoryLedger()
    private let tools: LoopTools

    init() {
        tools = LoopTools(eventLoop: EmbeddedEventLoop(), ledger: ledger)
    }

    /// Every encoding that is understood, as HTTP or as gRPC.
    private static let kinds: [(encoding: ContentEncoding, compress: @Sendable ([UInt8]) -> [UInt8])] = [
        (.gzip, { bytes in collected { Gzipper().compress(bytes.span.bytes, appending: $0) } }),
        (.zstd, { bytes in collected { ZstdCompressor().compress(bytes.span.bytes, appending: $0) } }),
        (.snappy, { bytes in collected { Snappy.compress(bytes.span.bytes, appending: $0) } }),
        (.snappy, { bytes in collected { SnappyFrames.compress(bytes.span.bytes, appending: $0) } }),
        (.framedSnappy, { bytes in collected { SnappyFrames.compress(bytes.span.bytes, appending: $0) } }),
    ]

    private func answer(
        _ body: [UInt8], _ encoding: ContentEncoding, grpc: Bool, limit: Int = 1 << 20, rear: Rear = Rear()
    ) -> Answer? {
        let reader = RequestReader(tools: tools, limits: RequestLimits(isGRPC: grpc, bodyBytesMax: limit))
        if let failure = reader.begin(rear.target(), encoding: encoding, contentLength: nil) {
            return .failed(failure)
        }
        if let failure = reader.append(grpc ? grpcMessage(body, flag: 1) : body) { return .failed(failure) }
        return reader.finish {
            Issue.record("nobody answers later")
            return Acknowledgement { _ in }
        }
    }

    @Test(arguments: kinds.indices, [false, true])
    func whatAClientCompressedArrives(kind: Int, grpc: Bool) {
        let (encoding, compress) = Self.kinds[kind]
        for items in [1, 3, 2000] {
            let request = RequestBuilder.make(.traces, items: items)
            let rear = Rear()
            #expect(answer(compress(request), encoding, grpc: grpc, rear: rear)?.isAccepted == true)
            #expect(rear.consumer.takenItems == [items] && rear.consumer.taken[0].bytes == request.count)
        }
    }

    /// Scenario: 64 MiB of zeros; the limit is 100 000 bytes.
    /// Guarantees: refused with the client's own fault, and what is charged meanwhile is given back.
    @Test(arguments: kinds.indices, [false, true])
    func bombsAreRefused(kind: Int, grpc: Bool) {
        let (encoding, compress) = Self.kinds[kind]
        // A block of snappy is a twentieth of its text at best.
        let bomb = compress([UInt8](repeating: 0, count: encoding == .gzip ? 16 << 20 : 1_500_000))
        let failure = answer(bomb, encoding, grpc: grpc, limit: 100_000)?.failure
        #expect(failure?.httpStatus == 413)
        #expect(failure?.code == (grpc ? .resourceExhausted : .invalidArgument))
        #expect(failure?.message.contains("after decompression") == true)
        #expect(ledger.bytes == 0)
    }

    /// Guarantees: the limiter is asked for what a body probably inflates to, before it is inflated.
    @Test(arguments: kinds.indices)
    func theLimiterIsAskedFirst(kind: Int) {
        let (encoding, compress) = Self.kinds[kind]
        let rear = Rear()
        let body = compress(RequestBuilder.make(.traces, items: 2000))
        rear.limiter.refusesAbove = BufferPool.roundedCapacity(max(2 * body.count, 16 << 10))
        let failure = answer(body, encoding, grpc: false, rear: rear)?.failure
        #expect(failure?.httpStatus == 503 && ledger.bytes == 0 && rear.consumer.asked == 0)
    }

    /// Guarantees: a client learns that what it sent is damaged, and how.
    @Test(arguments: kinds.indices)
    func damageIsNamed(kind: Int) {
        let (encoding, compress) = Self.kinds[kind]
        let body = Array(compress(RequestBuilder.make(.traces, items: 30)).dropLast(3))
        let http = answer(body, encoding, grpc: false)?.failure
        #expect(http?.httpStatus == 400 && http?.code == .invalidArgument)
        #expect(http?.message.hasPrefix("the body is not valid \(encoding.rawValue): ") == true)
        let grpc = answer(body, encoding, grpc: true)?.failure
        #expect(grpc?.code == .internal)
        #expect(
            grpc?.message.hasPrefix(
                "grpc: failed to decompress the received message: \(encoding.rawValue): ") == true)
    }

    /// Scenario: bodies of all encodings with bytes changed, removed and cut off, from a fixed seed.
    /// Guarantees: each is taken or answered as the client's own fault; nothing crashes, no memory stays charged.
    /// Lengthened by SLUICE_FUZZ_SECONDS.
    @Test func damagedBodiesHarmNobody() {
        let seconds = Double(ProcessInfo.processInfo.environment["SLUICE_FUZZ_SECONDS"] ?? "") ?? 0.3
        let end = Date(timeIntervalSinceNow: seconds)
        var random = SeededRandom(seed: 11)
        let request = RequestBuilder.make(.traces, items: 20)
        let bodies = Self.kinds.map { $0.compress(request) }
        var round = 0
        repeat {
            let kind = round % bodies.count
            var body = bodies[kind]
            for _ in 0...(random.next() % 3) {
                let at = Int(random.next() % UInt64(body.count))
                switch random.next() % 4 {
                case 0: body[at] ^= 1 << UInt8(random.next() % 8)
                case 1: body[at] = UInt8(truncatingIfNeeded: random.next())
                case 2: body.remove(at: at)
                default: body.removeSubrange(at...)
                }
                if body.isEmpty { body = [0] }
            }
            let grpc = random.next() % 2 == 0
            let limit = Int(random.next() % 2 == 0 ? 1 << 20 : random.next() % 4000)
            let answer = self.answer(body, Self.kinds[kind].encoding, grpc: grpc, limit: limit)
            if let failure = answer?.failure {
                #expect([400, 413].contains(failure.httpStatus), "round \(round)")
            } else {
                #expect(answer?.isAccepted == true, "round \(round)")
            }
            #expect(ledger.bytes == 0, "round \(round)")
            round += 1
        } while Date() < end || round < 500
    }
}

/// The bytes that a compressor appends.
private func collected(_ compress: (AppendingRoom) -> Int) -> [UInt8] {
    var buffer = ByteBuffer()
    let count = compress { minimum, fill in
        buffer.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
    }
    precondition(count == buffer.readableBytes)
    return Array(buffer.readableBytesView)
}
