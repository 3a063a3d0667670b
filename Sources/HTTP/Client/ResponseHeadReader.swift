internal import NIOCore

/// Makes the heads of answers strict for NIO's decoder, which takes nothing else: lines that end with a line feed alone
/// get their carriage return (RFC 9112 §2.2), and folded lines become one (§5.2). Old servers of metrics send both.
///
/// Stands before the decoder and is told when an answer is due; bodies pass untouched. Event loop only.
final class ResponseHeadReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Longer heads pass as they are: the decoder refuses them.
    private static let bytesMax = 80 << 10

    /// Whether the next bytes are those of a head.
    private var isDue = false
    private var head = ByteBuffer()
    /// Bytes that it takes.
    var keptBytes: Int { head.capacity }
    /// Bytes of `head` in which its end was looked for.
    private var searched = 0
    private var hasSpoken = false

    /// A request was sent.
    func expectHead() { isDue = true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard isDue else { return context.fireChannelRead(data) }
        // Of interim answers that were passed on nothing is kept.
        if head.readerIndex > head.readableBytes { head.discardReadBytes() }
        head.writeBuffer(&bytes)
        if !hasSpoken {
            if let foreign = ForeignProtocol(head.readableBytesView, asked: .http1) {
                isDue = false
                return context.fireErrorCaught(foreign)
            }
            hasSpoken = head.readableBytes >= ForeignProtocol.bytesMax
            // No answer at all: the decoder says so.
            if hasSpoken, !head.readableBytesView.starts(with: "HTTP/".utf8) { return passOn(context) }
        }
        while isDue, let end = endOfHead() {
            let whole = head.readSlice(length: end)!
            // Another one follows an interim answer.
            isDue = Self.isInterim(whole)
            searched = 0
            context.fireChannelRead(wrapInboundOut(Self.strict(whole)))
        }
        if !isDue || head.readableBytes > Self.bytesMax { passOn(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        passOn(context)
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { passOn(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Hands over what is kept, as it is.
    private func passOn(_ context: ChannelHandlerContext) {
        isDue = false
        searched = 0
        let rest = head
        // Also when all of it was a head: a connection of many answers would keep all of them.
        head = ByteBuffer()
        if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
    }

    /// Where the head ends: behind the first empty line that is not its first.
    private func endOfHead() -> Int? {
        let view = head.readableBytesView
        var index = view.startIndex + searched
        while let lineFeed = view[index...].firstIndex(of: UInt8(ascii: "\n")) {
            var next = lineFeed + 1
            if next < view.endIndex, view[next] == UInt8(ascii: "\r") { next += 1 }
            if next < view.endIndex, view[next] == UInt8(ascii: "\n"), lineFeed > view.startIndex + 1 {
                return next + 1 - view.startIndex
            }
            if next >= view.endIndex {
                searched = lineFeed - view.startIndex
                return nil
            }
            index = lineFeed + 1
        }
        searched = view.count
        return nil
    }

    private static func isInterim(_ head: ByteBuffer) -> Bool {
        let line = head.readableBytesView.prefix { $0 != UInt8(ascii: "\n") }
        let status = line.split(separator: UInt8(ascii: " ")).dropFirst().first
        return status?.first == UInt8(ascii: "1") && status?.elementsEqual("101".utf8) == false
    }

    /// The same head with lines that end as they should, none folded.
    static func strict(_ head: ByteBuffer) -> ByteBuffer {
        var lines: [[UInt8]] = []
        var isStrict = true
        for var line in head.readableBytesView.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
        ).dropLast() {
            if line.last == UInt8(ascii: "\r") { line = line.dropLast() } else { isStrict = false }
            guard let first = line.first, first == 0x20 || first == 0x09, lines.count > 1 else {
                lines.append(Array(line))
                continue
            }
            isStrict = false
            let rest = line.drop { $0 == 0x20 || $0 == 0x09 }
            lines[lines.count - 1] += [0x20] + rest
        }
        guard !isStrict else { return head }
        var output = ByteBuffer()
        for line in lines {
            output.writeBytes(line)
            output.writeStaticString("\r\n")
        }
        return output
    }
}
