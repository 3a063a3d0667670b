internal import COTLP

/// Reads JSON (RFC 8259) value by value, from bytes that stay where they are; nothing is built.
///
///     var reader = try JSONReader(bytes)
///     try reader.beginObject()
///     while let key = try reader.nextKey() {
///         if key == "name" { name = try reader.readString().text } else { try reader.skipValue() }
///     }
///     try reader.finish()
///
/// After `nextKey` or `nextElement` has announced a value, exactly one value is read or skipped. Strict: what
/// is not JSON is refused. Every read stays inside the bytes, whatever they say. Allocates nothing unless it
/// throws. Ownership: borrows, as `WireBytes` does.
///
/// By hand: Foundation's decoder builds every value, where this one builds none, and Foundation adds 50 MB to the static
/// binary and 10 MB to what a started process holds.
@safe
package struct JSONReader {
    /// What a value is.
    package enum Kind: Sendable {
        case object
        case list
        case string
        case number
        case boolean
        case null
    }

    /// How deep objects and lists may nest unless the reader's maker says otherwise.
    package static let depthMax = 128

    private let text: WireBytes
    private let base: UnsafePointer<UInt8>
    private let end: Int
    /// Index of the next byte.
    package private(set) var position = 0
    /// Objects and lists around it.
    private var depth = 0
    private let depthMax: Int
    /// Whether the object or list around it was just opened.
    private var isAtStart = false

    /// Borrows the text; see `WireBytes` for how long.
    /// - Parameter takesAnyText: lets strings hold bytes that are not UTF-8; the caller deals with them.
    /// - Throws: the text is not UTF-8.
    package init(
        _ text: UnsafeRawBufferPointer, depthMax: Int = JSONReader.depthMax, takesAnyText: Bool = false
    ) throws(JSONError) {
        let bytes = unsafe WireBytes(text)
        // SAFETY: `WireBytes` has an address even for no bytes; only bytes below `end` are read.
        unsafe base = bytes.unsafeBytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        self.text = bytes
        end = bytes.count
        self.depthMax = depthMax
        if takesAnyText { return }
        let valid = unsafe cotlp_json_valid_count(base, end)
        if valid < end { throw JSONError(.invalidUTF8, at: valid, of: bytes) }
    }

    // MARK: - Errors

    /// An error at the next byte, or at another.
    @inline(never)
    package func failure(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError {
        JSONError(reason, at: offset ?? position, of: text)
    }

    private func missing(_ what: JSONError.Expected) -> JSONError {
        failure(position < end ? .expected(what) : .endsEarly)
    }

    // MARK: - Bytes

    /// The byte at an index below `end`.
    @inline(__always)
    private func byte(_ index: Int) -> UInt8 {
        // SAFETY: every caller has compared the index with `end`.
        unsafe base[index]
    }

    @inline(__always)
    private mutating func skipSpace() {
        while position < end {
            let next = byte(position)
            guard next <= 0x20, next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 else { return }
            position &+= 1
        }
    }

    @inline(__always)
    private func isNext(_ character: Unicode.Scalar) -> Bool {
        position < end && byte(position) == UInt8(truncatingIfNeeded: character.value)
    }

    // MARK: - Objects and lists

    /// What the next value is; reads nothing of it.
    package mutating func peek() throws(JSONError) -> Kind {
        skipSpace()
        guard position < end else { throw failure(.endsEarly) }
        switch byte(position) {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .list
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        default: throw failure(.expected(.value))
        }
    }

    /// Enters an object; `nextKey` reads on.
    package mutating func beginObject() throws(JSONError) {
        skipSpace()
        guard isNext("{") else { throw missing(.object) }
        try enter()
    }

    /// Enters a list; `nextElement` reads on.
    package mutating func beginList() throws(JSONError) {
        skipSpace()
        guard isNext("[") else { throw missing(.list) }
        try enter()
    }

    private mutating func enter() throws(JSONError) {
        guard depth < depthMax else { throw failure(.tooDeep(limit: depthMax)) }
        depth += 1
        position += 1
        isAtStart = true
    }

    private mutating func leave() {
        depth -= 1
        position += 1
        isAtStart = false
    }

    /// The next key of the object, whose value comes next; nil when the object has ended, which leaves it.
    package mutating func nextKey() throws(JSONError) -> JSONString? {
        skipSpace()
        if isNext("}") {
            leave()
            return nil
        }
        if !isAtStart {
            guard isNext(",") else { throw missing(.commaInObject) }
            position += 1
            skipSpace()
        }
        isAtStart = false
        guard isNext("\"") else { throw missing(.key) }
        let key = try readString()
        skipSpace()
        guard isNext(":") else { throw missing(.colon) }
        position += 1
        return key
    }

    /// Whether the list has another element, which comes next; false when it has ended, which leaves it.
    package mutating func nextElement() throws(JSONError) -> Bool {
        skipSpace()
        if isNext("]") {
            leave()
            return false
        }
        if !isAtStart {
            guard isNext(",") else { throw missing(.commaInList) }
            position += 1
        }
        isAtStart = false
        return true
    }

    /// Nothing but white space may be left.
    package mutating func finish() throws(JSONError) {
        skipSpace()
        guard position == end else { throw failure(.expected(.end)) }
    }

    /// Reads a value without looking at it.
    package mutating func skipValue() throws(JSONError) {
        switch try peek() {
        case .object:
            try beginObject()
            while try nextKey() != nil { try skipValue() }
        case .list:
            try beginList()
            while try nextElement() { try skipValue() }
        case .string: _ = try readString()
        case .number: _ = try readNumber()
        case .boolean: _ = try readBool()
        case .null: try readWord("null")
        }
    }

    // MARK: - Values

    /// Reads `null`, if that is what comes.
    package mutating func readNull() throws(JSONError) -> Bool {
        skipSpace()
        guard isNext("n") else { return false }
        try readWord("null")
        return true
    }

    /// Reads `true` or `false`.
    package mutating func readBool() throws(JSONError) -> Bool {
        skipSpace()
        if isNext("t") {
            try readWord("true")
            return true
        }
        guard isNext("f") else { throw missing(.boolean) }
        try readWord("false")
        return false
    }

    private mutating func readWord(_ word: StaticString) throws(JSONError) {
        let count = word.utf8CodeUnitCount
        guard end - position >= count else { throw failure(.endsEarly, at: end) }
        for index in 0..<count {
            // SAFETY: the word has so many bytes.
            let expected = unsafe word.utf8Start[index]
            guard byte(position + index) == expected else { throw failure(.expected(.value)) }
        }
        position += count
    }

    /// Reads a number.
    package mutating func readNumber() throws(JSONError) -> JSONNumber {
        skipSpace()
        guard position < end else { throw failure(.endsEarly) }
        guard isNext("-") || (byte(position) &- UInt8(ascii: "0") < 10) else {
            throw failure(.expected(.number))
        }
        // SAFETY: the bytes from `position` to `end`.
        guard
            let number = JSONNumber(
                prefixOf: unsafe WireBytes(base: UnsafeRawPointer(base + position), count: end - position))
        else { throw failure(.malformedNumber) }
        position += number.bytes.count
        return number
    }

    /// Reads a string.
    package mutating func readString() throws(JSONError) -> JSONString {
        skipSpace()
        guard isNext("\"") else { throw missing(.string) }
        let start = position &+ 1
        var index = start
        var hasEscapes = false
        while true {
            // SAFETY: `index` is at most `end`.
            index &+= unsafe cotlp_json_plain_count(base + index, end &- index)
            guard index < end else { throw failure(.endsEarly, at: end) }
            switch byte(index) {
            case UInt8(ascii: "\""):
                position = index &+ 1
                // SAFETY: both are between 0 and `end`.
                return JSONString(
                    bytes: unsafe WireBytes(base: UnsafeRawPointer(base + start), count: index &- start),
                    hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                index = try endOfEscape(index)
            default: throw failure(.controlCharacter, at: index)
            }
        }
    }

    /// Checks the escape at an index, which is a backslash.
    private func endOfEscape(_ index: Int) throws(JSONError) -> Int {
        guard index + 1 < end else { throw failure(.endsEarly, at: end) }
        switch byte(index + 1) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index + 2
        case UInt8(ascii: "u"):
            guard index + 6 <= end else { throw failure(.endsEarly, at: end) }
            for digit in index + 2..<index + 6 where hexValue(byte(digit)) == nil {
                throw failure(.malformedEscape, at: index)
            }
            return index + 6
        default: throw failure(.malformedEscape, at: index)
        }
    }
}

/// The value of a hexadecimal digit of either case.
@inline(__always)
func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit &- UInt8(ascii: "A") &+ 10
    default: nil
    }
}
