package import NIOCore
internal import Synchronization

/// Request-body buffers of one event loop, kept for reuse by size class.
///
/// Fresh large buffers cost a page fault every 4 KiB; reused ones do not. Classes are powers of two from 1 KiB to
/// 8 MiB; larger bodies are not kept.
///
/// `take` on the loop only. `recycle` from any thread: a buffer waits behind a lock, which is held for a few
/// nanoseconds, until the loop that made it wants one; when the lock is taken, or enough is kept, it is freed instead.
package final class BufferPool: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `free` is touched on the event loop only.
    private static let smallestClass = 10
    private static let largestClass = 23

    /// A larger buffer is not kept.
    package static let bufferBytesMax = 1 << largestClass

    private let eventLoop: any EventLoop
    private let ledger: MemoryLedger?
    private let allocator = ByteBufferAllocator()
    private let returned = Mutex<[ByteBuffer]>([])
    private var free: [[ByteBuffer]]
    /// Of `free` and `returned`.
    private let retainedBytes = Atomic(0)

    /// Bytes of buffers that a pool keeps while nobody uses them. Exporters give back whole batches of them at once: kept are as
    /// many as that, or their pages would be new again with the next ones.
    package static let retainedBytesMax = 16 << 20

    /// - Parameters:
    ///   - eventLoop: the loop that takes buffers.
    ///   - ledger: is charged with the buffers that wait for use; those of receivers are a part of what the process needs in any
    ///     case.
    package init(eventLoop: any EventLoop, ledger: MemoryLedger? = nil) {
        self.eventLoop = eventLoop
        self.ledger = ledger
        free = Array(repeating: [], count: Self.largestClass - Self.smallestClass + 1)
    }

    deinit { ledger?.release(keptBytes) }

    /// Bytes of the buffers that wait for use. Any thread.
    package var keptBytes: Int { retainedBytes.load(ordering: .relaxed) }

    /// Bytes that are left free in front of what is written into a new buffer, if it has them: a change of what comes first, such as
    /// the resource, needs no copy of the rest then.
    package static let headRoomMax = 1024

    /// The capacity that `take(capacity:)` will give: what admission must charge.
    package static func roundedCapacity(_ capacity: Int) -> Int {
        let size = max(capacity, 1 << smallestClass)
        return 1 << (Int.bitWidth - (size - 1).leadingZeroBitCount)
    }

    /// Whether this thread may take buffers.
    package var isOnLoop: Bool { eventLoop.inEventLoop }

    /// An empty buffer with room for `capacity` bytes. Event loop only.
    package func take(capacity: Int) -> ByteBuffer {
        eventLoop.preconditionInEventLoop()
        let size = Self.roundedCapacity(capacity)
        let index = Self.classIndex(of: size)
        guard index < free.count else { return allocator.buffer(capacity: size) }
        if free[index].isEmpty { collectReturned() }
        guard var buffer = free[index].popLast() else {
            makeRoom(for: size)
            return allocator.buffer(capacity: size)
        }
        release(size)
        // Allocates anew if somebody (a socket write not yet done) still holds the bytes: never shared by mistake.
        buffer.clear()
        return buffer
    }

    /// Gives a buffer back. Any thread.
    package func recycle(_ buffer: ByteBuffer) {
        let size = buffer.capacity
        guard (1 << Self.smallestClass...Self.bufferBytesMax).contains(size), retain(size) else { return }
        if eventLoop.inEventLoop { return free[Self.classIndex(of: size)].append(buffer) }
        // What is not kept is freed behind the lock.
        if returned.withLockIfAvailable({ $0.append(buffer) }) == nil { release(size) }
    }

    /// Frees the buffers that nobody uses. Event loop only.
    package func trim() {
        eventLoop.preconditionInEventLoop()
        collectReturned()
        for index in free.indices {
            release(free[index].reduce(0) { $0 + $1.capacity })
            free[index].removeAll()
        }
    }

    /// Frees buffers, the largest first, until one of a size that is wanted may be kept when it comes back: else those of a size
    /// that nobody wants any more would stay instead.
    private func makeRoom(for size: Int) {
        while keptBytes + size > Self.retainedBytesMax, let index = free.lastIndex(where: { !$0.isEmpty }),
            let buffer = free[index].popLast()
        {
            release(buffer.capacity)
        }
    }

    private func retain(_ size: Int) -> Bool {
        guard retainedBytes.add(size, ordering: .relaxed).newValue <= Self.retainedBytesMax else {
            retainedBytes.subtract(size, ordering: .relaxed)
            return false
        }
        ledger?.charge(size)
        return true
    }

    private func release(_ size: Int) {
        retainedBytes.subtract(size, ordering: .relaxed)
        ledger?.release(size)
    }

    private static func classIndex(of size: Int) -> Int {
        max(0, size.trailingZeroBitCount - smallestClass)
    }

    private func collectReturned() {
        let buffers = returned.withLock { exchange(&$0, with: []) }
        for buffer in buffers { free[Self.classIndex(of: buffer.capacity)].append(buffer) }
    }
}
