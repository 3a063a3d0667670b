/// How much of a connection is read in one round of its loop, at most: less while rounds are long because many have much to say.
///
/// 100 connections that sent all they could were read four times of 128 KiB each: rounds of 44 ms of processor time, which a
/// polite client waited for.
struct ReadShare: Equatable {
    /// How often in a row is read from a connection whose requests were taken. Its bodies are complete sooner, and fewer are
    /// begun at a time: with one read 1000 spans took 12 % more CPU time, 100 spans 7 %.
    private static let readsOfProven = 4
    /// In a crowd, and from a connection in debt.
    static let bytesMin = 16 << 10
    /// Of the loop's processor time, nanoseconds: a longer round halves what is read, a shorter one doubles it.
    private static let (roundMax, roundMin) = (
        Int64(4_000_000 * WorkBudget.slowness), Int64(1_000_000 * WorkBudget.slowness)
    )

    private let bytesMax: Int
    private var bytes: Int
    /// When the last read took all that it might, on the clock of the loop's thread.
    private var wasFullAt: Int64?
    /// Since the round began.
    private var readBytes = 0
    /// Whether it is in debt, or many wait for their turns.
    private(set) var isLittle = false
    /// Whether its requests were taken.
    private(set) var isOften = false

    /// - Parameter bytesMax: what is read at a time; what `ReadBuffers` makes of it.
    init(bytesMax: Int) {
        self.bytesMax = ReadBuffers.bytes(atMost: bytesMax)
        bytes = self.bytesMax
    }

    /// What is read at a time.
    var bytesAtATime: Int { isLittle ? Self.bytesMin : min(bytes, bytesMax) }

    /// How often in a row.
    var readsInARow: Int { isLittle ? 1 : max(1, bytes / bytesMax) }

    private var most: Int { bytesMax * (isOften ? Self.readsOfProven : 1) }

    /// Whether its requests are taken, and it is not idle.
    mutating func readOften(_ isOften: Bool) {
        guard isOften != self.isOften else { return }
        let wasMost = bytes == most
        self.isOften = isOften
        bytes = wasMost ? most : min(bytes, most)
    }

    /// It is in debt, or many wait for their turns. Who is not proven any more is not read often when that is over.
    mutating func readLittle(isProven: Bool) {
        isLittle = true
        if !isProven { readOften(false) }
    }

    /// Neither is so any more.
    mutating func readAsBefore() { isLittle = false }

    /// So much was read.
    mutating func add(_ count: Int) { readBytes += count }

    /// Everything was worked on that was read in this round.
    /// - Parameter now: asked when it matters.
    mutating func endRound(now: () -> Int64) {
        defer { readBytes = 0 }
        guard readBytes >= bytesAtATime * readsInARow else {
            wasFullAt = nil
            return
        }
        let now = now()
        // Who has sent more than was read is read again in the next round.
        if let began = wasFullAt {
            if now - began > Self.roundMax {
                bytes = max(bytes / 2, min(Self.bytesMin, bytesMax))
            } else if now - began < Self.roundMin {
                bytes = min(bytes * 2, most)
            }
        }
        wasFullAt = now
    }
}
