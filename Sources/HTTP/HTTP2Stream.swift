package import NIOCore

/// One HTTP/2 stream of a session, reused for later streams when it has closed. Confined to its session.
package final class HTTP2Stream {
    // Stored apart from what other modules see: access to a stored property that they see is checked at run time, a
    // thousand instructions a request.
    private var number: Int32 = 0
    private var hasExceededFields = false
    private var isAnswered = false
    private var hasBegunBody = false
    private var hasSentAll = false
    private var hasPeerEnded = false

    /// The stream's number (RFC 9113 §5.1.1).
    package internal(set) var id: Int32 {
        get { number }
        set { number = newValue }
    }
    /// A small number that is this stream's alone while it is open: an index for the owner's own state.
    package let slot: Int
    /// The header section that is being read; in `headersEnded`, the one that was read. The session's only one, since
    /// sections follow each other (RFC 9113 §4.3): one a stream would let a client fill memory with a few bytes each.
    package let headers: HeaderBlock
    /// Whether the header section that is being read is the first of the stream (else it is trailers).
    var readingFirstSection = true
    /// Whether the fields of a request are more than `HTTP2Settings.maxHeaderBytes`; those beyond it are missing.
    package internal(set) var hasTooManyFields: Bool {
        get { hasExceededFields }
        set { hasExceededFields = newValue }
    }
    /// Of a request.
    let check = HTTP2RequestCheck()
    /// Whether our side has sent, or queued, everything that it will send.
    package internal(set) var answered: Bool {
        get { isAnswered }
        set { isAnswered = newValue }
    }
    /// Whether bytes of our side's body have been collected for sending.
    package internal(set) var isBodyBegun: Bool {
        get { hasBegunBody }
        set { hasBegunBody = newValue }
    }
    /// Whether the last bytes of our side have been collected for sending.
    package internal(set) var isSent: Bool {
        get { hasSentAll }
        set { hasSentAll = newValue }
    }
    /// Whether the peer has sent everything.
    package internal(set) var peerEnded: Bool {
        get { hasPeerEnded }
        set { hasPeerEnded = newValue }
    }

    /// A body of one small buffer, sent by copying: what a server answers.
    private var small: ByteBuffer?
    private var body: [ByteBuffer] = []
    private var bodyIndex = 0
    private(set) var bodyBytesLeft = 0
    var trailers: HTTP2Fields?

    init(slot: Int, headers: HeaderBlock) {
        self.slot = slot
        self.headers = headers
    }

    func open(id: Int32) {
        self.id = id
        readingFirstSection = true
        answered = false
        isBodyBegun = false
        isSent = false
        peerEnded = false
        hasTooManyFields = false
        check.reset()
        headers.removeAll()
    }

    func close() {
        id = 0
        dropBody()
        trailers = nil
    }

    func setBody(_ buffer: ByteBuffer) {
        small = buffer
        bodyBytesLeft = buffer.readableBytes
    }

    func setBody(_ buffers: [ByteBuffer]) {
        body = buffers
        bodyIndex = 0
        bodyBytesLeft = buffers.reduce(0) { $0 + $1.readableBytes }
    }

    func dropBody() {
        small = nil
        if !body.isEmpty { body.removeAll() }
        bodyIndex = 0
        bodyBytesLeft = 0
    }

    /// Moves the next `count` bytes of the body to the output.
    func takeBody(_ count: Int, into output: inout HTTP2Output) {
        bodyBytesLeft -= count
        if let buffer = small {
            output.append(buffer.getSlice(at: buffer.writerIndex - bodyBytesLeft - count, length: count)!)
            return
        }
        var left = count
        while left > 0 {
            let available = body[bodyIndex].readableBytes
            if available <= left {
                output.append(body[bodyIndex])
                // The output holds it now; the reference here would keep a sent body's memory until the stream closes.
                body[bodyIndex] = ByteBuffer()
                bodyIndex += 1
                left -= available
            } else {
                output.append(body[bodyIndex].readSlice(length: left)!)
                left = 0
            }
        }
    }
}

/// Bytes to write, in order: small pieces gathered in one buffer, large ones passed on by reference.
package struct HTTP2Output {
    private enum Piece {
        case gathered(upTo: Int)
        case shared(ByteBuffer)
    }

    /// From this size on, a reference costs less than a copy.
    private static let shareFromBytes = 4096

    private var gathered = ByteBuffer()
    private var pieces: [Piece] = []
    private var gatheredUpTo = 0

    /// Nothing to write.
    package init() {}

    /// Whether there is nothing to write.
    package var isEmpty: Bool { pieces.isEmpty && gathered.writerIndex == 0 }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        _ = unsafe gathered.writeBytes(bytes)
    }

    mutating func append(_ buffer: ByteBuffer) {
        if buffer.readableBytes < Self.shareFromBytes {
            gathered.writeImmutableBuffer(buffer)
            return
        }
        if gathered.writerIndex > gatheredUpTo {
            pieces.append(.gathered(upTo: gathered.writerIndex))
            gatheredUpTo = gathered.writerIndex
        }
        pieces.append(.shared(buffer))
    }

    /// Gives out the pieces in order and leaves nothing.
    package mutating func drain(_ write: (ByteBuffer) -> Void) {
        guard !isEmpty else { return }
        var start = 0
        for piece in pieces {
            switch piece {
            case .gathered(let end):
                write(gathered.getSlice(at: start, length: end - start)!)
                start = end
            case .shared(let buffer):
                write(buffer)
            }
        }
        if gathered.writerIndex > start {
            write(start == 0 ? gathered : gathered.getSlice(at: start, length: gathered.writerIndex - start)!)
        }
        pieces.removeAll(keepingCapacity: true)
        gatheredUpTo = 0
        // The socket holds the old one until it is written; a new one is made when there is something to gather.
        gathered = ByteBuffer()
    }
}
