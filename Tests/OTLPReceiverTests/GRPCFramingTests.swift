import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these a message that is cut, doubled or lied about is taken for another one, or its client waits for ever.
@Suite struct GRPCFramingTests {
    private let ledger = MemoryLedger()
    private let tools: LoopTools
    private let rear = Rear()
    private let request = RequestBuilder.make(.traces, items: 2)

    init() {
        tools = LoopTools(eventLoop: EmbeddedEventLoop(), ledger: ledger)
    }

    /// A reader in the middle of a call; small limits show what is held.
    private func call(_ encoding: ContentEncoding = .identity, limit: Int = 4 << 20) -> RequestReader {
        let reader = tools.reader(grpc: true, limit: limit)
        #expect(reader.begin(rear.target(), encoding: encoding, contentLength: nil) == nil)
        return reader
    }

    private func finish(_ reader: RequestReader) -> Answer? {
        reader.finish {
            Issue.record("nobody answers later")
            return Acknowledgement { _ in }
        }
    }

    private func expectNothingLeft(_ reader: RequestReader, undecodable: Int = 1) {
        #expect(!reader.isReading && ledger.bytes == 0 && rear.consumer.asked == 0)
        #expect(rear.count("sluice_receiver_undecodable_requests") == undecodable)
    }

    @Test(arguments: [ContentEncoding.identity, .gzip]) func aMessageMayBeCutAnywhere(
        encoding: ContentEncoding
    ) {
        let message =
            encoding == .gzip ? grpcMessage(gzipped(request), flag: 1) : grpcMessage(request)
        for cut in 0...message.count {
            let reader = call(encoding)
            #expect(reader.append(Array(message[..<cut])) == nil)
            #expect(reader.append(Array(message[cut...])) == nil)
            #expect(finish(reader)?.isAccepted == true)
        }
        #expect(rear.takenBytes == Array(repeating: request, count: message.count + 1))
    }

    /// Guarantees: a call that ends before its message does is the client's fault, and none of it is taken.
    @Test func halfAMessageIsNone() {
        let message = grpcMessage(request)
        for count in 0..<message.count {
            let reader = call()
            #expect(reader.append(Array(message[..<count])) == nil)
            let failure = finish(reader)?.failure
            let missing =
                count < 5
                ? "\(count) of 5 prefix bytes received" : "\(message.count - count) bytes missing"
            #expect(
                failure == .init(.internal, 400, "grpc: unexpected end of message, \(missing)"),
                "\(count) bytes")
            expectNothingLeft(reader, undecodable: count + 1)
        }
    }

    @Test(arguments: [1, 5, 1000]) func aPrefixThatSaysTooMuch(excess: Int) {
        let reader = call()
        #expect(reader.append(grpcMessage(request, length: request.count + excess)) == nil)
        let message = "grpc: unexpected end of message, \(excess) bytes missing"
        #expect(finish(reader)?.failure == .init(.internal, 400, message))
        expectNothingLeft(reader)
    }

    /// Guarantees: what follows a message is neither dropped nor read as a part of it.
    @Test(arguments: [1, 5, 100]) func aPrefixThatSaysTooLittle(lack: Int) {
        let reader = call()
        let failure = reader.append(grpcMessage(request, length: request.count - lack))
        #expect(failure == .init(.internal, 400, "grpc: more than one message in a unary request"))
        expectNothingLeft(reader)
    }

    @Test func aSecondMessageHoweverItComes() {
        let first = grpcMessage(request)
        for (index, second) in [first, grpcMessage([]), [0]].enumerated() {
            let together = call()
            let failure = together.append(first + second)
            #expect(failure == .init(.internal, 400, "grpc: more than one message in a unary request"))
            let apart = call()
            #expect(apart.append(first) == nil)
            #expect(apart.append(second) == failure)
            let empty = call()
            #expect(empty.append(grpcMessage([]) + second) == failure)
            // Its rest is thrown away, and its end needs no second answer.
            for reader in [together, apart, empty] {
                #expect(reader.append(second) == nil && finish(reader) == nil)
                expectNothingLeft(reader, undecodable: 3 * (index + 1))
            }
        }
    }

    /// Guarantees: the prefix is enough to say no, and a length that no integer of 32 signed bits holds is one, too.
    @Test(arguments: [1001, 1 << 31, 0xFFFF_FFFF]) func aPrefixAboveTheLimit(length: Int) {
        let prefix = grpcMessage([], length: length)
        let reader = call(limit: 1000)
        #expect(reader.append(Array(prefix.dropLast())) == nil)
        let failure = reader.append([prefix[4]])
        let message =
            "grpc: received message larger than max (\(length) vs. 1000); limit max_recv_msg_size_mib"
        #expect(failure == .init(.resourceExhausted, 413, message))
        expectNothingLeft(reader, undecodable: 0)
        #expect(rear.count("sluice_receiver_too_large_requests") == 1)
        let allowed = call(limit: 1000)
        #expect(allowed.append(grpcMessage([], length: 1000)) == nil && allowed.isReading)
    }

    @Test(arguments: [UInt8(2), 3, 0x80, 0xFF]) func aFlagThatNobodyKnows(flag: UInt8) {
        for (index, encoding) in [ContentEncoding.identity, .gzip].enumerated() {
            let reader = call(encoding)
            let failure = reader.append([flag])
            #expect(failure == .init(.internal, 400, "grpc: received unexpected payload format \(flag)"))
            expectNothingLeft(reader, undecodable: index + 1)
        }
    }

    @Test func compressedWithoutSayingHow() {
        let reader = call()
        let failure = reader.append(grpcMessage(gzipped(request), flag: 1))
        #expect(failure == .init(.internal, 400, "grpc: compressed flag set with identity or empty encoding"))
        expectNothingLeft(reader)
    }

    /// Guarantees: an encoding is what a call may use, the flag says whether a message does.
    @Test func plainThoughItMightBeCompressed() {
        let reader = call(.gzip)
        #expect(reader.append(grpcMessage(request)) == nil)
        #expect(finish(reader)?.isAccepted == true && rear.takenBytes == [request])
    }

    /// Scenario: a client resets its call wherever it is, and its stream's place serves another call.
    @Test func aResetInTheMiddleLeavesNothing() {
        let message = grpcMessage(request)
        let reader = call()
        for cut in [0, 1, 4, 5, 6, message.count - 1, message.count] {
            #expect(reader.append(Array(message[..<cut])) == nil && reader.isReading)
            reader.abandon()
            #expect(reader.append(Array(message[cut...])) == nil && finish(reader) == nil)
            expectNothingLeft(reader, undecodable: 0)
            #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
        }
        #expect(reader.append(message) == nil && finish(reader)?.isAccepted == true)
        #expect(rear.takenBytes == [request])
    }

    /// Guarantees: the limiter is asked before the first byte, and again when the size is known.
    @Test func theLimiterMayRefuseTwice() {
        let busy = Refusal(.memory, "full", retryAfterSeconds: 1)
        rear.limiter.refusesAbove = 1 << 16
        let reader = call()
        #expect(reader.append(grpcMessage([], length: 1 << 20)) == Answer.Failure(busy))
        expectNothingLeft(reader, undecodable: 0)
        rear.limiter.refusesAbove = -1
        let refused = tools.reader(grpc: true)
        #expect(
            refused.begin(rear.target(), encoding: .identity, contentLength: nil) == Answer.Failure(busy))
        #expect(refused.append(grpcMessage(request)) == nil && finish(refused) == nil)
        #expect(rear.count("sluice_receiver_refused_requests") == 2 && rear.consumer.asked == 0)
    }
}
