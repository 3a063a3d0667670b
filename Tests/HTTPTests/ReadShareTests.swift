import Testing

@testable import HTTP

/// If these failed, a polite client would wait while a hundred others are read a megabyte each.
@Suite("How much of a connection is read in a round")
struct ReadShareTests {
    private static let millisecond = Int64(1_000_000 * WorkBudget.slowness)

    /// Rounds that take so long each, of a connection that always has more to say.
    private static func rounds(_ count: Int, of time: Int64, _ share: inout ReadShare, now: inout Int64) {
        for _ in 0..<count {
            now += time
            share.add(share.bytesAtATime * share.readsInARow)
            share.endRound { now }
        }
    }

    @Test("long rounds halve it, to a little; short ones double it, to all there was; others leave it")
    func fits() {
        var (share, now) = (ReadShare(bytesMax: 128 << 10), Int64(0))
        #expect(share.bytesAtATime == 128 << 10 && share.readsInARow == 1)
        share.readOften(true)
        #expect(share.bytesAtATime == 128 << 10 && share.readsInARow == 4)
        Self.rounds(2, of: 10 * Self.millisecond, &share, now: &now)
        #expect(share.readsInARow == 2, "the first round has no length")
        Self.rounds(2, of: 10 * Self.millisecond, &share, now: &now)
        #expect(share.bytesAtATime == 64 << 10 && share.readsInARow == 1)
        Self.rounds(10, of: 2 * Self.millisecond, &share, now: &now)
        #expect(share.bytesAtATime == 64 << 10)
        Self.rounds(10, of: 10 * Self.millisecond, &share, now: &now)
        #expect(share.bytesAtATime == 16 << 10)
        Self.rounds(10, of: Self.millisecond / 2, &share, now: &now)
        #expect(share.bytesAtATime == 128 << 10 && share.readsInARow == 4)
    }

    @Test("what a read can bring is what is compared with", arguments: [512 << 10, 256 << 10, 83_886, 512])
    func sizes(bytesMax: Int) {
        var (share, now) = (ReadShare(bytesMax: bytesMax), Int64(0))
        let buffers = ReadBuffers.bytes(atMost: bytesMax)
        #expect(share.bytesAtATime == buffers)
        for _ in 0..<2 {
            now += 10 * Self.millisecond
            share.add(buffers)
            share.endRound { now }
        }
        #expect(share.bytesAtATime == max(buffers / 2, min(buffers, 16 << 10)))
    }

    @Test("what passes while a connection has nothing more to say is no long round")
    func pauses() {
        var (share, now) = (ReadShare(bytesMax: 128 << 10), Int64(0))
        for _ in 0..<10 {
            Self.rounds(1, of: 100 * Self.millisecond, &share, now: &now)
            share.add(1)
            share.endRound {
                Issue.record("the clock matters only when all was read that might be")
                return now
            }
        }
        #expect(share.bytesAtATime == 128 << 10)
    }

    @Test("a connection in debt is read little, and as before when it is not")
    func debts() {
        var share = ReadShare(bytesMax: 512 << 10)
        share.readOften(true)
        share.readLittle(isProven: true)
        #expect(share.bytesAtATime == 16 << 10 && share.readsInARow == 1)
        share.readAsBefore()
        #expect(share.bytesAtATime == 256 << 10 && share.readsInARow == 4)
        share.readLittle(isProven: false)
        share.readAsBefore()
        #expect(share.readsInARow == 1)
    }
}
