internal import Glibc

/// The text that every match of a pattern begins with, perhaps behind `^`, and whether that is all there is, perhaps before
/// `$`: as in nearly half of the patterns of configurations. It is compared before RE2 is asked, or instead: RE2 takes 1 100
/// instructions to begin a search, this a few tens.
@safe
struct Literal {
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private let isAtStart: Bool
    private let isAtEnd: Bool
    /// Whether nothing but this text matches.
    let isAll: Bool

    /// Nil: a match may begin with anything.
    init?(_ pattern: String) {
        var rest = Array(pattern.utf8)[...]
        let isAtStart = rest.first == UInt8(ascii: "^")
        if isAtStart { rest.removeFirst() }
        var text: [UInt8] = []
        var (isAtEnd, isAll) = (false, true)
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "$"), rest.isEmpty {
                isAtEnd = true
            } else if byte == UInt8(ascii: "\\"), let escaped = rest.first, Self.isPunctuation(escaped) {
                text.append(escaped)
                rest.removeFirst()
            } else if byte >= 0x80 || Self.special.contains(byte) {
                // Of an alternative nothing is known; what may be repeated may be missing, also behind an empty group
                // or quotation.
                if rest.contains(UInt8(ascii: "|")) || byte == UInt8(ascii: "|") { return nil }
                if #"*?+{(\"#.utf8.contains(byte) { _ = text.popLast() }
                isAll = false
                break
            } else {
                text.append(byte)
            }
        }
        guard isAll || !text.isEmpty else { return nil }
        unsafe bytes = .allocate(capacity: text.count)
        _ = unsafe bytes.initialize(from: text)
        (self.isAtStart, self.isAtEnd, self.isAll) = (isAtStart, isAtEnd, isAll)
    }

    /// Of the text.
    var count: Int { unsafe bytes.count }

    /// Once, by the owner.
    func deallocate() { unsafe bytes.deallocate() }

    /// In a shorter text the first two bytes are looked for one by one; `memchr` stops at each first one.
    private static let shortTextBytesMax = 128

    private static let special = Set(#"\.+*?()|[]{}^$"#.utf8)

    private static func isPunctuation(_ byte: UInt8) -> Bool {
        (0x21...0x2F).contains(byte) || (0x3A...0x40).contains(byte) || (0x5B...0x60).contains(byte)
            || (0x7B...0x7E).contains(byte)
    }

    /// Where a match may begin, from an offset on; nil: there is none. Where this text is all, there is a match.
    /// - Parameter whole: the match must be the whole text.
    func search(_ text: UnsafeBufferPointer<UInt8>, from: Int, whole: Bool) -> Int? {
        let last = unsafe text.count - bytes.count
        guard from <= last else { return nil }
        let isEnd = isAll && (isAtEnd || whole)
        guard let base = text.baseAddress, let literal = unsafe bytes.baseAddress, unsafe !bytes.isEmpty
        else {
            // Nothing, perhaps at an end.
            if isAtStart || whole { return from == 0 && (last == 0 || !isEnd) ? 0 : nil }
            return isEnd ? last : from
        }
        if isAtStart || whole {
            // SAFETY: the text is as long as the literal at least.
            let isThere = unsafe from == 0 && memcmp(base, literal, bytes.count) == 0
            return isThere && (last == 0 || !isEnd) ? 0 : nil
        }
        if isEnd {
            // SAFETY: as above.
            return unsafe memcmp(base + last, literal, bytes.count) == 0 ? last : nil
        }
        if unsafe bytes.count > 1 && text.count <= Self.shortTextBytesMax {
            let head = unsafe UnsafeRawPointer(literal).loadUnaligned(as: UInt16.self)
            for index in from...last {
                // SAFETY: a literal's length behind each index is inside of the text.
                if unsafe UnsafeRawPointer(base).loadUnaligned(fromByteOffset: index, as: UInt16.self)
                    == head,
                    unsafe bytes.count == 2 || memcmp(base + index, literal, bytes.count) == 0
                {
                    return index
                }
            }
            return nil
        }
        var index = from
        while index <= last {
            // SAFETY: bytes from `index` to `last` are inside of the text, and so is a literal's length behind each.
            guard let found = unsafe memchr(base + index, Int32(literal[0]), last - index + 1) else {
                return nil
            }
            index = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(base)
            if unsafe memcmp(base + index, literal, bytes.count) == 0 { return index }
            index += 1
        }
        return nil
    }
}
