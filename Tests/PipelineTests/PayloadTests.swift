import NIOCore
import NIOEmbedded
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("Payload, BufferPool and MemoryLedger")
struct PayloadTests {
    @Test(
        "what admission charges is what a buffer takes",
        arguments: [
            (0, 1024), (1, 1024), (1024, 1024), (1025, 2048), (4095, 4096), (4096, 4096), (100_000, 131_072),
            (16 << 20, 16 << 20), ((16 << 20) + 1, 32 << 20),
        ])
    func classes(asked: Int, rounded: Int) {
        #expect(BufferPool.roundedCapacity(asked) == rounded)
        let pool = BufferPool(eventLoop: EmbeddedEventLoop())
        #expect(pool.take(capacity: asked).capacity == rounded)
        let ledger = MemoryLedger()
        let payload = Payload(capacity: asked, pool: pool, ledger: ledger)
        #expect(ledger.bytes == rounded && payload.bytes.readableBytes == 0)
    }

    @Test("the limiter's ledger returns to zero however a request ends")
    func ledger() {
        let ledger = MemoryLedger()
        let pool = BufferPool(eventLoop: EmbeddedEventLoop())
        do { _ = Payload(capacity: 3000, pool: pool, ledger: ledger) }
        #expect(ledger.bytes == 0)
        do {
            let grown = Payload(capacity: 1000, pool: pool, ledger: ledger)
            grown.bytes.writeRepeatingByte(1, count: 5000)
            #expect(ledger.bytes == 1024)
            grown.adjustCharge()
            #expect(ledger.bytes == 8192)
            grown.adjustCharge()
            #expect(ledger.bytes == 8192)
        }
        #expect(ledger.bytes == 0)
        do {
            let batch = makeBatch(items: 1, bytes: 64, ledger: ledger)
            let slice = batch.slices[0]
            let merged = Batch(.traces)
            merged.append(slice)
            #expect(ledger.bytes == 64)
        }
        #expect(ledger.bytes == 0)
        // A slice on its way to a socket holds the bytes, but they are no longer the request's.
        var written = Slice(Payload(capacity: 10, pool: pool, ledger: ledger), offset: 0, count: 0, items: 0)
            .bytes
        #expect(ledger.bytes == 0 && written.readableBytes == 0)
        written.clear()
    }

    @Test("the ledger returns to zero when requests end on other threads than they came in on")
    func ledgerAcrossThreads() async throws {
        let ledger = MemoryLedger()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let loops = Array(group.makeIterator())
        let pool = BufferPool(eventLoop: loops[0])
        for round in 1...20 {
            let payloads = try await loops[0].submit {
                (0..<300).map { index in
                    let payload = Payload(capacity: 500 << (index % 4), pool: pool, ledger: ledger)
                    payload.bytes.writeRepeatingByte(UInt8(round), count: 400)
                    return payload
                }
            }.get()
            #expect(ledger.bytes > 0)
            try await loops[1].submit { [payloads] in
                for payload in payloads {
                    let view = payload.bytes.readableBytesView
                    #expect(view.count == 400 && view.allSatisfy { $0 == UInt8(round) })
                }
            }.get()
            let box = Noted(payloads)
            _ = consume payloads
            try await loops[1].submit { box.value = [] }.get()
        }
        // The last references may have been this task's own.
        #expect(ledger.bytes == 0)
        try await loops[0].submit { pool.trim() }.get()
        try await group.shutdownGracefully()
    }

    @Test("what other threads give back after a peak is kept up to a bound, and used again")
    func boundedReturns() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let pool = BufferPool(eventLoop: loop)
        let ledger = MemoryLedger()
        for capacity in [1 << 10, 1 << 20] {
            let count = 2 * BufferPool.retainedBytesMax / capacity
            let box = Noted(
                try await loop.submit {
                    (0..<count).map { _ in Payload(capacity: capacity, pool: pool, ledger: ledger) }
                }.get())
            box.value = []
            let (kept, after) = try await loop.submit {
                let kept = pool.keptBytes
                _ = pool.take(capacity: capacity)
                return (kept, pool.keptBytes)
            }.get()
            #expect(kept == BufferPool.retainedBytesMax)
            #expect(after == kept - capacity)
            try await loop.submit { pool.trim() }.get()
        }
        try await group.shutdownGracefully()
    }

    /// If it failed, after a peak of large requests every small one would have fresh memory, for good.
    @Test("buffers of a size that nobody wants any more make room for those that are, and all are charged")
    func otherSizes() {
        let (ledger, pooled) = (MemoryLedger(), MemoryLedger())
        let pool = BufferPool(eventLoop: EmbeddedEventLoop(), ledger: pooled)
        for capacity in [1 << 20, 4 << 10] {
            for _ in 0..<2 {
                let count = 2 * BufferPool.retainedBytesMax / capacity
                var payloads = (0..<count).map { _ in
                    Payload(capacity: capacity, pool: pool, ledger: ledger)
                }
                payloads.removeAll()
                #expect(pool.keptBytes == BufferPool.retainedBytesMax)
                #expect(pooled.bytes == pool.keptBytes)
            }
        }
        let before = pool.keptBytes
        _ = pool.take(capacity: 4 << 10)
        #expect(pool.keptBytes == before - 4 << 10)
    }

    @Test("a buffer is used again, empty")
    func reuse() {
        let pool = BufferPool(eventLoop: EmbeddedEventLoop())
        let ledger = MemoryLedger()
        func address(_ payload: Payload) -> UInt {
            payload.bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        }
        var first: Payload? = Payload(capacity: 60_000, pool: pool, ledger: ledger)
        first?.bytes.writeRepeatingByte(7, count: 60_000)
        let before = first.map(address)
        first = nil
        let second = Payload(capacity: 40_000, pool: pool, ledger: ledger)
        #expect(second.bytes.readableBytes == 0 && second.bytes.capacity == 65_536)
        second.bytes.writeInteger(UInt8(1))
        #expect(address(second) == before)
    }

    @Test("one client's bytes never become another's: a buffer still being written to a socket is not shared")
    func noSharing() {
        let pool = BufferPool(eventLoop: EmbeddedEventLoop())
        let ledger = MemoryLedger()
        var payload: Payload? = Payload(capacity: 1000, pool: pool, ledger: ledger)
        payload?.bytes.writeString("the first client's spans")
        let underWay = Slice(payload!, offset: 4, count: 5, items: 1).bytes
        payload = nil
        for _ in 0..<4 {
            let next = Payload(capacity: 1000, pool: pool, ledger: ledger)
            next.bytes.writeRepeatingByte(0xFF, count: 1000)
        }
        #expect(String(buffer: underWay) == "first")
    }

    @Test("a slice is the bytes that it names, wherever the payload's reading begins")
    func slices() {
        var buffer = ByteBuffer(string: "..0123456789")
        buffer.moveReaderIndex(forwardBy: 2)
        let payload = Payload(buffer)
        #expect(String(buffer: Slice(payload, offset: 3, count: 4, items: 0).bytes) == "3456")
        #expect(String(buffer: Slice(payload, offset: 0, count: 10, items: 0).bytes) == "0123456789")
        #expect(Slice(payload, offset: 10, count: 0, items: 0).bytes.readableBytes == 0)
        let batch = Batch(.logs, payload: payload, items: 3)
        #expect(batch.bytes == 10 && batch.items == 3 && batch.slices.count == 1)
    }
}
