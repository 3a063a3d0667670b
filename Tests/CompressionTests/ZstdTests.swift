import Compression
import Foundation
import Testing

/// Without these a zstd body could come out wrong, or a small one could take the gateway's memory.
@Suite struct ZstdTests {
    private func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var sink = Sink()
        let count = ZstdCompressor().compress(bytes.span.bytes) { sink.append($0, $1) }
        precondition(count == sink.bytes.count)
        return sink.bytes
    }

    private func inflated(
        _ body: [UInt8], limitBytes: Int = 1 << 20, with decompressor: ZstdDecompressor = ZstdDecompressor()
    ) -> (result: Result<[UInt8], InflateError>, sink: Sink) {
        var sink = Sink()
        do throws(InflateError) {
            let count = try decompressor.inflate(body.span.bytes, limitBytes: limitBytes) {
                sink.append($0, $1)
            }
            precondition(count == sink.bytes.count)
            return (.success(sink.bytes), sink)
        } catch {
            precondition(sink.bytes.count <= limitBytes, "Appended more than the limit")
            return (.failure(error), sink)
        }
    }

    @Test(arguments: [0, 1, 17, 1000, 65_535, 65_536, 131_073, 1_000_000])
    func whatWasCompressedComesBack(count: Int) {
        let decompressor = ZstdDecompressor()
        let bytes = sample(count)
        let body = compressed(bytes)
        #expect(inflated(body, with: decompressor).result == .success(bytes))
        // Again after an error, with the same context.
        let cut = Array(body.dropLast())
        #expect(throws: InflateError.self) { try inflated(cut, with: decompressor).result.get() }
        #expect(inflated(body, limitBytes: count, with: decompressor).result == .success(bytes))
    }

    @Test func framesBackToBackAreOneBody() {
        let body = compressed(sample(5000)) + compressed([]) + compressed(sample(100_000, seed: 2))
        #expect(inflated(body).result == .success(sample(5000) + sample(100_000, seed: 2)))
        #expect(inflated(body + [1]).result == .failure(.corrupt(.damaged)))
    }

    /// Guarantees: a bomb costs no more than the limit.
    @Test func theLimitHolds() {
        let bomb = compressed([UInt8](repeating: 0, count: 8 << 20))
        let (result, sink) = inflated(bomb, limitBytes: 10_000)
        #expect(result == .failure(.tooLarge(limitBytes: 10_000)))
        // Its head says it; that of a later frame is not read before.
        #expect(sink.calls == 0)
        let (late, lateSink) = inflated(compressed(sample(10)) + bomb, limitBytes: 10_000)
        #expect(late == .failure(.tooLarge(limitBytes: 10_000)))
        #expect(lateSink.roomMax <= 10_001)
        let body = compressed(sample(5000))
        #expect(inflated(body, limitBytes: 4999).result == .failure(.tooLarge(limitBytes: 4999)))
        #expect(inflated(body + body, limitBytes: 9999).result == .failure(.tooLarge(limitBytes: 9999)))
    }

    @Test func whatIsNoFrameIsRefused() {
        #expect(inflated([]).result == .failure(.corrupt(.empty)))
        #expect(inflated(sample(100)).result == .failure(.corrupt(.wrongFormat)))
        // A frame whose window is 2 GiB: magic number, no content size, window descriptor.
        let window: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]
        #expect(throws: InflateError.self) { try inflated(window).result.get() }
    }

    @Test func everyTruncationIsAnError() {
        let body = compressed(sample(3000))
        for count in 0..<body.count {
            #expect(throws: InflateError.self) { try inflated(Array(body[..<count])).result.get() }
        }
    }

    /// Guarantees: no body, whatever its bytes, is read or written outside of its bounds. Lengthened by
    /// SLUICE_FUZZ_SECONDS.
    @Test func damagedBodiesHarmNobody() {
        let seconds = Double(ProcessInfo.processInfo.environment["SLUICE_FUZZ_SECONDS"] ?? "") ?? 0.2
        let end = Date(timeIntervalSinceNow: seconds)
        let decompressor = ZstdDecompressor()
        var random = SplitMix(state: 7)
        let body = compressed(sample(3000))
        var rounds = 0
        repeat {
            var changed = body
            for _ in 0..<(1 + Int(random.next() % 4)) {
                changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if case .success(let bytes) = inflated(changed, limitBytes: 100_000, with: decompressor).result {
                #expect(bytes.count <= 100_000)
            }
            rounds += 1
        } while Date() < end || rounds < 200
    }
}
