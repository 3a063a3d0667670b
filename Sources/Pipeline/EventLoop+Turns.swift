internal import Glibc
package import NIOCore
internal import NIOPosix

extension EventLoop {
    /// Runs the rest of some long work when the loop has served its sockets, and what else waits for that has had a turn. On the
    /// loop, or any other thread.
    ///
    /// `execute` does not do that: a loop runs what it adds, and what that adds in turn, before it looks at a socket. Nor does
    /// a timer: while one work has its turn the other's comes, and so on. What comes out of a pipe comes with the sockets.
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

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<@Sendable () -> Void>()
    /// Whether one has its turn, or the next was asked for.
    private var isUnderWay = false
    /// The end of a pipe that the loop reads with its other sockets; -1 when there is none.
    private var asking: CInt = -1

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    deinit { if asking >= 0 { close(asking) } }

    static func of(_ eventLoop: any EventLoop) -> LongWorks {
        if let works = ofThread.currentValue, works.eventLoop === eventLoop { return works }
        let works = LongWorks(eventLoop)
        works.openPipe()
        ofThread.currentValue = works
        return works
    }

    func append(_ body: @escaping @Sendable () -> Void) {
        waiting.append(body)
        if !isUnderWay { askForTurn() }
    }

    /// One byte for each turn.
    private func askForTurn() {
        isUnderWay = true
        if asking >= 0, unsafe write(asking, "t", 1) == 1 { return }
        // Without a descriptor, and in tests that move the clock by hand. A timer that is not due when it is made is looked at
        // after the sockets; a thread that others keep from running finds it due, and looks at nothing.
        eventLoop.scheduleTask(in: .microseconds(100)) { self.takeTurn() }
    }

    fileprivate func takeTurn() {
        if let body = waiting.popFirst() { body() }
        if waiting.isEmpty { isUnderWay = false } else { askForTurn() }
    }

    private func openPipe() {
        var ends: [CInt] = [-1, -1]
        guard let bootstrap = NIOPipeBootstrap(validatingGroup: eventLoop),
            unsafe pipe(&ends) == 0
        else { return }
        let asked = ends[0]
        asking = ends[1]
        bootstrap
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AskedTurns(self))
                }
            }
            .takingOwnershipOfDescriptor(input: asked)
            .whenFailure { _ in
                // The other end is the channel's, which has closed it.
                close(self.asking)
                self.asking = -1
                if self.isUnderWay { self.askForTurn() }
            }
    }
}

/// Takes a turn for each byte.
private final class AskedTurns: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let works: LongWorks

    init(_ works: LongWorks) { self.works = works }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { works.takeTurn() }
}
