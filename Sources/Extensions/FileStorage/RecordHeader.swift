internal import Compression
internal import NIOCore
internal import OTLP

/// What precedes a record in a segment: 48 bytes, little-endian.
///
/// ```
///  0 magic      4 kind, signal, encoding, 0   8 segment    16 id
/// 24 items     28 content bytes              32 metadata bytes
/// 36 checksum of metadata and content        40 bytes of the request   44 checksum of the header
/// ```
///
/// The record is metadata, content, and zeros up to a multiple of 8. The segment's number tells the records of this life
/// of a file from those that an earlier one left behind.
struct RecordHeader: Equatable {
    enum Kind: UInt8 {
        /// A batch.
        case batch = 1
        /// Ids, 8 bytes each, of batches that are done.
        case done = 2
    }

    enum Encoding: UInt8 {
        /// The request as it is.
        case plain = 0
        /// The gzip members that it came as.
        case gzip = 1
    }

    var kind: Kind
    var signal: Signal
    var encoding = Encoding.plain
    var segment: UInt64
    var id: UInt64
    var items: Int
    var contentBytes: Int
    var metadataBytes = 0
    var checksum: UInt32 = 0
    /// Of the request when it is not compressed.
    var requestBytes = 0

    static let bytes = 48
    static let magic: UInt32 = 0x5351_4C31
    /// A record's length is a multiple of this, and so is its place.
    static let alignment = 8

    /// Bytes behind the header.
    var bodyBytes: Int { metadataBytes + contentBytes }

    /// Bytes of the record with its header and what fills it up.
    var recordBytes: Int { Self.bytes + (bodyBytes + Self.alignment - 1) / Self.alignment * Self.alignment }

    /// Appends the 48 bytes.
    func write(into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(Self.magic, endianness: .little)
        buffer.writeInteger(kind.rawValue)
        buffer.writeInteger(UInt8(signal.rawValue))
        buffer.writeInteger(encoding.rawValue)
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(segment, endianness: .little)
        buffer.writeInteger(id, endianness: .little)
        buffer.writeInteger(UInt32(items), endianness: .little)
        buffer.writeInteger(UInt32(contentBytes), endianness: .little)
        buffer.writeInteger(UInt32(metadataBytes), endianness: .little)
        buffer.writeInteger(checksum, endianness: .little)
        buffer.writeInteger(UInt32(requestBytes), endianness: .little)
        let own = unsafe buffer.withUnsafeReadableBytes { bytes in
            let at = start - buffer.readerIndex
            return unsafe Checksum.crc32(0, UnsafeRawBufferPointer(rebasing: bytes[at..<(at + 44)]))
        }
        buffer.writeInteger(own, endianness: .little)
    }

    /// Reads 48 bytes; nil when they are no header of this segment.
    init?(_ bytes: UnsafeRawBufferPointer, segment: UInt64) {
        guard bytes.count >= Self.bytes else { return nil }
        // SAFETY: all offsets are below the count that was checked.
        func word(_ offset: Int) -> UInt32 {
            unsafe UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        func long(_ offset: Int) -> UInt64 {
            unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard word(0) == Self.magic, long(8) == segment,
            unsafe word(44) == Checksum.crc32(0, UnsafeRawBufferPointer(rebasing: bytes[..<44])),
            let kind = unsafe Kind(rawValue: bytes[4]),
            let signal = unsafe Signal(rawValue: numericCast(bytes[5])),
            let encoding = unsafe Encoding(rawValue: bytes[6])
        else { return nil }
        self.init(
            kind: kind, signal: signal, segment: segment, id: long(16), items: Int(word(24)),
            contentBytes: Int(word(28)))
        self.encoding = encoding
        metadataBytes = Int(word(32))
        checksum = word(36)
        requestBytes = Int(word(40))
    }

    init(kind: Kind, signal: Signal, segment: UInt64, id: UInt64, items: Int, contentBytes: Int) {
        self.kind = kind
        self.signal = signal
        self.segment = segment
        self.id = id
        self.items = items
        self.contentBytes = contentBytes
    }
}
