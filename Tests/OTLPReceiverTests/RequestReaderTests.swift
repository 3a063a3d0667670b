import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these half a request is taken for a whole one, or memory is held that no limit knows of.
@Suite struct RequestReaderTests {
    private let loop = EmbeddedEventLoop()
    private let ledger = MemoryLedger()
    private let tools: LoopTools
    private let request = RequestBuilder.make(.traces, items: 3)

    init() {
        tools = LoopTools(eventLoop: loop, ledger: ledger)
    }

    private func reader(grpc: Bool = false, limit: Int = 4 << 20) -> RequestReader {
        tools.reader(grpc: grpc, limit: limit)
    }

    private func finish(_ reader: RequestReader) -> Answer? {
        reader.finish {
            Issue.record("nobody answers later")
            return Acknowledgement { _ in }
        }
    }

    @Test(arguments: [1, 5, 100, 1 << 20]) func aBodyInPartsIsOneRequest(size: Int) {
        for isGRPC in [true, false] {
            let rear = Rear()
            let reader = reader(grpc: isGRPC)
            let bytes = isGRPC ? grpcMessage(request) : request
            let length = isGRPC ? nil : bytes.count
            #expect(reader.begin(rear.target(), encoding: .identity, contentLength: length) == nil)
            for start in stride(from: 0, to: bytes.count, by: size) {
                #expect(reader.append(Array(bytes[start..<min(start + size, bytes.count)])) == nil)
            }
            #expect(finish(reader)?.isAccepted == true)
            #expect(rear.consumer.takenItems == [3])
            #expect(rear.takenBytes == [request])
            #expect(rear.count("otelcol_receiver_accepted_spans") == 3)
        }
    }

    /// Looks whether it may change what it is handed.
    private final class Owner: Consumer {
        let alone = Noted<[Bool]>([])
        let room = Noted<[Int]>([])

        func consume(_ batch: Batch) -> Refusal? {
            alone.change { $0.append(batch.hasBytesAlone) }
            room.change { $0 += batch.slices.map { $0.payload.bytes.readerIndex } }
            return nil
        }

        func drop(_ batch: Batch, because refusal: Refusal) {}
    }

    /// Scenario: a request comes, as it is or compressed. Guarantees: nobody but its batch has its bytes, and there is room in front
    /// of them; else every processor that changes resources copies every request.
    @Test(arguments: [false, true]) func theBytesAreTheBatchs(isGRPC: Bool) {
        let (rear, owner) = (Rear(), Owner())
        let target = Target(
            signal: .traces, input: PipelineInput(owner), counters: rear.target().counters)
        let whole = RequestBuilder.make(.traces, items: 50)
        for encoding in [ContentEncoding.identity, .gzip] {
            let reader = reader(grpc: isGRPC)
            let bytes = encoding == .gzip ? gzipped(whole) : whole
            let length = isGRPC ? nil : bytes.count
            #expect(reader.begin(target, encoding: encoding, contentLength: length) == nil)
            let body = isGRPC ? grpcMessage(bytes, flag: encoding == .gzip ? 1 : 0) : bytes
            #expect(reader.append(body) == nil)
            #expect(finish(reader)?.isAccepted == true)
        }
        #expect(owner.alone.value == [true, true])
        #expect(owner.room.value.allSatisfy { $0 >= 512 })
    }

    /// Scenario: one of two spans has a name in Latin-1. Guarantees: the request is taken, whole and as UTF-8, and the
    /// service is counted; before, everybody's data behind the same agent was refused with it.
    @Test func textThatIsNotUTF8IsRepaired() {
        func request(_ name: [UInt8]) -> [UInt8] {
            var resource = ProtoWriter()
            resource.message(1) {
                $0.message(1) {
                    $0.message(1) {
                        $0.text(1, "service.name")
                        $0.message(2) { $0.text(1, "old") }
                    }
                }
                $0.message(2) {
                    $0.message(2) { $0.field(5, name) }
                    $0.message(2) { $0.text(5, "fine") }
                }
            }
            return resource.bytes
        }
        let rear = Rear(keepsGzip: true)
        for isGRPC in [true, false] {
            let reader = reader(grpc: isGRPC)
            let bytes = gzipped(request([0x63, 0x61, 0x66, 0xE9]))
            #expect(reader.begin(rear.target(), encoding: .gzip, contentLength: nil) == nil)
            #expect(reader.append(isGRPC ? grpcMessage(bytes, flag: 1) : bytes) == nil)
            #expect(finish(reader)?.isAccepted == true)
        }
        #expect(rear.takenBytes == Array(repeating: request(Array("caf\u{FFFD}".utf8)), count: 2))
        // What was compressed is no longer what is handed on.
        #expect(rear.consumer.taken.allSatisfy { $0.slices.allSatisfy { $0.payload.gzipMembers == nil } })
        #expect(rear.count("sluice_receiver_repaired_texts{") == 2)
        #expect(String(decoding: rear.registry.render(), as: UTF8.self).contains("service=\"old\""))
    }

    /// Scenario: the same in JSON. Guarantees: the same.
    @Test func textThatIsNotUTF8IsRepairedInJSON() {
        let rear = Rear()
        let reader = reader()
        let text =
            Array(#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"#.utf8) + [0xFF]
            + Array(#"b"}]}]}]}"#.utf8)
        #expect(reader.begin(rear.target().forJSON, encoding: .identity, contentLength: nil) == nil)
        #expect(reader.append(text) == nil)
        #expect(finish(reader)?.isAccepted == true)
        var wanted = ProtoWriter()
        wanted.message(1) { $0.message(2) { $0.message(2) { $0.text(5, "a\u{FFFD}b") } } }
        let texts = rear.takenBytes.map { String(decoding: $0, as: UTF8.self) }
        #expect(
            texts.count == 1
                && texts.allSatisfy { $0.contains("a\u{FFFD}b") && $0.utf8.count <= wanted.bytes.count + 12 })
        #expect(rear.count("sluice_receiver_repaired_texts{") == 1)
    }

    /// Scenario: a trace id of 15 bytes. Guarantees: refused by the name that clients know for bad data, not retried.
    @Test func idsOfAWrongLengthAreTheClientsFault() {
        var request = ProtoWriter()
        request.message(1) { $0.message(2) { $0.message(2) { $0.field(1, Array(repeating: 1, count: 15)) } } }
        for isGRPC in [true, false] {
            let rear = Rear()
            let reader = reader(grpc: isGRPC)
            #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
            #expect(reader.append(isGRPC ? grpcMessage(request.bytes) : request.bytes) == nil)
            let failure = finish(reader)?.failure
            #expect(failure?.code == .invalidArgument && failure?.httpStatus == 400)
            #expect(failure?.message.contains("(trace_id)") == true)
            #expect(rear.count("sluice_receiver_undecodable_requests") == 1)
        }
    }

    /// Scenario: five bytes announce four megabytes, or a head twenty.
    @Test func whatIsOnlyAnnouncedHoldsLittle() {
        let grpc = reader(grpc: true)
        #expect(grpc.begin(Rear().target(), encoding: .identity, contentLength: nil) == nil)
        #expect(grpc.append(grpcMessage([], length: 4 << 20)) == nil)
        #expect(ledger.bytes <= 64 << 10)
        let http = reader(limit: 20 << 20)
        #expect(http.begin(Rear().target(), encoding: .identity, contentLength: 20 << 20) == nil)
        #expect(ledger.bytes <= 128 << 10)
        grpc.abandon()
        http.abandon()
        #expect(ledger.bytes == 0)
    }

    /// Scenario: the limiter refuses before, or while, a body comes.
    @Test func theLimiterIsAskedForTheWholeBody() {
        let rear = Rear()
        rear.limiter.refusesAbove = 100_000
        let reader = reader()
        let refused = reader.begin(rear.target(), encoding: .identity, contentLength: 1 << 20)
        #expect(refused?.httpStatus == 503 && refused?.retryAfterSeconds == 1)
        #expect(rear.count("sluice_receiver_refused_requests") == 1)
        // What comes all the same is answered by nobody a second time.
        #expect(!reader.isReading && reader.append(request) == nil && finish(reader) == nil)
        #expect(rear.consumer.asked == 0 && ledger.bytes == 0)
        // A body of which nobody has said the size.
        #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
        var failure: Answer.Failure?
        for _ in 0..<100 where failure == nil { failure = reader.append(Array(repeating: 0, count: 4096)) }
        #expect(failure?.httpStatus == 503 && ledger.bytes == 0)
        // The rest is thrown away, and answered by nobody.
        #expect(reader.append([1, 2, 3]) == nil && finish(reader) == nil)
    }

    @Test(arguments: [999, 1000, 1001]) func theLimitIsTheLimit(size: Int) {
        let rear = Rear()
        let reader = reader(limit: 1000)
        let refused = reader.begin(rear.target(), encoding: .identity, contentLength: size)
        #expect((refused?.httpStatus == 413) == (size > 1000))
        if size > 1000 {
            #expect(
                refused?.message
                    == "http: request body too large: 1001 bytes, limit 1000 (max_request_body_size)")
            #expect(refused?.retryAfterSeconds == nil && !reader.isReading)
        }
        reader.abandon()
        _ = reader.begin(rear.target(), encoding: .identity, contentLength: nil)
        let late = reader.append(Array(repeating: 0, count: size))
        #expect((late?.httpStatus == 413) == (size > 1000))
        #expect(rear.count("sluice_receiver_too_large_requests") == (size > 1000 ? 2 : 0))
    }

    @Test func whatCannotBeDecodedIsCounted() {
        for isGRPC in [true, false] {
            let rear = Rear()
            let reader = reader(grpc: isGRPC)
            _ = reader.begin(rear.target(), encoding: .identity, contentLength: nil)
            let bytes: [UInt8] = [0x0A, 0xFF, 0xFF, 0x01]
            _ = reader.append(isGRPC ? grpcMessage(bytes) : bytes)
            let failure = finish(reader)?.failure
            #expect(failure?.code == (isGRPC ? .internal : .invalidArgument) && failure?.httpStatus == 400)
            #expect(rear.count("sluice_receiver_undecodable_requests") == 1 && rear.consumer.asked == 0)
        }
    }

    /// Guarantees: a request without items is taken, and troubles nobody.
    @Test func emptyRequestsGoNowhere() {
        let rear = Rear()
        rear.consumer.refusal = Refusal(.queueFull, "full")
        let grpc = reader(grpc: true)
        _ = grpc.begin(rear.target(), encoding: .identity, contentLength: nil)
        _ = grpc.append(grpcMessage([]))
        #expect(finish(grpc)?.isAccepted == true)
        let http = reader()
        _ = http.begin(rear.target(), encoding: .identity, contentLength: 0)
        #expect(finish(http)?.isAccepted == true && rear.consumer.asked == 0)
    }

    @Test func whatThePipelineRefusesIsAnsweredAndCounted() {
        let rear = Rear()
        rear.consumer.refusal = Refusal(.queueFull, "full")
        let reader = reader()
        _ = reader.begin(rear.target(), encoding: .identity, contentLength: request.count)
        _ = reader.append(request)
        #expect(finish(reader)?.failure?.message == "full")
        #expect(rear.count("otelcol_receiver_refused_spans") == 3 && ledger.bytes == 0)
    }

    /// Guarantees: there is no answer before the destination's.
    @Test func theAnswerMayComeLater() {
        let rear = Rear(answersLater: true)
        let answers = Answers()
        let reader = reader()
        _ = reader.begin(rear.target(), encoding: .identity, contentLength: request.count)
        _ = reader.append(request)
        #expect(reader.finish { answers.acknowledgement() } == nil && answers.all.isEmpty)
        rear.consumer.taken[0].settle(.accepted)
        #expect(answers.all == [.accepted])
    }

    /// Guarantees: a byte a minute does not keep a request alive; a real part of it does, and so does a pause of ours.
    @Test func progressIsWorthTheName() {
        let reader = reader()
        let start = tools.now
        _ = reader.begin(Rear().target(), encoding: .identity, contentLength: 1 << 20)
        tools.now = start + .seconds(50)
        #expect(reader.append([0]) == nil && reader.lastProgress == start)
        #expect(reader.append(Array(repeating: 0, count: 1024)) == nil)
        #expect(reader.lastProgress == start + .seconds(50))
        reader.excuse(until: start + .seconds(70))
        #expect(reader.lastProgress == start + .seconds(70))
    }

    /// Scenario: a large request has waited for its turn until its client gave up, or not so long.
    /// Guarantees: of what the client sends again nothing is taken the first time.
    @Test(arguments: [false, true]) func aLargeRequestIsNotBegunTooLate(isLate: Bool) {
        let rear = Rear()
        let memory = ConnectionMemory(
            IncompleteMemory(ConnectionLimits(), requestBytes: .max, ledger: ledger),
            ConnectionAccount(now: loop.now))
        let reader = RequestReader(
            tools: tools, limits: RequestLimits(isGRPC: true, bodyBytesMax: 64 << 20), memory: memory)
        var resumed = 0
        reader.resume = { resumed += 1 }
        let deadline = loop.now + .seconds(1)
        #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
        #expect(reader.append(grpcMessage(RequestBuilder.make(.traces, items: 12_000))) == nil)
        if isLate { loop.advanceTime(by: .seconds(2)) }
        let finish = { reader.finish(before: deadline) { Acknowledgement { _ in } } }
        #expect(finish() == nil && reader.isBeside && reader.isHandingOn == !isLate && resumed == 1)
        // A complete request is no incomplete one.
        #expect(memory.bodyBytes == 0)
        let answer = finish()
        #expect(isLate ? answer?.failure?.code == .deadlineExceeded : answer?.isAccepted == true)
        #expect(rear.consumer.takenItems == (isLate ? [] : Array(repeating: 1000, count: 12)))
    }
}
