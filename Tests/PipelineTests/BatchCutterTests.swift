import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("Batch.cut")
struct BatchCutterTests {
    private func bytes(_ slice: Slice) -> [UInt8] { Array(slice.bytes.readableBytesView) }

    private func summary(_ bytes: [UInt8], _ signal: Signal) throws -> RequestSummary {
        try bytes.withUnsafeBytes { try summarize($0, as: signal) }
    }

    private func append(_ request: [UInt8], to batch: Batch, _ answers: Answers, _ ledger: MemoryLedger)
        throws
    {
        let items = try summary(request, batch.signal).items
        let payload = Payload(ByteBuffer(bytes: request), ledger: ledger)
        // Tells the requests apart: every piece has its client's.
        payload.metadata = ClientMetadata([])
        batch.append(
            Slice(
                payload, offset: 0, count: request.count, items: items,
                acknowledgement: answers.acknowledgement()))
    }

    /// Scenario: merged requests of every shape, cut to limits of every size; the parts end in any order.
    @Test(
        "no span is lost, doubled, reordered or torn from its resource; batches keep their limits; each client is answered once, after its last part",
        arguments: Signal.allCases)
    func anyRequest(signal: Signal) throws {
        for seed in 0..<250 as Range<UInt64> {
            var random = SeededRandom(seed: seed &+ 500)
            let ledger = MemoryLedger()
            do {
                let batch = Batch(signal)
                var answers: [Answers] = []
                var expected: [ItemInContext] = []
                for part in 0..<UInt64(random.below(5) + 1) {
                    let request = RandomRequest.make(signal, seed: seed &* 10 + part)
                    answers.append(Answers())
                    try append(request, to: batch, answers[answers.count - 1], ledger)
                    expected += itemsInContext(request, signal)
                }
                let maxItems = random.below(3) > 0 ? random.below(12) + 1 : .max
                let maxBytes = random.below(3) > 0 ? random.below(3000) + 1 : .max
                let cut = batch.cut(maxItems: maxItems, maxBytes: maxBytes)
                try check(cut, maxItems, maxBytes, seed)
                let found = cut.flatMap { $0.slices.flatMap { itemsInContext(bytes($0), signal) } }
                #expect(found == expected, "seed \(seed)")
                checkAnswers(cut, of: batch, answers, &random, seed)
            }
            #expect(ledger.bytes == 0, "seed \(seed)")
        }
    }

    /// If it failed, a client could fill the gateway's memory with a few kilobytes: 4 MB of envelope for every one of
    /// 30 000 empty spans.
    @Test(
        "what is nearly all envelope is not multiplied",
        arguments: [(Int.max, 4_128_768), (1, Int.max), (100, 4_128_768)])
    func nearlyAllEnvelope(maxItems: Int, maxBytes: Int) throws {
        var writer = ProtoWriter()
        writer.message(1) { entry in
            entry.message(1) { resource in
                resource.message(1) { $0.text(1, String(repeating: "a", count: 4_128_700)) }
            }
            entry.message(2) { scope in
                for _ in 0..<30_000 { scope.message(2) { _ in } }
            }
        }
        let request = writer.bytes
        let batch = Batch(.traces)
        let answers = Answers()
        let ledger = MemoryLedger()
        try append(request, to: batch, answers, ledger)
        try append(RequestBuilder.makeTraces(spans: 3), to: batch, answers, ledger)
        let cut = batch.cut(maxItems: maxItems, maxBytes: maxBytes)
        #expect(cut.reduce(0) { $0 + $1.items } == 30_003)
        #expect(cut.reduce(0) { $0 + $1.bytes } < 6 * batch.bytes)
        #expect(cut[0].items == 30_000 && cut[0].sliceCount == 1)
    }

    private func check(_ cut: [Batch], _ maxItems: Int, _ maxBytes: Int, _ seed: UInt64) throws {
        for batch in cut {
            let whole = batch.slices.flatMap(bytes)
            #expect(try summary(whole, batch.signal).items == batch.items, "seed \(seed)")
            #expect(whole.count == batch.bytes && !batch.slices.isEmpty, "seed \(seed)")
            #expect(batch.items <= maxItems, "seed \(seed)")
            let isAlone = batch.slices.count == 1 && batch.items <= 1
            #expect(batch.bytes <= maxBytes || isAlone, "seed \(seed)")
        }
    }

    private func checkAnswers(
        _ cut: [Batch], of batch: Batch, _ answers: [Answers], _ random: inout SeededRandom, _ seed: UInt64
    ) {
        var left = cut.shuffled(using: &random)
        while let part = left.popLast() {
            part.settle(.accepted)
            let waiting = left.flatMap { $0.slices.map { $0.payload.metadata } }
            for (slice, answer) in zip(batch.slices, answers) {
                let isWaiting = waiting.contains { $0 === slice.payload.metadata }
                #expect(answer.all == (isWaiting ? [] : [.accepted]), "seed \(seed)")
            }
        }
    }

    @Test(
        "batches have the size that was asked for, not crumbs", arguments: Signal.allCases,
        [1, 7, 100, 150, 999])
    func fillsItems(signal: Signal, maxItems: Int) throws {
        let batch = Batch(signal)
        for part in 0..<10 {
            let request = RequestBuilder.make(signal, items: 100, seed: UInt64(part))
            try append(request, to: batch, Answers(), MemoryLedger())
        }
        let cut = batch.cut(maxItems: maxItems)
        #expect(cut.dropLast().allSatisfy { $0.items == maxItems })
        #expect(cut.map(\.items).reduce(0, +) == 1000 && cut.last!.items <= maxItems)
    }

    @Test("a batch that fits is passed on as it is, without copying a byte")
    func fits() {
        let batch = makeBatch(items: 5, bytes: 50)
        let cut = batch.cut(maxItems: 5, maxBytes: 50)
        #expect(cut.count == 1 && cut[0] === batch)
    }

    @Test("requests that fit a message are not cut for the sake of bytes")
    func keepsWhole() throws {
        let batch = Batch(.traces)
        for part in 0..<6 {
            let request = RequestBuilder.make(.traces, items: 10, seed: UInt64(part))
            try append(request, to: batch, Answers(), MemoryLedger())
        }
        let one = batch.slices[0].count
        let cut = batch.cut(maxItems: .max, maxBytes: one * 5 / 2)
        #expect(cut.map(\.slices.count) == [2, 2, 2])
        #expect(
            cut.flatMap { $0.slices }.map { ObjectIdentifier($0.payload) }
                == batch.slices.map { ObjectIdentifier($0.payload) })
    }

    @Test("a request of nothing but unknown fields does not leave its client without an answer")
    func nothingToCut() {
        var writer = ProtoWriter()
        writer.field(999, Array(repeating: 1, count: 300))
        let answers = Answers()
        let batch = Batch(.logs)
        for slice in makeBatch(items: 1).slices { batch.append(slice) }
        batch.append(
            Slice(
                Payload(ByteBuffer(bytes: writer.bytes)), offset: 0, count: writer.bytes.count, items: 0,
                acknowledgement: answers.acknowledgement()))
        let cut = batch.cut(maxItems: .max, maxBytes: 100)
        #expect(cut.map(\.bytes) == [10, writer.bytes.count])
        for batch in cut { batch.settle(.accepted) }
        #expect(answers.all == [.accepted])
    }
}
