internal import Glibc

/// Why bytes are no HTTP/1.1 request. The connection ends after the answer: nobody knows where the next request begins.
package enum HTTP1Error: Error, Equatable, CustomStringConvertible {
    case badRequestLine
    case badVersion
    case badField(name: String)
    case bareLineFeed
    case foldedField
    case noHost
    case severalHosts
    case badHost(String)
    case badContentLength(String)
    case severalLengths
    case unknownTransferCoding(String)
    case badChunk
    case headTooLarge(limit: Int)

    /// The status of the answer (RFC 9110 §15).
    package var status: Int {
        switch self {
        case .badVersion: 505
        case .unknownTransferCoding: 501
        case .headTooLarge: 431
        default: 400
        }
    }

    package var description: String {
        switch self {
        case .badRequestLine: "the request line is not \"METHOD TARGET HTTP/1.1\""
        case .badVersion: "the version is neither HTTP/1.1 nor HTTP/1.0"
        case .badField(let name):
            "the header has a line that is no field, or has forbidden bytes: \"\(name)\""
        case .bareLineFeed: "a line of the header ends in a line feed without a carriage return"
        case .foldedField: "a field goes on in the next line, which is obsolete"
        case .noHost: "the host field is missing"
        case .severalHosts: "there is more than one host field"
        case .badHost(let text): "the host field is no host with an optional port: \"\(text)\""
        case .badContentLength(let text): "content-length is not a number: \"\(text)\""
        case .severalLengths: "the length of the body is told more than once"
        case .unknownTransferCoding(let text): "transfer-encoding is not understood: \"\(text)\""
        case .badChunk: "the body is not well-formed in chunks"
        case .headTooLarge(let limit):
            "the header has more than \(limit) bytes, 32 counted for each field beside its own"
        }
    }
}

/// Reads the requests of one HTTP/1.1 connection from its bytes, without I/O (RFC 9112).
///
/// Strict where leniency lets two readers of one connection disagree about where a request ends: line ends are CRLF,
/// a name touches its colon, lines are not folded, a length is told once. A head is read when it is there whole, at
/// most `headBytesMax`; a body is passed on as it comes. Allocates nothing for a request. Confined to its connection.
package struct HTTP1RequestParser {
    /// The largest head, and the largest trailer section.
    package static let headBytesMax = 64 << 10
    /// What each field counts beside its own bytes, as in HTTP/2 (RFC 9113 §6.5.2): many small ones cost, too.
    private static let fieldBytes = 32
    /// The longest line with the size of a chunk, extensions and all.
    private static let chunkLineMax = 1024

    /// What the framing of a request says.
    package struct Head: Equatable {
        /// The client wants to send more on this connection.
        package var keepAlive: Bool
        /// HTTP/1.0, whose connections end unless both sides say otherwise.
        package var isVersion10: Bool
        /// Bytes of the body; nil when it comes in chunks.
        package var contentLength: Int?
    }

    /// What the next bytes are.
    package enum Step: Equatable {
        /// The rest must be shown again, with more behind it.
        case needMore
        /// A request begins. Its method and target are the fields `:method` and `:path` of the block.
        case head(Head)
        /// So many of the bytes, behind those that were consumed with the last step, are the body's.
        case body(Range<Int>)
        /// The request is complete.
        case end
    }

    private enum State {
        case head(scanned: Int)
        case length(missing: Int)
        case chunkSize
        case chunk(missing: Int)
        case chunkEnd
        case trailers(used: Int)
    }

    private var state = State.head(scanned: 0)

    package init() {}

    /// Whether the next bytes begin a request.
    package var isBetweenRequests: Bool {
        if case .head = state { true } else { false }
    }

    /// Reads on.
    /// - Parameters:
    ///   - bytes: all that was not consumed yet.
    ///   - head: gets the fields of a request.
    ///   - consumed: how many of the bytes are done with.
    package mutating func next(
        _ bytes: UnsafeRawBufferPointer, head: HeaderBlock, consumed: inout Int
    ) throws(HTTP1Error) -> Step {
        consumed = 0
        while true {
            // SAFETY: `consumed` never passes the end of `bytes`.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[consumed...])
            switch state {
            case .head(let scanned):
                return try unsafe readHead(rest, scanned, head, &consumed)
            case .length(missing: 0):
                state = .head(scanned: 0)
                return .end
            case .length(let missing):
                let count = min(missing, rest.count)
                if count == 0 { return .needMore }
                state = .length(missing: missing - count)
                return body(count, &consumed)
            case .chunkSize:
                guard let line = unsafe Self.line(rest) else {
                    if rest.count > Self.chunkLineMax { throw .badChunk }
                    return .needMore
                }
                guard line.count <= Self.chunkLineMax, let size = unsafe Self.chunkSize(line) else {
                    throw .badChunk
                }
                consumed += line.count + 2
                state = size == 0 ? .trailers(used: 0) : .chunk(missing: size)
            case .chunk(let missing):
                let count = min(missing, rest.count)
                if count == 0 { return .needMore }
                state = count == missing ? .chunkEnd : .chunk(missing: missing - count)
                return body(count, &consumed)
            case .chunkEnd:
                if rest.count < 2 { return .needMore }
                guard unsafe rest[0] == cr, unsafe rest[1] == lf else { throw .badChunk }
                consumed += 2
                state = .chunkSize
            case .trailers(let used):
                guard let line = unsafe Self.line(rest) else {
                    if used + rest.count > Self.headBytesMax {
                        throw .headTooLarge(limit: Self.headBytesMax)
                    }
                    return .needMore
                }
                if unsafe line.last == lf { throw .badChunk }
                consumed += line.count + 2
                if unsafe line.isEmpty {
                    state = .head(scanned: 0)
                    return .end
                }
                if used + line.count > Self.headBytesMax { throw .headTooLarge(limit: Self.headBytesMax) }
                state = .trailers(used: used + line.count + 2)
            }
        }
    }

    private func body(_ count: Int, _ consumed: inout Int) -> Step {
        defer { consumed += count }
        return .body(consumed..<consumed + count)
    }

    // MARK: - The head

    private mutating func readHead(
        _ bytes: UnsafeRawBufferPointer, _ scanned: Int, _ head: HeaderBlock, _ consumed: inout Int
    ) throws(HTTP1Error) -> Step {
        var begin = 0
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        while bytes.count >= begin + 2, unsafe bytes[begin] == cr, unsafe bytes[begin + 1] == lf {
            begin += 2
        }
        // The end is looked for in what is new only, so that a head that trickles in costs no more than another.
        let from = max(begin, scanned - 3)
        guard let end = unsafe Self.endOfHead(bytes, from: from) else {
            if bytes.count - begin > Self.headBytesMax { throw .headTooLarge(limit: Self.headBytesMax) }
            // Such a head may never end as ours do: its client would wait for an answer.
            if unsafe Self.hasBareLineFeed(bytes, from: max(begin, scanned)) { throw .bareLineFeed }
            consumed += begin
            state = .head(scanned: bytes.count - begin)
            return .needMore
        }
        if end - begin > Self.headBytesMax { throw .headTooLarge(limit: Self.headBytesMax) }
        consumed += end
        let parsed = try unsafe parse(UnsafeRawBufferPointer(rebasing: bytes[begin..<end]), head)
        if let length = parsed.contentLength {
            state = .length(missing: length)
        } else {
            state = .chunkSize
        }
        return .head(parsed)
    }

    private static func hasBareLineFeed(_ bytes: UnsafeRawBufferPointer, from: Int) -> Bool {
        for index in from..<bytes.count where unsafe bytes[index] == lf {
            if unsafe index == 0 || bytes[index - 1] != cr { return true }
        }
        return false
    }

    private static func endOfHead(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int? {
        var at = from
        // SAFETY: every index is checked against the count before it is used.
        while at < bytes.count, let start = bytes.baseAddress {
            guard let found = unsafe memchr(start + at, Int32(cr), bytes.count - at) else { return nil }
            let index = unsafe UnsafeRawPointer(found) - start
            guard index + 4 <= bytes.count else { return nil }
            if unsafe bytes[index + 1] == lf, unsafe bytes[index + 2] == cr, unsafe bytes[index + 3] == lf {
                return index + 4
            }
            at = index + 1
        }
        return nil
    }

    private func parse(_ bytes: UnsafeRawBufferPointer, _ head: HeaderBlock) throws(HTTP1Error) -> Head {
        head.removeAll()
        guard let requestLine = unsafe Self.line(bytes) else { throw .badRequestLine }
        var framing = Framing(isVersion10: try unsafe Self.requestLine(requestLine, head))
        var at = requestLine.count + 2
        while true {
            guard let line = unsafe Self.line(UnsafeRawBufferPointer(rebasing: bytes[at...])) else {
                throw .badField(name: "")
            }
            if unsafe line.isEmpty { break }
            at += line.count + 2
            try unsafe Self.field(line, head, &framing)
            if head.byteCount + head.count * Self.fieldBytes > Self.headBytesMax {
                throw .headTooLarge(limit: Self.headBytesMax)
            }
        }
        return try framing.head()
    }

    /// - Returns: whether the version is 1.0.
    private static func requestLine(
        _ line: UnsafeRawBufferPointer, _ head: HeaderBlock
    ) throws(HTTP1Error) -> Bool {
        let version = 8
        // The shortest: "A / HTTP/1.1".
        guard line.count >= version + 4, unsafe line[line.count - version - 1] == space else {
            throw .badRequestLine
        }
        var methodEnd = 0
        // Ends at the space before the version at the latest.
        while unsafe isToken(line[methodEnd]) { methodEnd += 1 }
        guard methodEnd > 0, unsafe line[methodEnd] == space else { throw .badRequestLine }
        // One space may not be both.
        guard methodEnd + 1 < line.count - version - 1 else { throw .badRequestLine }
        let target = methodEnd + 1..<line.count - version - 1
        for index in target where unsafe !(0x21...0x7E).contains(line[index]) { throw .badRequestLine }
        let number = unsafe UnsafeRawBufferPointer(rebasing: line[(line.count - version)...])
        guard unsafe number.starts(with: "HTTP/".utf8), unsafe number[6] == UInt8(ascii: ".") else {
            throw .badRequestLine
        }
        guard unsafe number[5] == UInt8(ascii: "1"), unsafe number[7] == one || number[7] == zero else {
            throw .badVersion
        }
        unsafe head.append(name: ":method", value: UnsafeRawBufferPointer(rebasing: line[..<methodEnd]))
        unsafe appendPath(UnsafeRawBufferPointer(rebasing: line[target]), head)
        return unsafe number[7] == zero
    }

    /// Appends the path of a request's target. Of an absolute one, "http://host/path", what comes behind the host (RFC
    /// 9112 §3.2.2): every host is ours.
    private static func appendPath(_ target: UnsafeRawBufferPointer, _ head: HeaderBlock) {
        if unsafe target.first != slash {
            for scheme in ["http://", "https://"] as [StaticString]
            where unsafe target.count > scheme.utf8CodeUnitCount
                && equalsIgnoringCase(target.prefix(scheme.utf8CodeUnitCount), scheme)
            {
                let authority = scheme.utf8CodeUnitCount
                let rest = unsafe target[authority...].firstIndex { $0 == slash || $0 == UInt8(ascii: "?") }
                guard let rest, unsafe target[rest] == slash else {
                    return unsafe head.append(
                        name: ":path",
                        value: UnsafeRawBufferPointer(rebasing: target[authority - 1..<authority]))
                }
                return unsafe head.append(
                    name: ":path", value: UnsafeRawBufferPointer(rebasing: target[rest...]))
            }
        }
        unsafe head.append(name: ":path", value: target)
    }

    private static func field(
        _ line: UnsafeRawBufferPointer, _ head: HeaderBlock, _ framing: inout Framing
    ) throws(HTTP1Error) {
        if unsafe line[0] == space || line[0] == tab { throw .foldedField }
        var nameEnd = 0
        while nameEnd < line.count, unsafe isToken(line[nameEnd]) { nameEnd += 1 }
        var begin = nameEnd + 1
        var end = line.count
        guard nameEnd > 0, nameEnd < line.count, unsafe line[nameEnd] == UInt8(ascii: ":") else {
            throw unsafe .badField(name: shown(line))
        }
        while begin < end, unsafe line[begin] == space || line[begin] == tab { begin += 1 }
        while end > begin, unsafe line[end - 1] == space || line[end - 1] == tab { end -= 1 }
        let value = unsafe UnsafeRawBufferPointer(rebasing: line[begin..<end])
        var forbidden = false
        for index in 0..<value.count {
            let byte = unsafe value[index]
            forbidden = forbidden || (byte < space && byte != tab) || byte == 0x7F
        }
        let name = unsafe UnsafeRawBufferPointer(rebasing: line[..<nameEnd])
        if forbidden { throw unsafe .badField(name: shown(name)) }
        unsafe head.append(loweredName: name, value: value)
        try unsafe framing.note(nameLength: nameEnd, head, value)
    }

    /// What frames the request, gathered field by field.
    private struct Framing {
        let isVersion10: Bool
        private var hosts = 0
        private var contentLength: Int?
        private var isChunked = false
        private var close = false
        private var keepAlive = false

        init(isVersion10: Bool) { self.isVersion10 = isVersion10 }

        /// Looks at the field that `head` got last.
        mutating func note(
            nameLength: Int, _ head: HeaderBlock, _ value: UnsafeRawBufferPointer
        ) throws(HTTP1Error) {
            // Every name has a length of its own: one comparison for most fields.
            switch nameLength {
            case 4 where head.lastName(is: "host"):
                hosts += 1
                for index in 0..<value.count where unsafe !isHostByte(value[index]) {
                    throw unsafe .badHost(shown(value))
                }
            case 10 where head.lastName(is: "connection"):
                let tokens = unsafe value.split(separator: UInt8(ascii: ","))
                for index in unsafe tokens.indices {
                    let token = unsafe tokens[index]
                    close = unsafe close || equalsIgnoringCase(token, "close")
                    keepAlive = unsafe keepAlive || equalsIgnoringCase(token, "keep-alive")
                }
            case 14 where head.lastName(is: "content-length"):
                guard let length = unsafe decimal(value) else { throw unsafe .badContentLength(shown(value)) }
                if contentLength != nil { throw .severalLengths }
                contentLength = length
            case 17 where head.lastName(is: "transfer-encoding"):
                guard unsafe equalsIgnoringCase(value[...], "chunked"), !isVersion10 else {
                    throw unsafe .unknownTransferCoding(shown(value))
                }
                if isChunked { throw .severalLengths }
                isChunked = true
            default:
                break
            }
        }

        func head() throws(HTTP1Error) -> Head {
            if hosts > 1 { throw .severalHosts }
            if hosts == 0, !isVersion10 { throw .noHost }
            if isChunked, contentLength != nil { throw .severalLengths }
            return Head(
                keepAlive: isVersion10 ? keepAlive && !close : !close, isVersion10: isVersion10,
                contentLength: isChunked ? nil : contentLength ?? 0)
        }
    }

    // MARK: - Lines and numbers

    /// The first line without its end; nil when it has none yet.
    private static func line(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let start = bytes.baseAddress,
            let found = unsafe memchr(start, Int32(lf), bytes.count)
        else { return nil }
        let count = unsafe UnsafeRawPointer(found) - start
        // A line feed alone ends no line; as a byte of one it is found out by the caller.
        guard count > 0, unsafe bytes[count - 1] == cr else {
            return unsafe UnsafeRawBufferPointer(start: start, count: count + 1)
        }
        return unsafe UnsafeRawBufferPointer(start: start, count: count - 1)
    }

    private static func chunkSize(_ line: UnsafeRawBufferPointer) -> Int? {
        var value = 0
        var digits = 0
        for index in 0..<line.count {
            let byte = unsafe line[index]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            // What follows are extensions, which mean nothing here.
            case UInt8(ascii: ";") where digits > 0, space where digits > 0, tab where digits > 0:
                return unsafe line.contains(lf) || line.contains(cr) ? nil : value
            default: return nil
            }
            digits += 1
            guard digits <= 15 else { return nil }
            value = value << 4 | Int(digit)
        }
        return digits > 0 ? value : nil
    }
}

private let cr = UInt8(ascii: "\r")
private let lf = UInt8(ascii: "\n")
private let space = UInt8(ascii: " ")
private let tab = UInt8(ascii: "\t")
private let slash = UInt8(ascii: "/")
private let zero = UInt8(ascii: "0")
private let one = UInt8(ascii: "1")

/// The characters of methods and of field names (RFC 9110 §5.6.2).
func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        zero...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
        UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
        true
    default: false
    }
}

/// The characters of a host with a port (RFC 3986 §3.2.2), and those of the names that Envoy makes.
private func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"): false
    case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "("), UInt8(ascii: ")"),
        UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="):
        true
    default: isToken(byte)
    }
}

func equalsIgnoringCase(_ bytes: Slice<UnsafeRawBufferPointer>, _ text: StaticString) -> Bool {
    var trimmed = unsafe bytes
    while let first = unsafe trimmed.first, first == space || first == tab { unsafe trimmed.removeFirst() }
    while let last = unsafe trimmed.last, last == space || last == tab { unsafe trimmed.removeLast() }
    let wanted = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    return unsafe trimmed.elementsEqual(wanted) { $0 == $1 || ($0 | 0x20 == $1 && isToken($0)) }
}

func decimal(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard (1...18).contains(bytes.count) else { return nil }
    var value = 0
    for index in 0..<bytes.count {
        let byte = unsafe bytes[index]
        guard (zero...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int(byte - zero)
    }
    return value
}

/// A client's bytes as a message shows them: printable, no longer than a line.
private func shown(_ bytes: UnsafeRawBufferPointer) -> String {
    let visible = unsafe bytes.prefix(64).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
    return String(decoding: visible, as: UTF8.self)
}
