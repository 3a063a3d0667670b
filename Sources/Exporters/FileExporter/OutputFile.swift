internal import Compression
internal import Glibc
internal import NIOCore
internal import OTLP
internal import Pipeline

/// An open file at whose end batches are put. One thread at a time.
///
/// Bytes written since `commit` can be taken back, so that only a killed process leaves a part of a batch. What is not a
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
    /// Whether what is written now is the last before `commit`, and whether a member says so.
    private var isEnding = false
    private var isEndWritten = false
    /// The first failure since `commit`; nothing is written after it.
    private(set) var failure: FileError?
    /// When the file was begun, in seconds since 1970; of one that was found, when it was last written.
    let beganAt: Int

    /// Bytes of the file when everything written is committed.
    var bytes: Int { committedBytes + openBytes }

    /// Opens a file or makes one that only its owner may read, and locks it against other writers.
    /// - Parameters:
    ///   - append: keeps what it holds.
    ///   - now: seconds since 1970.
    /// - Throws: `cannotOpen`, `inUse`.
    init(path: String, append: Bool, gzip: Bool, now: Int) throws(FileError) {
        let descriptor = OperatorFile.open(
            path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, permissions: 0o600)
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
        GzipMember.write(bytes, endsBatch: isEnding, with: gzipper, into: &member)
        isEndWritten = isEnding
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

    /// Announces that what is written from here to `commit` is written at once, or nothing.
    func end() { isEnding = true }

    /// Makes final what was written since the last time, or takes it back when something failed.
    /// - Throws: `cannotWrite`, and everything since the last commit is gone from the file; or `cannotCut`, and
    ///   part of it is still there: nothing is written until a later `commit` has cut it off.
    func commit() throws(FileError) {
        if gzipper != nil, isEnding, !isEndWritten, openBytes > 0 { write(.none) }
        isEnding = false
        isEndWritten = false
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

    /// What the file held when it was opened.
    func found(_ look: (Int32, Int) -> FoundFile) -> FoundFile {
        guard isRegular, committedBytes > 0 else { return .batches(bytes: committedBytes) }
        // SAFETY: the path is a C string for the call.
        let reader = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return .foreign }
        defer { close(reader) }
        return look(reader, committedBytes)
    }

    /// Cuts off what is behind so many bytes.
    /// - Throws: `cannotCut`.
    func cut(to bytes: Int) throws(FileError) {
        guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw .cannotCut(path: path, errno: errno) }
        committedBytes = bytes
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
