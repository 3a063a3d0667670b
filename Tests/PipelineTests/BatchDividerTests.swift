import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

/// Without these a client of a divided request is answered too early, twice or never.
@Suite("Batch.divided")
struct BatchDividerTests {
    @Test("parts of merged requests: items add up, each client is answered once, after its last part")
    func anyBatch() throws {
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let ledger = MemoryLedger()
            do {
                let batch = Batch(.traces)
                var answers: [Answers] = []
                for part in 0..<UInt64(random.below(4) + 1) {
                    let request = RandomRequest.make(.traces, seed: seed &* 10 + part)
                    let items = try request.withUnsafeBytes { try summarize($0, as: .traces) }.items
                    answers.append(Answers())
                    let payload = Payload(ByteBuffer(bytes: request), ledger: ledger)
                    batch.append(
                        Slice(
                            payload, offset: 0, count: request.count, items: items,
                            acknowledgement: answers[answers.count - 1].acknowledgement()))
                }
                let destinations = random.below(5) + 1
                var router = RequestRouter(.traces, key: .traceID, destinations: destinations)
                func divide() -> [Batch] {
                    batch.divided(by: &router, among: destinations) { Int($0 % UInt64(destinations)) }
                        .compactMap { $0 }
                }
                // Taken back, it is as if it had never been divided.
                batch.unite(divide())
                let parts = divide()
                #expect(parts.reduce(0) { $0 + $1.items } == batch.items, "seed \(seed)")
                for (index, part) in parts.shuffled(using: &random).enumerated() {
                    if index == parts.count - 1 {
                        // The last one has a part of somebody.
                        #expect(answers.contains { $0.all.isEmpty }, "seed \(seed)")
                    }
                    part.settle(.accepted)
                }
                #expect(answers.allSatisfy { $0.all == [.accepted] }, "seed \(seed)")
            }
            #expect(ledger.bytes == 0, "seed \(seed)")
        }
    }
}
