import Compression
import Foundation
import Testing

/// Without these Loki could not read what it is sent, or a block could take the gateway's memory.
@Suite struct SnappyTests {
    private func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var sink = Sink()
        let count = Snappy.compress(bytes.span.bytes) { sink.append($0, $1) }
        precondition(count == sink.bytes.count)
        return sink.bytes
    }

    private func decompressed(
        _ block: [UInt8], limitBytes: Int = 1 << 20
    ) -> (result: Result<[UInt8], InflateError>, sink: Sink) {
        var sink = Sink()
        do throws(InflateError) {
            let count = try Snappy.decompress(block.span.bytes, limitBytes: limitBytes) {
                sink.append($0, $1)
            }
            precondition(count == sink.bytes.count)
            return (.success(sink.bytes), sink)
        } catch {
            precondition(sink.bytes.isEmpty, "Appended before an error")
            return (.failure(error), sink)
        }
    }

    @Test(arguments: [0, 1, 17, 1000, 65_535, 65_536, 65_537, 300_000])
    func whatWasCompressedComesBack(count: Int) {
        let bytes = sample(count)
        let (result, sink) = decompressed(compressed(bytes))
        #expect(result == .success(bytes))
        #expect(sink.calls == 1 && sink.roomMax == max(count, 1))
    }

    /// Written by hand from the format's description: length, then literals and copies.
    @Test(
        arguments: [
            ([0x00], ""), ([0x01, 0x00, 0x61], "a"), ([0x05, 0x10, 0x68, 0x65, 0x6c, 0x6c, 0x6f], "hello"),
            ([0x08, 0x04, 0x61, 0x62, 0x09, 0x02], "abababab"),
        ] as [([UInt8], String)])
    func theFormatIsSnappys(block: [UInt8], text: String) {
        #expect(decompressed(block).result == .success(Array(text.utf8)))
    }

    @Test func theLimitHoldsBeforeRoomIsTaken() {
        let block = compressed(sample(5000))
        #expect(decompressed(block, limitBytes: 5000).result == .success(sample(5000)))
        let (result, sink) = decompressed(block, limitBytes: 4999)
        #expect(result == .failure(.tooLarge(limitBytes: 4999)))
        #expect(sink.calls == 0)
    }

    /// Guarantees: a few bytes that promise gigabytes cost nothing.
    @Test(
        arguments: [
            ([], InflateError.Damage.empty),
            ([0xff], .wrongFormat),
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], .wrongFormat),
            ([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61], .damaged),
            ([0x05, 0x00, 0x61], .damaged),
            ([0x01, 0x00, 0x61, 0x62], .damaged),
            ([0x04, 0x01, 0x01], .damaged),
        ] as [([UInt8], InflateError.Damage)])
    func whatIsNoBlockIsRefused(block: [UInt8], damage: InflateError.Damage) {
        #expect(decompressed(block, limitBytes: 1 << 32).result == .failure(.corrupt(damage)))
    }

    /// Guarantees: no block, whatever its bytes, is read or written outside of its bounds. Lengthened by
    /// SLUICE_FUZZ_SECONDS.
    @Test func damagedBlocksHarmNobody() {
        let seconds = Double(ProcessInfo.processInfo.environment["SLUICE_FUZZ_SECONDS"] ?? "") ?? 0.2
        let end = Date(timeIntervalSinceNow: seconds)
        var random = SplitMix(state: 7)
        let block = compressed(sample(3000))
        var rounds = 0
        repeat {
            var changed = block
            for _ in 0..<(1 + Int(random.next() % 4)) {
                changed[Int(random.next() % UInt64(changed.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { changed.removeLast(Int(random.next() % UInt64(changed.count))) }
            if case .success(let bytes) = decompressed(changed, limitBytes: 100_000).result {
                #expect(bytes.count <= 100_000)
            }
            rounds += 1
        } while Date() < end || rounds < 200
    }
}
