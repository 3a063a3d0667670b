internal import OTLP

/// A text or plain bytes: borrowed from the request, or owned.
///
/// Borrowed bytes are valid until the editor opens the next request.
@safe
enum Bytes {
    case borrowed(WireBytes)
    case owned([UInt8])

    init(_ text: String) { self = .owned(Array(text.utf8)) }

    var count: Int {
        switch self {
        case .borrowed(let bytes): bytes.count
        case .owned(let bytes): bytes.count
        }
    }

    /// Lends the bytes. Allocates nothing.
    @inline(__always)
    func read<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        // SAFETY: borrowed for the call.
        case .borrowed(let bytes): unsafe body(bytes.unsafeBytes)
        case .owned(let bytes): unsafe bytes.withUnsafeBytes { unsafe body($0) }
        }
    }

    /// Lends the bytes as a request's. Allocates nothing.
    @inline(__always)
    func lend<Result>(_ body: (WireBytes) -> Result) -> Result {
        switch self {
        case .borrowed(let bytes): body(bytes)
        // SAFETY: borrowed for the call.
        case .owned(let bytes): unsafe bytes.withUnsafeBytes { unsafe body(WireBytes($0)) }
        }
    }

    /// A copy of the bytes; none when they are owned already.
    var array: [UInt8] {
        switch self {
        case .borrowed(let bytes): bytes.array
        case .owned(let bytes): bytes
        }
    }

    var text: String { unsafe read { unsafe String(decoding: $0, as: UTF8.self) } }

    /// As text that may be written: what functions made, or cut out of text, is repaired where it is not UTF-8. Borrowed
    /// text was checked when it came in.
    var asText: Bytes {
        // Nearly all are ASCII; the library's check costs a thousand instructions.
        guard case .owned(let bytes) = self, unsafe !bytes.withUnsafeBytes({ unsafe $0.isASCII }),
            String(validating: bytes, as: UTF8.self) == nil
        else { return self }
        return .owned(Array(String(decoding: bytes, as: UTF8.self).utf8))
    }

    static func == (left: Bytes, right: Bytes) -> Bool {
        left.lend { left in right.lend { left.isEqual(to: $0) } }
    }

    func equals(_ other: [UInt8]) -> Bool {
        self == .owned(other)
    }

    /// Negative, zero or positive, byte by byte as C's `memcmp`; the shorter one first.
    func order(_ other: Bytes) -> Int {
        unsafe read { left in
            unsafe other.read { right in
                let shared = min(left.count, right.count)
                for index in 0..<shared {
                    // SAFETY: index is below both counts.
                    let (one, two) = unsafe (left[index], right[index])
                    if one != two { return one < two ? -1 : 1 }
                }
                return left.count - right.count
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Eight bytes at a time.
    var isASCII: Bool {
        var index = 0
        var seen: UInt64 = 0
        // SAFETY: all that is read is below the count.
        while index &+ 8 <= count {
            unsafe seen |= loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < count {
            unsafe seen |= UInt64(self[index])
            index &+= 1
        }
        return seen & 0x8080_8080_8080_8080 == 0
    }
}
