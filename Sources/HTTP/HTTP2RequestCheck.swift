internal import Glibc

/// What makes a request of HTTP/2 malformed (RFC 9113 §8.1.1): its stream is reset with PROTOCOL_ERROR.
///
/// Stands in for nghttp2's checks, which also refuse what is legal or harmless and what proxies send: an `:authority`
/// that is no host (Envoy's cluster names, paths of sockets), or none.
package enum HTTP2Malformed: String, Sendable {
    case fieldName = "malformed_field_name"
    case fieldValue = "malformed_field_value"
    case unknownPseudoField = "unknown_pseudo_field"
    case duplicatePseudoField = "duplicate_pseudo_field"
    case misplacedPseudoField = "misplaced_pseudo_field"
    case missingPseudoField = "missing_pseudo_field"
    case path = "malformed_path"
    case method = "malformed_method"
    case connectionField = "connection_specific_field"
    case contentLength = "malformed_content_length"
    case bodyLength = "body_differs_from_content_length"
    case openTrailers = "trailers_without_end"
}

/// Checks the header sections of one request field by field. A class, since access to a property that is a struct is
/// checked at run time: 700 instructions a request. Confined to its stream.
final class HTTP2RequestCheck {
    private struct Seen: OptionSet {
        let rawValue: UInt8
        static let method = Seen(rawValue: 1)
        static let scheme = Seen(rawValue: 2)
        static let path = Seen(rawValue: 4)
        static let authority = Seen(rawValue: 8)
        static let regular = Seen(rawValue: 16)
        static let connect = Seen(rawValue: 32)
        static let trailers = Seen(rawValue: 64)
        static let options = Seen(rawValue: 128)
    }

    private var seen: Seen = []
    private var isAsterisk = false
    /// What `content-length` says; -1 when it says nothing.
    private var contentLength = -1
    private var bodyBytes = 0
    /// The first thing that was wrong.
    private(set) var fault: HTTP2Malformed?

    /// Begins with another request.
    func reset() {
        seen = []
        isAsterisk = false
        contentLength = -1
        bodyBytes = 0
        fault = nil
    }

    /// The fields that follow are trailers.
    func beginTrailers() { seen.insert(.trailers) }

    /// - Returns: whether the field is to be kept: one of a name or a value that is not legal is dropped.
    func field(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard fault == nil else { return false }
        guard let first = unsafe name.first else { return fail(.fieldName) }
        if first == UInt8(ascii: ":") { return unsafe pseudoField(name, value) }
        seen.insert(.regular)
        for index in 0..<name.count {
            let byte = unsafe name[index]
            if byte &- 0x61 < 26 || byte == 0x2D { continue }
            if byte &- 0x41 < 26 { return fail(.fieldName) }
            if !isToken(byte) { return false }
        }
        guard unsafe Self.isText(value) else {
            if unsafe value.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) {
                return fail(.fieldValue)
            }
            return false
        }
        return unsafe regularField(name, value)
    }

    private func regularField(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer)
        -> Bool
    {
        // Few names have one of these lengths.
        switch name.count {
        case 2 where unsafe equals(name, "te"):
            if unsafe !equalsIgnoringCase(value[...], "trailers") { return fail(.connectionField) }
        case 7 where unsafe equals(name, "upgrade"): return fail(.connectionField)
        case 10 where unsafe equals(name, "connection") || equals(name, "keep-alive"):
            return fail(.connectionField)
        case 16 where unsafe equals(name, "proxy-connection"): return fail(.connectionField)
        case 17 where unsafe equals(name, "transfer-encoding"): return fail(.connectionField)
        case 14 where unsafe !seen.contains(.trailers) && equals(name, "content-length"):
            guard let length = unsafe decimal(value), contentLength < 0 || contentLength == length else {
                return fail(.contentLength)
            }
            contentLength = length
        default: break
        }
        return true
    }

    private func pseudoField(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard !seen.contains(.trailers), !seen.contains(.regular) else { return fail(.misplacedPseudoField) }
        guard unsafe Self.isText(value) else { return fail(.fieldValue) }
        let which: Seen
        switch name.count {
        case 5 where unsafe equals(name, ":path"):
            which = .path
            isAsterisk = unsafe value.count == 1 && value[0] == UInt8(ascii: "*")
            guard unsafe value.first == UInt8(ascii: "/") || isAsterisk,
                unsafe value.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
            else { return fail(.path) }
        case 7 where unsafe equals(name, ":method"):
            which = .method
            guard unsafe !value.isEmpty, unsafe value.allSatisfy(isToken) else { return fail(.method) }
            if unsafe equals(value, "CONNECT") { seen.insert(.connect) }
            if unsafe equals(value, "OPTIONS") { seen.insert(.options) }
        case 7 where unsafe equals(name, ":scheme"): which = .scheme
        case 10 where unsafe equals(name, ":authority"): which = .authority
        default: return fail(.unknownPseudoField)
        }
        guard !seen.contains(which) else { return fail(.duplicatePseudoField) }
        seen.insert(which)
        return true
    }

    /// The section is complete.
    /// - Parameter endsStream: whether nothing follows.
    func endSection(endsStream: Bool) {
        guard fault == nil else { return }
        if seen.contains(.trailers) {
            if !endsStream { fault = .openTrailers }
            return
        }
        let needed: Seen = seen.contains(.connect) ? [.method, .authority] : [.method, .scheme, .path]
        if !seen.isSuperset(of: needed) { fault = .missingPseudoField }
        if isAsterisk, !seen.contains(.options) { fault = .path }
    }

    /// Bytes of the body came.
    func body(_ count: Int) {
        bodyBytes += count
        if contentLength >= 0, bodyBytes > contentLength { fault = fault ?? .bodyLength }
    }

    /// The body is complete.
    func end() {
        if contentLength >= 0, bodyBytes != contentLength { fault = fault ?? .bodyLength }
    }

    private func fail(_ fault: HTTP2Malformed) -> Bool {
        self.fault = fault
        return false
    }

    /// Neither control characters nor blanks around it. Eight bytes at a time: byte by byte a request of one
    /// item took 2 000 instructions more, of 41 000.
    static func isText(_ value: UnsafeRawBufferPointer) -> Bool {
        guard let first = unsafe value.first, let last = unsafe value.last else { return true }
        guard first != 0x20, first != 0x09, last != 0x20, last != 0x09 else { return false }
        let (lows, highs): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        var index = 0
        while index &+ 8 <= value.count {
            // SAFETY: eight bytes follow.
            let word = unsafe value.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let deletes = word ^ (lows &* 0x7F)
            let suspects = ((word &- lows &* 0x20) & ~word | (deletes &- lows) & ~deletes) & highs
            // One of them is a control character, or a tab.
            if suspects != 0, unsafe !isTextByByte(value, index..<index &+ 8) { return false }
            index &+= 8
        }
        return unsafe isTextByByte(value, index..<value.count)
    }

    private static func isTextByByte(_ value: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        for index in range {
            let byte = unsafe value[index]
            if byte < 0x20 && byte != 0x09 || byte == 0x7F { return false }
        }
        return true
    }
}

private func equals(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount, let start = bytes.baseAddress else { return false }
    // SAFETY: both have so many bytes.
    return unsafe memcmp(start, text.utf8Start, bytes.count) == 0
}
