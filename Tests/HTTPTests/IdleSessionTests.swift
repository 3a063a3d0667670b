import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import HTTP

/// Without these a client that was silent for a while finds its connection broken, or thousands that are take the memory that
/// requests need.
@Suite struct IdleSessionTests {
    private final class Owner: HTTP2ConnectionDelegate {
        var handler: HTTP2Handler?
        var answers = true
        var heads: [[String]] = []
        var waiting: [HTTP2Stream] = []
        var pingsAcknowledged = 0
        var closed: [String] = []

        func opened(_ handler: HTTP2Handler) { self.handler = handler }
        func reading(at now: NIODeadline) {}
        func connectionClosed(reason: String) {
            handler = nil
            closed.append(reason)
        }
        func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
            heads.append(stream.headers.all.map { "\($0.name)=\($0.value)" })
        }
        func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) {}
        func ended(_ stream: HTTP2Stream) {
            if answers { answer(stream) } else { waiting.append(stream) }
        }
        func answer(_ stream: HTTP2Stream) {
            noThrow {
                try handler?.session?.respond(
                    stream, HTTP2Fields([(":status", "200"), ("x-answer", "kept in the answer's table")]),
                    body: ByteBuffer(string: "answer"), trailers: HTTP2Fields([("grpc-status", "0")]))
            }
        }
        func closed(_ stream: HTTP2Stream, code: UInt32) {}
        func goAway(lastStream: Int32, code: UInt32) {}
        func pingAcknowledged() { pingsAcknowledged += 1 }
        func pingReceived() {}
    }

    /// A server's connection and nghttp2's own client at its other end.
    private final class Rig {
        let loop: EmbeddedEventLoop
        let owner = Owner()
        let channel: EmbeddedChannel
        let client: Peer
        /// What the client sent last.
        var sentBytes = 0

        init(_ loop: EmbeddedEventLoop = EmbeddedEventLoop()) throws {
            self.loop = loop
            channel = EmbeddedChannel(loop: loop)
            client = try Peer(.client)
            try channel.pipeline.syncOperations.addHandler(
                HTTP2Handler(role: .server, settings: HTTP2Settings(), delegate: owner))
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func written() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
                bytes += buffer.readableBytesView
            }
            return bytes
        }

        func exchange() throws {
            while true {
                let there = try client.output()
                if !there.isEmpty { try channel.writeInbound(ByteBuffer(bytes: there)) }
                let back = try written()
                try client.receive(back)
                if there.isEmpty, back.isEmpty { return }
            }
        }

        /// A request with fields for the tables of both ends.
        /// - Returns: what the client was told.
        func ask(_ extra: [(String, String)] = [], body: [ByteBuffer]? = nil) throws -> [Event] {
            let fields = HTTP2Fields(
                [
                    (":method", "POST"), (":scheme", "http"), (":path", "/a.rather/LongPath"),
                    (":authority", "gateway.example:4317"), ("user-agent", "grpc-go/1.71.0"),
                ] + extra)
            _ = try client.session.request(fields, body: body)
            let bytes = try client.output()
            sentBytes = bytes.count
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            try exchange()
            return client.take()
        }

        var session: HTTP2Session? { owner.handler?.session }

        /// As its owner does when it has been idle.
        /// - Returns: whether it is away then.
        func putAway() -> Bool {
            session?.giveBackMemory()
            loop.advanceTime(by: .milliseconds(2))
            return session?.isAway ?? false
        }

        /// How many of its slot's pages take memory.
        var residentPages: Int {
            guard let range = session?.memory?.slotRange else { return -1 }
            return pages(range)
        }

        func finish() {
            _ = try? channel.finish(acceptAlreadyClosed: true)
            client.close()
        }
    }

    private static func answered(_ id: Int32) -> [Event] {
        [
            .head(id, [":status=200", "x-answer=kept in the answer's table"]),
            .body(id, Array("answer".utf8)),
            .trailers(id, ["grpc-status=0"]), .ended(id), .closed(id, 0),
        ]
    }

    /// Scenario: more connections of a loop have made a request than may be awake. Guarantees: those beyond rest as soon as they are
    /// answered, and wake for the next one. Else 10 000 that have just asked take 100 MiB more.
    @Test func aCrowdRestsAtOnce() throws {
        HTTP2Session.limitAwake(toBytes: 0, loops: 1)
        defer { HTTP2Session.limitAwake(toBytes: .max, loops: 1) }
        let loop = EmbeddedEventLoop()
        let rigs = try (0..<20).map { _ in try Rig(loop) }
        for turn in 0..<3 as Range<Int32> {
            for rig in rigs {
                #expect(try rig.ask() == Self.answered(2 * turn + 1))
                // However often it answers.
                for _ in 0..<100 { rig.session?.rest() }
                loop.advanceTime(by: .milliseconds(2))
            }
            #expect(rigs.count { $0.session?.isAway == true } == 4)
        }
        for rig in rigs { rig.finish() }
    }

    /// If it failed, the second request of a client that was silent for a while would be answered with garbage, or not at all:
    /// its head says only which entries of the tables it means.
    @Test func bothTablesAreThereAfterwards() throws {
        let rig = try Rig()
        #expect(try rig.ask() == Self.answered(1))
        let first = rig.sentBytes
        for turn in 1...5 {
            #expect(rig.putAway())
            #expect(try rig.ask([("x-turn", "\(turn)")]) == Self.answered(Int32(2 * turn + 1)))
            #expect(rig.session?.isAway == false)
        }
        // The tables were used.
        #expect(rig.sentBytes < first / 2)
        #expect(Set(rig.owner.heads.map { $0.prefix(5) }).count == 1)
        #expect(rig.owner.heads.last?.last == "x-turn=5")
        rig.finish()
    }

    /// If it failed, ten thousand idle clients would take 100 MB more.
    @Test func theMemoryIsGivenBack() throws {
        let rig = try Rig()
        _ = try rig.ask()
        #expect(rig.residentPages >= 2)
        #expect(rig.putAway())
        #expect(rig.residentPages == 0)
        let kept = try #require(rig.session?.memory?.packedBytes)
        #expect(kept < 2500, "\(kept)")
        // Neither of these is a reason to bring it back.
        rig.owner.handler?.flush()
        #expect(rig.session?.isFinished == false && rig.session?.outboundFrames == 0)
        rig.session?.giveBackMemory()
        rig.loop.advanceTime(by: .milliseconds(2))
        #expect(rig.residentPages == 0)
        rig.finish()
    }

    /// If it failed, an answer could be lost, or a loop be held up by connections that are not idle.
    @Test func nothingIsPutAwayWhileThereIsSomethingToDo() throws {
        let rig = try Rig()
        _ = try rig.ask()
        rig.owner.answers = false
        #expect(try rig.ask() == [])
        #expect(!rig.putAway())
        // Answered, and the client does not read.
        rig.channel.isWritable = false
        rig.owner.answer(try #require(rig.owner.waiting.first))
        #expect(!rig.putAway())
        rig.channel.isWritable = true
        rig.channel.pipeline.fireChannelWritabilityChanged()
        try rig.exchange()
        #expect(rig.client.take() == Self.answered(3))
        // A frame of its own that has not left.
        rig.channel.isWritable = false
        rig.session?.ping()
        #expect(!rig.putAway())
        rig.channel.isWritable = true
        rig.channel.pipeline.fireChannelWritabilityChanged()
        try rig.exchange()
        #expect(rig.owner.pingsAcknowledged == 1 && rig.client.take() == [.ping])
        // A request that comes after it was decided and before it was done.
        rig.session?.giveBackMemory()
        #expect(try rig.ask() == [])
        rig.loop.advanceTime(by: .milliseconds(2))
        #expect(rig.session?.isAway == false)
        #expect(rig.session?.openStreams == 1)
        rig.finish()
    }

    /// If it failed, an idle client would not be asked whether it is alive, or an answer to that not be understood.
    @Test func itPingsAndIsPinged() throws {
        let rig = try Rig()
        _ = try rig.ask()
        #expect(rig.putAway())
        rig.session?.ping()
        rig.owner.handler?.flush()
        #expect(Frame.parse(try rig.written()).map(\.type) == [6])
        #expect(rig.putAway())
        try rig.channel.writeInbound(ByteBuffer(bytes: Frame.raw(6, flags: 1, [0, 0, 0, 0, 0, 0, 0, 0])))
        #expect(rig.owner.pingsAcknowledged == 1)
        #expect(rig.putAway())
        try rig.channel.writeInbound(ByteBuffer(bytes: Frame.ping))
        let answer = Frame.parse(try rig.written())
        #expect(answer.map(\.type) == [6] && answer.first?.flags == 1)
        #expect(answer.first?.payload == [1, 2, 3, 4, 5, 6, 7, 8])
        rig.finish()
    }

    /// If it failed, `max_connection_age` and a gateway that stops would cut idle clients off without a word.
    @Test func itSaysGoodbye() throws {
        let rig = try Rig()
        _ = try rig.ask()
        #expect(rig.putAway())
        rig.session?.goAway(isFinal: false)
        rig.owner.handler?.flush()
        var goAway = try #require(Frame.parse(try rig.written()).last)
        #expect(goAway.type == 7 && Array(goAway.payload.prefix(4)) == [0x7F, 0xFF, 0xFF, 0xFF])
        #expect(rig.putAway())
        rig.session?.goAway(isFinal: true)
        rig.owner.handler?.flush()
        goAway = try #require(Frame.parse(try rig.written()).last)
        #expect(goAway.type == 7 && Array(goAway.payload.prefix(4)) == [0, 0, 0, 1])
        #expect(!rig.channel.isActive && rig.owner.closed.count == 1)
        rig.finish()
    }

    /// If it failed, a frame that comes in two parts with a rest between them would break its connection.
    @Test func aFrameMayComeInParts() throws {
        let rig = try Rig()
        _ = try rig.ask()
        let bytes = Frame.ping + Frame.settings([(4, 100_000)]) + Frame.request(3)
        var times = 0
        for byte in bytes.dropLast() {
            try rig.channel.writeInbound(ByteBuffer(bytes: [byte]))
            try rig.client.receive(try rig.written())
            // Not from the head of a request on: its stream is open.
            #expect(rig.putAway() == (rig.session?.openStreams == 0))
            if rig.session?.isAway == true { times += 1 }
        }
        #expect(times == Frame.ping.count + Frame.settings([(4, 100_000)]).count + 8)
        try rig.channel.writeInbound(ByteBuffer(bytes: bytes.suffix(1)))
        #expect(rig.owner.heads.last == [":method=POST", ":scheme=http", ":path=/p", ":authority=h"])
        #expect(rig.channel.isActive)
        rig.finish()
    }

    /// If it failed, a client that goes while its connection is away would leave its memory behind, or take another's.
    @Test func itMayEndMeanwhile() throws {
        let loop = EmbeddedEventLoop()
        for turn in 0..<6 {
            let rig = try Rig(loop)
            #expect(try rig.ask() == Self.answered(1))
            let slot = try #require(rig.session?.memory?.slotRange)
            #expect(rig.putAway() && rig.session?.memory?.holdsAll == true)
            switch turn % 3 {
            case 0: break
            case 1: rig.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            default: rig.owner.handler?.close(because: "tested")
            }
            // Waits for its turn still.
            rig.session?.giveBackMemory()
            rig.finish()
            loop.advanceTime(by: .milliseconds(2))
            #expect(rig.owner.closed.count == 1)
            if turn % 3 != 1 { #expect(pages(slot) == 0) }
        }
    }

    /// If it failed, what is larger than a slot would be lost, or the slots of other connections be overwritten.
    @Test func whatDoesNotFitIsElsewhere() throws {
        let loop = EmbeddedEventLoop()
        let rigs = try (0..<4).map { _ in try Rig(loop) }
        for turn in 0..<8 {
            for (index, rig) in rigs.enumerated() {
                rig.owner.answers = false
                // Many streams at a time, and tables full of short entries.
                for stream in 0..<60 { _ = try rig.ask([("x-\(index)-\(turn)-\(stream)", "\(stream)")]) }
                let waiting = rig.owner.waiting
                rig.owner.waiting = []
                for stream in waiting.shuffled() { rig.owner.answer(stream) }
                rig.owner.handler?.flush()
                try rig.exchange()
                #expect(rig.client.take().count { if case .ended = $0 { true } else { false } } == 60)
                #expect(rig.owner.heads.last?.last == "x-\(index)-\(turn)-59=59")
                rig.owner.heads = []
            }
            for rig in rigs {
                #expect(rig.putAway() && rig.residentPages == 0 && rig.session?.memory?.holdsAll == false)
            }
        }
        for rig in rigs { rig.finish() }
    }

    /// If it failed, a loop would stand still while thousands that became idle at once are put away.
    @Test func aFewAreDoneAtATime() throws {
        let loop = EmbeddedEventLoop()
        let rigs = try (0..<100).map { _ in try Rig(loop) }
        for rig in rigs { _ = try rig.ask() }
        for rig in rigs { rig.session?.giveBackMemory() }
        var before = 0
        while before < rigs.count {
            loop.advanceTime(by: .milliseconds(2))
            let away = rigs.count { $0.session?.isAway == true }
            #expect(away > before && away <= before + 16)
            guard away > before else { break }
            before = away
        }
        for rig in rigs { rig.finish() }
    }
}
