import Compression
import Testing

/// Without these a large page of metrics comes damaged, and Prometheus drops all of it.
@Suite struct GzipStreamTests {
    private func compressed(_ bytes: [UInt8], pieces: [Int]) -> [UInt8] {
        let stream = GzipStream()
        var sink = Sink()
        var rest = bytes[...]
        for count in pieces {
            let piece = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            stream.compress(piece.span.bytes, isLast: false) { sink.append($0, $1) }
        }
        stream.compress(Array(rest).span.bytes, isLast: true) { sink.append($0, $1) }
        return sink.bytes
    }

    /// Guarantees: one member, whatever the pieces; an empty one is no end.
    @Test(arguments: [[], [0], [1, 0, 1], [65_536, 65_536], [300_000], [200_000, 100_000, 5]])
    func whatWasCompressedComesBack(pieces: [Int]) {
        for count in [0, 1, 300_000, 700_000] {
            let text = sample(count)
            let member = compressed(text, pieces: pieces)
            #expect(zlibInflated(member) == text)
            #expect(inflated(member).result == .success(text))
            #expect(count < 1000 || member.count < count / 2)
        }
    }

    /// Scenario: bytes that no compressor makes smaller, so that there is more output than room at once.
    @Test func whatCannotBeCompressedComesBack() {
        var random = SplitMix(state: 7)
        let noise = (0..<500_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        #expect(zlibInflated(compressed(noise, pieces: [499_000])) == noise)
    }
}
