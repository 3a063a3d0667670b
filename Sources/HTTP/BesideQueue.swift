package import NIOCore
package import NIOPosix

/// Work for one connection that would hold its event loop for too long.
private struct BesideWork {
    let account: ConnectionAccount
    let work: @Sendable () -> Int?
    let done: () -> Void
    /// Whether its connection was proven when the work was queued.
    var wasProven = false
}

/// The long works of one event loop's connections, on threads beside the loops: one after the other, so that what is only
/// begun takes memory once, the smallest debt of its connection and every class of debts in turn.
///
/// Those of connections that are not proven leave the threads to the others for more than half of the time:
/// however many new ones come with one long work each, who is known does not wait for them. Event loop only.
final class BesideQueue: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    /// Where there are no threads, work is done on the loop after it has looked at the others.
    private static let pause = TimeAmount.microseconds(100)
    /// What a connection that is not proven owes at least, nanoseconds: its work is in no class of proven ones'.
    private static let unprovenDebt = 1_000

    private let eventLoop: any EventLoop
    private var waiting = TurnQueue<BesideWork>()
    /// Whether one is under way.
    private var isBusy = false
    private var takesSmallest = false
    /// Until then it is the turn of proven connections only.
    private var notBefore = NIODeadline.distantPast

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    fileprivate func append(_ work: BesideWork) {
        enqueue(work)
        if !isBusy { beginNext() }
    }

    private func enqueue(_ work: BesideWork) {
        var work = work
        let budget = work.account.work
        work.wasProven = budget.isProven
        waiting.append(work, debt: budget.isProven ? 0 : max(-budget.credit, Self.unprovenDebt))
    }

    private func pop() -> BesideWork? {
        if eventLoop.now < notBefore { return waiting.popWithoutDebt() }
        takesSmallest.toggle()
        return takesSmallest ? waiting.popFirst() : waiting.popNext()
    }

    private func popNext() -> BesideWork? {
        while let next = pop() {
            // One read may bring many long works: the first has shown what the others are.
            guard next.wasProven, !next.account.work.isProven else { return next }
            enqueue(next)
        }
        return nil
    }

    private func beginNext() {
        guard let next = popNext() else {
            isBusy = false
            return
        }
        isBusy = true
        let bound = NIOLoopBound((self, next), eventLoop: eventLoop)
        guard let threads = next.account.threads else {
            eventLoop.scheduleTask(in: Self.pause) {
                let (queue, next) = bound.value
                queue.ended(next, Self.timed(next.work))
            }
            return
        }
        threads.submit { [work = next.work, eventLoop] _ in
            let cost = Self.timed(work)
            eventLoop.execute { bound.value.0.ended(bound.value.1, cost) }
        }
    }

    private static func timed(_ work: () -> Int?) -> (time: TimeAmount, bytes: Int?) {
        let began = ThreadTime.nanoseconds()
        let bytes = work()
        return (.nanoseconds(ThreadTime.nanoseconds() - began), bytes)
    }

    private func ended(_ work: BesideWork, _ cost: (time: TimeAmount, bytes: Int?)) {
        let account = work.account
        account.spend(cost.time, now: eventLoop.now, among: 0)
        if let bytes = cost.bytes { account.work.excuse(cost.time, bytes: bytes) }
        work.done()
        account.besideWorkEnded()
        if account.work.isOverdrawn { account.end?(.time) }
        if !account.work.isProven { rest(max(Self.pause, .nanoseconds(cost.time.nanoseconds * 3 / 2))) }
        beginNext()
    }

    private func rest(_ time: TimeAmount) {
        notBefore = max(notBefore, eventLoop.now + time)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(deadline: notBefore) {
            let queue = bound.value
            if !queue.isBusy { queue.beginNext() }
        }
    }
}

extension ConnectionAccount {
    /// The threads of all loops' long works: as many as there are processors. They begin with the first work and live as long
    /// as the process.
    package static let besideThreads: NIOThreadPool = {
        let threads = NIOThreadPool(numberOfThreads: System.coreCount)
        threads.start()
        return threads
    }()

    /// Does work that takes long on a thread beside the loops (`threads`), in turn with that of the loop's other connections;
    /// until it is done, nothing else that the connection has sent is worked on. The time is the connection's. At once where
    /// the connection has no socket.
    /// - Parameters:
    ///   - work: returns the bytes received that its time is excused for, as in `excusing`; nil when for nothing.
    ///   - done: called on the loop, also when the connection has gone meanwhile.
    package func doBeside(_ work: @escaping @Sendable () -> Int?, done: @escaping () -> Void) {
        guard let turns = gate?.turns else {
            _ = work()
            return done()
        }
        besideWorks += 1
        turns.beside.append(BesideWork(account: self, work: work, done: done))
    }

    /// Waits for work that is done on threads of its own; until then, nothing else that the connection has sent is worked on.
    /// The time is not the connection's. At once where long work has no threads.
    /// - Parameter done: called on the loop, also when the connection has gone meanwhile.
    package func wait(
        for work: @escaping @Sendable () -> Void, on threads: NIOThreadPool, _ eventLoop: any EventLoop,
        done: @escaping () -> Void
    ) {
        guard gate != nil, self.threads != nil else {
            work()
            return done()
        }
        besideWorks += 1
        let bound = NIOLoopBound((self, done), eventLoop: eventLoop)
        threads.submit { _ in
            work()
            eventLoop.execute {
                let (account, done) = bound.value
                done()
                account.besideWorkEnded()
            }
        }
    }

    fileprivate func besideWorkEnded() {
        besideWorks -= 1
        gate?.release()
    }

    /// Whether what the connection has sent waits until work for it is done.
    package var isHeld: Bool { besideWorks > 0 }
}
