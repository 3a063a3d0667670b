internal import HTTP
internal import NIOCore
internal import Pipeline

/// The limits that time sets, and those of memory that is short.
extension HTTP2Connection {
    func check(_ now: NIODeadline) {
        guard let handler else { return }
        if let since = account.unwritableSince, now - since >= unreadLimit { return end(.unreadAnswers) }
        account.gate?.giveBackBuffers(now)
        if now - handler.lastRead >= ReadGate.idleLimit, memory.openStreams == 0 {
            handler.session?.giveBackMemory()
            slots = []
            memory.slots = 0
        }
        let pauses = service.routes.shouldPause(account)
        if pauses { excusePause(now) }
        lastChecked = now
        endOverdue(now)
        // What it sends waits for work beside the loop, too: nobody has read its answer to a ping.
        let lastRead = pauses || account.isHeld ? now : handler.lastRead
        let action = keeper.check(
            now: now, lastRead: lastRead, requests: requests,
            openStreams: handler.session?.openStreams ?? 0, isGreeted: handler.hasPeerSettings)
        switch action {
        case .none: break
        case .ping: handler.startSession()?.ping()
        case .drain: drain()
        case .close(let reason): handler.close(because: reason)
        }
        handler.flush()
    }

    private func endOverdue(_ now: NIODeadline, from first: Int = 0) {
        var (place, ended) = (first, 0)
        while place < slots.count {
            defer { place += 1 }
            let slot = slots[place]
            guard let stream = slot.stream, isOverdue(slot, now) else { continue }
            guard ended < Connections.endedAtOnce else { return endOverdueSoon(now, from: place) }
            ended += 1
            if now > slot.deadline, !stream.answered {
                slot.reader.abandon()
                answer(stream, .failed(.timeoutExpired))
            } else {
                cancel(slot)
            }
        }
    }

    private func endOverdueSoon(_ now: NIODeadline, from place: Int) {
        let connection = NIOLoopBound(self, eventLoop: tools.eventLoop)
        tools.eventLoop.executeInTurn {
            connection.value.endOverdue(now, from: place)
            connection.value.handler?.flushSoon()
        }
    }

    private func isOverdue(_ slot: Slot, _ now: NIODeadline) -> Bool {
        guard let stream = slot.stream, !isBeingChecked(stream) else { return false }
        // The client's windows let nothing through.
        if stream.answered { return now - slot.answered >= unreadLimit }
        if slot.reader.isHandingOn { return false }
        if now > slot.deadline { return true }
        if let limit = times.write, now - slot.began >= limit { return true }
        // The client has sent all of a request that is worked on beside the loop.
        guard slot.reader.isReading, !slot.reader.isBeside else { return false }
        if let limit = times.read, now - slot.began >= limit { return true }
        return now - slot.reader.lastProgress >= Connections.stallLimit
    }

    /// How long a client may leave an answer.
    private var unreadLimit: TimeAmount {
        service.memory.isShort ? Connections.shortStallLimit : Connections.stallLimit
    }

    private func cancel(_ slot: Slot) {
        guard let stream = slot.stream else { return }
        slot.reader.abandon()
        handler?.session?.reset(stream, code: 8)  // CANCEL
    }

    var idleSince: NIODeadline? {
        guard let handler, handler.session?.openStreams ?? 0 == 0 else { return nil }
        return handler.lastRead
    }

    func stalledRequests(_ now: NIODeadline) -> [StalledRequest] {
        if service.routes.shouldPause(account) { excusePause(now) }
        lastChecked = now
        return slots.indices.compactMap { place in
            guard let id = slots[place].stream?.id, isStalled(slots[place], now) else { return nil }
            return StalledRequest(fullness: slots[place].reader.fullness) { [self] in
                endStalled(place, id)
            }
        }
    }

    private func isStalled(_ slot: Slot, _ now: NIODeadline) -> Bool {
        guard let stream = slot.stream, !isBeingChecked(stream) else { return false }
        let moved = stream.answered ? slot.answered : slot.reader.lastProgress
        return (stream.answered || slot.reader.isReading && !slot.reader.isBeside)
            && now - moved >= Connections.shortStallLimit
    }

    /// Ends one that has not moved meanwhile.
    private func endStalled(_ place: Int, _ id: Int32) -> Int {
        guard place < slots.count, slots[place].stream?.id == id,
            isStalled(slots[place], tools.eventLoop.now)
        else { return 0 }
        cancel(slots[place])
        memory.publish()
        // Thousands may be: one write, not one each.
        handler?.flushSoon()
        return ConnectionMemory.streamBytes
    }

    /// What we leave in the socket is no slowness of the client's: the time does not count.
    private func excusePause(_ now: NIODeadline) {
        let pause = now - lastChecked
        for index in slots.indices where slots[index].stream != nil {
            slots[index].began = min(slots[index].began + pause, now)
            slots[index].answered = min(slots[index].answered + pause, now)
            slots[index].reader.excuse(until: now)
        }
    }
}
