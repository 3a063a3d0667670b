internal import Glibc

/// Reads the requests of one HTTP/1.1 connection from its bytes, without I/O (RFC 9112).
///
/// Strict where leniency lets two readers of one connection disagree about where a request ends: line ends are CRLF,
/// a name touches its colon, lines are not folded, a length is told once. A head is read when it is there whole, at
/// most `headBytesMax`; a body is passed on as it comes. Allocates nothing for a request. Confined to its connection.
///
/// By hand: NIO's decoder takes 25 000 instructions for a request of seven fields, this parser 4 200 for one of four, and has
/// no places for the limits on fields. Small pages and the client, where that does not matter, use NIO's.
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
                guard line.count <= Self.chunkLineMax, let size = unsafe chunkSize(line) else {
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
            // Such a head may never end as ours do: its client would wait for an answer.
            if unsafe Self.hasBareLineFeed(bytes, max(begin, scanned)..<bytes.count) { throw .bareLineFeed }
            if bytes.count - begin > Self.headBytesMax { throw .headTooLarge(limit: Self.headBytesMax) }
            consumed += begin
            state = .head(scanned: bytes.count - begin)
            return .needMore
        }
        let parsed: Head
        do throws(HTTP1Error) {
            if end - begin > Self.headBytesMax { throw .headTooLarge(limit: Self.headBytesMax) }
            parsed = try unsafe parse(UnsafeRawBufferPointer(rebasing: bytes[begin..<end]), head)
        } catch {
            // The same error however the bytes come.
            if unsafe Self.hasBareLineFeed(bytes, begin..<end) { throw .bareLineFeed }
            throw error
        }
        consumed += end
        if let length = parsed.contentLength {
            state = .length(missing: length)
        } else {
            state = .chunkSize
        }
        return .head(parsed)
    }

    private static func hasBareLineFeed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        var at = range.lowerBound
        // SAFETY: the range is one of `bytes`.
        while at < range.upperBound, let start = bytes.baseAddress,
            let found = unsafe memchr(start + at, Int32(lf), range.upperBound - at)
        {
            let index = unsafe UnsafeRawPointer(found) - start
            if unsafe index == 0 || bytes[index - 1] != cr { return true }
            at = index + 1
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
        let name = unsafe UnsafeRawBufferPointer(rebasing: line[..<nameEnd])
        guard unsafe HTTP2RequestCheck.isText(value) else { throw unsafe .badField(name: shown(name)) }
        unsafe head.append(loweredName: name, value: value)
        try unsafe framing.note(nameLength: nameEnd, head, value)
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
}
