/// Why a JSON text cannot be read, and where.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The rule that was broken.
    package enum Reason: Sendable, Equatable {
        /// Something else stands here.
        case expected(Expected)
        /// The text ends here.
        case endsEarly
        /// Bytes that are not UTF-8.
        case invalidUTF8
        /// A control character in a string, which must be escaped.
        case controlCharacter
        /// A backslash before something that is no escape.
        case malformedEscape
        /// Not as JSON writes numbers.
        case malformedNumber
        /// Objects and lists nested deeper than the limit.
        case tooDeep(limit: Int)
        /// Not a whole number, or outside of what the field can hold.
        case outOfRange
        /// Not an even number of hexadecimal digits.
        case notHexadecimal
        /// The id of a trace or a span that is neither empty nor as long as such ids are.
        case wrongIDLength(bytes: Int, expected: Int)
        /// Not base 64.
        case notBase64
        /// A name that the enum of this field does not have.
        case unknownName
    }

    /// What a reader needed.
    package enum Expected: String, Sendable {
        case value = "a value"
        case object = "an object"
        case list = "a list"
        case string = "a string"
        case number = "a number"
        case boolean = "true or false"
        case key = "a key or }"
        case colon = ":"
        case commaInObject = ", or }"
        case commaInList = ", or ]"
        case end = "the end of the text"
    }

    package var reason: Reason
    /// Index, from the start of the text, of the byte at which it went wrong.
    package var offset: Int
    /// The way from the top to that place, such as `resourceSpans[0].resource`; empty at the top.
    package var path: String

    /// For example `expected a number at byte 1234, in resourceSpans[0].scopeSpans[0].spans[2].kind`.
    package var description: String {
        "\(reason.text) at byte \(offset)" + (path.isEmpty ? "" : ", in \(path)")
    }
}

extension JSONError.Reason {
    fileprivate var text: String {
        switch self {
        case .expected(let what): "expected \(what.rawValue)"
        case .endsEarly: "the JSON text ends early"
        case .invalidUTF8: "invalid UTF-8"
        case .controlCharacter: "unescaped control character"
        case .malformedEscape: "malformed escape"
        case .malformedNumber: "malformed number"
        case .tooDeep(let limit): "objects and lists nested deeper than \(limit)"
        case .outOfRange: "number out of range"
        case .notHexadecimal: "not an even number of hexadecimal digits"
        case .wrongIDLength(let bytes, let expected):
            "an id of \(bytes) bytes, which must have \(expected) or none (\(2 * expected) digits),"
        case .notBase64: "not base 64"
        case .unknownName: "unknown enum name"
        }
    }
}

extension JSONError {
    /// Bytes of a path that are shown; the outermost are left out first.
    private static let pathBytesMax = 256

    private struct Level {
        var isList: Bool
        var index = 0
        var key: Range<Int>?
    }

    /// Reads the text once more, up to the fault, to know the way to it. Only for errors.
    init(_ reason: Reason, at offset: Int, of text: WireBytes) {
        self.reason = reason
        self.offset = offset
        var levels: [Level] = []
        var index = 0
        while index < min(offset, text.count) {
            switch text[index] {
            case UInt8(ascii: "{"): levels.append(Level(isList: false))
            case UInt8(ascii: "["): levels.append(Level(isList: true))
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = levels.popLast()
            case UInt8(ascii: ",") where !levels.isEmpty:
                levels[levels.count - 1].index += 1
                levels[levels.count - 1].key = nil
            case UInt8(ascii: "\""):
                let start = index + 1
                index = start
                while index < text.count, text[index] != UInt8(ascii: "\"") {
                    index += text[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                // The first string of an entry is its key; a key at the fault itself is not the way to it.
                if index < offset, let last = levels.last, !last.isList, last.key == nil {
                    levels[levels.count - 1].key = start..<index
                }
            default: break
            }
            index += 1
        }
        path = Self.path(levels, text)
    }

    private static func path(_ levels: [Level], _ text: WireBytes) -> String {
        var path = ""
        for level in levels {
            if level.isList {
                path += "[\(level.index)]"
            } else if let key = level.key {
                if !path.isEmpty { path += "." }
                path += String(decoding: key.prefix(64).map { text[$0] }, as: UTF8.self)
            }
        }
        guard path.utf8.count > pathBytesMax else { return path }
        return "..." + String(decoding: path.utf8.suffix(pathBytesMax), as: UTF8.self)
    }
}
