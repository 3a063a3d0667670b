import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RequestServing

/// Without these requests that never end take what is everybody's, or memory is held that no limit knows of.
@Suite struct IncompleteMemoryTests {
    private let loop = EmbeddedEventLoop()
    private let ledger = MemoryLedger()
    private let tools: LoopTools
    private let rear = Rear()

    init() {
        tools = LoopTools(eventLoop: loop, ledger: ledger)
    }

    private func shared(_ requestBytes: Int = 1_000_000, address: Int = 0) -> IncompleteMemory {
        var limits = ConnectionLimits()
        limits.addressMemoryPercentage = address
        return IncompleteMemory(limits, requestBytes: requestBytes, ledger: ledger)
    }

    private func connection(_ shared: IncompleteMemory, address: String? = nil) -> ConnectionMemory {
        ConnectionMemory(shared, ConnectionAccount(now: loop.now), address: address)
    }

    private func reader(_ memory: ConnectionMemory) -> RequestReader {
        RequestReader(
            tools: tools, limits: RequestLimits(isGRPC: true, bodyBytesMax: 4 << 20), memory: memory)
    }

    /// A request of `size` bytes of which `bytes` have come.
    private func begin(_ memory: ConnectionMemory, size: Int, bytes: Int) -> (RequestReader, Answer.Failure?)
    {
        let reader = reader(memory)
        #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
        return (reader, reader.append(grpcMessage(Array(repeating: 0, count: bytes), length: size)))
    }

    /// Scenario: thousands of requests of which a byte has come. Guarantees: each holds what the smallest buffer takes, and
    /// gives it back.
    @Test func whatHasComeIsCharged() {
        let memory = connection(shared(.max))
        let readers = (0..<1000).map { _ in begin(memory, size: 65_536, bytes: 1).0 }
        #expect(memory.bodyBytes == 1000 * 1024 && ledger.bytes == 1000 * 1024 && memory.bodies == 1000)
        for reader in readers { reader.abandon() }
        #expect(memory.heldBytes == 0 && ledger.bytes == 0 && memory.bodies == 0)
    }

    /// Guarantees: connections that ask for nothing are charged beyond a sixteenth of what there is for requests, as long as they
    /// last, and are too many when they have three quarters of it. Else some thousand take the process above its limit.
    @Test func connectionsAreCharged() {
        let shared = shared(100 * 8192)
        for number in 1...75 {
            #expect(!shared.isFull)
            shared.opened(bytes: 8192)
            #expect(ledger.bytes == max(0, number - 6) * 8192)
        }
        #expect(shared.isFull)
        for number in (0..<75).reversed() {
            shared.closed(bytes: 8192)
            #expect(!shared.isFull && ledger.bytes == max(0, number - 6) * 8192)
        }
    }

    /// Scenario: a connection closes while it writes answers, with bytes that wait for their turn. Guarantees: they are not
    /// charged behind its end, when nobody gives them back any more: hundreds of such connections would lock everybody out.
    @Test func nothingIsChargedBehindTheEnd() {
        let shared = shared(.max)
        let memory = connection(shared)
        memory.unreadBytes = 5000
        memory.publish()
        #expect(ledger.bytes == 5000 && shared.bytes == 5000)
        memory.end()
        memory.unreadBytes = 5000
        memory.publish()
        #expect(ledger.bytes == 0 && shared.bytes == 0)
    }

    /// Guarantees: a connection's share is its own, but one request may be as large as requests may be.
    @Test func aConnectionHasAShare() {
        let shared = shared()
        let memory = connection(shared)
        let (first, failure) = begin(memory, size: 1 << 20, bytes: 200_000)
        #expect(failure == nil && memory.bodyBytes > shared.connectionLimitBytes)
        let (_, refused) = begin(memory, size: 10_000, bytes: 5000)
        #expect(refused?.code == .unavailable && refused?.retryAfterSeconds == 1)
        #expect(refused?.message.contains("connection_memory_percentage") == true)
        // What comes whole is no incomplete request.
        let whole = RequestBuilder.make(.traces, items: 3)
        let reader = reader(memory)
        #expect(reader.begin(rear.target(), encoding: .identity, contentLength: nil) == nil)
        #expect(reader.append(grpcMessage(whole)) == nil)
        #expect(reader.finish(later: { Acknowledgement { _ in } })?.isAccepted == true)
        first.abandon()
        #expect(memory.heldBytes == 0)
    }

    /// Scenario: many connections fill the share of all. Guarantees: the next one is refused, what comes whole is not, and
    /// an end of a connection makes room.
    @Test func allConnectionsHaveAShare() {
        let shared = shared()
        var memories: [ConnectionMemory] = []
        var kept: [RequestReader] = []
        var failure: Answer.Failure?
        while failure == nil, memories.count < 100 {
            let memory = connection(shared)
            let (reader, refused) = begin(memory, size: 1 << 20, bytes: 60_000)
            memory.publish()
            failure = refused
            memories.append(memory)
            kept.append(reader)
        }
        #expect(failure?.message.contains("incomplete_memory_percentage") == true)
        #expect(shared.bytes <= shared.limitBytes && shared.isShort)
        let (whole, taken) = begin(connection(shared), size: 60_000, bytes: 60_000)
        #expect(taken == nil)
        whole.abandon()
        for reader in kept { reader.abandon() }
        for memory in memories { memory.end() }
        #expect(shared.bytes == 0 && ledger.bytes == 0)
    }

    /// Guarantees: where an address is bounded, its connections are, together; another address is not.
    @Test func anAddressHasAShare() {
        let shared = shared(address: 20)
        var failure: Answer.Failure?
        var kept: [RequestReader] = []
        for _ in 0..<4 where failure == nil {
            let memory = connection(shared, address: "192.0.2.1")
            let (reader, refused) = begin(memory, size: 1 << 20, bytes: 60_000)
            kept.append(reader)
            memory.publish()
            failure = refused
        }
        #expect(failure?.message.contains("address_memory_percentage") == true)
        #expect(begin(connection(shared, address: "192.0.2.2"), size: 1 << 20, bytes: 60_000).1 == nil)
    }

    /// Streams, heads and waiting bytes are charged to the ledger, since no payload is.
    @Test func whatIsNoBodyIsChargedToo() {
        let shared = shared(.max)
        let memory = connection(shared)
        memory.openStreams = 100
        memory.slots = 164
        memory.unreadBytes = 1000
        memory.publish()
        let held = 100 * ConnectionMemory.streamBytes + 100 * ConnectionMemory.slotBytes + 1000
        #expect(ledger.bytes == held && shared.bytes == held)
        memory.openStreams = 0
        memory.publish()
        #expect(ledger.bytes == 100 * ConnectionMemory.slotBytes + 1000)
        memory.end()
        #expect(ledger.bytes == 0 && shared.bytes == 0)
    }

    /// Scenario: header fields of 60 kB stay with the data. Guarantees: they are charged with it, asked for first, and
    /// released with the last reference.
    @Test func fieldsThatStayWithTheDataAreCharged() {
        var limits = RequestLimits(isGRPC: false, bodyBytesMax: 4 << 20)
        limits.keepsMetadata = true
        let memory = connection(shared(.max))
        let request = RequestBuilder.make(.traces, items: 1)
        let fields = head([("x-big", String(repeating: "a", count: 60_000))])
        let reader = RequestReader(tools: tools, limits: limits, memory: memory)
        #expect(
            reader.begin(rear.target(), encoding: .identity, contentLength: request.count, head: fields)
                == nil)
        #expect(memory.headBytes > 60_000)
        #expect(reader.append(request) == nil)
        #expect(reader.finish(later: { Acknowledgement { _ in } })?.isAccepted == true)
        #expect(memory.headBytes == 0 && rear.limiter.asked.contains { $0 > 60_000 })
        #expect(ledger.bytes > 60_000)
        rear.limiter.refusesAbove = 50_000
        _ = reader.begin(rear.target(), encoding: .identity, contentLength: request.count, head: fields)
        _ = reader.append(request)
        #expect(reader.finish(later: { Acknowledgement { _ in } })?.failure?.httpStatus == 503)
    }

    /// Guarantees: when memory is short, what does not move ends, the emptiest first, and no more of it than needed.
    @Test(arguments: [false, true]) func theEmptiestAreEndedFirst(isLater: Bool) {
        final class Stalled: ReceiverConnection {
            var idleSince: NIODeadline? { nil }
            let connectionBytes = 0
            var requests: [StalledRequest] = []
            func stalledRequests(_ now: NIODeadline) -> [StalledRequest] { requests }
            func check(_ now: NIODeadline) {}
            func drain() {}
            func close() {}
        }
        let shared = shared()
        let connections = Connections(
            eventLoop: loop, tools: tools, checkInterval: .seconds(15), memory: shared)
        var ended: [Double] = []
        let memory = connection(shared)
        memory.unreadBytes = 400_000
        memory.publish()
        for part in [[0.9, 0.1], [0.5, 0.2, 0.7]] {
            let connection = Stalled()
            connection.requests = part.map { fullness in
                StalledRequest(fullness: fullness) {
                    ended.append(fullness)
                    memory.unreadBytes -= 100_000
                    if !isLater { memory.publish() }
                    return isLater ? 100_000 : 0
                }
            }
            connections.add(connection)
        }
        connections.relieve(loop.now)
        #expect(ended == [0.1, 0.2, 0.5])
    }
}

/// Without these work is done for clients that have given up, or nobody knows why a call failed.
@Suite struct GRPCTimeoutTests {
    @Test(
        arguments: [
            ("1H", .after(.hours(1))), ("2M", .after(.minutes(2))), ("3S", .after(.seconds(3))),
            ("4m", .after(.milliseconds(4))), ("5u", .after(.microseconds(5))),
            ("6n", .after(.nanoseconds(6))),
            ("00000000n", .after(.zero)), ("99999999H", .none), ("", .malformed("")), ("S", .malformed("S")),
            ("1", .malformed("1")), ("1s", .malformed("1s")), ("-1S", .malformed("-1S")),
            ("123456789S", .malformed("123456789S")), ("1 S", .malformed("1 S")),
        ] as [(String, GRPCTimeout)])
    func whatItSays(text: String, timeout: GRPCTimeout) {
        #expect(GRPCTimeout(head([("grpc-timeout", text)])) == timeout)
    }

    @Test func mostSayNothing() {
        #expect(GRPCTimeout(head([("content-type", "application/grpc")])) == .none)
    }
}
