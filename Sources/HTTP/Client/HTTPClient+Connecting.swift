internal import NIOCore
internal import NIOPosix

// How an HTTP client gets its connections: one for every call that waits, or one for all.

extension HTTPClient {
    /// HTTP/1.1: a connection for every call that waits, within the limit. HTTP/2, or not known yet: one for all.
    func connectIfNeeded() {
        guard !isClosed else { return }
        if speaksHTTP2 == false {
            while connecting < waiting.count, connections.count + connecting < options.connectionsMax {
                connect()
            }
        } else if connecting == 0, shared == nil, !waiting.isEmpty {
            connect()
        }
        if connecting > 0 {
            for call in waiting { call.phase = .connecting }
        }
    }

    private func connect() {
        connecting += 1
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let deadline = eventLoop.now + options.connectTimeout
        ClientBootstrap(group: eventLoop)
            .connectTimeout(options.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 65536)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.prepare(channel) }
            }
            .connect(host: options.proxy?.host ?? origin.host, port: options.proxy?.port ?? origin.port)
            .whenComplete { result in
                let client = bound.value
                switch result {
                case .success(let channel): client.connected(channel, deadline)
                case .failure(let error): client.connectFailed(client.fault(error))
                }
            }
    }

    private func prepare(_ channel: any Channel) throws {
        guard origin.scheme == .https, let tls = options.tls else { return }
        if let proxy = options.proxy {
            try channel.pipeline.syncOperations.addHandler(
                ProxyTunnel(proxy, host: origin.host, port: origin.port))
        }
        try tls.addHandler(to: channel, host: origin.host)
        try channel.pipeline.syncOperations.addHandler(HandshakeWaiter())
    }

    private func fault(_ error: any Error) -> HTTPClientError {
        let reason = TransportFault.text(error)
        return TransportFault.isTLS(error)
            ? .tls(origin: origin, reason: reason) : .connect(origin: origin, reason: reason)
    }

    private func connected(_ channel: any Channel, _ deadline: NIODeadline) {
        guard origin.scheme == .https else { return ready(channel, isHTTP2: options.http2) }
        do {
            let waiter = try channel.pipeline.syncOperations.handler(type: HandshakeWaiter.self)
            let bound = NIOLoopBound((self, waiter), eventLoop: eventLoop)
            waiter.wait(channel, until: deadline).whenComplete { result in
                let (client, waiter) = bound.value
                switch result {
                case .success(let negotiated):
                    channel.pipeline.syncOperations.removeHandler(waiter, promise: nil)
                    client.ready(channel, isHTTP2: client.options.http2 && negotiated == "h2")
                case .failure(let error):
                    channel.close(promise: nil)
                    client.connectFailed(client.fault(error))
                }
            }
        } catch {
            // It ended before anybody could look.
            connectFailed(fault(error))
        }
    }

    private func ready(_ channel: any Channel, isHTTP2: Bool) {
        connecting -= 1
        guard !isClosed else {
            channel.close(promise: nil)
            return
        }
        speaksHTTP2 = isHTTP2
        do {
            if isHTTP2 { try openHTTP2(channel) } else { try openHTTP1(channel) }
        } catch {
            // The channel ended before it had its handlers.
            connecting += 1
            channel.close(promise: nil)
            connectFailed(fault(error))
            return
        }
        connectIfNeeded()
    }

    private func openHTTP1(_ channel: any Channel) throws {
        let connection = HTTP1ClientConnection(
            origin: origin, keepsAlive: options.keepsAlive, eventLoop: eventLoop, owner: self)
        try HTTP1ClientConnection.install(connection, on: channel)
        connections[ObjectIdentifier(connection)] = (connection, channel)
        connectionIdle(connection)
    }

    private func openHTTP2(_ channel: any Channel) throws {
        let connection = HTTP2ClientConnection(
            origin: origin, eventLoop: eventLoop, pingAfter: options.pingAfter,
            pingTimeout: options.pingTimeout, owner: self)
        connections[ObjectIdentifier(connection)] = (connection, channel)
        do {
            try channel.pipeline.syncOperations.addHandler(
                HTTP2Handler(role: .client, settings: HTTP2Settings(), delegate: connection))
        } catch {
            connections[ObjectIdentifier(connection)] = nil
            throw error
        }
        guard connections[ObjectIdentifier(connection)] != nil else { return }
        shared = connection
        let ready = waiting
        waiting = CircularBuffer()
        for call in ready { connection.start(call) }
        scheduleSweep()
    }

    private func connectFailed(_ error: HTTPClientError) {
        connecting -= 1
        if speaksHTTP2 == false {
            // One connection was for one call; the others have theirs under way or get one now.
            waiting.popFirst()?.finish(error)
        } else {
            failWaiting(error)
        }
        connectIfNeeded()
    }
}
