internal import AuditLog
internal import Glibc

/// The lock that a writer of a database holds, on a file beside it; the kernel gives it back when the process ends. It also makes
/// the database's file, which only its owner may read.
final class LockFile {
    private let descriptor: Int32

    /// - Parameter path: of the database.
    init(_ path: String) throws(AuditStoreError) {
        descriptor = try Self.make(path + ".lock")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            guard code == EWOULDBLOCK else { throw Self.failure(path + ".lock", code) }
            throw AuditStoreError(
                .locked,
                "another process writes the audit log \"\(path)\" (it holds \"\(path).lock\"); a log has one writer: stop "
                    + "the other, or give this one a path and an origin of its own")
        }
        do throws(AuditStoreError) {
            Glibc.close(try Self.make(path))
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    deinit {
        Glibc.close(descriptor)
    }

    private static func make(_ path: String) throws(AuditStoreError) -> Int32 {
        // SAFETY: the path is a C string for the call.
        let file = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw failure(path, errno) }
        return file
    }

    private static func failure(_ path: String, _ code: Int32) -> AuditStoreError {
        // SAFETY: a known code's text is static, an unknown one's belongs to this thread; copied at once.
        let reason = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "errno \(code)"
        let mayPass = code == ENOSPC || code == EIO || code == EDQUOT || code == EMFILE || code == ENFILE
        return AuditStoreError(
            mayPass ? .unavailable : .refused, "cannot open \"\(path)\" for writing: \(reason)")
    }
}
