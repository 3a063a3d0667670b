package import NIOCore

/// Asks a proxy for a tunnel (RFC 9110 §9.3.6, CONNECT) before anybody else in the pipeline hears that the connection is
/// there, then leaves. First in its pipeline; on its channel's event loop, as NIO calls it.
package final class ProxyTunnel: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// For the proxy's answer, which comes when it has its own connection.
    private static let timeout = TimeAmount.seconds(20)
    private static let headBytesMax = 16 << 10

    private let proxy: HTTPProxy
    private let target: String
    private let onFailure: (ProxyFault) -> Void
    private var received = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var isOver = false

    /// - Parameters:
    ///   - host: of the server behind the proxy; a name is the proxy's to resolve.
    ///   - port: of the same.
    ///   - onFailure: called once when there will be no tunnel, before the channel is closed. On its event loop.
    package init(
        _ proxy: HTTPProxy, host: String, port: Int, onFailure: @escaping (ProxyFault) -> Void = { _ in }
    ) {
        self.proxy = proxy
        self.onFailure = onFailure
        target = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    package func channelActive(context: ChannelHandlerContext) {
        var text = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
        if let authorization = proxy.authorization { text += "Proxy-Authorization: \(authorization)\r\n" }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: Self.timeout) {
            let (tunnel, context) = bound.value
            tunnel.fail(context, "did not answer in time")
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        received.writeBuffer(&bytes)
        let head = received.readableBytesView
        guard let end = Self.end(of: head) else {
            if received.readableBytes > Self.headBytesMax { fail(context, "answered with no HTTP") }
            return
        }
        // What is not printable has no place in a log.
        let line = String(decoding: head.prefix(200).prefix { (0x20...0x7E).contains($0) }, as: UTF8.self)
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            return fail(context, "answered with no HTTP")
        }
        guard (200..<300).contains(status) else {
            let hint = status == 407 ? "; write http://user:password@host:port as its address" : ""
            return fail(
                context,
                "refused a connection to \(target): \(words.dropFirst().joined(separator: " "))\(hint)")
        }
        received.moveReaderIndex(forwardBy: end)
        isOver = true
        timer?.cancel()
        context.fireChannelActive()
        if received.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(received)) }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        fail(context, "ended the connection")
        context.fireChannelInactive()
    }

    /// How many bytes the answer's head has; nil when it is not complete.
    private static func end(of bytes: ByteBufferView) -> Int? {
        var newlines = 0
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\n"): newlines += 1
            case UInt8(ascii: "\r"): break
            default: newlines = 0
            }
            if newlines == 2 { return index + 1 }
        }
        return nil
    }

    private func fail(_ context: ChannelHandlerContext, _ reason: String) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        let fault = ProxyFault(description: "the proxy \(proxy.host):\(proxy.port) \(reason)")
        onFailure(fault)
        context.fireErrorCaught(fault)
        context.close(promise: nil)
    }
}

/// Why a proxy gives no connection.
package struct ProxyFault: Error, CustomStringConvertible {
    package let description: String
}
