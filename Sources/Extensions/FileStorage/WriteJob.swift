internal import Compression
internal import Glibc
internal import NIOCore
internal import OTLP

/// One group of records on its way to one segment. Runs on the store's thread.
struct WriteJob: Sendable {
    enum Target: Sendable {
        /// The segment that is being written.
        case current
        /// A spare file, to be given this number.
        case spare(UInt64, String)
        /// A file that is to be made; smaller, but not below `least`, where the disk has no room for `capacity`.
        case new(UInt64, String, capacity: Int, least: Int)
    }

    struct Written: Sendable {
        let file: SegmentFile
        /// Where each record is.
        let offsets: [Int]
        /// Where the next group goes.
        let end: Int
    }

    let file: SegmentFile?
    let offset: Int
    let target: Target

    private static let zeros = ByteBuffer(repeating: 0, count: RecordHeader.alignment)

    /// The bytes of the record that so many done batches take.
    static func doneRecordBytes(_ count: Int) -> Int {
        doneHeader(count, 0).recordBytes
    }

    private static func doneHeader(_ count: Int, _ segment: UInt64) -> RecordHeader {
        RecordHeader(
            kind: .done, signal: .traces, segment: segment, id: 0, items: 0, contentBytes: count * 8)
    }

    /// Writes batches and, behind them, the ids of those that are done.
    func run(
        _ records: [(id: UInt64, body: RecordBody)], done: [UInt64], fsync: Bool
    ) throws(StorageFault) -> Written {
        let file = try openFile(fsync: fsync)
        do throws(StorageFault) {
            return try write(records, done: done, to: file, fsync: fsync)
        } catch {
            // Nobody is told of what it holds, so it must not take room, or come back after a restart.
            if case .current = target {} else { file.discard() }
            throw error
        }
    }

    private func write(
        _ records: [(id: UInt64, body: RecordBody)], done: [UInt64], to file: SegmentFile, fsync: Bool
    ) throws(StorageFault) -> Written {
        var buffers: [ByteBuffer] = []
        var offsets: [Int] = []
        var position = offset
        func add(_ header: RecordHeader, _ parts: [ByteBuffer]) {
            var header = header
            for part in parts {
                header.checksum = unsafe part.withUnsafeReadableBytes {
                    unsafe Checksum.crc32(header.checksum, $0)
                }
            }
            var start = ByteBuffer()
            start.reserveCapacity(RecordHeader.bytes)
            header.write(into: &start)
            buffers.append(start)
            buffers += parts
            let filler = header.recordBytes - RecordHeader.bytes - header.bodyBytes
            if filler > 0, let zeros = Self.zeros.getSlice(at: 0, length: filler) { buffers.append(zeros) }
            position += header.recordBytes
        }
        for record in records {
            offsets.append(position)
            let header = record.body.header(id: record.id, segment: file.sequence)
            add(header, [record.body.metadata] + record.body.content)
        }
        if !done.isEmpty {
            var ids = ByteBuffer()
            for id in done { ids.writeInteger(id, endianness: .little) }
            add(Self.doneHeader(done.count, file.sequence), [ids])
        }
        try file.write(buffers, at: offset)
        if fsync, !records.isEmpty { try file.sync() }
        return Written(file: file, offsets: offsets, end: position)
    }

    private func openFile(fsync: Bool) throws(StorageFault) -> SegmentFile {
        switch target {
        case .current:
            guard let file else { preconditionFailure("the current segment has a file") }
            return file
        case .spare(let sequence, let folder):
            guard let file else { preconditionFailure("a spare segment has a file") }
            try begin(file, folder, fsync) { file throws(StorageFault) in
                try file.reuse(folder, as: sequence)
            }
            return file
        case .new(let sequence, let folder, var capacity, let least):
            while true {
                do throws(StorageFault) {
                    let file = try SegmentFile.create(folder, sequence, capacity: capacity)
                    try begin(file, folder, fsync) { _ in }
                    return file
                } catch {
                    guard error.isFull, capacity > least else { throw error }
                    capacity = max(least, capacity / 2)
                }
            }
        }
    }

    private func begin(
        _ file: SegmentFile, _ folder: String, _ fsync: Bool,
        _ prepare: (SegmentFile) throws(StorageFault) -> Void
    ) throws(StorageFault) {
        do throws(StorageFault) {
            try prepare(file)
            if fsync { try Folder.sync(folder) }
        } catch {
            file.discard()
            throw error
        }
    }
}
