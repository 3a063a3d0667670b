internal import Compression
internal import NIOCore
internal import OTLP

/// A gzip member that says in an extra field of its head (RFC 1952 §2.3.1.1) how long it is and whether a batch ends
/// with it, so that the end of the last whole batch can be found without decompressing. Other programs skip the field.
///
///     1F 8B 08 04 · time and system, 6 bytes · 09 00 · "Sl" 05 00 · length, 4 bytes, lowest first · 1: a batch ends
struct GzipMember: Equatable {
    static let headBytes = 21
    /// Of a member without the field.
    private static let plainHeadBytes = 10
    private static let fieldHead: [UInt8] = [9, 0, UInt8(ascii: "S"), UInt8(ascii: "l"), 5, 0]

    /// With the head.
    let bytes: Int
    let endsBatch: Bool

    /// Reads a head of `headBytes`; nil when it is none of ours.
    init?(head: [UInt8]) {
        guard head.count == Self.headBytes, head.starts(with: [0x1F, 0x8B, 8, 4]),
            head[Self.plainHeadBytes...].starts(with: Self.fieldHead), head[20] <= 1
        else { return nil }
        bytes = head[16..<20].reversed().reduce(0) { $0 << 8 | Int($1) }
        endsBatch = head[20] == 1
        guard bytes > Self.headBytes else { return nil }
    }

    /// Compresses bytes into an empty buffer.
    static func write(
        _ content: WireBytes, endsBatch: Bool, with gzipper: Gzipper, into member: inout ByteBuffer
    ) {
        precondition(member.readableBytes == 0, "a member begins the buffer")
        let room = headBytes - plainHeadBytes
        member.writeRepeatingByte(0, count: room)
        // SAFETY: the bytes live for the call.
        let input = unsafe RawSpan(_unsafeBytes: content.unsafeBytes)
        _ = gzipper.compress(input) { minimum, fill in
            member.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
        }
        guard let size = UInt32(exactly: member.readableBytes),
            var head = member.getBytes(at: room, length: plainHeadBytes), head[3] == 0
        else { preconditionFailure("a member of 4 GB, or with fields") }
        head[3] = 4
        head += fieldHead
        for shift in stride(from: 0, through: 24, by: 8) {
            head.append(UInt8(truncatingIfNeeded: size >> UInt32(shift)))
        }
        head.append(endsBatch ? 1 : 0)
        member.setBytes(head, at: 0)
    }
}
