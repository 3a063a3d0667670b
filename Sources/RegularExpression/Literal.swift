internal import Glibc

/// A pattern in which nothing is special, perhaps between `^` and `$`, as nearly half of those in configurations are: its text
/// is compared. RE2 takes 1 100 instructions to begin a search, this a few tens.
@safe
struct Literal {
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private let isAtStart: Bool
    private let isAtEnd: Bool

    /// Nil: the pattern is more than that.
    init?(_ pattern: String) {
        var rest = Array(pattern.utf8)[...]
        let isAtStart = rest.first == UInt8(ascii: "^")
        if isAtStart { rest.removeFirst() }
        var text: [UInt8] = []
        var isAtEnd = false
        while var byte = rest.popFirst() {
            if byte == UInt8(ascii: "$"), rest.isEmpty {
                isAtEnd = true
                break
            }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst(), Self.isPunctuation(escaped) else { return nil }
                byte = escaped
            } else if byte >= 0x80 || Self.special.contains(byte) {
                return nil
            }
            text.append(byte)
        }
        unsafe bytes = .allocate(capacity: text.count)
        _ = unsafe bytes.initialize(from: text)
        (self.isAtStart, self.isAtEnd) = (isAtStart, isAtEnd)
    }

    /// Once, by the owner.
    func deallocate() { unsafe bytes.deallocate() }

    private static let special = Set(#"\.+*?()|[]{}^$"#.utf8)

    private static func isPunctuation(_ byte: UInt8) -> Bool {
        (0x21...0x2F).contains(byte) || (0x3A...0x40).contains(byte) || (0x5B...0x60).contains(byte)
            || (0x7B...0x7E).contains(byte)
    }

    /// Whether it occurs in the text, or is the whole of it.
    func occurs(in text: UnsafeBufferPointer<UInt8>, whole: Bool) -> Bool {
        guard unsafe text.count >= bytes.count else { return false }
        guard let base = text.baseAddress, let literal = unsafe bytes.baseAddress,
            unsafe !bytes.isEmpty
        else {
            // Nothing: occurs everywhere, and is all of nothing.
            return text.isEmpty || !(whole || (isAtStart && isAtEnd))
        }
        let last = unsafe text.count - bytes.count
        if isAtStart || whole {
            guard last == 0 || !(isAtEnd || whole) else { return false }
            // SAFETY: the text is as long as the literal at least.
            return unsafe memcmp(base, literal, bytes.count) == 0
        }
        if isAtEnd {
            // SAFETY: as above.
            return unsafe memcmp(base + last, literal, bytes.count) == 0
        }
        var index = 0
        while index <= last {
            // SAFETY: bytes from `index` to `last` are inside of the text, and so is a literal's length behind each.
            guard let found = unsafe memchr(base + index, Int32(literal[0]), last - index + 1) else {
                return false
            }
            index = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(base)
            if unsafe memcmp(base + index, literal, bytes.count) == 0 { return true }
            index += 1
        }
        return false
    }
}
