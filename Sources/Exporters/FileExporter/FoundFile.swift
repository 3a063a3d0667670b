internal import Glibc

/// What a file holds that was there at the start, as far as this exporter can go on with it.
///
/// Looks at lengths only, one short read for each message or member: seconds for many gigabytes.
enum FoundFile: Equatable {
    /// Batches in so many bytes, the file's first. What follows is a part of one, which a killed process has left.
    case batches(bytes: Int)
    /// Something that this exporter does not write, or not with this configuration.
    case foreign

    /// Looks into a file of protobuf messages, or of zstd frames, behind their lengths.
    /// - Parameters:
    ///   - bytes: the file's size.
    ///   - firstByte: with which every one begins that is not empty; a request with its one field.
    static func ofMessages(_ descriptor: Int32, bytes: Int, firstByte: UInt8 = 0x0A) -> FoundFile {
        var head = [UInt8](repeating: 0, count: 5)
        var offset = 0
        while offset < bytes {
            let count = read(descriptor, at: offset, into: &head)
            guard count > 0 else { return .foreign }
            guard count >= 4 else { break }
            let size = head[..<4].reduce(0) { $0 << 8 | Int($1) }
            if size > 0, count == 5, head[4] != firstByte { return .foreign }
            guard offset + 4 + size <= bytes else { break }
            offset += 4 + size
        }
        return offset > 0 || bytes == 0 ? .batches(bytes: offset) : .foreign
    }

    /// Looks into a file of gzip members as `GzipMember` writes them.
    /// - Parameter bytes: the file's size.
    static func ofMembers(_ descriptor: Int32, bytes: Int) -> FoundFile {
        var head = [UInt8](repeating: 0, count: GzipMember.headBytes)
        var offset = 0
        var end = 0
        while offset < bytes {
            let count = read(descriptor, at: offset, into: &head)
            guard count == head.count else {
                return offset > 0 && count > 0 ? .batches(bytes: end) : .foreign
            }
            guard let member = GzipMember(head: head) else { return .foreign }
            guard offset + member.bytes <= bytes else { break }
            offset += member.bytes
            if member.endsBatch { end = offset }
        }
        return .batches(bytes: end)
    }

    /// The bytes that were read; fewer at the end of the file, none when it cannot be read.
    private static func read(_ descriptor: Int32, at offset: Int, into head: inout [UInt8]) -> Int {
        // SAFETY: at most as many bytes are read as the array, which outlives the call, has.
        max(0, unsafe pread(descriptor, &head, head.count, off_t(offset)))
    }
}
