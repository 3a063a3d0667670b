import Compression
import Testing

/// Without these a backend refuses what the gateway compressed, or gets it altered.
@Suite struct LargeBodiesTests {
    /// Guarantees: small and large bodies, which different libraries compress, by one compressor in any order.
    @Test func bodiesOfAllSizesComeBack() {
        let gzipper = Gzipper()
        var random = SplitMix(state: 3)
        for turn in 0..<60 {
            let count = turn % 3 == 0 ? 14_330 + turn / 3 : Int(random.next() % 200_000)
            let text = sample(count, seed: random.next())
            var sink = Sink()
            _ = gzipper.compress(text.span.bytes) { sink.append($0, $1) }
            #expect(zlibInflated(sink.bytes) == text)
            #expect(inflated(sink.bytes).result == .success(text))
            #expect(count < 5000 || sink.bytes.count < count / 2)
        }
    }

    /// Scenario: bytes that no compressor makes smaller, into the room that was asked for and no more.
    @Test(arguments: [14 << 10, 65_535, 65_536, 500_000])
    func whatCannotBeCompressedComesBack(count: Int) {
        var random = SplitMix(state: 7)
        let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let member = gzipped(noise, level: 1)
        #expect(zlibInflated(member) == noise && member.count < count + count / 100 + 64)
    }

    /// Otherwise a batch costs three times the CPU time, and nobody notices. ISA-L's header says of neither speed nor system; that
    /// of libdeflate at level 1 says that it is the fastest.
    @Test func largeBodiesAreTheFasterLibrarys() {
        #expect(gzipped(sample(100_000), level: 1)[8] == 0)
        #expect(gzipped(sample(1000), level: 1)[8] == 4)
    }
}
