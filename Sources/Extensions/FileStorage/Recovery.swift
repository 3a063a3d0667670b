internal import Glibc
internal import Logging
internal import NIOCore
internal import Pipeline

/// What an earlier process left in a store's folder. Runs on the store's thread.
struct Recovery: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made on one thread and handed to another once.
    var lock: FolderLock
    var segments: [SegmentStore.Segment] = []
    var spare: [SegmentFile] = []
    var places: [UInt64: SegmentStore.Place] = [:]
    /// Oldest first.
    var batches: [StoredBatch] = []
    var nextID: UInt64 = 1
    var nextSequence: UInt64 = 1
    /// Batches that are done, but what said so was in a damaged file.
    var unnoted: [(id: UInt64, segment: UInt64)] = []

    /// Numbers of files stay below.
    private static let sequenceEnd: UInt64 = 1 << 31

    private struct Old {
        let file: SegmentFile
        let scan: SegmentScan
    }

    /// Reads the folder. Damaged files are put aside under another name after what is whole of them was written anew.
    static func run(_ settings: SegmentStore.Settings, _ logger: Logger) throws(StorageFault) -> Recovery {
        if settings.createsDirectory {
            try Folder.makeAll(settings.directory, permissions: settings.permissions)
        }
        try Folder.make(settings.folder, permissions: settings.permissions)
        // A folder that a power failure takes away takes everything in it along.
        if settings.fsync { try Folder.sync(settings.directory) }
        var recovery = Recovery(lock: try FolderLock(settings.folder))
        var old: [Old] = []
        for name in try Folder.names(settings.folder) {
            let path = settings.folder + "/" + name
            if name.hasSuffix(".spare") {
                // Not worth keeping: a queue that is busy makes new ones.
                guard unsafe unlink(path) == 0 else { throw StorageFault("remove", path) }
            }
            guard name.hasSuffix(".segment"), let sequence = UInt64(name.dropLast(".segment".count)),
                sequence < sequenceEnd
            else { continue }
            recovery.nextSequence = max(recovery.nextSequence, sequence + 1)
            if let each = openOrReport(path, sequence, logger) { old.append(each) }
        }
        old.sort { $0.file.sequence < $1.file.sequence }
        try recovery.take(old, settings, logger)
        // Every process has ids of its own, also beside files that it cannot read.
        recovery.nextID = max(recovery.nextID, recovery.nextSequence << 32)
        return recovery
    }

    private static func openOrReport(_ path: String, _ sequence: UInt64, _ logger: Logger) -> Old? {
        do throws(StorageFault) {
            let file = try SegmentFile.open(existing: path, sequence: sequence)
            if file.capacity == 0 {
                logger.warning(
                    "A file of the store is empty. If something was in it, it is lost.",
                    metadata: ["file": "\(path)"])
                try file.remove()
                return nil
            }
            return Old(file: file, scan: try SegmentScan(file))
        } catch {
            logger.error(
                "A file of the store cannot be read. What is in it is not sent.",
                metadata: ["error": "\(error)"])
            return nil
        }
    }

    private mutating func take(
        _ old: [Old], _ settings: SegmentStore.Settings, _ logger: Logger
    ) throws(StorageFault) {
        var done: Set<UInt64> = []
        for each in old {
            done.formUnion(each.scan.done)
            nextID = max(nextID, (each.scan.done.max() ?? 0) + 1)
        }
        var found: [UInt64: StoredBatch] = [:]
        for each in old {
            var live: [SegmentScan.Found] = []
            for batch in each.scan.batches {
                nextID = max(nextID, batch.header.id + 1)
                // The same batch is in two segments when a crash came between its rewriting and the renaming.
                guard !done.contains(batch.header.id), found[batch.header.id] == nil else { continue }
                live.append(batch)
                found[batch.header.id] = StoredBatch(
                    id: batch.header.id, items: batch.header.items, bytes: batch.header.requestBytes)
            }
            if each.scan.isTorn {
                logger.warning(
                    "The last record of a file of the store is not whole. Ignoring it.",
                    metadata: ["file": "\(each.file.path)"])
            }
            if each.scan.isDamaged {
                try salvage(each, live, settings, logger)
            } else {
                // Full as far as writing is concerned when a torn record stands behind its end.
                keep(each.file, live, used: each.scan.isWritable ? each.scan.end : each.file.capacity)
            }
        }
        batches = found.values.sorted { $0.id < $1.id }
        segments.sort { $0.file.sequence < $1.file.sequence }
        noteAgain(old)
    }

    /// What only a damaged file said is done must be said once more.
    private mutating func noteAgain(_ old: [Old]) {
        let said = old.filter { $0.scan.isDamaged }.reduce(into: Set<UInt64>()) { $0.formUnion($1.scan.done) }
        for each in old where !each.scan.isDamaged {
            for batch in each.scan.batches where said.contains(batch.header.id) {
                unnoted.append((batch.header.id, each.file.sequence))
            }
        }
    }

    private mutating func keep(_ file: SegmentFile, _ live: [SegmentScan.Found], used: Int) {
        for batch in live {
            places[batch.header.id] = SegmentStore.Place(segment: file.sequence, offset: batch.offset)
        }
        segments.append(SegmentStore.Segment(file: file, used: used, live: live.count))
    }

    /// Writes what is whole of a damaged segment into a new one, and puts the old one aside. Where the disk has no room
    /// for that, the old one is read as it is.
    private mutating func salvage(
        _ old: Old, _ live: [SegmentScan.Found], _ settings: SegmentStore.Settings, _ logger: Logger
    ) throws(StorageFault) {
        let aside = old.file.path + ".damaged"
        var facts: Logger.Metadata = [
            "file": "\(aside)", "batches_kept": "\(live.count)",
            "batches_damaged": "\(old.scan.damagedRecords)",
            "bytes_damaged": "\(old.scan.damagedBytes)", "bytes_missing": "\(old.scan.missingBytes)",
        ]
        do throws(StorageFault) {
            try rewrite(old, live, settings)
        } catch {
            guard error.isFull else { throw error }
            facts["file"] = "\(old.file.path)"
            facts["error"] = "\(error)"
            logger.error(
                "The store is damaged. What is whole of it is read from the damaged file.", metadata: facts)
            return keep(old.file, live, used: old.file.capacity)
        }
        do throws(StorageFault) { try old.file.rename(to: aside) } catch {
            // What was written anew wins at the next start, too.
            facts["error"] = "\(error)"
        }
        logger.error(
            "The store is damaged. What is whole of it is kept, the rest is in the renamed file.",
            metadata: facts)
    }

    private mutating func rewrite(
        _ old: Old, _ live: [SegmentScan.Found], _ settings: SegmentStore.Settings
    ) throws(StorageFault) {
        guard !live.isEmpty else { return }
        let sequence = nextSequence
        let bytes = live.reduce(SegmentFile.headerBytes) { $0 + $1.header.recordBytes }
        let new = try SegmentFile.create(settings.folder, sequence, capacity: bytes)
        nextSequence += 1
        do throws(StorageFault) {
            var moved: [SegmentScan.Found] = []
            var position = SegmentFile.headerBytes
            for batch in live {
                guard let (header, body) = try old.file.record(at: batch.offset) else { continue }
                var copy = header
                copy.segment = sequence
                var start = ByteBuffer()
                copy.write(into: &start)
                try new.write([start, body], at: position)
                moved.append(SegmentScan.Found(header: copy, offset: position))
                position += copy.recordBytes
            }
            try new.sync()
            try Folder.sync(settings.folder)
            keep(new, moved, used: new.capacity)
        } catch {
            new.discard()
            throw error
        }
    }
}
