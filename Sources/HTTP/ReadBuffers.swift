package import NIOCore
internal import NIOPosix

/// What one connection of a server reads into: as much as it has sent lately, in a buffer of its loop's (`LoopBuffers`), so that
/// a connection that is silent keeps none. Event loop only.
///
/// NIO asks for a buffer for each read, and holds on to the first ones: as many as it reads in a row, and to more when that
/// number grows. They are small, and not used again, since NIO is told that the next one may be larger. When such a one is not enough
/// the next read follows at once, and all are handed on together: who answers the first bytes and closes would else lose its
/// answer, since a socket that is closed before everything was read resets its connection; and a small request that had come
/// whole would be taken for one of which a part has, and be refused where memory for those is short.
package final class ReadBuffers: RecvByteBufferAllocator, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): its channel and its `ReadGate` use it on their event loop only.
    /// Enough for what most clients of HTTP/2 send first.
    private static let keptBytes = 128
    /// What is read at first; more when it was not enough.
    private static let powerFirst = UInt8(12)

    private let ofLoop: LoopBuffers
    /// What is read next, and at most, as a power of two.
    private var (power, powerMax): (UInt8, UInt8)
    /// Whether the last read would have fitted into half the buffer.
    private var wasHalf = false
    /// How many of the next buffers NIO holds on to.
    private var keptNext = UInt8(1)
    private var readsInARow = 1
    private var wasKept = false
    /// Until all was read that had come at first.
    private(set) var isFirstRead = true
    /// What filled small buffers.
    private var part: ByteBuffer?

    /// Those of a connection of which nothing was read yet. On its event loop.
    package init(on loop: any EventLoop) {
        ofLoop = .of(loop)
        (power, powerMax) = (Self.powerFirst, Self.powerFirst)
    }

    /// Lets a channel read into them. On its event loop.
    package func install(on channel: any Channel) {
        // Fails only when the channel is closed.
        try? channel.syncOptions?.setOption(.recvAllocator, value: self)
    }

    /// What is read at a time where that is the most: rounded up to a power of two, within what `LoopBuffers` has.
    static func bytes(atMost bytesMax: Int) -> Int { 1 << power(atMost: bytesMax) }

    private static func power(atMost bytesMax: Int) -> Int {
        let wanted = Int.bitWidth - max(bytesMax - 1, 1).leadingZeroBitCount
        return min(max(wanted, Int(powerFirst)), LoopBuffers.powers.upperBound)
    }

    /// Reads no more than that at a time.
    func limit(to bytesMax: Int) {
        powerMax = UInt8(Self.power(atMost: bytesMax))
        power = min(power, powerMax)
    }

    /// NIO reads as often in a row from now on, and holds on to as many buffers.
    func readInARow(_ count: Int) {
        keptNext = UInt8(max(0, count - readsInARow))
        readsInARow = count
    }

    /// What was read has been worked on: the buffer is for the next read, of whatever connection, when nobody keeps it.
    func giveBack(_ buffer: ByteBuffer) { ofLoop.give(buffer) }

    // MARK: - What filled small buffers

    /// Whether there may be more to read of what has come. The bytes are kept then, for `joined` or `endRead`.
    func isPart(_ buffer: ByteBuffer) -> Bool {
        guard buffer.writableBytes == 0, buffer.capacity == Self.keptBytes else { return false }
        part = joined(buffer)
        return true
    }

    /// What was read, behind what waits.
    func joined(_ buffer: ByteBuffer) -> ByteBuffer {
        guard var whole = part.take() else { return buffer }
        whole.writeImmutableBuffer(buffer)
        return whole
    }

    /// - Returns: what waits, if there was no more.
    func endRead() -> ByteBuffer? {
        isFirstRead = false
        return part.take()
    }

    // MARK: - RecvByteBufferAllocator

    package func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        wasKept = keptNext > 0
        if wasKept {
            keptNext -= 1
            return allocator.buffer(capacity: Self.keptBytes)
        }
        return ofLoop.take(Int(power)) ?? allocator.buffer(capacity: 1 << Int(power))
    }

    /// None: NIO would keep a buffer of that size.
    package func nextBufferSize() -> Int? { nil }

    package func record(actualReadBytes count: Int) -> Bool {
        guard !wasKept else { return true }
        if count >= 1 << Int(power) {
            power = min(power + 1, powerMax)
            wasHalf = false
        } else if count > 1 << Int(power) / 2 || Int(power) == LoopBuffers.powers.lowerBound {
            wasHalf = false
        } else if wasHalf {
            power -= 1
            wasHalf = false
        } else {
            wasHalf = true
        }
        return true
    }
}

/// Buffers for reading that the connections of one event loop share, since it reads from one at a time. Event loop only.
final class LoopBuffers: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): touched on the thread of its loop only; its thread's variable gives no other.
    /// A loop has its thread to itself.
    private static let ofThread = ThreadSpecificVariable<LoopBuffers>()
    /// The sizes of buffers, as powers of two. The least has room for a small request with its head: one that is read in two
    /// looks incomplete for a moment (with 1 KiB up to 4 of 100 were refused while others held all memory for incomplete ones).
    static let powers = 12...18
    /// How many of a size: what was decrypted, or waits for a turn, is in a buffer for longer than its read.
    private static let countMax = 4
    /// But no more bytes than these.
    private static let bytesMaxOfASize = 256 << 10

    private let eventLoop: any EventLoop
    /// `countMax` places for each size.
    private var kept = [ByteBuffer?](repeating: nil, count: powers.count * countMax)
    /// The place that is taken when all of a size are.
    private var nextPlace = 0

    private init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Those of the loop that this is called on.
    static func of(_ eventLoop: any EventLoop) -> LoopBuffers {
        eventLoop.preconditionInEventLoop()
        if let buffers = ofThread.currentValue, buffers.eventLoop === eventLoop { return buffers }
        let buffers = LoopBuffers(eventLoop)
        ofThread.currentValue = buffers
        return buffers
    }

    private static func places(_ power: Int) -> Range<Int> {
        let first = (power - powers.lowerBound) * countMax
        return first..<first + max(1, min(countMax, bytesMaxOfASize >> power))
    }

    /// An empty buffer of that size that nobody uses; nil: there is none.
    func take(_ power: Int) -> ByteBuffer? {
        for place in Self.places(power) {
            if kept[place]?.modifyIfUniquelyOwned({ $0.clear() }) != nil { return kept[place].take() }
        }
        return nil
    }

    /// Keeps a buffer for later reads. It may be in use still.
    func give(_ buffer: ByteBuffer) {
        let power = buffer.capacity.trailingZeroBitCount
        guard Self.powers.contains(power), buffer.capacity == 1 << power else { return }
        let places = Self.places(power)
        nextPlace = (nextPlace + 1) % places.count
        let place = places.first { kept[$0] == nil } ?? places.lowerBound + nextPlace
        kept[place] = buffer
    }
}

extension ReadGate {
    /// How often in a row a server's channel reads at first (`ReadBuffers`).
    package static let readsAtFirst: UInt = 2
    /// What the connections of a loop should read together.
    private static let loopReadBytes = 8 << 20

    /// What a connection may read at a time when there are so many on its loop: each may keep as much until its turn comes.
    package static func readBytes(_ most: Int, connections: Int) -> Int {
        min(most, max(loopReadBytes / max(connections, 1), ReadShare.bytesMin))
    }
}
