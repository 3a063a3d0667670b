internal import NIOCore
package import NIOPosix

/// Work for one connection that would hold its event loop for too long.
private struct BesideWork {
    let account: ConnectionAccount
    let work: @Sendable () -> Int?
    let done: () -> Void
}

/// The long works of one event loop's connections, on threads beside the loops: one after the other, so that what is only
/// begun takes memory once, the smallest debt of its connection and every class of debts in turn. Those of connections in
/// debt leave a thread idle for more than half of the time. Event loop only.
final class BesideQueue: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only.
    /// Where there are no threads, work is done on the loop after it has looked at the others.
    private static let pause = TimeAmount.microseconds(100)

    private let eventLoop: any EventLoop
    private var waiting = TurnQueue<BesideWork>()
    /// Whether one is under way, or the next one's time has been set.
    private var isBusy = false
    private var takesSmallest = false

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    fileprivate func append(_ work: BesideWork) {
        waiting.append(work, debt: -work.account.work.credit)
        if !isBusy { beginNext() }
    }

    private func beginNext() {
        takesSmallest.toggle()
        guard let next = takesSmallest ? waiting.popFirst() : waiting.popNext() else {
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
        guard !account.work.isProven else { return beginNext() }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: max(Self.pause, .nanoseconds(cost.time.nanoseconds * 3 / 2))) {
            bound.value.beginNext()
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

    fileprivate func besideWorkEnded() {
        besideWorks -= 1
        gate?.release()
    }

    /// Whether what the connection has sent waits until work for it is done.
    var isHeld: Bool { besideWorks > 0 }
}
