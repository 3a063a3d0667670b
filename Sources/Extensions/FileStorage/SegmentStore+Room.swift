internal import Logging
internal import NIOPosix
internal import Pipeline

// Where the next group goes, and what becomes of files that are done with. Event loop only.

extension SegmentStore {
    private static let spareMax = 2
    /// No file is made smaller than this where the disk is nearly full.
    private static let fileBytesMin = 64 << 10

    func index(of sequence: UInt64) -> Int? {
        segments.firstIndex { $0.file.sequence == sequence }
    }

    func segment(_ sequence: UInt64) -> Segment? {
        index(of: sequence).map { segments[$0] }
    }

    /// Bytes of records that fit when nothing else is stored.
    var largestBytes: Int { settings.bytesMax - SegmentFile.headerBytes }

    /// Finds room for so many bytes of batches and the note of what is done; nil when the limit leaves none.
    func place(_ bytes: Int, withDone: Bool) -> WriteJob? {
        let doneBytes = done.isEmpty || !withDone ? 0 : WriteJob.doneRecordBytes(done.count)
        // What was begun beyond the limit is for notes alone.
        if let current = segments.last, current.file.capacity - current.used >= bytes + doneBytes,
            bytes == 0 || fileBytes - current.file.capacity < settings.bytesMax
        {
            return WriteJob(file: current.file, offset: current.used, target: .current)
        }
        // When everything is done, the last segment gives its room to its successor, and there is nothing to note.
        if segments.count == 1, segments[0].live == 0 {
            putAway([segments.removeFirst().file])
            done = []
            return bytes == 0 ? nil : place(bytes, withDone: false)
        }
        let sequence = nextSequence
        nextSequence += 1
        let needed = bytes + doneBytes + SegmentFile.headerBytes
        if needed <= settings.segmentBytes, let file = spare.popLast() {
            return WriteJob(
                file: file, offset: SegmentFile.headerBytes, target: .spare(sequence, settings.folder))
        }
        let capacity = max(settings.segmentBytes, needed)
        while fileBytes + capacity > settings.bytesMax, let file = spare.popLast() { remove(file) }
        // The last room is taken as it is. What is done is noted even beyond the limit: it is what makes room.
        var room = min(capacity, settings.bytesMax - fileBytes)
        if room < needed, bytes == 0 { room = max(needed, Self.fileBytesMin) }
        guard room >= needed else { return nil }
        let least = max(needed, min(room, Self.fileBytesMin))
        return WriteJob(
            file: nil, offset: SegmentFile.headerBytes,
            target: .new(sequence, settings.folder, capacity: room, least: least))
    }

    /// Lets go of the oldest segments in which everything is done, but for the one being written.
    func releaseSegments() {
        var freed: [SegmentFile] = []
        while segments.count > 1, segments[0].live == 0 { freed.append(segments.removeFirst().file) }
        guard !freed.isEmpty else { return }
        let oldest = segments[0].file.sequence
        done.removeAll { $0.segment < oldest }
        putAway(freed)
    }

    /// Keeps files to be written again, as many as are worth it.
    private func putAway(_ files: [SegmentFile]) {
        let (folder, logger) = (settings.folder, logger)
        for file in files {
            guard spare.count < Self.spareMax, file.capacity == settings.segmentBytes else {
                remove(file)
                continue
            }
            spare.append(file)
            thread.submit { _ in
                do throws(StorageFault) {
                    try file.rename(to: SegmentFile.path(folder, file.sequence, "spare"))
                } catch {
                    logger.error("A file of the store cannot be put away.", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func remove(_ file: SegmentFile) {
        let logger = logger
        thread.submit { _ in
            do throws(StorageFault) {
                try file.remove()
            } catch {
                logger.error("A file of the store cannot be removed.", metadata: ["error": "\(error)"])
            }
        }
    }
}
