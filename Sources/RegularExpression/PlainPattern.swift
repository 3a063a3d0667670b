/// A pattern that is nothing but characters of ASCII and sets of them, one behind the other, some repeated or optional, such as
/// `/v[0-9]+/`: what is read needs no second guess, because none of what is repeated can begin what follows. RE2 takes 100 to
/// 150 ns for a match, and a lock that threads share; this a few ns a byte.
@safe
struct PlainPattern {
    /// A longer text is RE2's,
    static let textBytesMax = 256
    /// and so is what is left of one in which so many matches began and did not end: that would take the square of its length.
    static let failedMax = 4

    struct Element {
        /// By the code of a character.
        var low: UInt64 = 0
        var high: UInt64 = 0
        var isRequired = true
        var isRepeated = false

        @inline(__always)
        func contains(_ byte: UInt8) -> Bool {
            byte < 0x80 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 != 0
        }

        mutating func insert(_ range: ClosedRange<UInt8>) {
            for byte in range {
                if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
            }
        }

        mutating func formUnion(_ other: Element) {
            low |= other.low
            high |= other.high
        }

        func isDisjoint(from other: Element) -> Bool { low & other.low == 0 && high & other.high == 0 }
    }

    private let elements: UnsafeMutableBufferPointer<Element>
    let isAtStart: Bool
    private let isAtEnd: Bool

    /// Nil: the pattern is something else.
    init?(_ pattern: String) {
        var rest = Array(pattern.utf8)[...]
        isAtStart = rest.first == UInt8(ascii: "^")
        if isAtStart { rest.removeFirst() }
        isAtEnd = rest.last == UInt8(ascii: "$") && rest.dropLast().last != UInt8(ascii: "\\")
        if isAtEnd { rest.removeLast() }
        var found: [Element] = []
        while !rest.isEmpty {
            guard var element = Self.element(&rest) else { return nil }
            if let mark = rest.first, "*+?".utf8.contains(mark) {
                rest.removeFirst()
                element.isRequired = mark == UInt8(ascii: "+")
                element.isRepeated = mark != UInt8(ascii: "?")
            }
            found.append(element)
        }
        guard found.first?.isRequired == true, Self.isPlain(found) else { return nil }
        unsafe elements = .allocate(capacity: found.count)
        _ = unsafe elements.initialize(from: found)
    }

    /// Whether nothing that may be read or not can begin what follows.
    private static func isPlain(_ elements: [Element]) -> Bool {
        for (index, element) in elements.enumerated() where element.isRepeated || !element.isRequired {
            for next in elements[(index + 1)...] {
                guard element.isDisjoint(from: next) else { return false }
                if next.isRequired { break }
            }
        }
        return true
    }

    /// Takes a character or a set off the front; nil: it is something else.
    private static func element(_ rest: inout ArraySlice<UInt8>) -> Element? {
        var element = Element()
        guard let byte = rest.popFirst() else { return nil }
        switch byte {
        case UInt8(ascii: "\\"): guard escaped(&rest, into: &element) != nil else { return nil }
        case UInt8(ascii: "["): guard set(&rest, into: &element) else { return nil }
        default:
            guard byte < 0x80, !#".*+?(){}[]|^$"#.utf8.contains(byte) else { return nil }
            element.insert(byte...byte)
        }
        return element
    }

    /// What is between brackets, without `^` and names of sets.
    private static func set(_ rest: inout ArraySlice<UInt8>, into element: inout Element) -> Bool {
        guard let first = rest.first, !"^]".utf8.contains(first) else { return false }
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "]") { return true }
            guard byte < 0x80, byte != UInt8(ascii: "[") else { return false }
            if byte == UInt8(ascii: "\\") {
                // A range from or to it is RE2's.
                guard escaped(&rest, into: &element) != nil, rest.first != UInt8(ascii: "-") else {
                    return false
                }
            } else if rest.first == UInt8(ascii: "-"), let last = rest.dropFirst().first,
                last != UInt8(ascii: "]")
            {
                guard byte <= last, last < 0x80, !#"\["#.utf8.contains(last) else { return false }
                element.insert(byte...last)
                rest = rest.dropFirst(2)
            } else {
                element.insert(byte...byte)
            }
        }
        return false
    }

    /// What follows a backslash: punctuation, a digit, a letter of a word or a space; nil: something else.
    private static func escaped(_ rest: inout ArraySlice<UInt8>, into element: inout Element) -> Void? {
        guard let byte = rest.popFirst() else { return nil }
        let (digits, upper, lower) = (
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z")
        )
        switch byte {
        case UInt8(ascii: "d"): element.insert(digits)
        case UInt8(ascii: "w"):
            for range in [digits, upper, lower, UInt8(ascii: "_")...UInt8(ascii: "_")] {
                element.insert(range)
            }
        case UInt8(ascii: "s"): for space in "\t\n\u{c}\r ".utf8 { element.insert(space...space) }
        default:
            guard (0x21...0x7E).contains(byte), !digits.contains(byte), !upper.contains(byte),
                !lower.contains(byte)
            else { return nil }
            element.insert(byte...byte)
        }
        return ()
    }

    /// Once, by the owner.
    func deallocate() { unsafe elements.deallocate() }

    /// Where a match may begin, from an offset on; nil: there is none.
    func start(_ text: UnsafeBufferPointer<UInt8>, from: Int, whole: Bool) -> Int? {
        if isAtStart || whole { return from == 0 ? 0 : nil }
        let first = unsafe elements[0]
        var index = from
        while index < text.count {
            if unsafe first.contains(text[index]) { return index }
            index &+= 1
        }
        return nil
    }

    /// Where the match ends that begins at an offset; nil: there is none.
    /// - Parameters:
    ///   - known: so many characters, which the pattern begins with, stand there.
    ///   - whole: it must end where the text does.
    func end(_ text: UnsafeBufferPointer<UInt8>, from start: Int, behind known: Int, whole: Bool) -> Int? {
        var position = start + known
        for index in unsafe known..<elements.count {
            let element = unsafe elements[index]
            let first = position
            while unsafe position < text.count && element.contains(text[position]) {
                position &+= 1
                if !element.isRepeated { break }
            }
            if position == first, element.isRequired { return nil }
        }
        return position == text.count || !(isAtEnd || whole) ? position : nil
    }
}
