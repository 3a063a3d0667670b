internal import Compression
internal import Glibc
internal import NIOCore
internal import OTLP

/// An open file at whose end batches are put. One thread at a time.
///
/// Bytes written since `commit` can be taken back, so that a file never holds a part of a batch. What is not a
/// regular file (a pipe, a terminal) keeps them.
final class OutputFile {
    let path: String
    private let descriptor: Int32
    private let isRegular: Bool
    private let gzipper: Gzipper?
    /// The compressed bytes on their way to the file; reused.
    private var member = ByteBuffer()
    /// Bytes that are in the file for good.
    private(set) var committedBytes: Int
    /// Bytes put behind those.
    private var openBytes = 0
    /// The first failure since `commit`; nothing is written after it.
    private(set) var failure: FileError?
    /// When the file was begun, in seconds since 1970; of one that was found, when it was last written.
    let beganAt: Int

    /// Bytes of the file when everything written is committed.
    var bytes: Int { committedBytes + openBytes }

    /// Opens or makes a file and locks it against other writers.
    /// - Parameters:
    ///   - append: keeps what it holds.
    ///   - now: seconds since 1970.
    /// - Throws: `cannotOpen`, `inUse`.
    init(path: String, append: Bool, gzip: Bool, now: Int) throws(FileError) {
        // SAFETY: the path is a C string for the call.
        let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .cannotOpen(path: path, errno: errno) }
        var status = stat()
        if let error = Self.takeOver(descriptor, path, append: append, &status) {
            close(descriptor)
            throw error
        }
        isRegular = status.st_mode & S_IFMT == S_IFREG
        let isKept = isRegular && append && status.st_size > 0
        committedBytes = isKept ? Int(status.st_size) : 0
        beganAt = isKept ? Int(status.st_mtim.tv_sec) : now
        self.path = path
        self.descriptor = descriptor
        gzipper = gzip ? Gzipper() : nil
    }

    private static func takeOver(
        _ descriptor: Int32, _ path: String, append: Bool, _ status: inout stat
    ) -> FileError? {
        // SAFETY: fills the status, which outlives the call.
        guard unsafe fstat(descriptor, &status) == 0 else { return .cannotOpen(path: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        // Cut only what nobody else is writing. Some network file systems have no locks.
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { return .inUse(path: path) }
        if !append, ftruncate(descriptor, 0) != 0 { return .cannotOpen(path: path, errno: errno) }
        return nil
    }

    deinit { close(descriptor) }

    /// Puts bytes at the end; with compression as a member of their own. A failure is kept for `commit`.
    func write(_ bytes: WireBytes) {
        guard failure == nil else { return }
        guard let gzipper else {
            unsafe writeAll(bytes.unsafeBytes)
            return
        }
        member.clear()
        // SAFETY: the bytes live for the call.
        let input = unsafe RawSpan(_unsafeBytes: bytes.unsafeBytes)
        _ = gzipper.compress(input) { minimum, fill in
            member.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
        }
        unsafe member.withUnsafeReadableBytes { unsafe writeAll($0) }
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        while start < bytes.count {
            // SAFETY: `start` is below the count.
            let count = unsafe Glibc.write(
                descriptor, bytes.baseAddress.unsafelyUnwrapped + start, bytes.count - start)
            if count >= 0 {
                start += count
                openBytes += count
            } else if errno == EAGAIN {
                // A pipe or terminal that somebody made non-blocking.
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                // SAFETY: one request, which outlives the call.
                _ = unsafe poll(&request, 1, -1)
            } else if errno != EINTR {
                failure = .cannotWrite(path: path, errno: errno)
                return
            }
        }
    }

    /// Makes final what was written since the last time, or takes it back when something failed.
    /// - Throws: `cannotWrite`, and everything since the last commit is gone from the file; or `cannotCut`, and
    ///   part of it is still there: nothing is written until a later `commit` has cut it off.
    func commit() throws(FileError) {
        guard let failure else {
            committedBytes += openBytes
            openBytes = 0
            return
        }
        if isRegular, openBytes > 0, ftruncate(descriptor, off_t(committedBytes)) != 0 {
            throw .cannotCut(path: path, errno: errno)
        }
        self.failure = nil
        openBytes = 0
        throw failure
    }

    /// Ends the line that a killed process may have left half-written, so that the next one stands by itself.
    ///
    /// Looks at the last byte only; leaves a file alone that cannot be read.
    /// - Throws: as `commit`.
    func endLine() throws(FileError) {
        guard isRegular, committedBytes > 0 else { return }
        // SAFETY: the path is a C string for the call.
        let reader = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return }
        defer { close(reader) }
        var last = UInt8(ascii: "\n")
        // SAFETY: one byte is read into a byte that outlives the call.
        _ = unsafe pread(reader, &last, 1, off_t(committedBytes - 1))
        guard last != UInt8(ascii: "\n") else { return }
        unsafe [UInt8(ascii: "\n")].withUnsafeBytes { unsafe writeAll($0) }
        try commit()
    }

    /// Waits until the disk has everything.
    /// - Throws: `cannotSync`.
    func sync() throws(FileError) {
        if isRegular, fsync(descriptor) != 0 { throw .cannotSync(path: path, errno: errno) }
    }
}
