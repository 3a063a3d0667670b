import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these compressed or JSON bodies arrive as something else, or a few of them fill the memory.
@Suite struct EncodedBodyTests {
    private let ledger = MemoryLedger()
    private let tools: LoopTools
    private let rear = Rear()
    private let request = RequestBuilder.make(.traces, items: 4)

    init() {
        tools = LoopTools(eventLoop: EmbeddedEventLoop(), ledger: ledger)
    }

    /// How a body that comes whole is answered.
    private func answer(
        _ body: [UInt8], _ encoding: ContentEncoding, grpc: Bool = false, json: Bool = false,
        limit: Int = 4 << 20, to other: Rear? = nil
    ) -> Answer? {
        let target = (other ?? rear).target()
        let reader = tools.reader(grpc: grpc, limit: limit)
        let bytes = grpc ? grpcMessage(body, flag: encoding == .identity ? 0 : 1) : body
        let length = grpc ? nil : bytes.count
        #expect(
            reader.begin(json ? target.forJSON : target, encoding: encoding, contentLength: length) == nil)
        #expect(reader.append(bytes) == nil)
        defer { #expect(!reader.isReading) }
        return reader.finish {
            Issue.record("nobody answers later")
            return Acknowledgement { _ in }
        }
    }

    @Test func compressedBodiesAreWhatWasCompressed() {
        #expect(answer(gzipped(request), .gzip)?.isAccepted == true)
        #expect(answer(gzipped(request), .gzip, grpc: true)?.isAccepted == true)
        #expect(answer(zlibbed(request), .zlib)?.isAccepted == true)
        // Members one behind the other are one body.
        let members = gzipped(Array(request[..<100])) + gzipped(Array(request[100...]))
        #expect(answer(members, .gzip)?.isAccepted == true)
        #expect(rear.takenBytes == Array(repeating: request, count: 4))
        #expect(rear.consumer.takenItems == [4, 4, 4, 4])
    }

    /// Guarantees: who passes members on gets those of the client, and nobody else pays for keeping them.
    @Test(arguments: [true, false]) func membersAreKeptForWhoWantsThem(keepsGzip: Bool) {
        let rear = Rear(keepsGzip: keepsGzip)
        let member = gzipped(request)
        #expect(answer(member, .gzip, to: rear)?.isAccepted == true)
        #expect(answer(zlibbed(request), .zlib, to: rear)?.isAccepted == true)
        let kept = rear.consumer.taken.map { $0.slices[0].gzipMembers }
        #expect(kept == [keepsGzip ? ByteBuffer(bytes: member) : nil, nil])
    }

    /// Guarantees: half a compressed body is none, and says so in the words of its protocol.
    @Test func damagedBodiesAreRefused() {
        let whole = gzipped(request)
        var flipped = whole
        flipped[whole.count - 6] ^= 1
        let truncated = "the body is truncated, damaged, or fails its checksum"
        let cases: [([UInt8], ContentEncoding, String)] = [
            (Array(whole.dropLast()), .gzip, truncated),
            (Array(whole[..<(whole.count / 2)]), .gzip, truncated),
            (flipped, .gzip, truncated),
            (request, .gzip, "the body does not start as this encoding does"),
            (whole, .zlib, "the body does not start as this encoding does"),
            (whole + [7], .gzip, "bytes follow the end of the compressed data"),
        ]
        for (index, (body, encoding, damage)) in cases.enumerated() {
            #expect(
                answer(body, encoding)?.failure
                    == .init(
                        .invalidArgument, 400, "the body is not valid \(encoding.rawValue): \(damage)"))
            let message = "grpc: failed to decompress the received message: \(encoding.rawValue): \(damage)"
            #expect(answer(body, encoding, grpc: true)?.failure == .init(.internal, 400, message))
            #expect(rear.count("sluice_receiver_undecodable_requests") == 2 * (index + 1))
        }
        #expect(rear.consumer.asked == 0 && ledger.bytes == 0)
    }

    /// Scenario: a few kilobytes that become a few megabytes.
    @Test func whatInflatesAboveTheLimitIsTooLarge() {
        let bomb = gzipped(Array(repeating: 0, count: 4 << 20))
        let limit = 64 << 10
        #expect(
            answer(bomb, .gzip, limit: limit)?.failure
                == .init(
                    .invalidArgument, 413,
                    "http: request body too large: more than 65536 bytes after decompression, limit 65536"
                        + " (max_request_body_size)"))
        #expect(
            answer(bomb, .gzip, grpc: true, limit: limit)?.failure
                == .init(
                    .resourceExhausted, 413,
                    "grpc: received message after decompression larger than max (more than 65536 vs. 65536);"
                        + " limit max_recv_msg_size_mib"))
        #expect(rear.count("sluice_receiver_too_large_requests") == 2)
        #expect(rear.consumer.asked == 0 && ledger.bytes == 0)
        // The limit itself is allowed.
        #expect(answer(gzipped(request), .gzip, limit: request.count)?.isAccepted == true)
        #expect(answer(gzipped(request), .gzip, limit: request.count - 1)?.failure?.httpStatus == 413)
    }

    /// Guarantees: a body that there is room for only while it is small waits outside.
    @Test func theLimiterIsAskedForWhatABodyInflatesTo() {
        let body = gzipped(RequestBuilder.make(.traces, items: 1000))
        rear.limiter.refusesAbove = 2 * body.count
        let failure = answer(body, .gzip)?.failure
        #expect(failure == Answer.Failure(Refusal(.memory, "full", retryAfterSeconds: 1)))
        #expect(rear.count("sluice_receiver_refused_requests") == 1)
        #expect(rear.consumer.asked == 0 && ledger.bytes == 0)
    }

    @Test func jsonIsTakenAsProtobuf() {
        let json = Array(#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}"#.utf8)
        for (body, encoding) in [
            (json, ContentEncoding.identity), (gzipped(json), .gzip), (zlibbed(json), .zlib),
        ] {
            #expect(answer(body, encoding, json: true)?.isAccepted == true)
        }
        let spans: [UInt8] = [
            0x0A, 0x0C, 0x12, 0x0A, 0x12, 0x03, 0x2A, 0x01, 0x61, 0x12, 0x03, 0x2A, 0x01, 0x62,
        ]
        #expect(rear.takenBytes == Array(repeating: spans, count: 3))
        #expect(rear.consumer.takenItems == [2, 2, 2])
        #expect(answer(Array("{}".utf8), .identity, json: true)?.isAccepted == true)
        #expect(rear.consumer.asked == 3)
    }

    @Test(arguments: [
        ("", "the JSON text ends early at byte 0"),
        (#"{"resourceSpans":[{]}"#, "expected a key or } at byte 19, in resourceSpans[0]"),
        (#"{"resourceSpans":[]} 7"#, "expected the end of the text at byte 21"),
    ])
    func whatIsNoJSONIsRefused(text: String, message: String) {
        #expect(
            answer(Array(text.utf8), .identity, json: true)?.failure
                == .init(.invalidArgument, 400, message))
        #expect(rear.count("sluice_receiver_undecodable_requests") == 1)
        #expect(rear.consumer.asked == 0 && ledger.bytes == 0)
    }

    /// Guarantees: the reason, the place and the field are named, which is what a client's author needs.
    @Test func whatIsNoProtobufIsRefusedWithThePlace() {
        let body: [UInt8] = [0x0A, 0x04, 0x12, 0x02, 0x12, 0x05]
        let place = "truncated field at byte 4, in opentelemetry.proto.trace.v1.ScopeSpans field 2 (spans)"
        #expect(answer(body, .identity)?.failure == .init(.invalidArgument, 400, place))
        #expect(
            answer(body, .identity, grpc: true)?.failure
                == .init(.internal, 400, "grpc: error unmarshalling request: \(place)"))
        #expect(rear.count("sluice_receiver_undecodable_requests") == 2 && rear.consumer.asked == 0)
    }
}
