import Configuration
import HTTP
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LokiExporter

/// Loki, as the test tells it to answer.
private final class FakeLoki: PushTransport, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): pushes come on one event loop; the test looks when none is under way.
    typealias Answer = (DecodedPush) -> (status: Int, text: String, fields: [(name: String, value: String)])?

    let eventLoop: any EventLoop
    let answer: Answer
    private(set) var stored: [DecodedPush] = []
    private(set) var asked: [DecodedPush] = []
    private(set) var heads: [[(name: String, value: String)]] = []

    init(_ eventLoop: any EventLoop, _ answer: @escaping Answer) {
        self.eventLoop = eventLoop
        self.answer = answer
    }

    func send(_ request: HTTPClientRequest, deadline: NIODeadline) -> EventLoopFuture<HTTPClientResponse> {
        eventLoop.assertInEventLoop()
        heads.append(request.headers)
        let tenant = request.headers.first { $0.name.lowercased() == "x-scope-orgid" }?.value
        let push = DecodedPush(tenant: tenant, body: request.body[0])
        asked.append(push)
        guard let (status, text, fields) = answer(push) else {
            let origin = HTTPOrigin(scheme: .http, host: "loki", port: 3100)
            return eventLoop.makeFailedFuture(HTTPClientError.connect(origin: origin, reason: "as told"))
        }
        if status < 260, !text.hasPrefix("<") { stored.append(push) }
        return eventLoop.makeSucceededFuture(
            HTTPClientResponse(
                status: status, headers: HTTPClientHeaders(fields), body: ByteBuffer(string: text),
                bodyTruncated: false))
    }

    func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }

    /// Forgets what it was asked for.
    func forget() { asked = [] }

    var storedLines: [String] { stored.flatMap { $0.streams.flatMap { $0.entries.map(\.line) } }.sorted() }
}

/// Without these a push that fails would cost others, be sent for ever or twice, or vanish without a count.
@Suite("From a batch to Loki's answers")
struct SenderTests {
    private let eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()
    private let registry = MetricRegistry()

    private func config(_ yaml: String) -> LokiConfig {
        let diagnostics = Diagnostics()
        let config = LokiConfig(ConfigSection(yaml: yaml, path: "exporters::loki", diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return config
    }

    private func sender(
        _ loki: FakeLoki, _ yaml: String = "", heldBytesMax: Int = 1 << 20
    ) -> LokiSender {
        LokiSender(
            config("endpoint: http://loki:3100\n" + yaml), transport: loki, name: "loki", version: "1",
            registry: registry, eventLoop: eventLoop, logger: makeSilentLogger(), heldBytesMax: heldBytesMax)
    }

    /// One attempt.
    private func send(_ batch: Batch, _ sender: LokiSender) async throws -> SendResult {
        let promise = eventLoop.makePromise(of: SendResult.self)
        eventLoop.execute {
            sender.send(batch, deadline: .distantFuture) { promise.succeed($0) }
        }
        return try await promise.futureResult.get()
    }

    private func abandon(_ batch: Batch, _ sender: LokiSender) async throws -> Int {
        try await eventLoop.submit { sender.abandon(batch) }.get()
    }

    /// Three requests of a line each, of three services.
    private func threeLines() -> Batch {
        makeLogs(
            ["a", "b", "c"].map { name in
                request(resource: { $0.attribute(1, "service.name", name) }, lines: [name])
            }, items: 1)
    }

    /// What is said of a batch that is to be sent again.
    private func putOff(_ result: SendResult) -> (message: String, after: TimeAmount?)? {
        switch result {
        case .retryable(let message, let after), .throttled(let message, let after): (message, after)
        default: nil
        }
    }

    private func isSent(_ result: SendResult, rejected: Int = 0) -> Bool {
        if case .sent(rejected, _) = result { true } else { false }
    }

    @Test("a batch is sent as it should be")
    func sent() async throws {
        let loki = FakeLoki(eventLoop) { _ in (204, "", []) }
        let sender = sender(loki, "headers: {X-Scope-OrgID: me, X-Other: o}")
        #expect(isSent(try await send(threeLines(), sender)))
        #expect(loki.asked.count == 1 && loki.storedLines == ["a", "b", "c"])
        #expect(loki.asked[0].tenant == "me")
        let head = Dictionary(uniqueKeysWithValues: loki.heads[0].map { ($0.name.lowercased(), $0.value) })
        #expect(head["content-type"] == "application/x-protobuf" && head["x-other"] == "o")
        #expect(head["user-agent"] == "sluice/1")
    }

    @Test("only what failed is sent again", arguments: [500, 503, 429, 0])
    func resumed(status: Int) async throws {
        let failures = Noted(1)
        let loki = FakeLoki(eventLoop) { push in
            guard push.streams[0].labels.contains("\"b\""), failures.value > 0 else { return (204, "", []) }
            failures.change { $0 -= 1 }
            return status == 0 ? nil : (status, "busy", [(name: "Retry-After", value: "7")])
        }
        let sender = sender(loki, "max_push_entries: 1")
        let batch = threeLines()
        guard let (message, after) = putOff(try await send(batch, sender)) else {
            Issue.record("was not retryable")
            return
        }
        #expect(after == (status == 0 ? nil : .seconds(7)))
        #expect(message.contains(status == 0 ? "connection" : "\(status): busy"))
        #expect(isSent(try await send(batch, sender)))
        #expect(loki.storedLines == ["a", "b", "c"] && loki.asked.count == 4)
    }

    @Test("a tenant without room holds up nobody else")
    func tenants() async throws {
        let isBusy = Noted(true)
        let loki = FakeLoki(eventLoop) { push in
            push.tenant == "red" && isBusy.value ? (429, "rate limit", []) : (204, "", [])
        }
        let requests = ["red", "blue", "red", "blue"].map { tenant in
            request(
                resource: {
                    $0.attribute(1, "loki.tenant", "t")
                    $0.attribute(1, "t", tenant)
                }, lines: [tenant])
        }
        let sender = sender(
            loki, "max_push_entries: 1\nheaders: {x-scope-orgid: other}\ntenant: {from_hints: true}")
        let batch = makeLogs(requests, items: 1)
        guard putOff(try await send(batch, sender)) != nil else {
            Issue.record("was not retryable")
            return
        }
        #expect(loki.storedLines == ["blue", "blue"])
        // After the first refusal its second push was not even tried.
        #expect(loki.asked.filter { $0.tenant == "red" }.count == 1)
        isBusy.value = false
        #expect(isSent(try await send(batch, sender)))
        #expect(loki.storedLines == ["blue", "blue", "red", "red"])
    }

    @Test("what Loki has of a batch that is given up counts as delivered")
    func abandoned() async throws {
        let loki = FakeLoki(eventLoop) { $0.streams[0].labels.contains("\"c\"") ? nil : (204, "", []) }
        let sender = sender(loki, "max_push_entries: 1")
        let batch = threeLines()
        guard putOff(try await send(batch, sender)) != nil else {
            Issue.record("was not retryable")
            return
        }
        #expect(try await abandon(batch, sender) == 2)
        #expect(try await abandon(batch, sender) == 0)
    }

    @Test(
        "a rejection is counted and not repeated",
        arguments: [
            (400, "entry too far behind,\ntotal ignored: 1 out of 2 for stream: {}", 1),
            (400, "a total ignored: 1 out of 1, total ignored: 1 out of 1", 2),
            (
                400,
                String(repeating: "entry ignored, reason: 'timestamp too old',\n", count: 40)
                    + "user 'fake', total ignored: 1 out of 2 for stream: {}", 1
            ),
            (400, "total ignored: 99 out of 99", 2),
            (400, "max entry size '1' bytes exceeded for stream '{}'", 1),
            (400, "2 errors like: entry for stream '{}' has timestamp too old: 1; and more", 2),
            (400, "stream '{service_name=\"x\"}' has label value too long: 'x'", 2),
            (401, "no org id", 2), (200, "<html>log in</html>", 2),
            (403, "", 2), (404, "404 page not found", 2), (422, "no streams", 2), (260, "blocked", 2),
        ])
    func rejected(status: Int, text: String, count: Int) async throws {
        let loki = FakeLoki(eventLoop) { push in
            push.streams[0].labels.contains("\"x\"") ? (status, text, []) : (204, "", [])
        }
        let sender = sender(loki, "max_push_entries: 2")
        let bad = request(resource: { $0.attribute(1, "service.name", "x") }, lines: ["1", "2"])
        let good = request(resource: { $0.attribute(1, "service.name", "y") }, lines: ["3", "4"])
        #expect(isSent(try await send(makeLogs([bad, good], items: 2), sender), rejected: count))
        let alone = try await send(makeLogs([bad], items: 2), sender)
        if count == 2 {
            guard case .permanent(let message, _) = alone else {
                Issue.record("was not permanent: \(alone)")
                return
            }
            #expect(message.contains("\(status)"))
        } else {
            #expect(isSent(alone, rejected: count))
        }
    }

    /// Loki says in many words which of a push it did not take; taken for all of it, a replay doubles the others.
    @Test(
        "what Loki refuses is counted by its words",
        arguments: [
            ("entry for stream '{a=\"b\"}' has timestamp too old: 2026-01-01T00:00:00Z, oldest is: x", 1),
            (
                "3 errors like: max entry size '256KB' bytes exceeded for stream '{a=\"b; c\"}' while adding",
                3
            ),
            (
                "2 errors like: entry for stream '{a=\"1\"}' has timestamp too new: x; "
                    + "stream '{}' has structured metadata size too large: '9' bytes; 4 errors like: new kind",
                7
            ),
            ("entry for stream '{a=\"b\"}' has 16 label names; limit 15", 5),
            ("stream '{a=\"z\"}' has label name too long: 'x'", nil),
            ("2 errors like: stream '{a=\"b\"}' has label name too long: 'x'", nil),
            ("Error parsing labels '{a=\"b\"}' with error: x", 5),
            ("missing required labels c for user fake for stream {a=\"b\"}", 5),
            ("error at least one label pair is required per stream", nil),
            ("user 'fake', total ignored: 2 out of 9 for stream: {}, total ignored: 1 out of 3", 3),
            ("entry out of order", 1), ("snappy: corrupt input", nil), ("", nil),
            ("unexpected EOF; retry", nil),
        ])
    func refusedEntries(text: String, count: Int?) {
        #expect(LokiRefusal.entries(text) { $0.contains("{a=\"b\"}") ? 5 : nil } == count)
    }

    /// If it failed, a destination that answers 64 KiB of its words would hold an event loop for as long as it takes.
    @Test("a long text of refusals is read to its end") func longRefusal() {
        let many = Array(repeating: "label name", count: 5_000).joined(separator: "; ")
        #expect(LokiRefusal.entries(many) { _ in 2 } == 10_000)
        let almost = String(repeating: "total ignored: ", count: 4_000)
        #expect(LokiRefusal.entries(almost) { _ in nil } == nil)
    }

    private func lines(_ names: [String]) -> Batch {
        makeLogs(
            [request(resource: { $0.attribute(1, "service.name", "a") }, lines: names)], items: names.count)
    }

    /// If it failed, one record that Loki chokes on would cost all others their logs, for as long as it comes.
    @Test(
        "a push that fails as a whole for one reason is divided until the culprit is alone",
        arguments: [400, 500])
    func culprit(status: Int) async throws {
        let loki = FakeLoki(eventLoop) { push in
            let isBad = push.streams[0].entries.contains { $0.line == "bad" }
            return isBad ? (status, "cannot do \(push.bytes)", []) : (204, "", [])
        }
        let sender = sender(loki)
        let good = (0..<1000).map { "\($0)" }
        let batch = lines(good[..<313] + ["bad"] + good[313...])
        if status == 500 {
            guard putOff(try await send(batch, sender)) != nil else {
                Issue.record("was not retryable")
                return
            }
        }
        #expect(isSent(try await send(batch, sender), rejected: 1))
        #expect(loki.storedLines == good.sorted() && loki.asked.count < 30)
        // Alone, while others are stored.
        let alone = lines(["bad"])
        for _ in 0..<3 {
            let result = try await send(alone, sender)
            if case .permanent = result { return }
            _ = try await send(lines(["good"]), sender)
        }
        Issue.record("is sent for ever")
    }

    /// If it failed, records would be dropped because Loki is broken, or it would be asked for each of them.
    @Test("a Loki that fails everything is waited for, and asked seldom")
    func broken() async throws {
        let isBroken = Noted(true)
        let loki = FakeLoki(eventLoop) { _ in isBroken.value ? (500, "broken", []) : (204, "", []) }
        let sender = sender(loki)
        let all = (0..<3000).map { "\($0)" }
        let batch = lines(all)
        for _ in 0..<5 {
            guard putOff(try await send(batch, sender)) != nil else {
                Issue.record("was not retryable")
                return
            }
        }
        #expect(loki.asked.count < 50)
        isBroken.value = false
        #expect(isSent(try await send(batch, sender)))
        #expect(loki.storedLines == all.sorted())
    }

    @Test("divide_refused_batches: false waits for a push that fails as a whole")
    func notDivided() async throws {
        let loki = FakeLoki(eventLoop) { push in
            push.streams[0].entries.contains { $0.line == "bad" } ? (500, "cannot", []) : (204, "", [])
        }
        let sender = sender(loki, "divide_refused_batches: false")
        let batch = lines(["good", "bad"])
        for _ in 0..<4 {
            guard putOff(try await send(batch, sender)) != nil else {
                Issue.record("was not retryable")
                return
            }
        }
        #expect(loki.asked.count == 4 && loki.stored.isEmpty)
    }

    @Test("what is too large is halved until it is not, one record that is gets counted")
    func halved() async throws {
        let loki = FakeLoki(eventLoop) { push in
            push.bytes > 400 ? (413, "request too large", []) : (204, "", [])
        }
        let lines = (0..<40).map { "line \($0)" }
        let requests = [
            request(resource: { $0.attribute(1, "service.name", "a") }, lines: lines),
            request(
                resource: { $0.attribute(1, "service.name", "b") },
                lines: [String(repeating: "x", count: 500)] + lines),
        ]
        let batch = makeLogs(requests)
        #expect(isSent(try await send(batch, sender(loki)), rejected: 1))
        #expect(loki.storedLines == (lines + lines).sorted())
        #expect(loki.stored.flatMap(\.streams).allSatisfy { $0.labels.hasPrefix("{service_name=") })
    }

    /// Lines of 200 bytes, of one service.
    private func longLines(_ count: Int) -> Batch {
        let lines = (0..<count).map { "\($0) ".padding(to: 200) }
        return makeLogs(
            [request(resource: { $0.attribute(1, "service.name", "a") }, lines: lines)], items: count)
    }

    /// If it failed, a few records that are too large would make every later push small, for good.
    @Test("a record that is too large alone leaves the size of pushes as it is")
    func oneTooLarge() async throws {
        let loki = FakeLoki(eventLoop) { push in
            push.bytes > 90_000 ? (413, "request too large", []) : (204, "", [])
        }
        let sender = sender(loki, "max_push_bytes: 80000")
        let huge = request(resource: { _ in }, lines: ["".padding(to: 100_000)])
        for _ in 0..<3 {
            guard case .permanent = try await send(makeLogs([huge], items: 1), sender) else {
                Issue.record("was not permanent")
                return
            }
        }
        let before = loki.asked.count
        #expect(isSent(try await send(longLines(300), sender)))
        #expect(loki.asked.count == before + 1)
    }

    /// If it failed, a proxy's limit of an hour ago would cost requests for as long as the gateway runs.
    @Test("pushes that were too large grow again")
    func growing() async throws {
        let isSmall = Noted(true)
        let loki = FakeLoki(eventLoop) { push in
            isSmall.value && push.bytes > 20_000 ? (413, "request too large", []) : (204, "", [])
        }
        let sender = sender(loki, "max_push_bytes: 80000")
        #expect(isSent(try await send(longLines(300), sender)))
        isSmall.value = false
        loki.forget()
        #expect(isSent(try await send(longLines(300), sender)))
        // Those after an answer of 413 fit.
        #expect((4...6).contains(loki.asked.count) && loki.asked.allSatisfy { $0.bytes <= 20_000 })
        for _ in 0..<40 { #expect(isSent(try await send(longLines(300), sender))) }
        loki.forget()
        #expect(isSent(try await send(longLines(300), sender)))
        #expect(loki.asked.count == 1)
    }

    /// How many records were encoded so far, each of which has a line that is cut.
    private var encodedLines: Int {
        let page = String(decoding: registry.render(), as: UTF8.self)
        let line = page.split(separator: "\n").first { $0.contains(#"reason="line_size""#) }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? -1
    }

    private func requests(_ tenants: [String]) -> [[UInt8]] {
        tenants.map { tenant in
            request(
                resource: {
                    $0.attribute(1, "loki.tenant", "t")
                    $0.attribute(1, "t", tenant)
                }, lines: ["a long line"])
        }
    }

    /// If it failed, a rate limit of Loki would fill the memory with pushes that wait, which no limiter counts.
    @Test("a tenant's batch is not encoded on while it has no room")
    func notEncodedInVain() async throws {
        let isBusy = Noted(true)
        let loki = FakeLoki(eventLoop) { _ in isBusy.value ? (429, "rate limit", []) : (204, "", []) }
        let sender = sender(loki, "max_push_entries: 1\nlimits: {max_line_size: 6}")
        let batch = makeLogs(requests([String](repeating: "red", count: 20)), items: 1)
        for attempt in 1...3 {
            guard putOff(try await send(batch, sender)) != nil else {
                Issue.record("was not retryable")
                return
            }
            #expect(encodedLines == 1 + attempt && loki.asked.count == attempt)
        }
        isBusy.value = false
        #expect(isSent(try await send(batch, sender)))
        #expect(loki.storedLines.count == 20 && encodedLines == 20)
    }

    @Test("what waits is bounded for all batches together")
    func sharedBound() async throws {
        let isBusy = Noted(true)
        let loki = FakeLoki(eventLoop) { push in
            push.tenant == "red" && isBusy.value ? (429, "rate limit", []) : (204, "", [])
        }
        let yaml = "max_push_entries: 1\nlimits: {max_line_size: 6}"
        // Two pushes reach it, one does not.
        let sender = sender(loki, yaml, heldBytesMax: 100)
        var encoded = 0
        var batches: [Batch] = []
        for count in [3, 2] {
            let batch = makeLogs(requests(["blue", "red", "red", "red", "red"]), items: 1)
            batches.append(batch)
            guard putOff(try await send(batch, sender)) != nil else {
                Issue.record("was not retryable")
                return
            }
            encoded += count
            #expect(encodedLines == encoded)
        }
        isBusy.value = false
        for batch in batches { #expect(isSent(try await send(batch, sender))) }
        #expect(loki.storedLines.count == 10)
    }

    /// Two pipelines of one exporter hand it the same batch.
    @Test("the same batch twice is two batches")
    func twice() async throws {
        let loki = FakeLoki(eventLoop) { _ in (204, "", []) }
        let counters = SendingQueue.Counters(registry, exporter: "loki", signal: .logs)
        let queue = SendingQueue(
            name: "loki", config: SendingQueueConfig(), retry: RetryConfig(), timeout: .zero,
            sender: sender(loki), counters: counters, eventLoop: eventLoop, logger: makeSilentLogger())
        let batch = threeLines()
        for _ in 0..<2 { #expect(queue.consume(batch) == nil) }
        _ = await queue.drain(until: .now() + .seconds(30))
        #expect(loki.storedLines == ["a", "a", "b", "b", "c", "c"] && counters.sent.value == 6)
    }

    @Test("a batch without records is done at once")
    func empty() async throws {
        let loki = FakeLoki(eventLoop) { _ in (204, "", []) }
        #expect(isSent(try await send(makeLogs([[]]), sender(loki))))
        #expect(loki.asked.isEmpty)
    }

    @Test("what was changed to fit is counted by its reason")
    func changes() async throws {
        let loki = FakeLoki(eventLoop) { _ in (204, "", []) }
        let sender = sender(loki, "limits: {max_line_size: 3}")
        let request = request(resource: { _ in }, lines: ["1234", "123"])
        #expect(isSent(try await send(makeLogs([request], items: 2), sender)))
        let page = String(decoding: registry.render(), as: UTF8.self)
        #expect(page.contains(#"sluice_exporter_loki_limited{exporter="loki",reason="line_size"} 1"#))
        #expect(page.contains(#"sluice_exporter_loki_pushes{exporter="loki",outcome="stored"} 1"#))
    }

    /// Guarantees: whatever Loki answers, sent, failed and dropped add up, and nothing is stored that was not counted.
    @Test("the accounts hold through all failures", arguments: (1...20).map { UInt64($0) })
    func accounts(seed: UInt64) async throws {
        let random = Noted(SeededRandom(seed: seed))
        let loki = FakeLoki(eventLoop) { _ in
            var roll = 0
            random.change { roll = $0.below(10) }
            switch roll {
            case 0: return nil
            case 1: return (500, "", [])
            case 2: return (429, "", [])
            case 3: return (400, "total ignored: 1 out of 9", [])
            case 4: return (413, "", [])
            default: return (204, "", [])
            }
        }
        let sender = sender(loki, "max_push_bytes: 1024")
        var retry = RetryConfig()
        retry.initialInterval = .microseconds(10)
        retry.maxInterval = .microseconds(100)
        retry.maxElapsedTime = .milliseconds(20)
        let counters = SendingQueue.Counters(registry, exporter: "loki", signal: .logs)
        let queue = SendingQueue(
            name: "loki", config: SendingQueueConfig(), retry: retry, timeout: .zero, sender: sender,
            counters: counters, eventLoop: eventLoop, logger: makeSilentLogger())
        var items = 0
        for index in 0..<30 {
            let count = 1 + index % 20
            items += count
            let request = RequestBuilder.make(.logs, items: count, seed: UInt64(index))
            #expect(queue.consume(makeLogs([request], items: count)) == nil)
        }
        _ = await queue.drain(until: .now() + .seconds(30))
        let left = counters.sent.value + counters.failed.value + counters.dropped.value
        #expect(left == UInt64(items))
        #expect(counters.sent.value > 0)
    }
}

extension String {
    /// The text with `x` behind it up to so many characters.
    fileprivate func padding(to count: Int) -> String {
        self + String(repeating: "x", count: max(0, count - self.count))
    }
}
