internal import NIOCore

/// Work for one connection that would hold its event loop for too long at once, done in pieces.
private struct PieceWork {
    let account: ConnectionAccount
    /// Does a piece.
    /// - Returns: whether nothing is left to do.
    let step: () -> Bool
}

/// The work in pieces of one event loop: one after the other, so that what is only begun takes memory once, the smallest
/// debt of its connection and every class of debts in turn. All others have more of the loop's time. Event loop only.
final class PieceQueue: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    /// How long pieces are done in a row.
    private static let time = TimeAmount.milliseconds(Int64(WorkBudget.slowness))
    /// After those of a connection that has earned its time the loop looks at the others.
    private static let pause = TimeAmount.microseconds(100)

    private let eventLoop: any EventLoop
    private var begun: PieceWork?
    private var waiting = TurnQueue<PieceWork>()
    private var isScheduled = false
    private var takesSmallest = false

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    fileprivate func append(_ work: PieceWork) {
        waiting.append(work, debt: -work.account.work.credit)
        schedule(Self.pause)
    }

    private func schedule(_ pause: TimeAmount) {
        guard !isScheduled else { return }
        isScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: pause) { bound.value.serve() }
    }

    private func serve() {
        // What is added meanwhile is seen at the end, where it is known how long to wait.
        guard let work = begun ?? next() else {
            isScheduled = false
            return
        }
        let began = ThreadTime.nanoseconds()
        var time = TimeAmount.zero
        var isDone = false
        while !isDone, time < Self.time {
            isDone = work.step()
            time = .nanoseconds(ThreadTime.nanoseconds() - began)
        }
        begun = isDone ? nil : work
        work.account.spend(time, now: eventLoop.now, among: 0)
        let owes = !work.account.work.isProven
        if isDone { work.account.pieceWorkEnded() }
        if work.account.work.isOverdrawn { work.account.end?(.time) }
        isScheduled = false
        if begun != nil || waiting.count > 0 {
            schedule(owes ? max(Self.pause, .nanoseconds(time.nanoseconds * 3 / 2)) : Self.pause)
        }
    }

    private func next() -> PieceWork? {
        takesSmallest.toggle()
        return takesSmallest ? waiting.popFirst() : waiting.popNext()
    }
}

extension ConnectionAccount {
    /// Does work in pieces, in turn with that of the loop's other connections; until it is done, nothing else that the
    /// connection has sent is worked on. The time is the connection's. At once where the connection has no socket.
    /// - Parameter step: does a piece that takes less than a millisecond, and returns whether nothing is left to do.
    package func doInPieces(_ step: @escaping () -> Bool) {
        guard let turns = gate?.turns else {
            while !step() {}
            return
        }
        pieceWorks += 1
        turns.pieces.append(PieceWork(account: self, step: step))
    }

    fileprivate func pieceWorkEnded() {
        pieceWorks -= 1
        gate?.release()
    }

    /// Whether what the connection has sent waits until work for it is done.
    var isHeld: Bool { pieceWorks > 0 }
}
