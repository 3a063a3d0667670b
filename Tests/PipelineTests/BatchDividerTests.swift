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
                // Thrown away, it is as if it had never been divided.
                _ = divide()
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

    /// Without it one small request with a large resource would fill the memory, once for each of many backends.
    @Test("a request that is nearly all envelope is not multiplied")
    func envelope() throws {
        let destinations = 64
        let payload = Payload(ByteBuffer(bytes: Self.request(resourceBytes: 1 << 20, spans: destinations)))
        let answers = Answers()
        let batch = Batch(
            .traces, payload: payload, items: destinations, acknowledgement: answers.acknowledgement())
        func divide() -> [Batch] {
            var router = RequestRouter(.traces, key: .traceID, destinations: destinations)
            var next = -1
            return batch.divided(by: &router, among: destinations) { _ in
                next += 1
                return next % destinations
            }.compactMap { $0 }
        }
        let parts = divide()
        #expect(parts.map { $0.items } == [destinations])
        #expect(parts.map { $0.bytes } == [batch.bytes])
        for part in parts { part.settle(.accepted) }
        #expect(answers.all == [.accepted])
    }

    @Test("a large resource is repeated for a few destinations")
    func fewDestinations() throws {
        let payload = Payload(ByteBuffer(bytes: Self.request(resourceBytes: 1 << 20, spans: 3)))
        let batch = Batch(.traces, payload: payload, items: 3)
        var router = RequestRouter(.traces, key: .traceID, destinations: 3)
        var next = -1
        let parts = batch.divided(by: &router, among: 3) { _ in
            next += 1
            return next % 3
        }
        #expect(parts.map { $0?.items } == [1, 1, 1])
        #expect(parts.allSatisfy { ($0?.bytes ?? 0) > 1 << 20 })
    }

    /// One resource of so many bytes, and spans, each of a trace of its own.
    private static func request(resourceBytes: Int, spans: Int) -> [UInt8] {
        func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
            var bytes = [number << 3 | 2]
            var rest = content.count
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            return bytes + [UInt8(rest)] + content
        }
        let text = field(1, [UInt8](repeating: 0x61, count: resourceBytes))
        let resource = field(1, field(1, field(1, Array("a".utf8)) + field(2, text)))
        let items = (1...spans).flatMap { field(2, field(1, [UInt8](repeating: UInt8($0), count: 16))) }
        return field(1, resource + field(2, items))
    }
}
