#if DEBUG
    internal import Synchronization
#endif

/// Checks, in debug builds, that nothing is changed that another thread may be reading. Nothing at all in others.
struct Seal: ~Copyable {
    #if DEBUG
        private let isClosed = Atomic<Bool>(false)
    #endif

    /// From here on nothing changes. Any thread.
    @inline(__always)
    func close() {
        #if DEBUG
            isClosed.store(true, ordering: .relaxed)
        #endif
    }

    /// Traps after `close`.
    @inline(__always)
    func check(_ message: StaticString) {
        #if DEBUG
            precondition(!isClosed.load(ordering: .relaxed), "\(message)")
        #endif
    }
}
