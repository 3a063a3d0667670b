internal import Compression
internal import Glibc
internal import NIOCore
internal import Pipeline

/// One file of a store, open for reading and writing.
///
/// `file` in the folder is `NUMBER.segment`, or `NUMBER.spare` while it waits to be used again. Its first 24 bytes are a
/// magic number, the segment's number and the size of the file. The calls block: on the store's thread only.
final class SegmentFile: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `path` and `sequence` are changed on the store's thread only.
    let descriptor: Int32
    private(set) var path: String
    private(set) var sequence: UInt64
    /// Bytes that the file has on disk.
    let capacity: Int

    static let headerBytes = 24
    /// IOV_MAX of Linux.
    private static let vectorsMax = 1024
    private static let magic: UInt64 = 0x31_47_45_53_43_4C_53

    private init(_ descriptor: Int32, path: String, sequence: UInt64, capacity: Int) {
        self.descriptor = descriptor
        self.path = path
        self.sequence = sequence
        self.capacity = capacity
    }

    deinit {
        // Fails only for what `sync` has reported already.
        _ = close(descriptor)
    }

    static func path(_ folder: String, _ sequence: UInt64, _ ending: String = "segment") -> String {
        let digits = String(sequence)
        return folder + "/" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits + "." + ending
    }

    /// Makes a new file with its room taken, so that writing to it cannot find the disk full.
    static func create(_ folder: String, _ sequence: UInt64, capacity: Int) throws(StorageFault)
        -> SegmentFile
    {
        let path = path(folder, sequence)
        let descriptor = OperatorFile.open(
            path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, permissions: 0o640)
        guard descriptor >= 0 else { throw StorageFault("create", path) }
        let file = SegmentFile(descriptor, path: path, sequence: sequence, capacity: capacity)
        do throws(StorageFault) {
            var code = EINTR
            while code == EINTR { code = posix_fallocate(descriptor, 0, off_t(capacity)) }
            // A file system that cannot reserve finds out when it writes.
            guard code == 0 || code == EOPNOTSUPP || code == EINVAL else {
                throw StorageFault("reserve \(capacity) bytes for", path, code: code)
            }
            try file.writeHeader()
        } catch {
            file.discard()
            throw error
        }
        return file
    }

    /// Opens a file of an earlier process.
    static func open(existing path: String, sequence: UInt64) throws(StorageFault) -> SegmentFile {
        let descriptor = OperatorFile.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageFault("open", path) }
        var status = stat()
        // SAFETY: fills one stat.
        guard unsafe fstat(descriptor, &status) == 0 else {
            let fault = StorageFault("read the size of", path)
            _ = close(descriptor)
            throw fault
        }
        return SegmentFile(descriptor, path: path, sequence: sequence, capacity: Int(status.st_size))
    }

    private func writeHeader() throws(StorageFault) {
        var header = ByteBuffer()
        header.writeInteger(Self.magic, endianness: .little)
        header.writeInteger(sequence, endianness: .little)
        header.writeInteger(UInt64(capacity), endianness: .little)
        try write([header], at: 0)
    }

    /// What the first bytes of a file say.
    enum Beginning: Equatable {
        /// A segment of the file's number, which should have this size.
        case whole(capacity: Int)
        /// Nothing yet, or another number: a crash came before the segment's first record.
        case unwritten
        /// Not what this version writes.
        case foreign
    }

    /// Reads the first bytes.
    func beginning() throws(StorageFault) -> Beginning {
        var header = try read(at: 0, count: Self.headerBytes)
        if header.readableBytesView.allSatisfy({ $0 == 0 }) { return .unwritten }
        guard header.readInteger(endianness: .little) == Self.magic,
            let number: UInt64 = header.readInteger(endianness: .little),
            let capacity: UInt64 = header.readInteger(endianness: .little)
        else { return .foreign }
        return number == sequence ? .whole(capacity: Int(clamping: capacity)) : .unwritten
    }

    /// Makes a spare file a segment: what it holds is void by its new number.
    func reuse(_ folder: String, as sequence: UInt64) throws(StorageFault) {
        try rename(to: Self.path(folder, sequence))
        self.sequence = sequence
        try writeHeader()
    }

    func rename(to path: String) throws(StorageFault) {
        guard unsafe Glibc.rename(self.path, path) == 0 else { throw StorageFault("rename", self.path) }
        self.path = path
    }

    func remove() throws(StorageFault) {
        guard unsafe unlink(path) == 0 else { throw StorageFault("remove", path) }
    }

    /// Takes away a file that was begun in vain. That this fails, too, changes nothing: the first failure is told.
    func discard() {
        _ = unsafe unlink(path)
    }

    /// Waits until the disk has what was written.
    func sync() throws(StorageFault) {
        guard fdatasync(descriptor) == 0 else { throw StorageFault("sync", path) }
    }

    /// Writes buffers one behind the other. Nothing is copied.
    func write(_ buffers: [ByteBuffer], at offset: Int) throws(StorageFault) {
        var vectors: [iovec] = unsafe []
        var owners: [Unmanaged<AnyObject>] = unsafe []
        unsafe vectors.reserveCapacity(buffers.count)
        unsafe owners.reserveCapacity(buffers.count)
        // SAFETY: each buffer's storage is retained until the end of the function, so the pointers stay valid; nobody
        // writes to the bytes, since the buffers share them.
        defer { while let owner = unsafe owners.popLast() { unsafe owner.release() } }
        for buffer in buffers where buffer.readableBytes > 0 {
            unsafe buffer.withUnsafeReadableBytesWithStorageManagement { bytes, owner in
                unsafe owners.append(owner.retain())
                unsafe vectors.append(
                    iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            }
        }
        var position = offset
        var first = 0
        while first < (unsafe vectors.count) {
            let count = min(unsafe vectors.count - first, Self.vectorsMax)
            let written = unsafe vectors.withUnsafeBufferPointer { all in
                unsafe pwritev(
                    descriptor, all.baseAddress.unsafelyUnwrapped + first, Int32(count), off_t(position))
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw StorageFault("write", path, code: written == 0 ? ENOSPC : errno) }
            position += written
            var left = written
            while left > 0 {
                let length = unsafe Int(vectors[first].iov_len)
                guard length > left else {
                    left -= length
                    first += 1
                    continue
                }
                // SAFETY: `left` is below the vector's length.
                let start = unsafe vectors[first].iov_base.map { unsafe $0 + left }
                unsafe vectors[first] = iovec(iov_base: start, iov_len: length - left)
                left = 0
            }
        }
    }

    /// Reads `count` bytes, or as many as there are.
    func read(at offset: Int, count: Int) throws(StorageFault) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        while buffer.readableBytes < count {
            let have = buffer.readableBytes
            var code: Int32 = 0
            let got = unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count - have) { room in
                // SAFETY: at most the room's bytes are written.
                let got = unsafe pread(
                    descriptor, room.baseAddress, min(room.count, count - have), off_t(offset + have))
                code = got < 0 ? errno : 0
                return max(0, got)
            }
            if code == EINTR { continue }
            guard code == 0 else { throw StorageFault("read", path, code: code) }
            if got == 0 { break }
        }
        return buffer
    }

    /// The record that starts at `offset`; nil when it is not there whole and undamaged.
    func record(at offset: Int) throws(StorageFault) -> (header: RecordHeader, body: ByteBuffer)? {
        let start = try read(at: offset, count: RecordHeader.bytes)
        let header = unsafe start.withUnsafeReadableBytes { unsafe RecordHeader($0, segment: sequence) }
        guard let header, offset + header.recordBytes <= capacity else { return nil }
        let body = try read(at: offset + RecordHeader.bytes, count: header.bodyBytes)
        let checksum = unsafe body.withUnsafeReadableBytes { unsafe Checksum.crc32(0, $0) }
        guard body.readableBytes == header.bodyBytes, checksum == header.checksum else { return nil }
        return (header, body)
    }
}
