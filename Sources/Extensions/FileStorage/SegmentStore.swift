internal import Configuration
package import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline

/// One queue on disk: a log in segments, each a file that is written once from its start to its end.
///
/// ```
/// 000000000007.segment   batch 41 · batch 42 · done [41] · batch 43 …   ◀─ oldest
/// 000000000008.segment   batch 44 · done [42, 43] …                     ◀─ being written
/// 000000000006.spare     waits to be written again
/// ```
///
/// What comes while a group is written becomes the next group, which shares one sync; what the destination has by then is
/// not written at all. A segment goes when everything in
/// it and in all older ones is done; its file is used again, so that a busy queue neither grows nor asks the file system
/// for room. A crash may bring back what was done in the last moments, never lose what was answered.
///
/// All calls on the queue's event loop; files are touched on a thread of the store's own.
package final class SegmentStore: BatchStore {
    /// What a store is made of.
    package struct Settings: Sendable {
        /// Where the queues' folders are.
        package var directory: String
        /// Whether that is made when it is missing.
        package var createsDirectory: Bool
        /// The queue's own folder; made when it is missing.
        package var folder: String
        package var permissions: UInt32
        package var fsync: Bool
        /// Bytes of all files.
        package var bytesMax: Int
        /// Bytes of one file; a larger batch gets a larger one.
        package var segmentBytes = 32 << 20

        /// The folder of one queue in an extension's directory.
        package init(
            _ config: FileStorageConfig, kind: String = "exporter", exporter: String, signal: Signal
        ) {
            let safe = exporter.utf8.map { byte -> String in
                let isPlain =
                    byte == 0x2D || byte == 0x5F || (0x30...0x39).contains(byte)
                    || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                if isPlain { return String(UnicodeScalar(byte)) }
                let hex = String(byte, radix: 16)
                return "%" + (hex.utf8.count == 1 ? "0" : "") + hex
            }
            directory = config.directory
            createsDirectory = config.createDirectory
            folder = "\(config.directory)/\(kind)_\(safe.joined())_\(signal.name)"
            permissions = config.directoryPermissions
            fsync = config.fsync
            bytesMax = config.maxSizeMib << 20
            segmentBytes = min(segmentBytes, bytesMax / 4)
        }
    }

    /// A segment of the log.
    struct Segment {
        let file: SegmentFile
        var used: Int
        /// Batches in it that are not done.
        var live: Int
    }

    /// Where a stored batch is.
    struct Place {
        var segment: UInt64
        var offset: Int
    }

    /// A batch that waits to be written.
    struct Append {
        /// Owns the bytes.
        let batch: Batch
        let parts: [(id: UInt64, body: RecordBody)]
        let done: (Refusal?) -> Void
    }

    let settings: Settings
    let ledger: MemoryLedger?
    let eventLoop: any EventLoop
    let logger: Logger
    let thread: NIOThreadPool
    private var lock: FolderLock?
    private var isOpen = false
    /// Oldest first; the last one is being written.
    var segments: [Segment] = []
    var spare: [SegmentFile] = []
    private var places: [UInt64: Place] = [:]
    private var appends = CircularBuffer<Append>()
    /// Batches that are not written, and still wanted.
    private var unwritten: Set<UInt64> = []
    /// Done, and not yet written down so.
    var done: [(id: UInt64, segment: UInt64)] = []
    private var isWriting = false
    private var doneTimer: Scheduled<Void>?
    private var closing: EventLoopPromise<Void>?
    private var nextID: UInt64 = 1
    var nextSequence: UInt64 = 1

    private static let groupBytesMax = 16 << 20
    /// How long it may take until it is written down that batches are done.
    private static let doneDelay = TimeAmount.milliseconds(20)
    /// The same after it could not be written.
    private static let doneDelayAfterFault = TimeAmount.seconds(1)

    /// - Parameter ledger: charged for what is read back.
    package init(_ settings: Settings, ledger: MemoryLedger?, eventLoop: any EventLoop, logger: Logger) {
        self.settings = settings
        self.ledger = ledger
        self.eventLoop = eventLoop
        self.logger = logger
        thread = NIOThreadPool(numberOfThreads: 1)
    }

    /// Bytes of all files.
    var fileBytes: Int {
        segments.reduce(spare.reduce(0) { $0 + $1.capacity }) { $0 + $1.file.capacity }
    }

    // MARK: - BatchStore

    package func open() -> EventLoopFuture<[StoredBatch]> {
        eventLoop.preconditionInEventLoop()
        thread.start()
        let (settings, logger) = (settings, logger)
        return thread.runIfActive(eventLoop: eventLoop) { try Recovery.run(settings, logger) }
            .assumeIsolated().map { [self] recovered in
                lock = recovered.lock
                segments = recovered.segments
                places = recovered.places
                nextID = recovered.nextID
                nextSequence = recovered.nextSequence
                spare = recovered.spare
                done = recovered.unnoted
                isOpen = true
                releaseSegments()
                return recovered.batches
            }.nonisolated()
    }

    package func append(_ batch: Batch, done: @escaping (Refusal?) -> Void) -> [StoredPart] {
        eventLoop.preconditionInEventLoop()
        guard isOpen else {
            let bound = NIOLoopBound(done, eventLoop: eventLoop)
            let refusal = Refusal(.storage, "the store \(settings.folder) is not open yet")
            eventLoop.execute { bound.value(refusal) }
            return []
        }
        var parts: [(id: UInt64, body: RecordBody)] = []
        var stored: [StoredPart] = []
        for (body, part) in RecordBody.parts(of: batch) {
            parts.append((nextID, body))
            unwritten.insert(nextID)
            stored.append(
                StoredPart(
                    stored: StoredBatch(id: nextID, items: body.items, bytes: body.requestBytes), batch: part)
            )
            nextID += 1
        }
        appends.append(Append(batch: batch, parts: parts, done: done))
        writeSoon()
        return stored
    }

    package func read(_ stored: StoredBatch, done: @escaping (Batch?) -> Void) {
        eventLoop.preconditionInEventLoop()
        guard let place = places[stored.id], let file = segment(place.segment)?.file else {
            let bound = NIOLoopBound(done, eventLoop: eventLoop)
            eventLoop.execute { bound.value(nil) }
            return
        }
        let ledger = ledger
        let bound = NIOLoopBound((self, done), eventLoop: eventLoop)
        thread.runIfActive(eventLoop: eventLoop) { () -> Batch? in
            guard let (header, body) = try file.record(at: place.offset), header.id == stored.id else {
                return nil
            }
            return RecordBody.batch(header, body, ledger: ledger)
        }.whenComplete { result in
            let (store, done) = bound.value
            switch result {
            case .success(let batch?): done(batch)
            case .success(nil): store.cannotRead(stored, file.path, "the record is damaged", done)
            case .failure(let error): store.cannotRead(stored, file.path, "\(error)", done)
            }
        }
    }

    private func cannotRead(
        _ stored: StoredBatch, _ path: String, _ error: String, _ done: (Batch?) -> Void
    ) {
        logger.error(
            "A stored batch cannot be read. Dropping data.",
            metadata: ["file": "\(path)", "error": "\(error)", "dropped_items": "\(stored.items)"])
        done(nil)
    }

    package func remove(_ stored: StoredBatch) {
        eventLoop.preconditionInEventLoop()
        // What is being written right now is noted as done when it is.
        if unwritten.remove(stored.id) != nil { return }
        guard let place = places.removeValue(forKey: stored.id), let index = index(of: place.segment) else {
            return
        }
        segments[index].live -= 1
        done.append((stored.id, place.segment))
        if segments[index].live == 0, index == 0 { releaseSegments() }
        noteDone(in: Self.doneDelay)
    }

    private func noteDone(in delay: TimeAmount) {
        guard doneTimer == nil, !done.isEmpty else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        doneTimer = eventLoop.scheduleTask(in: delay) {
            bound.value.doneTimer = nil
            bound.value.write()
        }
    }

    package func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        let promise = eventLoop.makePromise(of: Void.self)
        closing = promise
        doneTimer?.cancel()
        write()
        return promise.futureResult
    }

    // MARK: - Writing

    /// At the end of the loop's turn, so that what comes in one turn is one group.
    private func writeSoon() {
        guard !isWriting else { return }
        isWriting = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute {
            bound.value.isWriting = false
            bound.value.write()
        }
    }

    /// Writes the next group, if there is anything to write and nothing is being written.
    private func write() {
        eventLoop.preconditionInEventLoop()
        guard !isWriting else { return }
        let (group, records, bytes) = nextGroup()
        let isIdle = records.isEmpty && done.isEmpty
        guard !isIdle, let job = place(bytes, withDone: true) else {
            guard records.isEmpty else {
                // No room.
                noteDone(in: Self.doneDelay)
                return refuse(group, full(bytes))
            }
            for append in group { append.done(nil) }
            return finishClosing()
        }
        let noted = done
        let ids = noted.map { $0.id }
        done = []
        isWriting = true
        let bound = NIOLoopBound((self, group), eventLoop: eventLoop)
        let fsync = settings.fsync
        thread.runIfActive(eventLoop: eventLoop) { try job.run(records, done: ids, fsync: fsync) }
            .whenComplete { result in
                let (store, group) = bound.value
                store.isWriting = false
                switch result {
                case .success(let written): store.written(group, records, written)
                case .failure(let error): return store.failed(job, group, noted, error)
                }
                store.write()
            }
    }

    /// Takes what fits one write and one segment. What is no longer wanted is taken, and not written.
    private func nextGroup() -> ([Append], records: [(id: UInt64, body: RecordBody)], bytes: Int) {
        var group: [Append] = []
        var records: [(id: UInt64, body: RecordBody)] = []
        var bytes = 0
        let reserve = WriteJob.doneRecordBytes(done.count)
        let room = segments.last.map { max(0, $0.file.capacity - $0.used - reserve) } ?? 0
        let limit = min(Self.groupBytesMax, room > 0 ? room : settings.segmentBytes / 2)
        while let next = appends.first {
            let before = records.count
            var more = 0
            for part in next.parts where unwritten.contains(part.id) {
                records.append(part)
                more += part.body.header(id: 0, segment: 0).recordBytes
            }
            guard before == 0 || bytes + more <= limit else {
                records.removeLast(records.count - before)
                break
            }
            appends.removeFirst()
            group.append(next)
            bytes += more
        }
        return (group, records, bytes)
    }

    private func written(
        _ group: [Append], _ records: [(id: UInt64, body: RecordBody)], _ written: WriteJob.Written
    ) {
        if segments.last?.file !== written.file {
            segments.append(Segment(file: written.file, used: 0, live: 0))
        }
        let last = segments.count - 1
        segments[last].used = written.end
        for (record, offset) in zip(records, written.offsets) {
            if unwritten.remove(record.id) != nil {
                places[record.id] = Place(segment: written.file.sequence, offset: offset)
                segments[last].live += 1
            } else {
                done.append((record.id, written.file.sequence))
            }
        }
        releaseSegments()
        noteDone(in: Self.doneDelay)
        for append in group { append.done(nil) }
    }

    private func failed(
        _ job: WriteJob, _ group: [Append], _ noted: [(id: UInt64, segment: UInt64)], _ error: any Error
    ) {
        var noted = noted
        if case .current = job.target {
            // Some of the group may be on disk all the same. Nothing is written behind it, and it is as good as done.
            let last = segments.count - 1
            let file = segments[last].file
            segments[last].used = file.capacity
            noted += group.flatMap { $0.parts.map { (id: $0.id, segment: file.sequence) } }
        }
        // What is done is noted with a later group; until then, or at the end, a crash or a restart brings it back.
        if closing == nil {
            done += noted
            noteDone(in: Self.doneDelayAfterFault)
        }
        refuse(group, Refusal(.storage, "cannot store: \(error)", retryAfterSeconds: 5))
    }

    private func refuse(_ group: [Append], _ refusal: Refusal) {
        for append in group {
            for part in append.parts { unwritten.remove(part.id) }
        }
        for append in group { append.done(refusal) }
        if !appends.isEmpty || closing != nil { writeSoon() }
    }

    private func full(_ bytes: Int) -> Refusal {
        let limit = "max_size_mib \(settings.bytesMax >> 20)"
        if bytes > largestBytes {
            return Refusal(
                .storage, "a request of \(bytes) bytes is larger than the store \(settings.folder): \(limit)",
                isPermanent: true)
        }
        return Refusal(.queueFull, "the store \(settings.folder) is full: \(limit)", retryAfterSeconds: 5)
    }

    private func finishClosing() {
        guard let closing, !isWriting else { return }
        self.closing = nil
        let files = segments.map(\.file) + spare
        let lock = lock
        segments = []
        spare = []
        self.lock = nil
        // The files close when the last reference goes, behind everything that the thread still does.
        thread.runIfActive(eventLoop: eventLoop) { withExtendedLifetime((files, lock)) {} }
            .flatMapError { [eventLoop] _ in eventLoop.makeSucceededVoidFuture() }
            .whenComplete { [thread] _ in
                thread.shutdownGracefully { _ in closing.succeed() }
            }
    }
}
