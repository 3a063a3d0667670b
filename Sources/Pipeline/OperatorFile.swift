package import Glibc

/// Files at paths that an operator wrote, in folders that others may write to.
package enum OperatorFile {
    /// Opens a file as open(2) does. A symbolic link at the end of the path is followed only when it is the operator's:
    /// of root or of the user that this process runs as. Anybody else's would have the gateway write where that user
    /// cannot. Any thread; blocks.
    /// - Returns: a descriptor, or -1 with `errno` set; ELOOP: a link of another user.
    package static func open(_ path: String, _ flags: Int32, permissions: mode_t = 0) -> Int32 {
        // SAFETY: the path is a C string for the call.
        let descriptor = unsafe Glibc.open(path, flags | O_NOFOLLOW, permissions)
        guard descriptor < 0, errno == ELOOP, isTrusted(path) else { return descriptor }
        return unsafe Glibc.open(path, flags, permissions)
    }

    /// Whether the owner of a link may say where the gateway writes.
    /// - Parameter user: the one that this process runs as.
    package static func isTrusted(owner: uid_t, user: uid_t = geteuid()) -> Bool {
        owner == 0 || owner == user
    }

    /// What `ELOOP` of `open` means, for messages.
    package static let foreignLink = "it is a symbolic link of another user, which is not followed"

    private static func isTrusted(_ path: String) -> Bool {
        var status = stat()
        // SAFETY: fills the status, which outlives the call.
        let isKnown = unsafe lstat(path, &status) == 0
        // What `open` said, not `lstat`.
        errno = ELOOP
        return isKnown && isTrusted(owner: status.st_uid)
    }
}
