internal import Glibc
internal import OTLP
internal import Pipeline
internal import Synchronization

/// Encoders for the threads that encode: as many as work at a time. Any thread.
final class EncoderPool: Sendable {
    /// An encoder on its way between threads.
    private final class Idle: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): an encoder is in the pool or with one thread.
        var encoder: PushEncoder

        init(_ settings: EncoderSettings) { encoder = PushEncoder(settings) }
    }

    private let settings: EncoderSettings
    private let idle = Mutex<[Idle]>([])

    init(_ settings: EncoderSettings) { self.settings = settings }

    /// Encodes the next chunk of a batch; takes milliseconds.
    func encode(_ batch: Batch, from cursor: PushCursor, pushBytes: Int) -> PushChunk {
        let lent = idle.withLock { $0.popLast() } ?? Idle(settings)
        defer { idle.withLock { $0.append(lent) } }
        return lent.encoder.encode(batch, from: cursor, pushBytes: pushBytes, now: Self.now())
    }

    /// Nanoseconds since 1970.
    private static func now() -> UInt64 {
        var time = timespec()
        // SAFETY: writes to the variable only.
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
