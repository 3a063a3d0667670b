internal import HTTP
internal import NIOCore
internal import Pipeline
internal import Synchronization

/// How fast the pipelines behind a receiver have worked on requests lately: what would hold a loop for long goes beside it, as
/// large requests do. Statements take a microsecond for an item or a hundred. Any thread.
final class Pace: Sendable {
    /// What is smaller is neither measured nor worked on beside the loop.
    private static let bytesMin = 16 << 10
    /// What may take so long stays on the loop.
    private static let timeMax = 5_000_000 * WorkBudget.slowness
    /// What takes longer is measured in the thread's own time the next time: others may have had the processor.
    private static let doubtfulTime = TimeAmount.nanoseconds(Int64(timeMax / 4))

    /// After one that took long so many are measured that way, so that one of another kind does not hide it.
    private static let doubtsMax = 16

    /// Nanoseconds for 1024 bytes, as they were measured last.
    private let nanoseconds = Atomic<Int>(0)
    private let doubts = Atomic<Int>(doubtsMax)

    /// Whether a request of so many bytes should not be worked on by a loop.
    func isLong(_ bytes: Int) -> Bool {
        let nanoseconds = nanoseconds.load(ordering: .relaxed)
        return nanoseconds > 0 && bytes >= Self.bytesMin && bytes >> 10 * nanoseconds > Self.timeMax
    }

    /// Hands on a request of so many bytes, on its loop.
    func measuring(_ bytes: Int, on eventLoop: any EventLoop, _ body: () -> Refusal?) -> Refusal? {
        guard bytes >= Self.bytesMin else { return body() }
        if doubts.load(ordering: .relaxed) > 0 { return measuring(bytes, body) }
        let began = eventLoop.now
        let refusal = body()
        if eventLoop.now - began > Self.doubtfulTime { doubts.store(Self.doubtsMax, ordering: .relaxed) }
        return refusal
    }

    /// The same on any thread.
    func measuring(_ bytes: Int, _ body: () -> Refusal?) -> Refusal? {
        let began = ThreadTime.nanoseconds()
        let refusal = body()
        // To refuse takes no time.
        if refusal == nil { note(Int(ThreadTime.nanoseconds() - began), bytes) }
        return refusal
    }

    /// Goes up at once and down slowly: of two kinds of requests the slower one counts.
    private func note(_ time: Int, _ bytes: Int) {
        guard bytes >= Self.bytesMin else { return }
        let (before, now) = (nanoseconds.load(ordering: .relaxed), time / (bytes >> 10))
        nanoseconds.store(now > before ? now : before - (before - now) / 16, ordering: .relaxed)
        let left = doubts.load(ordering: .relaxed)
        doubts.store(time > Self.timeMax / 4 ? Self.doubtsMax : max(left - 1, 0), ordering: .relaxed)
    }
}
