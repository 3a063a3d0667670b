internal import Glibc
internal import Logging
internal import NIOCore
internal import Pipeline

/// Counts the packets that found a UDP socket's buffer full, which only the system sees. Event loop only, but for `init`.
final class DroppedPackets {
    private static let interval = TimeAmount.seconds(5)
    private static let name = NIOBSDSocket.Option(rawValue: SO_MEMINFO)

    private let counter: Counter
    private let logger: Logger
    private var limiter = LogLimiter()
    private var timer: RepeatedTask?
    /// How many the system had counted when it was asked last.
    private var last: UInt32 = 0

    init(registry: MetricRegistry, receiver: String, logger: Logger) {
        counter = registry.counter(
            "sluice_receiver_dropped_packets",
            help: "Packets that the system dropped because the socket's buffer was full.",
            labels: ["receiver": receiver, "transport": "udp"])
        self.logger = logger
    }

    /// Asks the channel's socket every few seconds.
    func start(_ channel: any Channel) {
        guard let socket = channel as? any SocketOptionProvider else { return }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        timer = channel.eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) {
            _ in
            let values: EventLoopFuture<SocketMemory> = socket.unsafeGetSocketOption(
                level: .socket, name: Self.name)
            // Fails only when the port is closed.
            values.whenSuccess { bound.value.saw($0.drops, at: .now()) }
        }
    }

    func stop() {
        timer?.cancel()
        timer = nil
    }

    /// The system has counted so many since the socket was opened, modulo 2^32.
    func saw(_ drops: UInt32, at now: NIODeadline) {
        let new = drops &- last
        last = drops
        guard new > 0 else { return }
        counter.add(UInt64(new))
        guard let unsaid = limiter.admit("dropped", at: now) else { return }
        logger.warning(
            "Packets were dropped by the system: the socket's buffer was full. Counted from now on.",
            metadata: [
                "packets": "\(new)", "unsaid": "\(unsaid)",
                "help": "set socket_buffer_size, or send to a receiver that answers",
            ])
    }
}

/// What the system says with `SO_MEMINFO` (linux/sock_diag.h).
struct SocketMemory: Sendable {
    /// Bytes of buffers, sent and received, and their limits.
    private var memory: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0, 0, 0, 0, 0, 0, 0, 0
    )
    /// Packets that were dropped.
    private(set) var drops: UInt32 = 0
}
