internal import Glibc

/// How many files this process may still open. Any thread.
package enum FreeDescriptors {
    /// Whether fewer than `reserve` are left: those are for the gateway's own pages, destinations and files.
    ///
    /// The system gives out the lowest number that is free, so what it would give next tells how many are taken. Two
    /// system calls.
    package static func areShort(reserve: Int) -> Bool {
        var limit = rlimit()
        // SAFETY: fills the value, which outlives the call.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        let next = unsafe open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard next >= 0 else { return errno == EMFILE || errno == ENFILE }
        _ = close(next)
        return Int(next) >= Int(clamping: limit.rlim_cur) - reserve
    }

    /// What is kept back of `limit` files: enough for the pages, the destinations and the files of most gateways.
    package static func reserve(of limit: Int) -> Int { min(128, limit / 4) }

    /// The most files that this process may open.
    package static var limit: Int {
        var limit = rlimit()
        // SAFETY: fills the value, which outlives the call.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }
}
