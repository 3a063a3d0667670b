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
        var recovery = Recovery(lock: try FolderLock(settings.folder))
        var old: [Old] = []
        for name in try Folder.names(settings.folder) {
            let path = settings.folder + "/" + name
            if name.hasSuffix(".spare") {
                // Not worth keeping: a queue that is busy makes new ones.
                guard unsafe unlink(path) == 0 else { throw StorageFault("remove", path) }
            }
            guard name.hasSuffix(".segment"), let sequence = UInt64(name.dropLast(".segment".count)) else {
                continue
            }
            recovery.nextSequence = max(recovery.nextSequence, sequence + 1)
            if let file = try openOrReport(path, sequence, logger) {
                old.append(Old(file: file, scan: try SegmentScan(file)))
            }
        }
        old.sort { $0.file.sequence < $1.file.sequence }
        try recovery.take(old, settings, logger)
        return recovery
    }

    private static func openOrReport(
        _ path: String, _ sequence: UInt64, _ logger: Logger
    ) throws(StorageFault) -> SegmentFile? {
        do throws(StorageFault) {
            return try SegmentFile.open(existing: path, sequence: sequence)
        } catch {
            logger.error(
                "A file of the store cannot be opened. What is in it is not sent.",
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
                keep(each.file, live, end: each.scan.end)
            }
        }
        batches = found.values.sorted { $0.id < $1.id }
    }

    private mutating func keep(_ file: SegmentFile, _ live: [SegmentScan.Found], end: Int) {
        for batch in live {
            places[batch.header.id] = SegmentStore.Place(segment: file.sequence, offset: batch.offset)
        }
        // Full as far as writing is concerned: a torn record may stand behind its end.
        segments.append(SegmentStore.Segment(file: file, used: file.capacity, live: live.count))
    }

    /// Writes what is whole of a damaged segment into a new one, and puts the old one aside.
    private mutating func salvage(
        _ old: Old, _ live: [SegmentScan.Found], _ settings: SegmentStore.Settings, _ logger: Logger
    ) throws(StorageFault) {
        let aside = old.file.path + ".damaged"
        logger.error(
            "The store is damaged. What is whole of it is kept, the rest is in the renamed file.",
            metadata: [
                "file": "\(aside)", "batches_kept": "\(live.count)",
                "batches_damaged": "\(old.scan.damagedRecords)",
                "bytes_damaged": "\(old.scan.damagedBytes)", "bytes_missing": "\(old.scan.missingBytes)",
            ])
        if !live.isEmpty {
            let sequence = nextSequence
            nextSequence += 1
            let bytes = live.reduce(SegmentFile.headerBytes) { $0 + $1.header.recordBytes }
            let new = try SegmentFile.create(
                settings.folder, sequence, capacity: max(bytes, settings.segmentBytes))
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
            keep(new, moved, end: position)
        }
        try old.file.rename(to: aside)
    }
}
