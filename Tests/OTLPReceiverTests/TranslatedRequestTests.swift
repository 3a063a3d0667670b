import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Makes a request of so many spans of a body of as many bytes; "x" is malformed.
private final class FakeTranslator: RequestTranslator, @unchecked Sendable {
    let growth = 10
    /// The ledger while it translates.
    var seenBytes = 0
    let ledger: MemoryLedger

    init(_ ledger: MemoryLedger) { self.ledger = ledger }

    func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        seenBytes = ledger.bytes
        if body.text == "x" { throw .malformed("fake: x") }
        if body.text == "spoilt" { return ByteBuffer(bytes: [0xFF]) }
        let bytes = RequestBuilder.make(.traces, items: body.count)
        guard bytes.count <= limitBytes else { throw .tooLarge }
        return ByteBuffer(bytes: bytes)
    }
}

/// Without these a body in another format takes memory that no limit knows of, or is answered in words its client does not know.
@Suite struct TranslatedRequestTests {
    private let ledger = MemoryLedger()
    private let tools: LoopTools
    private let translator: FakeTranslator

    init() {
        tools = LoopTools(eventLoop: EmbeddedEventLoop(), ledger: ledger)
        translator = FakeTranslator(ledger)
    }

    private func target(_ rear: Rear) -> Target {
        let target = rear.target()
        return Target(
            signal: .traces, input: target.input, counters: target.counters, translator: translator,
            style: .plain)
    }

    private func send(_ text: String, to rear: Rear, limit: Int = 1 << 20) -> Answer? {
        let reader = tools.reader(limit: limit)
        if let failure = reader.begin(target(rear), encoding: .identity, contentLength: text.utf8.count) {
            return .failed(failure)
        }
        if let failure = reader.append(Array(text.utf8)) { return .failed(failure) }
        #expect(reader.form.style == .plain)
        return reader.finish(later: { Acknowledgement { _ in } })
    }

    /// Guarantees: so much as translating may take is asked for and charged before, and given back.
    @Test func memoryIsAskedForBefore() {
        let rear = Rear()
        #expect(send(String(repeating: "a", count: 500), to: rear)?.isAccepted == true)
        #expect(rear.consumer.takenItems == [500] && rear.count("otelcol_receiver_accepted_spans") == 500)
        #expect(translator.seenBytes >= 500 * 10 + 1024 && rear.limiter.asked.contains { $0 >= 6024 })
        #expect(ledger.bytes >= rear.takenBytes[0].count)
        let full = Rear()
        full.limiter.refusesAbove = 4096
        let before = translator.seenBytes
        #expect(send(String(repeating: "a", count: 700), to: full)?.failure?.httpStatus == 503)
        #expect(translator.seenBytes == before && full.consumer.taken.isEmpty)
    }

    /// Guarantees: what cannot be read, is too large, or becomes no OTLP is refused and counted, and nothing stays charged.
    @Test func failures() {
        let rear = Rear()
        #expect(send("x", to: rear)?.failure == .init(.invalidArgument, 400, "fake: x"))
        #expect(send("spoilt", to: rear)?.failure?.httpStatus == 400)
        #expect(rear.count("sluice_receiver_undecodable_requests") == 2)
        #expect(send(String(repeating: "a", count: 900), to: rear, limit: 1000)?.failure?.httpStatus == 413)
        #expect(rear.count("sluice_receiver_too_large_requests") == 1 && rear.consumer.taken.isEmpty)
        #expect(ledger.bytes == 0)
    }

    /// Guarantees: 202 and nothing, 400 for good, 500 for now: as the Collector's receivers answer.
    @Test(arguments: [
        (Answer.accepted, "202 Accepted", ""),
        (.partial(rejectedItems: 1, message: "old"), "202 Accepted", ""),
        (.failed(.init(.invalidArgument, 400, "bad")), "400 Bad Request", "bad"),
        (.failed(.init(.internal, 500, "no")), "400 Bad Request", "no"),
        (.failed(.init(.resourceExhausted, 413, "large")), "413 Content Too Large", "large"),
        (.failed(.init(.internal, 501, "coding")), "501 Not Implemented", "coding"),
        (.failed(.init(.internal, 505, "old")), "505 HTTP Version Not Supported", "old"),
        (
            .failed(.init(.unavailable, 503, "busy", retryAfterSeconds: 7)), "500 Internal Server Error",
            "busy"
        ),
    ])
    func answers(answer: Answer, status: String, body: String) {
        var form = AnswerForm()
        form.style = .plain
        var buffer = ByteBuffer()
        AnswerWriter(responseHeaders: []).writeHTTP1(answer, form, .none, to: &buffer)
        let text = String(buffer: buffer)
        #expect(text.hasPrefix("HTTP/1.1 \(status)\r\n") && text.hasSuffix("\r\n\r\n\(body)"), "\(text)")
        #expect(text.contains("retry-after: 7") == (status.hasPrefix("500")))
    }
}
