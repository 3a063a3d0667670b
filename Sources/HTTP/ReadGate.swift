package import NIOCore

/// The first handler of a server's connection: decides when it is read from, when what it sent is worked on, and when it
/// ends although its protocol would go on.
///
/// Leaves bytes in the socket while the process has enough to do, or while the peer does not read what it is sent: its
/// windows fill and it slows down. Measures the time that everything behind it takes; a connection in debt
/// (`WorkBudget`) is served in turns. A peer that has ended its side is given a deadline. Event loop only.
package final class ReadGate: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = NIOAny

    /// When longer, the thread's own time is measured.
    private static let doubtfulTime = TimeAmount.microseconds(200 * Int64(WorkBudget.slowness))
    /// A connection that was silent for so long keeps little memory for what comes next.
    package static let idleLimit = TimeAmount.seconds(5)

    private let paused: PausedReads
    private(set) var turns: LoopTurns?
    private let halfClosedLimit: TimeAmount
    private var (share, buffers): (ReadShare, ReadBuffers?)
    /// What is decrypted is handed on when a read is complete.
    private let isTLS: Bool
    /// Whether nothing of a handshake was worked on.
    private(set) var isUngreeted: Bool
    private let servesPages: Bool
    private var context: ChannelHandlerContext?
    private(set) var isWaiting = false
    private var waitingForWrites = false
    /// What was read and waits for a turn, or for the peer to read.
    private var waiting = ByteBuffer()
    private var slice: WorkSlice
    /// Whether something took long in this round or the last one, and in this one.
    private var (wasLong, isLong) = (false, false)
    /// Whether a read was asked for while bytes wait.
    private var (isQueued, heldRead) = (false, false)
    private var (inputEnded, isServing) = (false, false)
    private var deadline: Scheduled<Void>?
    /// What the connection costs.
    package let account: ConnectionAccount

    /// - Parameters:
    ///   - paused: of the connection's event loop.
    ///   - account: the protocol's handler uses the same.
    ///   - buffers: what the connection has been reading into; nil for new ones.
    ///   - readBytesMax: what is read at a time.
    ///   - servesPages: whether it is one of the gateway's own pages, which take turns among themselves.
    ///   - isTLS: the next handler hands on what it decrypted when a read is complete.
    ///   - halfClosedLimit: how long answers may take after the peer has ended its side.
    package init(
        _ paused: PausedReads, account: ConnectionAccount, buffers: ReadBuffers? = nil,
        readBytesMax: Int = 64 << 10,
        servesPages: Bool = false, isTLS: Bool = false,
        halfClosedLimit: TimeAmount = .seconds(5)
    ) {
        self.servesPages = servesPages
        slice = WorkSlice(ofPages: servesPages)
        self.isTLS = isTLS
        isUngreeted = isTLS
        self.paused = paused
        self.account = account
        (share, self.buffers) = (ReadShare(bytesMax: readBytesMax), buffers)
        self.halfClosedLimit = halfClosedLimit
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        turns = LoopTurns.of(context.eventLoop, servesPages: servesPages)
        account.gate = self
        let buffers = buffers ?? ReadBuffers(on: context.eventLoop)
        buffers.limit(to: share.bytesAtATime)
        buffers.install(on: context.channel)
        self.buffers = buffers
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        turns = nil
        account.gate = nil
        deadline.take()?.cancel()
        account.end = nil
        account.isHandingOn = nil
        drop()
        guard isWaiting else { return }
        isWaiting = false
        paused.forget()
    }

    /// At once, whatever the handlers behind this one wait for.
    package func close() { context?.close(promise: nil) }

    private func drop() {
        waiting = ByteBuffer()
        account.waitingBytes = 0
    }

    // MARK: - Bytes in

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        account.now = context.eventLoop.now
        if !account.work.isInCredit { spend(.zero, now: account.now) }
        if share.isLittle, !mustReadLittle { read(context) { $0.readAsBefore() } }
        let buffer = unwrapInboundIn(data)
        share.add(buffer.readableBytes)
        guard let buffers, !buffers.isPart(buffer) else { return }
        work(on: buffers.joined(buffer), context)
        buffers.giveBack(buffer)
    }

    private func work(on buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        if isQueued || waiting.readableBytes > 0 || !mayWork { return keep(buffer, context) }
        slice.worked = buffer.readableBytes
        guard slice.worked > sliceBytes else {
            let began = threadTime
            context.fireChannelRead(wrapInboundOut(buffer))
            return measure(context, since: began)
        }
        waiting = buffer
        serve(context)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if let buffers {
            let wasFirst = buffers.isFirstRead
            if let part = buffers.endRead() { work(on: part, context) }
            guard self.context != nil else { return }
            if wasFirst { readInARow(context) }
        }
        read(context) {
            $0.endRound(now: ThreadTime.nanoseconds)
            if !$0.isOften, !$0.isLittle, account.work.isProven, !servesPages { $0.readOften(true) }
        }
        guard isTLS || wasLong || account.work.isLow else { return context.fireChannelReadComplete() }
        account.now = context.eventLoop.now
        let began = threadTime
        context.fireChannelReadComplete()
        if self.context != nil { measure(context, since: began, mayGrow: false) }
        (wasLong, isLong) = (isLong, false)
    }

    private var sliceBytes: Int { slice.bytes(isProven: account.work.isProven) }

    /// Whether what comes is worked on at once.
    private var mayWork: Bool {
        guard account.work.isInCredit, !account.isHeld else { return false }
        guard let turns, sharesRound else { return true }
        return turns.hasTime(forUnproven: !account.work.isProven)
    }

    /// Whether its time is taken from what the connections of a round have together. What takes long does on a busy loop: in a
    /// round of 300 ms nobody has taken much lately, and nobody would wait.
    private var sharesRound: Bool {
        guard account.work.isProven, let turns else { return true }
        let isLoaded = turns.isLoaded(account.now)
        return wasLong && isLoaded || account.isBusy(onLoaded: isLoaded)
    }

    /// Works on what waits until there is a reason not to.
    private func serve(_ context: ChannelHandlerContext) {
        isServing = true
        defer { isServing = false }
        while let slice = waiting.readSlice(length: min(waiting.readableBytes, sliceBytes)),
            slice.readableBytes > 0
        {
            self.slice.worked = slice.readableBytes
            let began = threadTime
            context.fireChannelRead(wrapInboundOut(slice))
            if isTLS { context.fireChannelReadComplete() }
            measure(context, since: began)
            guard self.context != nil else { return }
            if !context.channel.isWritable || !mayWork { break }
        }
        account.waitingBytes = waiting.readableBytes
        if waiting.readableBytes == 0 { return drop() }
        if !account.work.isInCredit || context.channel.isWritable { queue(context) }
    }

    private func spend(_ time: TimeAmount, now: NIODeadline) {
        turns?.took(time, now: now, inRound: sharesRound)
        account.spend(time, now: now, among: turns?.count ?? 0)
    }

    /// The thread's own time, where it matters what others had of the time that passed: to ask for it takes longer than for
    /// that (260 ns and 20).
    private var threadTime: Int64? {
        wasLong || account.work.isLow ? ThreadTime.nanoseconds() : nil
    }

    private func measure(_ context: ChannelHandlerContext, since began: Int64?, mayGrow: Bool = true) {
        isUngreeted = false
        let end = context.eventLoop.now
        var time = end - account.now
        if let began {
            time = .nanoseconds(ThreadTime.nanoseconds() - began)
            slice.fit(time, mayGrow: mayGrow)
        } else if time <= Self.doubtfulTime {
            slice.fit(time, mayGrow: mayGrow)
        } else {
            time = Self.doubtfulTime  // Perhaps other threads had the processor: the next one will show.
        }
        if time >= Self.doubtfulTime { (wasLong, isLong) = (true, true) }
        spend(time, now: end)
        account.now = end
    }

    private func keep(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        if waiting.readableBytes == 0, buffer.readableBytes > buffer.capacity / 2 {
            waiting = buffer
        } else {
            // A large buffer of the socket's for few bytes is not kept.
            waiting.writeImmutableBuffer(buffer)
        }
        account.waitingBytes = waiting.readableBytes
        if context.channel.isWritable || !account.work.isInCredit { queue(context) }
    }

    private func queue(_ context: ChannelHandlerContext) {
        // It goes on with `release`.
        guard !isQueued, !account.isHeld else { return }
        isQueued = true
        if mustReadLittle { read(context) { $0.readLittle(isProven: account.work.isProven) } }
        turns?.queue(self)
    }

    private var mustReadLittle: Bool { !account.work.isInCredit || turns?.areMany == true }

    /// Changes how much is read.
    private func read(_ context: ChannelHandlerContext, _ change: (inout ReadShare) -> Void) {
        let (bytes, reads) = (share.bytesAtATime, share.readsInARow)
        change(&share)
        if share.bytesAtATime != bytes { buffers?.limit(to: share.bytesAtATime) }
        if share.readsInARow != reads { readInARow(context) }
    }

    private func readInARow(_ context: ChannelHandlerContext) {
        buffers?.readInARow(share.readsInARow)
        // Fails only when the channel is closed.
        try? context.channel.syncOptions?.setOption(.maxMessagesPerRead, value: UInt(share.readsInARow))
    }

    /// Leaves the channel one small buffer, when it has been idle. Called now and then.
    package func giveBackBuffers(_ now: NIODeadline) {
        guard share.isOften, now - account.now >= Self.idleLimit, let context else { return }
        read(context) { $0.readOften(false) }
    }

    /// Works on a part of what waits. The thread's own time is measured: a debtor is not ended for what others took.
    func takeTurn() {
        isQueued = false
        guard let context, !account.isHeld else { return }
        // Served when it takes what it is sent.
        guard context.channel.isWritable || waiting.readableBytes == 0 else { return }
        account.now = context.eventLoop.now
        if account.work.isInCredit { return serveAll(context) }
        isUngreeted = false
        let began = ThreadTime.nanoseconds()
        var time = TimeAmount.zero
        repeat {
            if let slice = waiting.readSlice(length: min(waiting.readableBytes, sliceBytes)),
                slice.readableBytes > 0
            {
                self.slice.worked = slice.readableBytes
                context.fireChannelRead(wrapInboundOut(slice))
                if isTLS { context.fireChannelReadComplete() }
            }
            guard self.context != nil else { return }
            let last = time
            time = .nanoseconds(ThreadTime.nanoseconds() - began)
            self.slice.fit(time - last)
            // As much again must be left: a turn takes no longer than a slice may.
            guard time * 2 - last < WorkSlice.time, !account.isHeld else { break }
        } while waiting.readableBytes > 0 && context.channel.isWritable
        context.fireChannelReadComplete()
        guard self.context != nil else { return }
        spend(.nanoseconds(ThreadTime.nanoseconds() - began), now: context.eventLoop.now)
        account.waitingBytes = waiting.readableBytes
        if waiting.readableBytes == 0 { drop() }
        if account.work.isOverdrawn { return end(.time, context) }
        goOn(context)
    }

    /// The turn of a connection that owes nothing: it had only waited for its peer to read.
    private func serveAll(_ context: ChannelHandlerContext) {
        serve(context)
        guard self.context != nil else { return }
        context.fireChannelReadComplete()
        if self.context != nil { goOn(context) }
    }

    /// After bytes that waited: more of them, or what was held back meanwhile.
    private func goOn(_ context: ChannelHandlerContext) {
        if waiting.readableBytes > 0 {
            if context.channel.isWritable { queue(context) }
            return
        }
        if !account.work.isInCredit, !inputEnded {
            // It rests until time has paid its debt; what it sends waits in its socket.
            if heldRead { queue(context) }
            return
        }
        if !mustReadLittle { read(context) { $0.readAsBefore() } }
        if heldRead {
            heldRead = false
            read(context: context)
        }
        if inputEnded { endInput(context) }
    }

    private func end(_ reason: ConnectionEnd, _ context: ChannelHandlerContext) {
        drop()
        if let end = account.end { end(reason) } else { context.close(promise: nil) }
    }

    // MARK: - Reading on

    package func read(context: ChannelHandlerContext) {
        guard !isWaiting else { return }
        if isQueued || waiting.readableBytes > 0 || account.isHeld {
            heldRead = true
        } else if !account.work.isInCredit {
            heldRead = true
            queue(context)
        } else if !context.channel.isWritable {
            waitingForWrites = true
        } else if paused.shouldPause(account) {
            isWaiting = true
            paused.add(self)
        } else {
            context.read()
        }
    }

    /// Work beside the loop is done (`BesideQueue`).
    func release() {
        if let context, !account.isHeld, !isServing { goOn(context) }
    }

    func resume() {
        guard isWaiting, let context else { return }
        isWaiting = false
        read(context: context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        account.unwritableSince = isWritable ? nil : context.eventLoop.now
        context.fireChannelWritabilityChanged()
        guard isWritable, context.channel.isWritable, !isServing else { return }
        // Not from within the write that made room.
        if waiting.readableBytes > 0 { return queue(context) }
        guard waitingForWrites else { return }
        waitingForWrites = false
        read(context: context)
    }

    // MARK: - The end of the input

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else {
            return context.fireUserInboundEventTriggered(event)
        }
        inputEnded = true
        setDeadline(context)
        if waiting.readableBytes == 0 { endInput(context) }
    }

    private func setDeadline(_ context: ChannelHandlerContext) {
        // Nothing of the peer's can change any more what it is able to take.
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: halfClosedLimit) {
            let (gate, context) = bound.value
            gate.deadline = nil
            // The answer is ours to give: what was taken already would be sent again.
            if gate.account.isHandingOn?() == true { return gate.setDeadline(context) }
            gate.end(.halfClosed, context)
            context.close(promise: nil)
        }
    }

    private func endInput(_ context: ChannelHandlerContext) {
        inputEnded = false
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
}
