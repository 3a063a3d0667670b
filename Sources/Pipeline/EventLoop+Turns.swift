package import NIOCore

extension EventLoop {
    /// Runs the rest of some long work when the loop has served its sockets.
    ///
    /// `execute` does not do that: a loop runs what it adds, and what that adds in turn, before it looks at a socket. (It runs
    /// what is due meanwhile, too: two such works on one loop may have several turns before it looks.)
    package func executeInTurn(_ body: @escaping @Sendable () -> Void) {
        scheduleTask(in: .microseconds(100), body)
    }
}
