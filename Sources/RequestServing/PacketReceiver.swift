internal import Logging
internal import NIOCore
internal import Pipeline

/// The packets of one UDP port: each is a request, which nobody is answered. On its channel's event loop, as NIO calls it.
///
/// A packet is translated, checked and admitted as it is read. What cannot be taken at once is lost, and counted; what waits for
/// its turn waits in the socket. What found that full is counted too.
final class PacketReceiver: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    /// OTLP of one packet.
    private static let requestBytesMax = 4 << 20

    private let tools: LoopTools
    private let target: Target
    private let reader: RequestReader
    private let logger: Logger
    private let dropped: DroppedPackets
    private var limiter = LogLimiter()

    init(tools: LoopTools, target: Target, dropped: DroppedPackets, logger: Logger) {
        self.dropped = dropped
        self.tools = tools
        self.target = target
        self.logger = logger
        reader = RequestReader(
            tools: tools, limits: RequestLimits(isGRPC: false, bodyBytesMax: Self.requestBytesMax))
    }

    func handlerAdded(context: ChannelHandlerContext) { dropped.start(context.channel) }

    func handlerRemoved(context: ChannelHandlerContext) { dropped.stop() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let packet = unwrapInboundIn(data)
        tools.now = context.eventLoop.now
        reader.client = ClientAddress(packet.remoteAddress)
        if let failure = take(packet.data) { report(failure) }
    }

    private func take(_ bytes: ByteBuffer) -> Answer.Failure? {
        let refusal = reader.begin(target, encoding: .identity, contentLength: bytes.readableBytes)
        if let refusal { return refusal }
        let failure = unsafe bytes.withUnsafeReadableBytes { unsafe reader.append($0) }
        if let failure { return failure }
        // What becomes of a packet later is nobody's answer.
        if case .failed(let failure)? = reader.finish(later: { Acknowledgement { _ in } }) { return failure }
        return nil
    }

    private func report(_ failure: Answer.Failure) {
        // The text may name lengths: one kind for each status.
        guard let unsaid = limiter.admit("\(failure.httpStatus)", at: tools.now) else { return }
        logger.warning(
            "Packet lost.", metadata: ["error": "\(failure.message)", "unsaid": "\(unsaid)"])
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Of one packet, such as an answer that nobody takes; the port goes on.
        logger.debug("Packets could not be read.", metadata: ["error": "\(error)"])
    }
}
