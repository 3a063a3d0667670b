import Compression
import Foundation
import Testing

private let head: [UInt8] = [0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]
/// Another implementation's chunks: "123456789" as it is, and a hundred times "a" compressed.
private let digits: [UInt8] = [1, 13, 0, 0, 0xe5, 0xb0, 0x8a, 0xc7] + Array("123456789".utf8)
private let letters: [UInt8] = [
    0, 13, 0, 0, 0x1f, 0xa8, 0xb5, 0xfd, 0x64, 0, 0x61, 0xfe, 1, 0, 0x8a, 1, 0,
]

/// Without these a gRPC client that compresses with snappy would lose its data, or a backend could not read ours.
@Suite struct SnappyFramesTests {
    private func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var sink = Sink()
        let count = SnappyFrames.compress(bytes.span.bytes) { sink.append($0, $1) }
        precondition(count == sink.bytes.count && sink.calls == 1)
        return sink.bytes
    }

    private func decompressed(
        _ stream: [UInt8], limitBytes: Int = 1 << 20
    ) -> (result: Result<[UInt8], InflateError>, sink: Sink) {
        var sink = Sink()
        do throws(InflateError) {
            let count = try SnappyFrames.decompress(stream.span.bytes, limitBytes: limitBytes) {
                sink.append($0, $1)
            }
            precondition(count == sink.bytes.count)
            return (.success(sink.bytes), sink)
        } catch {
            precondition(sink.bytes.count <= limitBytes, "Appended more than the limit")
            return (.failure(error), sink)
        }
    }

    @Test(arguments: [0, 1, 17, 1000, 65_535, 65_536, 65_537, 131_072, 1_000_000])
    func whatWasCompressedComesBack(count: Int) {
        let bytes = sample(count)
        let (result, sink) = decompressed(compressed(bytes), limitBytes: count)
        #expect(result == .success(bytes))
        #expect(sink.calls == (count + 65_535) / 65_536 && sink.roomMax <= 65_536)
    }

    /// Guarantees: bytes that do not compress are stored, and fit into the room that was asked for.
    @Test(arguments: [1, 65_535, 65_536, 200_000])
    func noiseIsStored(count: Int) {
        var random = SplitMix(state: 3)
        let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let stream = compressed(noise)
        #expect(stream.count == 10 + count + 8 * ((count + 65_535) / 65_536))
        #expect(stream.count <= SnappyFrames.outputBytesMax(inputBytes: count))
        #expect(decompressed(stream).result == .success(noise))
    }

    @Test func theFormatIsSnappys() {
        let (one, two) = (Array("123456789".utf8), [UInt8](repeating: 0x61, count: 100))
        #expect(compressed(one) == head + digits)
        #expect(compressed([]) == head)
        #expect(decompressed(head).result == .success([]))
        #expect(decompressed(head + digits).result == .success(one))
        #expect(decompressed(head + letters).result == .success(two))
        // Streams back to back, padding, and a chunk that readers skip.
        let joined = head + digits + head + [0xfe, 2, 0, 0, 7, 7] + [0x80, 0, 0, 0] + letters
        #expect(decompressed(joined).result == .success(one + two))
    }

    /// Guarantees: no more room than the limit is asked for, whatever the stream promises.
    @Test func theLimitHolds() {
        let bomb = compressed([UInt8](repeating: 0, count: 8 << 20))
        for limit in [0, 1, 65_535, 65_536, 100_000, (8 << 20) - 1] {
            let (result, sink) = decompressed(bomb, limitBytes: limit)
            #expect(result == .failure(.tooLarge(limitBytes: limit)))
            #expect(sink.bytes.count <= limit && sink.roomMax <= 65_536)
        }
    }

    @Test(
        arguments: [
            ([], InflateError.Damage.empty), (Array(head.dropLast()), .wrongFormat),
            (Array("hello, is this the gateway?".utf8), .wrongFormat),
            (head + digits.dropLast(), .damaged), (head + [0], .damaged), (head + [0, 0, 0, 0], .damaged),
            // The checksum of other bytes, a chunk that must be known, and an identifier that is none.
            (head + digits.dropLast() + [0x38], .damaged), (head + [2, 0, 0, 0], .damaged),
            (head + [0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x5a], .damaged),
            // A block that promises 4 GiB, and chunks of more than 64 KiB.
            (head + [0, 10, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], .damaged),
            (head + [1, 5, 0, 1] + [UInt8](repeating: 0, count: 65_541), .damaged),
            (head + [0xfe, 0xff, 0xff, 0xff], .damaged),
        ] as [([UInt8], InflateError.Damage)])
    func whatIsNoStreamIsRefused(stream: [UInt8], damage: InflateError.Damage) {
        let (result, sink) = decompressed(stream, limitBytes: 1 << 32)
        #expect(result == .failure(.corrupt(damage)) && sink.bytes.isEmpty)
    }

    /// Guarantees: no stream, whatever its bytes, is read or written outside of its bounds, and none that was
    /// changed is taken for another text. Lengthened by SLUICE_FUZZ_SECONDS.
    @Test func damagedStreamsHarmNobody() {
        let seconds = Double(ProcessInfo.processInfo.environment["SLUICE_FUZZ_SECONDS"] ?? "") ?? 0.2
        let end = Date(timeIntervalSinceNow: seconds)
        var random = SplitMix(state: 7)
        let bytes = sample(3000)
        let stream = compressed(bytes)
        var rounds = 0
        repeat {
            var changed = stream
            for _ in 0..<(1 + Int(random.next() % 4)) {
                changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { changed.removeLast(Int(random.next() % UInt64(changed.count))) }
            if case .success(let output) = decompressed(changed, limitBytes: 100_000).result {
                #expect(output == bytes || output.isEmpty)
            }
            rounds += 1
        } while Date() < end || rounds < 200
    }
}
