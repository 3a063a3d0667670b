package import NIOCore

/// Request-body buffers of one event loop, kept for reuse by size class.
///
/// Fresh large buffers cost a page fault every 4 KiB; reused ones do not. Classes are powers of two from 1 KiB to
/// 16 MiB; larger bodies are not kept.
///
/// `take` on the loop only. `recycle` from any thread: a buffer goes back to the loop that made it, through a ring;
/// when that is full it is freed instead.
package final class BufferPool: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `free` and `retainedBytes` are touched on the event loop only.
    private static let smallestClass = 10
    private static let largestClass = 24

    private let eventLoop: any EventLoop
    private let allocator = ByteBufferAllocator()
    private let returned = BoundedRing<ByteBuffer>(capacity: 4096)
    private var free: [[ByteBuffer]]
    private var retainedBytes = 0

    /// Bytes of buffers that a pool keeps while nobody uses them.
    package static let retainedBytesMax = 16 << 20

    /// - Parameter eventLoop: the loop that takes buffers.
    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        free = Array(repeating: [], count: Self.largestClass - Self.smallestClass + 1)
    }

    /// The capacity that `take(capacity:)` will give: what admission must charge.
    package static func roundedCapacity(_ capacity: Int) -> Int {
        let size = max(capacity, 1 << smallestClass)
        return 1 << (Int.bitWidth - (size - 1).leadingZeroBitCount)
    }

    /// An empty buffer with room for `capacity` bytes. Event loop only.
    package func take(capacity: Int) -> ByteBuffer {
        eventLoop.assertInEventLoop()
        let size = Self.roundedCapacity(capacity)
        let index = Self.classIndex(of: size)
        guard index < free.count else { return allocator.buffer(capacity: size) }
        if free[index].isEmpty { collectReturned() }
        guard var buffer = free[index].popLast() else { return allocator.buffer(capacity: size) }
        retainedBytes -= size
        // Allocates anew if somebody (a socket write not yet done) still holds the bytes: never shared by mistake.
        buffer.clear()
        return buffer
    }

    /// Gives a buffer back. Any thread.
    package func recycle(_ buffer: consuming ByteBuffer) {
        guard Self.classIndex(of: buffer.capacity) < free.count else { return }
        if eventLoop.inEventLoop {
            keep(buffer)
        } else {
            _ = returned.push(buffer)  // Full: the buffer is freed here.
        }
    }

    /// Frees the buffers that nobody uses. Event loop only.
    package func trim() {
        collectReturned()
        for index in free.indices { free[index].removeAll() }
        retainedBytes = 0
    }

    private static func classIndex(of size: Int) -> Int {
        max(0, size.trailingZeroBitCount - smallestClass)
    }

    private func collectReturned() {
        while let buffer = returned.pop() { keep(buffer) }
    }

    private func keep(_ buffer: consuming ByteBuffer) {
        let size = buffer.capacity
        guard size >= 1 << Self.smallestClass, retainedBytes + size <= Self.retainedBytesMax else { return }
        retainedBytes += size
        free[Self.classIndex(of: size)].append(buffer)
    }
}
