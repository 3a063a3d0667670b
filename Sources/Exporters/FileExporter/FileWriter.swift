internal import Glibc
package import Logging
internal import NIOCore
internal import NIOPosix
internal import OTLP
package import Pipeline
import Synchronization

/// Writes the batches of one `file` exporter, of all its signals, to its file.
///
/// A thread of its own per path writes; what comes while it is writing is written together afterwards and made
/// final by one commit. Any thread.
package final class FileWriter: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Thread only` are touched by jobs of `thread` only, which
    // runs one at a time, and by `init`.
    /// How writing a batch ended; `message` says why it may work later.
    package enum Result: Sendable, Equatable {
        case written
        case failed(message: String)
    }

    private struct Job: Sendable {
        let batch: Batch
        let done: @Sendable (Result) -> Void
    }

    private struct Inbox {
        var jobs: [Job] = []
        /// Whether a job of the thread will look into the inbox.
        var isScheduled = false
        /// Senders that have not closed.
        var users = 0
    }

    /// By path. Never shut down: a thread lives as long as the process, and a disk that hangs holds up no other.
    private static let threads = Mutex<[String: NIOThreadPool]>([:])

    private let config: FileExporterConfig
    private let logger: Logger
    private let clock: @Sendable () -> Int64
    private let thread: NIOThreadPool
    private let rotation: FileRotation?
    private let writtenBytes: Counter
    private let inbox = Mutex(Inbox())

    // Thread only.
    private let output: CurrentFile
    private var writer: OTLPJSONWriter
    private let frames: ZstdFrames?
    private var isRotationFailing = false
    /// Why there was no file to write to.
    private var failureText = ""

    /// Where the writer's text goes.
    private final class CurrentFile {
        var file: OutputFile?
    }

    /// Opens the file.
    /// - Parameters:
    ///   - name: the exporter's id.
    ///   - clock: milliseconds since 1970.
    /// - Throws: the folder or the file cannot be made or opened, or is in use.
    package init(
        _ config: FileExporterConfig, name: String, registry: MetricRegistry, logger: Logger,
        clock: @escaping @Sendable () -> Int64 = FileWriter.systemMilliseconds
    ) throws(FileError) {
        if config.createDirectory { try Self.makeFolder(of: config.path, config.directoryPermissions) }
        let output = CurrentFile()
        output.file = try Self.open(config, isFirst: true, clock(), logger)
        self.output = output
        self.config = config
        self.logger = logger
        self.clock = clock
        rotation = config.rotation.map { FileRotation(path: config.path, config: $0) }
        writer = OTLPJSONWriter { output.file?.write($0) }
        frames = config.compression == .zstd ? ZstdFrames(config.format) : nil
        writtenBytes = registry.counter(
            "sluice_exporter_file_written_bytes", help: "Bytes that were written to the file for good.",
            labels: ["exporter": name])
        thread = Self.threads.withLock { threads in
            if let thread = threads[config.path] { return thread }
            let thread = NIOThreadPool(numberOfThreads: 1)
            thread.start()
            threads[config.path] = thread
            return thread
        }
    }

    /// Milliseconds since 1970.
    package static let systemMilliseconds: @Sendable () -> Int64 = {
        var now = timespec()
        // SAFETY: fills `now`, which outlives the call; fails for unknown clocks only.
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }

    private static func open(
        _ config: FileExporterConfig, isFirst: Bool, _ now: Int64, _ logger: Logger
    ) throws(FileError) -> OutputFile {
        let file = try openAsItIs(config, isFirst: isFirst, now)
        let found: FoundFile
        switch (config.format, config.compression) {
        case (.json, .none):
            try file.endLine()
            return file
        case (_, .gzip): found = file.found(FoundFile.ofMembers)
        case (_, .zstd):
            found = file.found { FoundFile.ofMessages($0, bytes: $1, firstByte: ZstdFrames.firstByte) }
        case (.proto, .none): found = file.found { FoundFile.ofMessages($0, bytes: $1) }
        }
        switch found {
        case .batches(file.bytes): return file
        case .batches(let bytes):
            logger.warning(
                "Cut off what a killed process has left of a batch.",
                metadata: ["path": "\(config.path)", "bytes": "\(file.bytes - bytes)"])
            try file.cut(to: bytes)
            return file
        case .foreign:
            let rotation = FileRotation(path: config.path, config: config.rotation ?? .init())
            let aside = rotation.endedPath(unixMilliseconds: now)
            // SAFETY: both paths are C strings for the call.
            guard unsafe rename(config.path, aside) == 0 else {
                throw .cannotRename(path: config.path, errno: errno)
            }
            logger.warning(
                "Renamed a file which does not hold what this exporter writes, so that nothing is mixed with it.",
                metadata: ["path": "\(config.path)", "to": "\(aside)"])
            return try openAsItIs(config, isFirst: isFirst, now)
        }
    }

    private static func openAsItIs(
        _ config: FileExporterConfig, isFirst: Bool, _ now: Int64
    ) throws(FileError) -> OutputFile {
        try OutputFile(
            path: config.path, append: config.append || config.rotation != nil || !isFirst,
            gzip: config.compression == .gzip, now: Int(now / 1000))
    }

    private static func makeFolder(of path: String, _ permissions: UInt32) throws(FileError) {
        for (index, byte) in path.utf8.enumerated() where byte == UInt8(ascii: "/") && index > 0 {
            let folder = String(decoding: path.utf8.prefix(index), as: UTF8.self)
            // SAFETY: the path is a C string for the call.
            if unsafe mkdir(folder, permissions) != 0, errno != EEXIST {
                throw .cannotMakeFolder(path: folder, errno: errno)
            }
        }
    }

    // MARK: - Users

    /// Announces a sender, which will `close`.
    package func open() {
        inbox.withLock { $0.users += 1 }
    }

    /// Writes a batch.
    /// - Parameter done: called once, by the writing thread.
    package func write(_ batch: Batch, done: @escaping @Sendable (Result) -> Void) {
        let mustSchedule = inbox.withLock { inbox in
            inbox.jobs.append(Job(batch: batch, done: done))
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if mustSchedule { thread.submit { _ in self.writeAll() } }
    }

    /// The last of the senders makes the disk have everything and closes the file.
    /// - Parameter done: called once, by the writing thread or at once.
    package func close(done: @escaping @Sendable () -> Void) {
        let isLast = inbox.withLock { inbox in
            inbox.users -= 1
            return inbox.users == 0
        }
        guard isLast else {
            done()
            return
        }
        thread.submit { _ in
            self.finish()
            done()
        }
    }

    // MARK: - On the thread

    private func writeAll() {
        let jobs = inbox.withLock { inbox in
            inbox.isScheduled = false
            defer { inbox.jobs = [] }
            return inbox.jobs
        }
        var left = jobs[...]
        var written = jobs[..<jobs.startIndex]
        if !isReady() { return fail(left) }
        while let job = left.first {
            if isRotationDue {
                commit(written)
                written = jobs[left.startIndex..<left.startIndex]
                rotate()
                if !isReady() { return fail(left) }
            }
            put(job.batch)
            left = left.dropFirst()
            written = jobs[written.startIndex..<left.startIndex]
        }
        commit(written)
        writer.text.removeAll()
    }

    private func fail(_ jobs: ArraySlice<Job>) {
        for job in jobs { job.done(.failed(message: failureText)) }
    }

    /// Opens the file where that failed after a rotation, and cuts off what a failed write left.
    private func isReady() -> Bool {
        do throws(FileError) {
            guard let file = output.file else {
                output.file = try Self.open(config, isFirst: false, clock(), logger)
                return true
            }
            if file.failure != nil { try file.commit() }
            return true
        } catch {
            failureText = "\(error)"
            // Cut off by now, and reported then.
            if case .cannotWrite = error { return true }
            return false
        }
    }

    private func put(_ batch: Batch) {
        if let frames {
            frames.put(batch, to: &writer.text)
            return
        }
        switch config.format {
        case .json:
            batch.write(to: &writer)
            writer.text.mark("\n")
        case .proto:
            for shift in stride(from: 24, through: 0, by: -8) {
                writer.text.put(byte: UInt8(truncatingIfNeeded: batch.bytes >> shift))
            }
            for slice in batch.slices {
                // SAFETY: the bytes live for the closure, and the text copies them.
                unsafe slice.bytes.withUnsafeReadableBytes { unsafe writer.text.put($0) }
            }
        }
    }

    /// Brings the batches into the file for good, or out of it.
    private func commit(_ jobs: ArraySlice<Job>) {
        guard let file = output.file, !jobs.isEmpty else { return }
        file.end()
        writer.text.flush()
        let before = file.committedBytes
        do throws(FileError) {
            try file.commit()
            writtenBytes.add(file.committedBytes - before)
            for job in jobs { job.done(.written) }
        } catch {
            for job in jobs { job.done(.failed(message: "\(error)")) }
        }
    }

    private func finish() {
        guard let file = output.file else { return }
        output.file = nil
        do throws(FileError) {
            try file.sync()
        } catch {
            logger.error("The file may not be on the disk.", metadata: ["error": "\(error)"])
        }
    }

    // MARK: - Rotation

    private var isRotationDue: Bool {
        guard let rotation, let file = output.file else { return false }
        return rotation.isDue(
            bytes: file.bytes + writer.text.count, ageSeconds: Int(clock() / 1000) - file.beganAt)
    }

    /// Ends the file and begins another. When that fails, the old one goes on.
    private func rotate() {
        guard let rotation, let file = output.file, file.failure == nil else { return }
        let now = clock()
        let ended = rotation.endedPath(unixMilliseconds: now)
        // SAFETY: both paths are C strings for the call.
        guard unsafe rename(config.path, ended) == 0 else {
            let error = FileError.cannotRename(path: config.path, errno: errno)
            if !isRotationFailing {
                logger.error("The file cannot be rotated and grows on.", metadata: ["error": "\(error)"])
            }
            isRotationFailing = true
            return
        }
        isRotationFailing = false
        finish()
        for path in rotation.prune(unixMilliseconds: now) {
            logger.info("Removed an old file.", metadata: ["path": "\(path)"])
        }
    }
}
