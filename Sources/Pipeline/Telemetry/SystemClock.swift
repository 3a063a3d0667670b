internal import Glibc

/// The kernel's clocks, for what is shown to people. What waits or measures uses `NIODeadline`.
package enum SystemClock {
    /// Nanoseconds since 1970, UTC. May be set back.
    package static let unixNanoseconds: @Sendable () -> Int64 = { read(CLOCK_REALTIME) }

    /// Nanoseconds since some moment before the process started. Never goes back.
    package static func monotonicNanoseconds() -> Int64 { read(CLOCK_MONOTONIC) }

    /// User and system time of all threads of the process.
    static func processCPUNanoseconds() -> Int64 { read(CLOCK_PROCESS_CPUTIME_ID) }

    /// Pages that the process has touched for the first time.
    static func processPageFaults() -> Int {
        var usage = rusage()
        // SAFETY: the kernel writes one rusage, `usage`, which outlives the call.
        let code = unsafe getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        precondition(code == 0, "Linux always knows what the process has used")
        return usage.ru_minflt + usage.ru_majflt
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        // SAFETY: the kernel writes one timespec, `time`, which outlives the call.
        let code = unsafe clock_gettime(clock, &time)
        precondition(code == 0, "Linux always has clock \(clock)")
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
