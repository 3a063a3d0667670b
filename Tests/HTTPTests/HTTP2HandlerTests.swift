import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import HTTP

/// Without these a connection answers too often, too late, or to a peer that does not read until memory ends.
@Suite struct HTTP2HandlerTests {
    private final class Owner: HTTP2ConnectionDelegate {
        var handler: HTTP2Handler?
        var closed: [String] = []
        var pings = 0
        var answers = true
        var waiting: [HTTP2Stream] = []
        var closesOnPing = false
        var closesWithStream = false

        func opened(_ handler: HTTP2Handler) { self.handler = handler }
        func reading(at now: NIODeadline) {}
        func connectionClosed(reason: String) {
            handler = nil
            closed.append(reason)
        }
        func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {}
        func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {}
        func ended(_ stream: HTTP2Stream) {
            if answers {
                noThrow { try handler?.session?.respond(stream, ok, body: nil) }
            } else {
                waiting.append(stream)
            }
        }
        func closed(_ stream: HTTP2Stream, code: UInt32) {
            if closesWithStream { handler?.close(because: "the last stream has ended") }
            handler?.flush()
        }
        func goAway(lastStream: Int32, code: UInt32) {}
        func pingAcknowledged() {}
        func pingReceived() {
            pings += 1
            guard closesOnPing else { return }
            handler?.session?.goAway(isFinal: true, code: 11, debug: "too_many_pings")
            handler?.close(because: "too many pings")
        }
    }

    private let loop = EmbeddedEventLoop()
    private let owner = Owner()
    private let channel: EmbeddedChannel

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        let handler = HTTP2Handler(role: .server, settings: HTTP2Settings(), delegate: owner)
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    private func send(_ bytes: [UInt8]) throws -> [ByteBuffer] {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        return try written()
    }

    private func written() throws -> [ByteBuffer] {
        var all: [ByteBuffer] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { all.append(buffer) }
        return all
    }

    private func frames(_ buffers: [ByteBuffer]) -> [UInt8] {
        Frame.parse(buffers.flatMap { Array($0.readableBytesView) }).map(\.type)
    }

    private func finish() { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// If it failed, a connection that ends with its last stream would enter nghttp2 while it writes that stream's end.
    @Test func closingWhileTheSessionWritesWaitsForIt() throws {
        owner.closesWithStream = true
        let answers = try send(Frame.preface + Frame.settings() + requests(1))
        #expect(frames(answers).contains(1))
        loop.run()
        #expect(owner.closed == ["the last stream has ended"] && !channel.isActive)
        finish()
    }

    @Test func aReadIsAnsweredWithOneWrite() throws {
        #expect(frames(try written()) == [4, 8])
        let answers = try send(
            Frame.preface + Frame.settings() + requests(20))
        #expect(answers.count == 1)
        #expect(frames(answers).filter { $0 == 1 }.count == 20)
        finish()
        #expect(owner.closed.count == 1 && owner.handler == nil)
    }

    /// Answers from other threads come one by one; they still share a write.
    @Test func lateAnswersShareAWrite() throws {
        owner.answers = false
        _ = try send(Frame.preface + Frame.settings() + Frame.request(1) + Frame.request(3))
        let handler = try #require(owner.handler)
        for stream in owner.waiting {
            try handler.session?.respond(stream, ok, body: nil)
            handler.flushSoon()
        }
        #expect(try written().isEmpty)
        loop.run()
        let answers = try written()
        #expect(answers.count == 1 && frames(answers) == [1, 1])
        finish()
    }

    /// Scenario: a client sends pings and requests and reads nothing.
    /// Guarantees: nothing piles up in the channel, and when it reads again, everything is there.
    @Test func nothingIsWrittenToAPeerThatDoesNotRead() throws {
        _ = try written()
        _ = try send(Frame.preface + Frame.settings())
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        for index in 0..<100 { #expect(try send(Frame.ping + Frame.request(UInt32(2 * index + 1))).isEmpty) }
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        let types = frames(try written())
        #expect(types.filter { $0 == 6 }.count == 100 && types.filter { $0 == 1 }.count == 100)
        channel.isWritable = false
        for _ in 0..<2000 where channel.isActive { _ = try send(Frame.ping) }
        #expect(!channel.isActive)
        finish()
        #expect(owner.closed.count == 1)
    }

    @Test func aBrokenConnectionIsClosedWithAReason() throws {
        _ = try written()
        let last = frames(try send(Frame.preface + Frame.settings() + Frame.data(0, [1])))
        #expect(last.last == 7)
        #expect(!channel.isActive)
        finish()
        #expect(owner.closed.count == 1)
    }

    @Test func garbageIsClosed() throws {
        _ = try send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(!channel.isActive)
        finish()
        #expect(owner.closed.first?.hasPrefix("HTTP/2: ") == true)
    }

    /// Closing inside a call of the session must not end the session under its own feet.
    @Test func anOwnerMayCloseInsideACall() throws {
        _ = try written()
        owner.closesOnPing = true
        let out = try send(Frame.preface + Frame.settings() + Frame.ping + Frame.request(1))
        let goAway = Frame.parse(out.flatMap { Array($0.readableBytesView) }).first { $0.type == 7 }
        #expect(goAway?.payload[7] == 11)
        #expect(String(decoding: goAway?.payload.dropFirst(8) ?? [], as: UTF8.self) == "too_many_pings")
        #expect(!channel.isActive)
        finish()
        #expect(owner.closed == ["too many pings"])
    }

    @Test func aHalfClosedConnectionGetsItsAnswersAndEnds() throws {
        owner.answers = false
        _ = try send(Frame.preface + Frame.settings() + Frame.request(1) + Frame.request(3, end: false))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(channel.isActive)
        _ = try written()
        let handler = try #require(owner.handler)
        try handler.session?.respond(owner.waiting[0], ok, body: nil)
        handler.flush()
        #expect(frames(try written()).contains(1))
        #expect(!channel.isActive)
        finish()
    }

    @Test func aHalfClosedConnectionThatWaitsForNothingEnds() throws {
        _ = try send(Frame.preface + Frame.settings() + Frame.request(1))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!channel.isActive)
        finish()
    }

    @Test func theSessionEndsWithTheChannel() throws {
        owner.answers = false
        _ = try send(Frame.preface + Frame.settings() + Frame.request(1))
        let handler = try #require(owner.handler)
        finish()
        #expect(handler.session == nil && owner.handler == nil)
        handler.flush()
        handler.flushSoon()
        handler.close(because: "again")
        #expect(owner.closed.count == 1)
    }
}

/// Without these overload is answered with refusals where waiting would do, or a slow reader fills the memory.
@Suite struct ReadGateTests {
    private final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = NIOAny
        var count = 0
        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    private final class Switch {
        var isOn = false
    }

    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let reads = Reads()
    private let pause = Switch()
    private let paused: PausedReads

    init() throws {
        paused = PausedReads(eventLoop: loop) { [pause] _ in pause.isOn }
        channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandlers([
            reads, ReadGate(paused, account: ConnectionAccount(now: loop.now)),
        ])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        reads.count = 0
    }

    @Test func readsPassWhileThereIsNoReasonToWait() {
        channel.read()
        channel.read()
        #expect(reads.count == 2)
    }

    @Test func readsWaitAndGoOnByThemselves() {
        pause.isOn = true
        channel.read()
        channel.read()
        loop.advanceTime(by: .milliseconds(50))
        #expect(reads.count == 0)
        pause.isOn = false
        loop.advanceTime(by: .milliseconds(2))
        #expect(reads.count == 1)
        loop.advanceTime(by: .milliseconds(50))
        #expect(reads.count == 1)
    }

    @Test func aPeerThatDoesNotReadIsNotReadFrom() {
        channel.isWritable = false
        channel.read()
        #expect(reads.count == 0)
        loop.advanceTime(by: .seconds(1))
        #expect(reads.count == 0)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 1)
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 1)
    }

    /// Guarantees: a thousand that wait ask with one voice, and go on together.
    @Test func connectionsThatWaitShareATimer() throws {
        var asked = 0
        let paused = PausedReads(eventLoop: loop) { [pause] _ in
            asked += 1
            return pause.isOn
        }
        let channels = try (0..<1000).map { _ in
            let channel = EmbeddedChannel(loop: loop)
            let reads = Reads()
            try channel.pipeline.syncOperations.addHandlers([
                reads, ReadGate(paused, account: ConnectionAccount(now: loop.now)),
            ])
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            reads.count = 0
            return (channel, reads)
        }
        pause.isOn = true
        for (channel, _) in channels { channel.read() }
        asked = 0
        loop.advanceTime(by: .milliseconds(20))
        #expect(asked == 10)
        // `finish` would cancel the timer, which is the others', too.
        for (channel, _) in channels.prefix(900) { channel.close(promise: nil) }
        loop.run()
        pause.isOn = false
        loop.advanceTime(by: .milliseconds(2))
        let goingOn = channels.indices.filter { channels[$0].1.count == 1 }
        #expect(goingOn == Array(900..<1000))
    }

    /// If it failed, whoever sends traces would wait while an exporter of metrics is behind, or whoever sends both would fill the
    /// memory with metrics.
    @Test func aPauseIsForThoseWhoseRequestsGoWhereItIs() throws {
        let paused = PausedReads(eventLoop: loop) { [pause] in pause.isOn && $0 & 2 != 0 }
        pause.isOn = true
        let ends = try [0, 1, 2, 3].map { (routes: UInt64) in
            let (channel, reads) = (EmbeddedChannel(loop: loop), Reads())
            let account = ConnectionAccount(now: loop.now)
            try channel.pipeline.syncOperations.addHandlers([reads, ReadGate(paused, account: account)])
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            account.routes = routes
            reads.count = 0
            channel.read()
            return (channel, reads)
        }
        loop.advanceTime(by: .milliseconds(20))
        #expect(ends.map { $0.1.count } == [1, 1, 0, 0])
        pause.isOn = false
        loop.advanceTime(by: .milliseconds(2))
        #expect(ends.map { $0.1.count } == [1, 1, 1, 1])
        for (channel, _) in ends { _ = try channel.finish(acceptAlreadyClosed: true) }
    }

    @Test func nothingHappensAfterTheEnd() throws {
        pause.isOn = true
        channel.read()
        _ = try channel.finish(acceptAlreadyClosed: true)
        pause.isOn = false
        loop.advanceTime(by: .seconds(1))
        #expect(reads.count == 0)
    }
}
