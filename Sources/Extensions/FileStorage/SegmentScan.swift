internal import NIOCore

/// What one segment of an earlier process holds.
struct SegmentScan: Sendable {
    /// A batch and where its record is.
    struct Found: Sendable {
        var header: RecordHeader
        var offset: Int
    }

    private(set) var batches: [Found] = []
    private(set) var done: Set<UInt64> = []
    /// The end of the last record.
    private(set) var end = SegmentFile.headerBytes
    /// Bytes that are no records though records follow.
    private(set) var damagedBytes = 0
    /// Bytes that the file had and has no more.
    private(set) var missingBytes = 0
    /// Records whose header is whole and whose content is not, and that are followed by others.
    private(set) var damagedRecords = 0
    /// The last record is not whole: as a rule the process ended while it wrote it, and nobody was told that it was
    /// stored.
    private(set) var isTorn = false

    /// Whether further records may follow the last one.
    private(set) var isWritable = false

    /// Whether something is lost that somebody was told is stored.
    var isDamaged: Bool { damagedBytes > 0 || damagedRecords > 0 || missingBytes > 0 }

    /// Reads a segment from its start to its end, past what is damaged.
    init(_ file: SegmentFile) throws(StorageFault) {
        let beginning = try file.beginning()
        if case .whole(let written) = beginning {
            missingBytes = max(0, written - file.capacity)
        } else {
            damagedBytes += SegmentFile.headerBytes
        }
        var position = SegmentFile.headerBytes
        /// What is wrong so far; only a fault when a record follows.
        var gap = 0
        var brokenRecords = 0
        while position + RecordHeader.bytes <= file.capacity {
            guard let header = try Self.header(file, position) else {
                guard let next = try Self.nextHeader(file, after: position) else {
                    if try Self.isBrokenHeader(file, position) { brokenRecords += 1 }
                    break
                }
                gap += next - position
                position = next
                continue
            }
            if let record = try file.record(at: position) {
                damagedBytes += gap
                damagedRecords += brokenRecords
                gap = 0
                brokenRecords = 0
                take(record.header, record.body, position)
                end = position + header.recordBytes
            } else {
                brokenRecords += 1
            }
            position += max(header.recordBytes, RecordHeader.alignment)
        }
        isTorn = brokenRecords > 0
        // A file that was never written, or not as this number.
        if beginning == .unwritten, batches.isEmpty, done.isEmpty { damagedBytes = 0 }
        isWritable = !isTorn && !isDamaged && beginning != .unwritten
    }

    private mutating func take(_ header: RecordHeader, _ body: ByteBuffer, _ offset: Int) {
        switch header.kind {
        case .batch: batches.append(Found(header: header, offset: offset))
        case .done:
            var body = body
            while let id: UInt64 = body.readInteger(endianness: .little) { done.insert(id) }
        }
    }

    private static func header(_ file: SegmentFile, _ offset: Int) throws(StorageFault) -> RecordHeader? {
        let bytes = try file.read(at: offset, count: RecordHeader.bytes)
        return unsafe bytes.withUnsafeReadableBytes { unsafe RecordHeader($0, segment: file.sequence) }
    }

    /// Whether a header of this segment was here: half of what tells it is left. Bytes of an earlier life of the file are
    /// headers of another number, or no headers at all.
    private static func isBrokenHeader(_ file: SegmentFile, _ offset: Int) throws(StorageFault) -> Bool {
        let bytes = try file.read(at: offset, count: RecordHeader.bytes)
        guard let magic: UInt32 = bytes.getInteger(at: bytes.readerIndex, endianness: .little),
            let number: UInt64 = bytes.getInteger(at: bytes.readerIndex + 8, endianness: .little)
        else { return false }
        let isOther = unsafe bytes.withUnsafeReadableBytes { unsafe RecordHeader($0, segment: number) != nil }
        return !isOther && (magic == RecordHeader.magic || number == file.sequence)
    }

    /// The next place where a header of this segment is, looked for a piece of the file at a time.
    private static func nextHeader(_ file: SegmentFile, after offset: Int) throws(StorageFault) -> Int? {
        let pieceBytes = 1 << 20
        var position = offset + RecordHeader.alignment
        while position + RecordHeader.bytes <= file.capacity {
            let piece = try file.read(at: position, count: pieceBytes + RecordHeader.bytes)
            let found = unsafe piece.withUnsafeReadableBytes { bytes -> Int? in
                var at = 0
                while at < pieceBytes, at + RecordHeader.bytes <= bytes.count {
                    // SAFETY: 48 bytes are left at `at`.
                    let magic = unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                    if UInt32(littleEndian: magic) == RecordHeader.magic {
                        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[at...])
                        if unsafe RecordHeader(rest, segment: file.sequence) != nil { return at }
                    }
                    at += RecordHeader.alignment
                }
                return nil
            }
            if let found { return position + found }
            position += pieceBytes
        }
        return nil
    }
}
