internal import Glibc
internal import Synchronization

/// How many files this process may still open. Any thread.
package enum FreeDescriptors {
    /// Whether fewer than `reserve` are left: those are for the gateway's own pages, destinations and files.
    ///
    /// The system gives out the lowest number that is free, so what it would give next tells how many are taken at least:
    /// below the highest there may be others that were given back (`DescriptorPlaces`). Two system calls.
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

    /// How many of the first `limit` are open. One system call for each.
    static func openCount(below limit: Int) -> Int {
        (0..<CInt(clamping: limit)).count { fcntl($0, F_GETFD) >= 0 }
    }
}

/// How many connections all receivers of the process may have together where files are few: the limit, less what is kept
/// back and what was open before the first of them. Any thread.
package final class DescriptorPlaces: Sendable {
    /// Where more files may be open, clients do not come near the limit as fast as connections are closed.
    private static let limitMax = 16_384

    /// Those of this process. To be looked at first before any receiver listens.
    package static let ofProcess = DescriptorPlaces(
        limit: FreeDescriptors.limit,
        open: FreeDescriptors.limit > limitMax ? 0 : FreeDescriptors.openCount(below: FreeDescriptors.limit))

    private let connectionsMax: Int
    private let connections = Atomic(0)

    /// - Parameters:
    ///   - limit: the most files that the process may open.
    ///   - open: how many are open that are no connections of receivers.
    init(limit: Int, open: Int) {
        let left = limit > Self.limitMax ? .max : limit - FreeDescriptors.reserve(of: limit) - open
        connectionsMax = max(1, left)
    }

    /// A connection is open.
    package func take() { connections.add(1, ordering: .relaxed) }

    /// A connection is closed.
    package func giveBack() { connections.subtract(1, ordering: .relaxed) }

    /// Whether more connections are open than there may be.
    package var areTooFew: Bool { connections.load(ordering: .relaxed) > connectionsMax }
}
