internal import HTTP
internal import NIOCore

/// What time and others allow it.
extension HTTP1Connection: ReceiverConnection {
    var connectionBytes: Int { service.connectionBytes }
    var gate: ReadGate? { account.gate }

    func check(_ now: NIODeadline) {
        excusePause(now)
        account.gate?.giveBackBuffers(now)
        let isStuck = context.map { !$0.channel.isWritable } ?? false
        if let since = account.unwritableSince, now - since >= unreadLimit { return end(.unreadAnswers) }
        // Who was not told that a part was taken would send all of it again.
        let isLate = isStuck || (isWaiting && credentials == nil && !reader.isHandingOn)
        if let limit = limits.write, isLate, now - requestBegan >= limit { return close() }
        if let ageLimit, let grace = limits.ageGrace, now >= ageLimit + grace { return close() }
        switch phase {
        case .receiving:
            if now - lastProgress >= Connections.stallLimit { return close() }
            if let limit = limits.read, now - requestBegan >= limit { return close() }
        case .idle:
            if let headSince {
                if now - headSince >= limits.readHeader { close() }
            } else if isTooOld(now) {
                close()
            } else if let limit = limits.idle, now - lastMoved >= limit {
                close()
            }
        case .lingering(let since):
            if now - since >= Self.lingerLimit { close() }
        case .waiting, .closed:
            break
        }
    }

    func isTooOld(_ now: NIODeadline) -> Bool { ageLimit.map { now >= $0 } ?? false }

    /// What we leave in the socket is no slowness of the client's: the time does not count.
    private func excusePause(_ now: NIODeadline) {
        defer { lastChecked = now }
        guard service.routes.shouldPause(account) else { return }
        let pause = now - lastChecked
        requestBegan = min(requestBegan + pause, now)
        headSince = headSince.map { min($0 + pause, now) }
        lastMoved = now
        reader.excuse(until: now)
    }

    /// When it moved last: a body that comes byte by byte does not move.
    private var lastProgress: NIODeadline {
        if case .receiving(answered: false) = phase { min(lastMoved, reader.lastProgress) } else { lastMoved }
    }

    /// How long a client may leave answers.
    private var unreadLimit: TimeAmount {
        service.memory.isShort ? Connections.shortStallLimit : Connections.stallLimit
    }

    var idleSince: NIODeadline? {
        guard case .idle = phase else { return nil }
        // The beginning of a head holds a place as silence does.
        return unread.readableBytes == 0 ? lastMoved : headSince
    }

    func stalledRequests(_ now: NIODeadline) -> [StalledRequest] {
        excusePause(now)
        guard isStalled(now) else { return [] }
        return [
            StalledRequest(fullness: reader.fullness) { [self] in
                // Not one that has moved meanwhile.
                if isStalled(connections.eventLoop.now) { end(.memory) }
                return 0
            }
        ]
    }

    private func isStalled(_ now: NIODeadline) -> Bool {
        guard now - lastProgress >= Connections.shortStallLimit else { return false }
        return switch phase {
        case .idle: unread.readableBytes > 0
        case .receiving: true
        case .waiting, .lingering, .closed: false
        }
    }

    var isWaiting: Bool {
        if case .waiting = phase { true } else { false }
    }

    func drain() {
        draining = true
        keepAlive = false
        switch phase {
        case .idle, .lingering: close()
        case .receiving, .waiting, .closed: break
        }
    }

    func close() {
        context?.close(promise: nil)
    }
}
