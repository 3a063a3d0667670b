internal import CMalloc
internal import Glibc
internal import NIOPosix

/// Why the resident size of the process cannot be read.
package enum ResidentSizeError: Error, CustomStringConvertible {
    case cannotOpen(errno: Int32)
    case cannotRead(errno: Int32)
    case notUnderstood

    package var description: String {
        switch self {
        case .cannotOpen(let code):
            "Cannot open /proc/self/statm (errno \(code)); memory_limiter needs /proc to be mounted."
        case .cannotRead(let code):
            "Cannot read /proc/self/statm (errno \(code))."
        case .notUnderstood:
            "/proc/self/statm does not hold the two numbers that Linux writes there."
        }
    }
}

/// The memory that this process holds in RAM, as the kernel counts it.
///
/// Keeps `/proc/self/statm` open, so that a reading is one system call of about a microsecond. Any thread.
/// Made before a fork it would go on reading the parent; the gateway does not fork.
package final class ResidentSize: Sendable {
    private let descriptor: Int32
    private let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// - Throws: when `/proc` is not mounted or not Linux's.
    package init() throws(ResidentSizeError) {
        descriptor = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .cannotOpen(errno: errno) }
        _ = try read()
    }

    deinit {
        close(descriptor)
    }

    /// Resident bytes now, shared pages included. Allocates nothing.
    package func read() throws(ResidentSizeError) -> Int {
        var text = InlineArray<64, UInt8>(repeating: 0)
        var span = text.mutableSpan
        // SAFETY: the kernel writes at most 64 bytes into the 64 of `text`, which outlives the call.
        let count = unsafe span.withUnsafeMutableBytes { buffer in
            unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0)
        }
        guard count > 0 else { throw .cannotRead(errno: count < 0 ? errno : 0) }
        // "total resident shared …", in pages.
        var index = 0
        while index < count, text[index] != UInt8(ascii: " ") {
            index += 1
        }
        index += 1
        let start = index
        var pages = 0
        while index < count, case let digit = text[index] &- UInt8(ascii: "0"), digit <= 9 {
            pages = pages &* 10 &+ Int(digit)
            index += 1
        }
        guard index > start else { throw .notUnderstood }
        return pages &* pageBytes
    }
}

extension ResidentSize {
    /// As `giveBackFreed`, beside the caller's thread.
    package static func giveBackFreedSoon() {
        NIOThreadPool.singleton.submit { _ in giveBackFreed() }
    }

    /// Has the allocator map blocks from 256 KiB on by themselves, for the life of the process, so that freeing one gives
    /// its memory back at once. By default it moves that border up with every large block freed and keeps them all.
    /// Called once, before large blocks are allocated.
    package static func giveBackLargeBlocksAtOnce() {
        _ = mallopt(M_MMAP_THRESHOLD, 256 << 10)
        _ = mallopt(M_TRIM_THRESHOLD, 4 << 20)
    }

    /// Gives freed memory that the allocator holds back to the system. Takes up to 0.1 s a gigabyte. Any thread.
    package static func giveBackFreed() {
        _ = malloc_trim(0)
    }
}
