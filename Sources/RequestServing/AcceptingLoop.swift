internal import HTTP
internal import NIOCore

/// One port of a receiver on one event loop: what becomes of a connection that was accepted. `accept` and `begin` on that
/// loop.
final class AcceptingLoop: Sendable {
    /// Adds the handlers of a connection's protocol.
    typealias AddHandlers =
        @Sendable (
            _ isHTTP2: Bool, ChannelPipeline.SynchronousOperations, Connections, ConnectionAccount,
            _ address: String?
        ) throws -> Void

    let connections: Connections
    let service: ProtocolService
    /// How long a client may take for its first bytes.
    let firstBytesTimeout: TimeAmount
    private let paused: PausedReads
    private let limits: ConnectionLimits
    private let readBytes: Int
    private let tls: ServerTLS?
    private let descriptorReserve: Int
    private let places = DescriptorPlaces.ofProcess
    private let addHandlers: AddHandlers

    /// - Parameters:
    ///   - readBytes: what is read at a time, at most.
    ///   - tls: nil for plain text.
    init(
        connections: Connections, service: ProtocolService, limits: ConnectionLimits, readBytes: Int,
        tls: ServerTLS?, firstBytesTimeout: TimeAmount, addHandlers: @escaping AddHandlers
    ) {
        self.connections = connections
        self.service = service
        self.limits = limits
        self.readBytes = readBytes
        self.tls = tls
        self.firstBytesTimeout = firstBytesTimeout
        self.addHandlers = addHandlers
        paused = PausedReads(eventLoop: connections.eventLoop) { service.routes.shouldPause($0) }
        descriptorReserve = FreeDescriptors.reserve(of: FreeDescriptors.limit)
    }

    /// Takes a connection, or closes it, when there are too many and none is idle.
    func accept(_ channel: any Channel) throws {
        places.take()
        channel.closeFuture.whenComplete { [places] _ in places.giveBack() }
        let isFull = service.memory.isFull
        if isFull || places.areTooFew || FreeDescriptors.areShort(reserve: descriptorReserve),
            !connections.closeIdlest(channel.eventLoop.now)
        {
            service.ends.count(isFull ? .connections : .descriptors)
            channel.close(promise: nil)
            return
        }
        try channel.pipeline.syncOperations.addHandler(
            ProtocolSniffer(self, .silent(ReadBuffers(on: channel.eventLoop))))
    }

    /// Whether TLS has to be taken off first.
    var isTLS: Bool { tls != nil }

    /// Adds what takes TLS off, for a connection of which nothing else was read.
    func beginTLS(_ channel: any Channel, _ buffers: ReadBuffers) throws {
        let account = try addGate(to: channel, buffers)
        try tls?.addHandler(to: channel)
        try channel.pipeline.syncOperations.addHandler(ProtocolSniffer(self, .decrypted(account)))
    }

    /// Adds what a connection needs whose first bytes have come.
    func begin(_ channel: any Channel, _ arrival: ProtocolSniffer.Arrival, isHTTP2: Bool) throws {
        let account =
            switch arrival {
            case .silent(let buffers): try addGate(to: channel, buffers)
            case .decrypted(let account): account
            }
        let address = limits.addressMemoryPercentage > 0 ? channel.remoteAddress?.ipAddress : nil
        try addHandlers(isHTTP2, channel.pipeline.syncOperations, connections, account, address)
    }

    private func addGate(to channel: any Channel, _ buffers: ReadBuffers) throws -> ConnectionAccount {
        let account = ConnectionAccount(
            work: limits.work, frames: limits.frames, threads: ConnectionAccount.besideThreads,
            now: channel.eventLoop.now)
        try channel.pipeline.syncOperations.addHandler(
            ReadGate(
                paused, account: account, buffers: buffers,
                readBytesMax: ReadGate.readBytes(readBytes, connections: connections.count),
                isTLS: isTLS, halfClosedLimit: TimeAmount(limits.halfClosedTimeout)))
        return account
    }
}
