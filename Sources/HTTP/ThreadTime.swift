internal import Glibc

/// Processor time of the calling thread.
package enum ThreadTime {
    /// Nanoseconds since the thread began.
    package static func nanoseconds() -> Int64 {
        var time = timespec()
        // SAFETY: fills the value, which outlives the call.
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
