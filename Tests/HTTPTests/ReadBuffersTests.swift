import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP

/// Without these each of thousands of silent connections keeps a buffer, or one reads over what another has not used yet.
@Suite struct ReadBuffersTests {
    private let loop = EmbeddedEventLoop()

    /// A connection as NIO reads from it.
    private final class Connection {
        let buffers: ReadBuffers
        private var pool: NIOPooledRecvBufferAllocator

        init(_ loop: EmbeddedEventLoop, bytesMax: Int = 64 << 10) {
            buffers = ReadBuffers(on: loop)
            buffers.limit(to: bytesMax)
            pool = NIOPooledRecvBufferAllocator(capacity: 1, recvAllocator: buffers)
        }

        func readInARow(_ count: Int) {
            buffers.readInARow(count)
            pool.updateCapacity(to: count)
        }

        /// Reads so many bytes, or as many as there is room for.
        func read(_ count: Int, _ byte: UInt8 = 0) -> ByteBuffer {
            let (buffer, _) = pool.buffer(allocator: ByteBufferAllocator()) {
                $0.writeRepeatingByte(byte, count: min(count, $0.writableBytes))
            }
            pool.record(actualReadBytes: buffer.readableBytes)
            return buffer
        }

        /// As `read`, and the bytes were worked on.
        func readAndUse(_ count: Int) -> (address: Int, capacity: Int) {
            let buffer = read(count)
            defer { buffers.giveBack(buffer) }
            return (address(of: buffer), buffer.capacity)
        }
    }

    /// If it failed, a silent connection would keep what it has once read into.
    @Test(arguments: [1, 4]) func connectionsReadIntoTheSameBuffer(inARow: Int) {
        let connections = (0..<10).map { _ in Connection(loop) }
        for connection in connections { #expect(connection.readAndUse(100).capacity == 128) }
        if inARow > 1 {
            for connection in connections {
                connection.readInARow(inARow)
                for _ in 1..<inARow { #expect(connection.readAndUse(100).capacity == 128) }
            }
        }
        let used = connections.map { $0.readAndUse(100) }
        #expect(Set(used.map(\.address)).count == 1 && used[0].capacity == 4096)
        for connection in connections {
            connection.readInARow(1)
            #expect(connection.readAndUse(1500).address == used[0].address)
        }
    }

    /// If it failed, TLS, which decrypts later than it reads, or a connection that waits for its turn would find other bytes
    /// than those that came.
    @Test func whatIsKeptIsNotReadOver() {
        let (one, two) = (Connection(loop), Connection(loop))
        _ = (one.readAndUse(1), two.readAndUse(1))
        var kept: [ByteBuffer] = []
        for byte in UInt8(0)..<20 {
            let buffer = (byte % 2 == 0 ? one : two).read(1000, byte)
            one.buffers.giveBack(buffer)
            kept.append(buffer)
        }
        for (byte, buffer) in kept.enumerated() {
            #expect(buffer.readableBytesView.elementsEqual(repeatElement(UInt8(byte), count: 1000)))
        }
        #expect(Set(kept.map { address(of: $0) }).count == 20)
        let last = kept.removeLast()
        kept = []
        let next = two.read(1000, 99)
        #expect(address(of: next) != address(of: last) && last.readableBytesView.allSatisfy { $0 == 19 })
    }

    /// What a connection's `ReadGate` hands on.
    private final class Seen: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var counts: [Int] = []
        var bytes: [UInt8] = []
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            counts.append(unwrapInboundIn(data).readableBytes)
            bytes += unwrapInboundIn(data).readableBytesView
        }
    }

    private func connected() throws -> (channel: EmbeddedChannel, seen: Seen) {
        let (channel, seen) = (EmbeddedChannel(loop: loop), Seen())
        let gate = ReadGate(
            PausedReads(eventLoop: loop) { _ in false }, account: ConnectionAccount(now: loop.now))
        try channel.pipeline.syncOperations.addHandlers([gate, seen])
        return (channel, seen)
    }

    /// If it failed, a small request of a client that was trusted with several reads in a row would be taken for one of which a
    /// part has come, and be refused while others hold all memory for those.
    @Test(arguments: [128, 200, 384, 1000]) func smallBuffersAreHandedOnTogether(count: Int) throws {
        let (channel, seen) = try connected()
        channel.pipeline.fireChannelReadComplete()
        let sent = pattern(count)
        var start = 0
        for capacity in [128, 128, 128, 2048] where start < count {
            var part = ByteBufferAllocator().buffer(capacity: capacity)
            part.writeBytes(sent[start..<min(start + capacity, count)])
            start += part.readableBytes
            channel.pipeline.fireChannelRead(part)
        }
        channel.pipeline.fireChannelReadComplete()
        #expect(seen.counts == [count] && seen.bytes == sent)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    /// If it failed, a client that speaks the wrong protocol would not be told so: its connection is reset when bytes of its
    /// request were left unread.
    @Test(arguments: [100, 128, 300]) func whatComesFirstIsHandedOnWhole(count: Int) throws {
        let (channel, seen) = try connected()
        let sent = pattern(count)
        var parts: [ByteBuffer] = []
        for start in stride(from: 0, to: count, by: 128) {
            var part = ByteBufferAllocator().buffer(capacity: start == 0 ? 128 : 2048)
            part.writeBytes(sent[start..<min(start + 128, count)])
            parts.append(part)
        }
        if parts.count == 3 { parts[1].writeImmutableBuffer(parts.removeLast()) }
        for part in parts { channel.pipeline.fireChannelRead(part) }
        if count > 128 { #expect(seen.counts == [count]) }
        channel.pipeline.fireChannelReadComplete()
        #expect(seen.counts == [count] && seen.bytes == sent)
        channel.pipeline.fireChannelRead(parts[0])
        channel.pipeline.fireChannelReadComplete()
        #expect(seen.counts == [count, parts[0].readableBytes])
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    /// If it failed, a large request would be read in small pieces, or a small one take much room.
    @Test func moreIsReadWhereThereIsMore() {
        let connection = Connection(loop, bytesMax: 20_000)
        let sizes = (0..<7).map { _ in connection.readAndUse(1 << 20).capacity }
        #expect(sizes == [128, 4096, 8192, 16384, 32768, 32768, 32768])
        connection.buffers.limit(to: 16 << 10)
        #expect(connection.readAndUse(1 << 20).capacity == 16384)
        let smaller = (0..<10).map { _ in connection.readAndUse(10).capacity }
        #expect(smaller == [16384, 16384, 8192, 8192, 4096, 4096, 4096, 4096, 4096, 4096])
        #expect(connection.readAndUse(10).capacity == 4096)
    }
}

/// Where a buffer's bytes are.
private func address(of buffer: ByteBuffer) -> Int {
    buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
}
