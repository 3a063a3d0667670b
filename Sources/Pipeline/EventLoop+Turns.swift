package import NIOCore
internal import NIOPosix

extension EventLoop {
    /// Runs the rest of some long work when the loop has served its sockets, and what else waits for that has had a turn. On the
    /// loop, or any other thread.
    ///
    /// `execute` does not do that: a loop runs what it adds, and what that adds in turn, before it looks at a socket. Nor does
    /// a timer for each work: while one has its turn the other's comes, and so on.
    package func executeInTurn(_ body: @escaping @Sendable () -> Void) {
        guard inEventLoop else { return execute { self.executeInTurn(body) } }
        LongWorks.of(self).append(body)
    }
}

/// Long works of one event loop, which looks at its sockets after each turn of one. Event loop only.
private final class LongWorks: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only; its thread's variable gives no other.
    /// A loop has its thread to itself.
    private static let ofThread = ThreadSpecificVariable<LongWorks>()
    /// A timer that is not due when it is made is looked at after the sockets.
    private static var pause: TimeAmount { .microseconds(100) }

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<@Sendable () -> Void>()
    /// Whether one has its turn, or a timer is set for the next.
    private var isUnderWay = false

    private init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    static func of(_ eventLoop: any EventLoop) -> LongWorks {
        if let works = ofThread.currentValue, works.eventLoop === eventLoop { return works }
        let works = LongWorks(eventLoop)
        ofThread.currentValue = works
        return works
    }

    func append(_ body: @escaping @Sendable () -> Void) {
        waiting.append(body)
        if !isUnderWay { startTimer() }
    }

    private func startTimer() {
        isUnderWay = true
        eventLoop.scheduleTask(in: Self.pause) {
            if let body = self.waiting.popFirst() { body() }
            if self.waiting.isEmpty { self.isUnderWay = false } else { self.startTimer() }
        }
    }
}
