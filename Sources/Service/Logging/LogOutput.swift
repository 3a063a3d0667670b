internal import Glibc
package import Logging
internal import Pipeline
internal import Synchronization

/// Why the log cannot be written where the configuration says.
package enum LogOutputError: Error, Equatable, CustomStringConvertible {
    case noPath
    case cannotOpen(path: String, errno: Int32)

    package var description: String {
        switch self {
        case .noPath:
            "service::telemetry::logs::output_paths is empty; name stderr, stdout or a file."
        case .cannotOpen(let path, let code):
            "service::telemetry::logs::output_paths: cannot open \"\(path)\" for appending (errno \(code))."
        }
    }
}

/// Where log lines go. One for the process; any thread.
///
/// A line is one `write(2)` to each path. Whoever logs waits for it, as the Collector does: messages are rare, and
/// sampling keeps them so. Lines that could not be written are counted, since nothing else can be said of them.
package final class LogOutput: Sendable {
    /// The time as nanoseconds since 1970, UTC.
    package typealias Clock = @Sendable () -> Int64

    /// The system's clock.
    package static let systemClock: Clock = SystemClock.unixNanoseconds

    private let settings: LogSettings
    private let clock: Clock
    private let descriptors: [Int32]
    private let opened: [Int32]
    private let sampler: Mutex<LogSampler?>
    private let writing = Mutex(())
    private let lost = Atomic<Int>(0)
    private let forwarding = Mutex<(@Sendable (OwnLogRecord) -> Void)?>(nil)

    /// Opens the paths. Files are made when they are missing and are never cut.
    ///
    /// - Throws: when a file cannot be opened.
    package init(_ settings: LogSettings, clock: @escaping Clock = systemClock)
        throws(LogOutputError)
    {
        guard !settings.outputPaths.isEmpty else { throw .noPath }
        var descriptors: [Int32] = []
        var opened: [Int32] = []
        for path in settings.outputPaths {
            switch path {
            case "stderr":
                descriptors.append(STDERR_FILENO)
            case "stdout":
                descriptors.append(STDOUT_FILENO)
            default:
                // SAFETY: the path is a C string for the call.
                let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
                guard descriptor >= 0 else {
                    let code = errno
                    for descriptor in opened { close(descriptor) }
                    throw .cannotOpen(path: path, errno: code)
                }
                descriptors.append(descriptor)
                opened.append(descriptor)
            }
        }
        self.settings = settings
        self.clock = clock
        self.descriptors = descriptors
        self.opened = opened
        self.sampler = Mutex(settings.sampling.map(LogSampler.init))
    }

    deinit {
        for descriptor in opened { close(descriptor) }
    }

    /// The lowest level that loggers start with.
    package var level: Logger.Level { settings.level }

    /// Lines that could not be written, or not wholly, to one of the paths.
    package var lostLines: Int { lost.load(ordering: .relaxed) }

    /// Writes one event, unless it is one repetition too many. `metadata` is the logger's own.
    func write(_ event: LogEvent, metadata: Logger.Metadata, isForwarded: Bool = false) {
        let nanoseconds = clock()
        let now = nanoseconds / 1_000_000
        let message = event.message.description
        // Telemetry as text: its exporter samples it, and has escaped all but the ends of its own lines.
        let isTelemetry = event.source == "DebugExporter"
        let admitted = sampler.withLock { sampler in
            isTelemetry || (sampler?.admits(event.level, message, atUnixMilliseconds: now) ?? true)
        }
        guard admitted else { return }
        var fields = settings.initialFields
        fields.merge(metadata) { $1 }
        if let metadata = event.metadata {
            fields.merge(metadata) { $1 }
        }
        if let error = event.error {
            fields["error"] = .string(String(describing: error))
        }
        // Data of the pipelines must not come back as lines about the gateway.
        if isForwarded, !isTelemetry, let take = forwarding.withLock({ $0 }) {
            take(OwnLogRecord(unixNanoseconds: nanoseconds, event.level, message, fields))
        }
        let line = LogLine(
            unixMilliseconds: now, level: event.level, message: message,
            caller: settings.includesCaller ? "\(event.file):\(event.line)" : nil, fields: fields)
        let bytes =
            switch settings.encoding {
            case .console: line.console(keepingLineEnds: isTelemetry)
            case .json: line.json()
            }
        writing.withLock { _ in
            for descriptor in descriptors where !Self.writeAll(bytes, to: descriptor) {
                lost.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    /// Has a copy of every line handed on. Any thread.
    func forward(to take: @escaping @Sendable (OwnLogRecord) -> Void) {
        forwarding.withLock { $0 = take }
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var start = 0
        while start < bytes.count {
            // SAFETY: `start` is below the count, so the range is within the array, which outlives the call.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(
                    descriptor, buffer.baseAddress.unsafelyUnwrapped + start, buffer.count - start)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            start += count
        }
        return true
    }
}
