internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP

/// Spreads calls over connections to the addresses of one name. Event loop only.
///
/// `round_robin`: connections to every address; a call goes to the next one that is ready, unless another has less to
/// do. `pick_first`: connections to whichever address answers first. A call waits only while no connection is ready.
///
/// The name is resolved with the first call, then with a call after every `resolveInterval`, and soon after a connection
/// failed or was lost; an idle exporter asks nobody. Connections to addresses that are gone finish their calls. When
/// the name cannot be resolved the addresses stay as they are.
final class GRPCBalancer: GRPCChannelOwner {
    struct Settings: Sendable {
        var channel: GRPCChannel.Settings
        var policy: OTLPExporterConfig.Balancer
        /// For each address.
        var connections: Int
        /// Whether calls wait for a connection until their deadline, instead of failing with the last attempt.
        var waitForReady: Bool
        var resolveInterval = TimeAmount.seconds(30)
        /// Least time between a resolution and one that a broken connection asks for.
        var resolvePause = TimeAmount.seconds(5)
    }

    private let settings: Settings
    private let resolver: any AddressResolver
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var channels: [GRPCChannel] = []
    /// Those whose address is gone and that finish their calls.
    private var draining: [GRPCChannel] = []
    private var next = 0
    private var waiting: [GRPCCall] = []
    /// Why the last attempt failed, for the calls that fail with it.
    private var failure = ""
    private var isClosed = false
    private var wake: Scheduled<Void>?

    /// Whether the host is an address, not a name.
    private let isLiteral: Bool
    private var resolving = false
    private var lastResolution = NIODeadline.distantPast
    private var nextResolution = NIODeadline.distantPast
    private var backoff = GRPCBalancer.firstBackoff
    private var reported = ""

    private static let firstBackoff = TimeAmount.seconds(1)
    private static let backoffMax = TimeAmount.seconds(30)
    /// Of a name with more addresses the first ones are used.
    private static let addressesMax = 256

    init(
        _ settings: Settings, resolver: any AddressResolver, eventLoop: any EventLoop, logger: Logger
    ) {
        self.settings = settings
        self.resolver = resolver
        self.eventLoop = eventLoop
        self.logger = logger
        isLiteral = SocketAddress.literal(settings.channel.peerHost, port: settings.channel.peerPort) != nil
    }

    /// Makes a unary call. `done` is called once, later, on the event loop.
    /// - Parameter body: the message with its five-byte prefix.
    func call(
        _ head: HTTP2Fields, body: [ByteBuffer], deadline: NIODeadline, done: @escaping (GRPCResult) -> Void
    ) {
        eventLoop.preconditionInEventLoop()
        let call = GRPCCall(head, body: body, done: done)
        if deadline < .distantFuture {
            let bound = NIOLoopBound((self, call), eventLoop: eventLoop)
            call.timer = eventLoop.scheduleTask(deadline: deadline) {
                let (balancer, call) = bound.value
                balancer.expire(call)
            }
        }
        dispatch(call)
    }

    private func dispatch(_ call: GRPCCall) {
        guard !isClosed else { return fail(call, "the exporter was shut down") }
        resolveIfDue()
        connectIfDue()
        if let channel = pick() {
            channel.start(call)
        } else {
            waiting.append(call)
            settle()
        }
    }

    /// The next one in turn, unless another has less to do.
    private func pick() -> GRPCChannel? {
        var best: GRPCChannel?
        var index = 0
        for offset in 1...max(channels.count, 1) where !channels.isEmpty {
            let candidate = (next + offset) % channels.count
            let channel = channels[candidate]
            guard channel.isReady, channel.load < best?.load ?? .max else { continue }
            best = channel
            index = candidate
        }
        if best != nil { next = index }
        return best
    }

    /// Ends all connections and calls.
    func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        isClosed = true
        wake?.cancel()
        wake = nil
        failWaiting("the exporter was shut down")
        return .andAllComplete((channels + draining).map { $0.close() }, on: eventLoop)
    }

    private func fail(_ call: GRPCCall, _ reason: String) {
        let bound = NIOLoopBound(call, eventLoop: eventLoop)
        eventLoop.execute { bound.value.finish(.unavailable(reason)) }
    }

    private func failWaiting(_ reason: String) {
        let failed = waiting
        waiting = []
        for call in failed { fail(call, reason) }
    }

    private func expire(_ call: GRPCCall) {
        guard !call.isDone else { return }
        waiting.removeAll { $0 === call }
        call.channel?.cancel(call)
        call.finish(GRPCResult(code: .deadlineExceeded, message: "no answer within the timeout"))
    }

    // MARK: - Connecting

    private func connectIfDue() {
        for channel in channels { channel.connectIfDue() }
    }

    /// Whether a call may hope for a connection.
    private var isTrying: Bool {
        channels.isEmpty ? resolving : channels.contains { $0.isConnecting || $0.isReady }
    }

    /// Decides about the calls that wait when nothing is tried any more.
    private func settle() {
        guard !waiting.isEmpty, !isTrying else { return }
        guard settings.waitForReady else {
            failWaiting(failure)
            return
        }
        guard wake == nil else { return }
        let due = channels.compactMap { $0.retryTime }.min() ?? nextResolution
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        wake = eventLoop.scheduleTask(deadline: max(due, .now() + .milliseconds(1))) {
            let balancer = bound.value
            balancer.wake = nil
            guard !balancer.waiting.isEmpty, !balancer.isClosed else { return }
            balancer.resolveIfDue()
            balancer.connectIfDue()
            balancer.settle()
        }
    }

    // MARK: - Resolving

    private func resolveIfDue() {
        let host = settings.channel.peerHost
        let port = settings.channel.peerPort
        if isLiteral {
            if channels.isEmpty, let address = SocketAddress.literal(host, port: port) { use([address]) }
            return
        }
        guard !resolving, !isClosed, NIODeadline.now() >= nextResolution else { return }
        resolving = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        resolver.resolve(host, port: port, on: eventLoop).whenComplete { bound.value.resolved($0) }
    }

    private func resolved(_ result: Result<[SocketAddress], any Error>) {
        resolving = false
        guard !isClosed else { return }
        lastResolution = .now()
        switch result {
        case .success(let found) where !found.isEmpty:
            nextResolution = lastResolution + settings.resolveInterval
            backoff = Self.firstBackoff
            if !reported.isEmpty {
                reported = ""
                logger.info("The destination's name can be resolved again.")
            }
            use(found)
        case .success, .failure:
            var reason = "the name \(settings.channel.peerHost) has no addresses"
            if case .failure(let error) = result { reason = "\(error)" }
            nextResolution = lastResolution + backoff
            backoff = min(.nanoseconds(backoff.nanoseconds / 5 * 8), Self.backoffMax)
            if channels.isEmpty { failure = reason }
            if reported != reason {
                reported = reason
                logger.warning("The destination's name cannot be resolved.", metadata: ["error": "\(reason)"])
            }
        }
        settle()
    }

    /// Takes over what the name means now.
    private func use(_ found: [SocketAddress]) {
        let addresses = Array(found.prefix(Self.addressesMax))
        draining.removeAll { $0.hasEnded }
        switch settings.policy {
        case .roundRobin:
            let gone = channels.filter { !addresses.contains($0.addresses[0]) }
            channels.removeAll { !addresses.contains($0.addresses[0]) }
            draining += gone
            for channel in gone { channel.drain() }
            for address in addresses where !channels.contains(where: { $0.addresses[0] == address }) {
                for _ in 0..<settings.connections { channels.append(makeChannel(to: [address])) }
            }
        case .pickFirst:
            for channel in channels { channel.retarget(addresses) }
            while channels.count < settings.connections { channels.append(makeChannel(to: addresses)) }
        }
        connectIfDue()
    }

    private func makeChannel(to addresses: [SocketAddress]) -> GRPCChannel {
        GRPCChannel(
            settings.channel, to: addresses, eventLoop: eventLoop, logger: logger, owner: self)
    }

    /// An address that does not answer may be gone.
    private func resolveSoon() {
        guard !isClosed else { return }
        nextResolution = min(nextResolution, lastResolution + settings.resolvePause)
        if !resolving { resolveIfDue() }
    }

    // MARK: - GRPCChannelOwner

    func channelReady(_ channel: GRPCChannel) {
        eventLoop.preconditionInEventLoop()
        let ready = waiting
        waiting = []
        for call in ready { dispatch(call) }
    }

    func channelFailed(_ channel: GRPCChannel, reason: String) {
        eventLoop.preconditionInEventLoop()
        failure = reason
        resolveSoon()
        settle()
    }

    func channelLost(_ channel: GRPCChannel) {
        eventLoop.preconditionInEventLoop()
        resolveSoon()
        settle()
    }

    func callRefused(_ call: GRPCCall, reason: String) {
        eventLoop.preconditionInEventLoop()
        guard !call.isDone else { return }
        guard !call.wasRefused else { return call.finish(.unavailable(reason)) }
        call.wasRefused = true
        call.move(to: nil)
        dispatch(call)
    }
}
