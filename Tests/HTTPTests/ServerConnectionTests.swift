import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import HTTP

/// Without these one connection takes a loop, or the process's memory and files, from everybody.
@Suite struct ServerConnectionTests {
    private final class Owner: HTTP2ConnectionDelegate {
        var handler: HTTP2Handler?
        var answers = true
        var heads = 0
        var isClosed = false

        func opened(_ handler: HTTP2Handler) { self.handler = handler }
        func reading(at now: NIODeadline) {}
        func connectionClosed(reason: String) {
            handler = nil
            isClosed = true
        }
        func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) { heads += 1 }
        func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {}
        func ended(_ stream: HTTP2Stream) {
            guard answers else { return }
            noThrow { try handler?.session?.respond(stream, ok, body: ByteBuffer(string: "answer")) }
        }
        func closed(_ stream: HTTP2Stream, code: UInt32) {}
        func goAway(lastStream: Int32, code: UInt32) {}
        func pingAcknowledged() {}
        func pingReceived() {}
    }

    private let loop = EmbeddedEventLoop()
    private let owner = Owner()
    private let channel: EmbeddedChannel
    private let account: ConnectionAccount
    private let start = Frame.preface + Frame.settings()

    init() throws {
        try self.init(burst: 20_000)
    }

    /// - Parameter slowness: so much that what work takes on a slow or instrumented machine is no matter, but for tests of
    ///   that.
    private init(burst: Int, slowness: Int = 1_000_000) throws {
        var frames = FrameBudget.Limits()
        frames.burst = burst
        account = ConnectionAccount(frames: frames, slowness: slowness, now: loop.now)
        channel = EmbeddedChannel(loop: loop)
        let gate = ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account)
        let handler = HTTP2Handler(
            role: .server, settings: HTTP2Settings(), delegate: owner, account: account)
        try channel.pipeline.syncOperations.addHandlers([gate, handler])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    private func send(_ bytes: [UInt8]) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    private func written() throws -> [(type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8])] {
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return Frame.parse(bytes)
    }

    /// The code of the last GOAWAY.
    private func goAwayCode() throws -> UInt32? {
        try written().last { $0.type == 7 }.map { $0.payload[4..<8].reduce(0) { $0 << 8 | UInt32($1) } }
    }

    /// Until nothing waits any more.
    private func takeTurns() {
        repeat { loop.advanceTime(by: .milliseconds(3)) } while channel.isActive && account.waitingBytes > 0
    }

    /// If it failed, a client that sends much would cost an eighth more, or one that owes time would keep the loop from the others.
    @Test func onlyWhoHasCompletedARequestIsReadOftenInARow() throws {
        let rig = try ServerConnectionTests(burst: 20_000, slowness: 1)
        func readsInARow() -> UInt? {
            rig.channel.options.lazy.compactMap {
                $0.option is ChannelOptions.Types.MaxMessagesPerReadOption ? $0.value as? UInt : nil
            }.first
        }
        try rig.send(rig.start)
        #expect(readsInARow() == 1)
        rig.account.earn(bytes: 1000)
        try rig.send(Frame.settings())
        #expect(readsInARow() == 4)
        let gate = try #require(rig.account.gate)
        gate.giveBackBuffers(rig.loop.now + .seconds(1))
        #expect(readsInARow() == 4)
        gate.giveBackBuffers(rig.loop.now + .seconds(6))
        #expect(readsInARow() == 1)
        try rig.send(Frame.settings())
        #expect(readsInARow() == 4)
        rig.account.spend(.milliseconds(100), now: rig.loop.now, among: 0)
        try rig.send(Frame.settings())
        #expect(readsInARow() == 1)
    }

    private static let floods: [(String, @Sendable (UInt32) -> [UInt8])] = [
        ("empty DATA", { _ in Frame.data(1, []) }),
        ("PRIORITY", { _ in Frame.raw(2, stream: 1, [0, 0, 0, 0, 1]) }),
        ("WINDOW_UPDATE", { _ in Frame.windowUpdate(0, 1) }),
        ("SETTINGS", { _ in Frame.settings() }),
        ("unknown", { _ in Frame.raw(0x77, [1]) }),
        ("rapid resets", { Frame.request(2 * $0 + 3, end: false) + Frame.reset(2 * $0 + 3, 8) }),
        (
            "made-you resets",
            { Frame.request(2 * $0 + 3, end: false) + Frame.windowUpdate(2 * $0 + 3, 0x7FFF_FFFF) }
        ),
        ("requests that get nothing", { Frame.request(2 * $0 + 3) }),
    ]

    /// Frames that carry nothing and cost something. Guarantees: GOAWAY with ENHANCE_YOUR_CALM, told once, and the end.
    @Test(arguments: 0..<8) func floodsAreEnded(index: Int) throws {
        let (name, frame) = Self.floods[index]
        let rig = try ServerConnectionTests(burst: 1000)
        var ends: [ConnectionEnd] = []
        rig.account.end = { [owner = rig.owner] reason in
            ends.append(reason)
            owner.handler?.end(reason)
        }
        try rig.send(rig.start + Frame.request(1, end: false))
        var code: UInt32?
        for round in 0..<100 where rig.channel.isActive {
            var bytes: [UInt8] = []
            for step in 0..<50 { bytes += frame(UInt32(round * 50 + step)) }
            try rig.send(bytes)
            rig.loop.advanceTime(by: .milliseconds(3))
            code = try rig.goAwayCode() ?? code
        }
        #expect(ends == [.frames] && code == 11 && rig.owner.isClosed, "\(name)")
    }

    /// Scenario: a client whose deadlines end 3 000 calls at once. Guarantees: it goes on.
    @Test func manyCancelledStreamsAreNoFlood() throws {
        try send(start)
        for index in 0..<3000 {
            let id = UInt32(2 * index + 1)
            try send(Frame.request(id, end: false) + Frame.reset(id, 8))
        }
        takeTurns()
        _ = try written()
        try send(Frame.request(6001))
        takeTurns()
        #expect(try written().contains { $0.type == 1 && $0.stream == 6001 })
        #expect(channel.isActive)
    }

    /// RFC 9113 §5.1.1. If it failed, a client would wait for ever for an answer.
    @Test func aStreamNumberThatGoesBackEndsTheConnection() throws {
        try send(start + Frame.request(5, end: false) + Frame.request(3))
        #expect(try goAwayCode() == 1)
        loop.run()
        #expect(!channel.isActive)
    }

    // MARK: - The beginning

    /// If it failed, ten thousand idle connections would take a quarter of a gigabyte.
    @Test func aConnectionThatOnlyConnectsHasNoSession() throws {
        try send(start + Frame.windowUpdate(0, 1 << 20))
        #expect(try written().map { "\($0.type).\($0.flags)" } == ["4.0", "8.0", "4.1"])
        #expect(owner.handler?.session == nil && owner.handler?.hasPeerSettings == true)
        // What comes then is answered as if there had been one, and nothing is said twice.
        try send(Frame.settingsAcknowledged + Frame.request(1))
        let answer = try written()
        #expect(answer.map(\.type) == [1, 0] && answer.allSatisfy { $0.stream == 1 })
        #expect(owner.heads == 1)
    }

    /// Scenario: the server wants to ping a client that has only connected. Guarantees: half a frame that came is not lost.
    @Test func aSessionThatIsAskedForGoesOnWhereTheClientIs() throws {
        let settings = Frame.settings([(4, 0)])
        try send(start + settings.prefix(10))
        let handler = try #require(owner.handler)
        handler.startSession()?.ping()
        handler.flush()
        #expect(try written().map(\.type).suffix(1) == [6])
        try send(Array(settings.dropFirst(10)) + Frame.request(1))
        // The window of 0 that the settings ask for: a head, no body.
        #expect(try written().filter { $0.stream == 1 }.map(\.type) == [1])
    }

    // MARK: - The end

    /// Scenario: a window of 0, a request, and the end of the client's side. If it failed, the socket would stay for ever.
    @Test func anAnswerThatCannotBeSentDoesNotHoldTheConnection() throws {
        try send(Frame.preface + Frame.settings([(4, 0)]) + Frame.request(1))
        #expect(channel.isActive)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        loop.run()
        #expect(!channel.isActive)
    }

    /// The same where the answer is the owner's to give: it has five seconds.
    @Test func anAnswerThatDoesNotComeHasADeadline() throws {
        owner.answers = false
        try send(start + Frame.request(1))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        loop.advanceTime(by: .milliseconds(4999))
        #expect(channel.isActive)
        loop.advanceTime(by: .milliseconds(2))
        #expect(!channel.isActive)
    }

    /// If it failed, ten thousand connections that once had much to say would keep five gigabytes for the next time.
    @Test func manyConnectionsReadLittleEach() throws {
        #expect(ReadGate.readBytes(512 << 10, connections: 1) == 512 << 10)
        #expect(ReadGate.readBytes(512 << 10, connections: 100) == 83_886)
        #expect(ReadGate.readBytes(512 << 10, connections: 10_000) == 16 << 10)
        try send(start)
        #expect(account.gate != nil)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(account.gate == nil && account.end == nil)
    }

    // MARK: - Turns

    /// Scenario: a connection has taken 50 ms for nothing. Guarantees: what it sends waits for its turn, is then answered,
    /// and is answered at once again when time has paid.
    @Test func aDebtorIsServedInTurn() throws {
        try Self(burst: 20_000, slowness: 1).debtorIsServedInTurn()
    }

    private func debtorIsServedInTurn() throws {
        try send(start)
        _ = try written()
        account.work.spend(.milliseconds(50), now: loop.now)
        try send(Frame.request(1))
        #expect(try written().isEmpty && account.waitingBytes > 0)
        loop.advanceTime(by: .milliseconds(3))
        #expect(try written().contains { $0.type == 1 && $0.stream == 1 })
        #expect(account.waitingBytes == 0)
        loop.advanceTime(by: .seconds(1))
        try send(Frame.request(3))
        #expect(try written().contains { $0.type == 1 && $0.stream == 3 })
    }

    /// Scenario: it goes on like that. Guarantees: the end, with its reason.
    @Test func anOverdrawnConnectionIsEnded() throws {
        try Self(burst: 20_000, slowness: 1).overdrawnConnectionIsEnded()
    }

    private func overdrawnConnectionIsEnded() throws {
        var ends: [ConnectionEnd] = []
        account.end = { [owner] reason in
            ends.append(reason)
            owner.handler?.end(reason)
        }
        try send(start)
        account.work.spend(.milliseconds(300), now: loop.now)
        try send(Frame.request(1))
        loop.advanceTime(by: .milliseconds(3))
        #expect(ends == [.time] && !channel.isActive)
        #expect(try goAwayCode() == 11)
    }

    /// Scenario: a read full of requests, of a client that does not read. Guarantees: what could not be answered waits, and
    /// is gone with the connection.
    @Test func requestsWaitForTheirAnswersToBeRead() throws {
        try send(start)
        takeTurns()
        var bytes: [UInt8] = []
        for index in 0..<3000 { bytes += Frame.request(UInt32(2 * index + 1)) }
        channel.isWritable = false
        try send(bytes)
        #expect(account.waitingBytes > bytes.count / 2 && owner.heads < 1500)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        takeTurns()
        #expect(owner.heads == 3000 && account.waitingBytes == 0)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    // MARK: - Rounds

    /// Scenario: connections that have earned nothing, and busy ones, had their milliseconds of a round of the loop. Guarantees:
    /// what one more of the former sends waits, and is answered soon; one that has earned something is served at once, unless
    /// it is busy itself.
    @Test func theOthersDoNotWaitForThoseThatHaveEarnedNothing() throws {
        loop.advanceTime(by: .hours(1))
        let turns = try #require(account.gate?.turns)
        func read(_ bytes: [UInt8]) { channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes)) }
        func endRound() { turns.took(.hours(1), now: loop.now, inRound: true) }
        #expect(turns.hasTime(forUnproven: true))
        endRound()
        #expect(!turns.hasTime(forUnproven: true) && !turns.hasTime(forUnproven: false))
        read(start)
        #expect(account.waitingBytes == start.count)
        takeTurns()
        #expect(try !written().isEmpty)

        for _ in 0..<10 { account.earn(bytes: 0) }
        #expect(turns.hasTime(forUnproven: true))
        endRound()
        read(Frame.request(1))
        #expect(account.waitingBytes == 0 && owner.heads == 1)
        account.spend(.milliseconds(2 * Int64(WorkBudget.slowness)), now: loop.now, among: 0)
        for _ in 0..<20 { account.earn(bytes: 1_000_000) }
        #expect(account.isBusy(onLoaded: false) && !account.work.isLow)
        read(Frame.request(3))
        #expect(account.waitingBytes > 0 && owner.heads == 1)
        loop.advanceTime(by: .milliseconds(1))
        #expect(account.waitingBytes == 0 && owner.heads == 2)
    }

    /// Scenario: connections each take just less of the loop than a busy one, and all of it together. Guarantees: they take turns,
    /// whoever has taken least first; a client that asks for little does not wait. When the loop has little to do again, nobody
    /// waits.
    @Test func manyThatAreNotBusyTakeTurns() throws {
        final class Recorder: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            var order: [UInt8] = []
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                order += unwrapInboundIn(data).readableBytesView
            }
        }
        let recorder = Recorder()
        func connect(taken microseconds: Int) throws -> EmbeddedChannel {
            let account = ConnectionAccount(slowness: 1_000_000, now: loop.now)
            for _ in 0..<10 { account.earn(bytes: 1_000_000) }
            account.spend(.microseconds(Int64(microseconds * WorkBudget.slowness)), now: loop.now, among: 0)
            let channel = EmbeddedChannel(loop: loop)
            try channel.pipeline.syncOperations.addHandlers([
                ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account), recorder,
            ])
            return channel
        }
        func send(_ number: UInt8, _ channel: EmbeddedChannel) {
            channel.pipeline.fireChannelRead(ByteBuffer(bytes: [number]))
        }
        let turns = try #require(account.gate?.turns)
        var channels = try [900, 400, 50].map(connect)
        #expect(!turns.isLoaded(loop.now) && turns.hasTime(forUnproven: false))
        turns.took(.hours(1), now: loop.now, inRound: true)
        #expect(turns.isLoaded(loop.now))
        for (index, channel) in channels.enumerated() { send(UInt8(index), channel) }
        #expect(recorder.order == [2])
        loop.advanceTime(by: .milliseconds(1))
        #expect(recorder.order == [2, 1, 0])
        loop.advanceTime(by: .seconds(2))
        #expect(!turns.isLoaded(loop.now))
        try channels.append(connect(taken: 900))
        send(3, channels[3])
        #expect(recorder.order == [2, 1, 0, 3])
        for channel in channels { _ = try channel.finish() }
    }

    /// Scenario: a flood of TLS connections, then one in plain text, in a round that has no time left for newcomers.
    /// Guarantees: it does not wait for their handshakes, of which each takes as long as a thousand first requests.
    @Test func handshakesWaitApart() throws {
        final class Recorder: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            var order: [UInt8] = []
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                order += unwrapInboundIn(data).readableBytesView
            }
        }
        let recorder = Recorder()
        let turns = try #require(account.gate?.turns)
        #expect(turns.hasTime(forUnproven: true))
        turns.took(.hours(1), now: loop.now, inRound: true)
        let channels = try (0..<100).map { number in
            let account = ConnectionAccount(slowness: 1_000_000, now: loop.now)
            let channel = EmbeddedChannel(loop: loop)
            try channel.pipeline.syncOperations.addHandlers([
                ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account, isTLS: number < 99),
                recorder,
            ])
            channel.pipeline.fireChannelRead(ByteBuffer(bytes: [UInt8(number)]))
            return channel
        }
        #expect(recorder.order.isEmpty)
        loop.advanceTime(by: .milliseconds(3))
        #expect(recorder.order.first == 99)
        for _ in 0..<1000 where recorder.order.count < 100 { loop.advanceTime(by: .milliseconds(3)) }
        #expect(recorder.order == [99] + Array(0..<99))
        for channel in channels { _ = try channel.finish() }
    }

    /// Scenario: each read takes milliseconds, and what follows it nothing. Guarantees: all of that counts, not a tenth; else as
    /// many have their turn in one round as have sent something, and a polite client waits for all of them. With TLS what was decrypted
    /// is worked on at the end of the read.
    @Test(arguments: [false, true]) func longReadsCountWhole(isTLS: Bool) throws {
        final class Slow: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            let loop: EmbeddedEventLoop
            let isTLS: Bool
            init(_ loop: EmbeddedEventLoop, isTLS: Bool) { (self.loop, self.isTLS) = (loop, isTLS) }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) { if !isTLS { work() } }
            func channelReadComplete(context: ChannelHandlerContext) { if isTLS { work() } }
            private func work() {
                let time = Int64(3_000_000 * WorkBudget.slowness)
                let end = ThreadTime.nanoseconds() + time
                while ThreadTime.nanoseconds() < end {}
                loop.advanceTime(by: .nanoseconds(time))
            }
        }
        let account = ConnectionAccount(slowness: 1_000_000, now: loop.now)
        for _ in 0..<10 { account.earn(bytes: 1_000_000) }
        let channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandlers([
            ReadGate(PausedReads(eventLoop: loop) { _ in false }, account: account, isTLS: isTLS),
            Slow(loop, isTLS: isTLS),
        ])
        for _ in 0..<4 {
            channel.pipeline.fireChannelRead(ByteBuffer(bytes: [1]))
            channel.pipeline.fireChannelReadComplete()
        }
        #expect(account.recent.nanoseconds(at: loop.now) > 2_000_000 * WorkBudget.slowness)
        _ = try channel.finish()
    }

    /// Guarantees: the smallest debt first, and among its like who came first; each once.
    @Test func turnsAreTakenInOrder() {
        var queue = TurnQueue<Int>()
        #expect(queue.popFirst() == nil)
        let debts = [300_000_000, 5_000_000, 0, -7, 5_000_001, Int.max, 1_000]
        for (index, debt) in debts.enumerated() { queue.append(index, debt: debt) }
        #expect(queue.count == 7)
        var order: [Int] = []
        while let next = queue.popFirst() { order.append(next) }
        #expect(order == [2, 3, 6, 1, 4, 0, 5] && queue.count == 0)
        for index in 0..<1000 { queue.append(index, debt: 0) }
        for index in 0..<500 { #expect(queue.popFirst() == index) }
        for index in 1000..<1500 { queue.append(index, debt: 0) }
        for index in 500..<1500 { #expect(queue.popFirst() == index) }
    }

    /// If it failed, a client that owes more would wait as long as others that owe little, or most, come back.
    @Test func everyClassOfDebtsHasItsTurn() {
        var queue = TurnQueue<Int>()
        for index in 0..<100 { queue.append(index, debt: 0) }
        queue.append(1000, debt: 5_000_000)
        for index in 2000..<2100 { queue.append(index, debt: Int.max) }
        #expect((0..<6).map { _ in queue.popNext() } == [0, 1000, 2000, 1, 2001, 2] && queue.count == 195)
        while queue.popFirst() != nil {}
        #expect(queue.popNext() == nil)
    }
}
