import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these a client's answers get mixed up or lost, or one client takes what is everybody's.
@Suite struct HTTP1ConnectionTests {
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let connection: HTTP1Connection
    private let connections: Connections
    private let rear: Rear
    private let memory: IncompleteMemory
    private let account: ConnectionAccount
    private let request = RequestBuilder.make(.traces, items: 1)

    init() throws {
        try self.init(answersLater: false)
    }

    private init(
        answersLater: Bool, age: TimeAmount? = nil, frames: FrameBudget.Limits = .init(),
        requestBytes: Int = .max, bodyBytesMax: Int = 1 << 20
    ) throws {
        memory = IncompleteMemory(
            ConnectionLimits(), requestBytes: requestBytes, ledger: MemoryLedger())
        rear = Rear(answersLater: answersLater)
        channel = EmbeddedChannel(loop: loop)
        let limits = RequestLimits(isGRPC: false, bodyBytesMax: bodyBytesMax)
        let service = ProtocolService(
            routes: Routes(limits: limits, [("/v1/traces", rear.target())]),
            writer: AnswerWriter(responseHeaders: []), logger: makeSilentLogger(),
            resets: StreamResets(
                registry: rear.registry, receiver: "otlp", transport: "http", logger: makeSilentLogger()),
            ends: ConnectionEnds(
                registry: rear.registry, receiver: "otlp", transport: "http", logger: makeSilentLogger()),
            memory: memory)
        connections = Connections(
            eventLoop: loop, tools: LoopTools(eventLoop: loop, ledger: MemoryLedger()),
            checkInterval: .seconds(15)
        )
        var times = HTTP1Limits()
        times.read = .seconds(100)
        times.age = age
        // What work takes on a slow or instrumented machine is no matter here.
        account = ConnectionAccount(frames: frames, slowness: 1_000_000, now: loop.now)
        connection = HTTP1Connection(
            service: service, connections: connections, account: account, limits: times)
        let gate = ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account)
        try channel.pipeline.syncOperations.addHandlers([gate, connection])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    private func post(_ body: [UInt8], length: Int? = nil, path: String = "/v1/traces") -> [UInt8] {
        Array(
            """
            POST \(path) HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-protobuf\r\n\
            content-length: \(length ?? body.count)\r\n\r\n
            """.utf8) + body
    }

    /// What comes back for these bytes.
    private func send(_ bytes: [UInt8]) throws -> String {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        loop.run()
        var text = try answers()
        // What had to wait for another round of the loop.
        for _ in 0..<300 where account.waitingBytes > 0 && channel.isWritable && channel.isActive {
            loop.advanceTime(by: .milliseconds(3))
            text += try answers()
        }
        return text
    }

    private func answers() throws -> String {
        var text = ""
        while let part = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
        return text
    }

    private func statuses(_ text: String) -> [String] {
        text.components(behind: "HTTP/1.1 ").map { String($0.prefix(3)) }
    }

    /// Scenario: Java's and PHP's clients write "100-Continue" and wait for the word. Guarantees: they get it.
    @Test(arguments: ["100-continue", "100-Continue", "100-CONTINUE"]) func expectIsReadInAnyCase(
        value: String
    ) throws {
        let head =
            "POST /v1/traces HTTP/1.1\r\nHost: h\r\nExpect: \(value)\r\nContent-Length: \(request.count)\r\n"
        let answer = try send(Array((head + "Content-Type: application/x-protobuf\r\n\r\n").utf8))
        #expect(answer == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(statuses(try send(request)) == ["200"])
    }

    /// Guarantees: a client that asks with HEAD does not read our text as the next answer.
    @Test func headAnswersHaveNoBody() throws {
        let head = "HEAD /v1/traces HTTP/1.1\r\nHost: h\r\n\r\n"
        let answer = try send(Array(head.utf8))
        #expect(answer.hasPrefix("HTTP/1.1 405 ") && answer.hasSuffix("\r\n\r\n"))
        #expect(answer.contains("content-length: 41\r\n"))
        #expect(statuses(try send(post(request))) == ["200"])
    }

    /// Scenario: `max_connection_age` for HTTP. Guarantees: the connection ends with its next answer, which says so, so
    /// that a replica that was added gets its share; nothing is lost.
    @Test func oldConnectionsEndWithTheirAnswer() throws {
        let old = try Self(answersLater: false, age: .seconds(60))
        old.loop.advanceTime(by: .seconds(50))
        #expect(old.statuses(try old.send(post(request))) == ["200"])
        old.connection.check(old.loop.now)
        #expect(old.channel.isActive)
        old.loop.advanceTime(by: .seconds(20))
        let answer = try old.send(post(request))
        #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("\r\nconnection: close\r\n"))
        #expect(old.rear.consumer.takenItems == [1, 1])
    }

    /// Scenario: files are short; clients that have sent the beginning of a head, one that waits for an answer.
    /// Guarantees: they make room, once a second has passed, as silent ones do; who waits for an answer does not.
    @Test func beginningsOfHeadsHoldNoPlace() throws {
        #expect(try send(Array("POST /v1/traces HTTP/1.1\r\nHost: h\r\nContent-Le".utf8)) == "")
        #expect(!connections.closeIdlest(loop.now) && channel.isActive)
        loop.advanceTime(by: .seconds(1))
        #expect(connections.closeIdlest(loop.now) && !channel.isActive)

        let waiting = try Self(answersLater: true)
        _ = try waiting.send(waiting.post(request))
        waiting.loop.advanceTime(by: .seconds(1))
        #expect(!waiting.connections.closeIdlest(waiting.loop.now) && waiting.channel.isActive)
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
        let answer = try send(post(request) + post([], path: "/nothing") + post([0xFF]) + post(request))
        #expect(statuses(answer) == ["200", "404", "400", "200"])
        #expect(rear.consumer.takenItems == [1, 1] && channel.isActive)
    }

    /// Guarantees: little of a body that nobody wants is read, so that the connection lives; much of it ends it.
    @Test func aBodyThatNobodyWantsIsReadIfItIsSmall() throws {
        let small = Array(repeating: UInt8(0), count: 200 << 10)
        #expect(statuses(try send(post(small, path: "/nothing") + post(request))) == ["404", "200"])
        let answer = try send(post([], length: 300 << 10, path: "/nothing"))
        #expect(answer.hasPrefix("HTTP/1.1 404 ") && answer.contains("\r\nconnection: close\r\n"))
        // What still comes is no request any more.
        #expect(try send(small + post(request)) == "" && rear.consumer.takenItems == [1])
    }

    @Test func aBodyInChunksThatNobodyWantsEndsToo() throws {
        let head = "POST /nothing HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        #expect(statuses(try send(Array(head.utf8))) == ["404"])
        let chunk = Array("10000\r\n".utf8) + Array(repeating: 0, count: 65_536) + Array("\r\n".utf8)
        for _ in 0..<5 { #expect(try send(chunk) == "") }
        #expect(try send(Array("0\r\n\r\n".utf8) + post(request)) == "" && rear.consumer.asked == 0)
        connection.check(loop.now + .seconds(6))
        #expect(!channel.isActive)
    }

    /// Scenario: a client sends two requests, ends its side, and waits for both answers.
    @Test func requestsBeforeAHalfCloseAreAnswered() throws {
        let test = try HTTP1ConnectionTests(answersLater: true)
        #expect(try test.send(test.post(test.request) + test.post(test.request)) == "")
        test.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        test.rear.consumer.taken[0].settle(.accepted)
        test.loop.run()
        #expect(test.statuses(try test.answers()) == ["200"] && test.channel.isActive)
        #expect(test.rear.consumer.takenItems == [1, 1])
        test.rear.consumer.taken[1].settle(.accepted)
        test.loop.run()
        #expect(test.statuses(try test.answers()) == ["200"])
        #expect(!test.channel.isActive)
    }

    @Test func aHalfCloseWithoutARequestEndsTheConnection() throws {
        #expect(try send(Array(post(request).dropLast())) == "")
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        loop.run()
        #expect(!channel.isActive && rear.consumer.asked == 0)
    }

    /// Guarantees: a client that stalls is given up; one whose bytes we leave in the socket is not.
    @Test(arguments: [true, false]) func timeThatWeTakeIsNotTheClients(pauses: Bool) throws {
        #expect(try send(Array(post(request).dropLast())) == "")
        rear.limiter.shouldPause = pauses
        for seconds in stride(from: Int64(15), through: 150, by: 15) {
            connection.check(loop.now + .seconds(seconds))
        }
        #expect(channel.isActive == pauses)
        guard pauses else { return }
        rear.limiter.shouldPause = false
        connection.check(loop.now + .seconds(165))
        #expect(channel.isActive)
        #expect(statuses(try send([request[request.count - 1]])) == ["200"])
    }

    // MARK: - What a connection may cost

    /// Scenario: every read ends inside a header. Guarantees: what was read is dropped; before, all bytes ever sent were kept.
    @Test func whatWasReadIsDropped() throws {
        let one = Array("GET /a HTTP/1.1\r\nhost: a\r\n\r\n".utf8)
        var chunk = Array(one.dropFirst(10))
        for _ in 0..<200 { chunk += one }
        chunk += one.prefix(10)
        _ = try send(Array(one.prefix(10)))
        for _ in 0..<20 { #expect(statuses(try send(chunk)).count == 201) }
        #expect(memory.bytes <= HTTP1Connection.keptBytesMax && memory.bytes > 0)
        #expect(channel.isActive)
    }

    /// Scenario: a read full of requests, of a client that reads no answers. Guarantees: no more are answered than its
    /// answers may take; the others wait until it reads.
    @Test func requestsWaitForTheirAnswersToBeRead() throws {
        let one = Array("GET /a HTTP/1.1\r\nhost: a\r\n\r\n".utf8)
        var bytes: [UInt8] = []
        for _ in 0..<2000 { bytes += one }
        channel.isWritable = false
        let first = try send(bytes)
        #expect(first.utf8.count < 64 << 10 && first.utf8.count > 0)
        #expect(memory.bytes > 10_000)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        var all = first
        for _ in 0..<300 {
            loop.advanceTime(by: .milliseconds(3))
            all += try answers()
        }
        #expect(statuses(all).count == 2000)
        #expect(channel.isActive)
    }

    /// Scenario: chunks of a byte, or requests that get nothing, thousands of them. Guarantees: the connection ends and is
    /// counted; requests that are taken go on for ever.
    @Test func whatCarriesNothingEndsTheConnection() throws {
        var frames = FrameBudget.Limits()
        frames.burst = 100
        let good = try HTTP1ConnectionTests(answersLater: false, frames: frames)
        for _ in 0..<500 { #expect(good.statuses(try good.send(good.post(good.request))) == ["200"]) }
        let head =
            "POST /v1/traces HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-protobuf\r\n"
            + "transfer-encoding: chunked\r\n\r\n"
        let floods = [
            head + String(repeating: "1\r\na\r\n", count: 200),
            String(repeating: "GET /a HTTP/1.1\r\nhost: a\r\n\r\n", count: 200),
        ]
        for flood in floods {
            let rig = try HTTP1ConnectionTests(answersLater: false, frames: frames)
            _ = try rig.send(Array(flood.utf8))
            rig.loop.run()
            #expect(!rig.channel.isActive)
            let page = String(decoding: rig.rear.registry.render(), as: UTF8.self)
            #expect(
                page.split(separator: "\n").contains {
                    $0.hasPrefix("sluice_receiver_ended_connections") && $0.contains("too_many_frames")
                        && $0.hasSuffix(" 1")
                })
        }
    }

    /// Scenario: 16 000 fields in one header. Guarantees: refused by name, and not kept.
    @Test func manyFieldsAreRefused() throws {
        let head =
            "POST /v1/traces HTTP/1.1\r\nhost: h\r\n" + String(repeating: "a:\r\n", count: 15_000) + "\r\n"
        let answer = try send(Array(head.utf8))
        #expect(statuses(answer) == ["431"] && answer.contains("32 counted for each field"))
    }

    /// Scenario: the client leaves its answers. Guarantees: after a minute the connection is gone, in short memory sooner.
    @Test func unreadAnswersEndTheConnection() throws {
        _ = try send(post(request))
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        connection.check(loop.now + .seconds(59))
        #expect(channel.isActive)
        connection.check(loop.now + .seconds(60))
        loop.run()
        #expect(!channel.isActive)
    }

    // MARK: - Large requests

    /// A request that is no request, of a megabyte in a kilobyte.
    private var large: [UInt8] {
        let zeros = gzipped([UInt8](repeating: 0, count: 900_000))
        return Array(
            """
            POST /v1/traces HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-protobuf\r\n\
            content-encoding: gzip\r\ncontent-length: \(zeros.count)\r\n\r\n
            """.utf8) + zeros
    }

    /// Scenario: a body of a megabyte in a few kilobytes, with requests behind it. Guarantees: it is decompressed while others
    /// are served, the answers come in order, and it is refused as one that was decompressed at once.
    @Test func largeBodiesAreDecompressedBesideTheLoop() throws {
        try channel.writeInbound(ByteBuffer(bytes: large + post(request)))
        #expect(try answers() == "")
        // What comes behind it waits.
        try channel.writeInbound(ByteBuffer(bytes: post(request)))
        #expect(account.waitingBytes > 0)
        var text = ""
        for _ in 0..<100 {
            loop.advanceTime(by: .milliseconds(5))
            text += try answers()
        }
        let statuses = text.split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
        #expect(statuses == ["400", "200", "200"] && account.waitingBytes == 0)
        #expect(rear.consumer.takenItems == [1, 1])
    }

    /// Scenario: the client goes while its body is decompressed. Guarantees: nothing is done with it, nothing held.
    @Test func nobodyWaitsForAClientThatIsGone() throws {
        try channel.writeInbound(ByteBuffer(bytes: large))
        channel.close(promise: nil)
        for _ in 0..<10 { loop.advanceTime(by: .milliseconds(5)) }
        #expect(memory.bytes == 0 && account.waitingBytes == 0)
    }

    /// 12 000 spans.
    private static let many = RequestBuilder.make(.traces, items: 12_000)
    /// What it is handed on in.
    private static let parts = Array(repeating: 1000, count: 12)

    private func runPieces(_ rounds: Int = 100) throws -> String {
        var text = ""
        for _ in 0..<rounds {
            loop.advanceTime(by: .milliseconds(5))
            text += try answers()
        }
        return text
    }

    /// Lets what is under way come to its end. How long that takes depends on the processor time of what went before.
    private func rest() {
        for _ in 0..<100 { loop.advanceTime(by: .milliseconds(100)) }
    }

    /// Scenario: a request of very many items, with another behind it. Guarantees: all of it arrives, in order and in parts,
    /// so that nobody else waits for all of it; it is answered when all parts are handed on, and the next one after it.
    @Test(arguments: [false, true]) func requestsOfManyItemsAreHandedOnInParts(answersLater: Bool) throws {
        let it = try Self(answersLater: answersLater, bodyBytesMax: 64 << 20)
        if answersLater { it.rear.consumer.outcome = .accepted }
        try it.channel.writeInbound(ByteBuffer(bytes: post(Self.many) + post(request)))
        let text = try it.runPieces()
        #expect(statuses(text) == ["200", "200"])
        #expect(it.rear.consumer.takenItems == Self.parts + [1])
        #expect(it.rear.count("otelcol_receiver_accepted_spans") == 12_001)
        #expect(it.rear.count("otelcol_receiver_refused_spans") == 0)
        let names = try it.rear.takenBytes.dropLast().flatMap { try spanIDs($0) }
        #expect(names == (try spanIDs(Self.many)))
        #expect(it.memory.bytes == 0 && it.account.waitingBytes == 0)
    }

    private func spanIDs(_ request: [UInt8]) throws -> [[UInt8]] {
        request.withUnsafeBytes { bytes in
            WireBytes(bytes).fields.flatMap { resource in
                resource.bytes.fields.filter { $0.number == 2 }.flatMap { scope in
                    scope.bytes.fields.filter { $0.number == 2 }.map { span in
                        span.bytes.fields.first { $0.number == 2 }?.bytes.array ?? []
                    }
                }
            }
        }
    }

    /// A connection that has handed on a part of a large request, and finds no room for the next.
    private func heldUp() throws -> Self {
        let it = try Self(answersLater: false, bodyBytesMax: 64 << 20)
        try it.channel.writeInbound(ByteBuffer(bytes: post(Self.many)))
        it.rear.consumer.takesMost = 1
        it.rear.consumer.refusal = Refusal(.memory, "full", retryAfterSeconds: 1)
        #expect(try it.runPieces(10) == "" && it.rear.consumer.takenItems == [1000])
        return it
    }

    /// Scenario: there is no room while a large request is handed on. Guarantees: its other parts wait for room instead of being
    /// refused, so that the client does not send again what was taken; a queue smaller than the request takes it in the end.
    @Test func partsWaitForRoom() throws {
        let it = try heldUp()
        it.rear.consumer.refusal = nil
        #expect(statuses(try it.runPieces()) == ["200"])
        #expect(it.rear.consumer.takenItems == Self.parts)
        #expect(it.rear.count("otelcol_receiver_accepted_spans") == 12_000)
        #expect(it.rear.count("otelcol_receiver_refused_spans") == 0 && it.memory.bytes == 0)
    }

    /// Scenario: the client ends its side when a part of its request was taken, and there is no room for long.
    /// Guarantees: it is answered all the same, so that it does not send all of it again.
    @Test func whoHasEndedItsSideIsToldWhatWasTaken() throws {
        let it = try heldUp()
        it.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        for _ in 0..<12 { it.loop.advanceTime(by: .seconds(1)) }
        #expect(it.channel.isActive)
        it.rear.consumer.refusal = nil
        #expect(statuses(try it.runPieces()) == ["200"])
        #expect(it.rear.consumer.takenItems == Self.parts)
    }

    /// Guarantees: a client does not wait for ever; what was not taken is counted as refused.
    @Test func partsDoNotWaitForEver() throws {
        let it = try heldUp()
        for _ in 0..<35 { it.loop.advanceTime(by: .seconds(1)) }
        #expect(statuses(try it.answers()) == ["503"])
        #expect(it.rear.count("otelcol_receiver_accepted_spans") == 1000)
        #expect(it.rear.count("otelcol_receiver_refused_spans") == 11_000 && it.memory.bytes == 0)
    }

    /// Guarantees: what cannot be taken at all is refused as any request is.
    @Test func aFirstPartThatIsRefusedEndsTheRequest() throws {
        let it = try Self(answersLater: false, bodyBytesMax: 64 << 20)
        it.rear.consumer.refusal = Refusal(.memory, "full", retryAfterSeconds: 1)
        try it.channel.writeInbound(ByteBuffer(bytes: post(Self.many)))
        #expect(statuses(try it.runPieces()) == ["503"])
        #expect(it.rear.count("otelcol_receiver_refused_spans") == 12_000 && it.memory.bytes == 0)
    }

    /// Scenario: the client goes while parts wait for room. Guarantees: nothing is held, and the rest is counted.
    @Test func aClientThatGoesEndsTheWaitingForRoom() throws {
        let it = try heldUp()
        it.channel.close(promise: nil)
        it.rear.consumer.refusal = nil
        it.rest()
        #expect(it.rear.consumer.takenItems == [1000] && it.memory.bytes == 0)
        #expect(it.rear.count("otelcol_receiver_refused_spans") == 11_000)
    }

    /// Scenario: the client goes while its request is handed on. Guarantees: no part is handed on any more, nothing held.
    @Test func aClientThatGoesEndsTheHandingOn() throws {
        let it = try Self(answersLater: false, bodyBytesMax: 64 << 20)
        try it.channel.writeInbound(ByteBuffer(bytes: post(Self.many)))
        it.channel.close(promise: nil)
        it.rest()
        #expect(it.rear.consumer.takenItems == [] && it.memory.bytes == 0)
    }

    /// Scenario: the gateway stops while a request is worked on whose client has gone. Guarantees: the stop waits for it, so that
    /// nobody hands anything to pipelines that have ended.
    @Test func aStopWaitsForLargeRequests() throws {
        let it = try Self(answersLater: false, bodyBytesMax: 64 << 20)
        try it.channel.writeInbound(ByteBuffer(bytes: post(Self.many)))
        it.channel.close(promise: nil)
        it.loop.run()
        let hasEnded = NIOLoopBoundBox(false, eventLoop: it.loop)
        it.connections.end(at: it.loop.now + .seconds(60)).whenComplete { _ in hasEnded.value = true }
        it.loop.run()
        #expect(!hasEnded.value)
        _ = try? it.runPieces(10)
        #expect(hasEnded.value)
    }
}

extension String {
    /// The parts that stand behind each occurrence of a text.
    fileprivate func components(behind text: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let found = rest.firstRange(of: text) {
            rest = rest[found.upperBound...]
            parts.append(rest)
        }
        return parts
    }
}
