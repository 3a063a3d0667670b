/// Cuts a statement into words: the first rule that matches at a place wins, white space separates and means nothing.
struct Lexer {
    private let bytes: [UInt8]
    private var position = 0

    private init(_ text: String) { bytes = Array(text.utf8) }

    /// All words, `.end` last.
    static func tokens(_ text: String) throws(StatementError) -> [Token] {
        var lexer = Lexer(text)
        var tokens: [Token] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private func peek(_ ahead: Int = 0) -> UInt8? {
        position + ahead < bytes.count ? bytes[position + ahead] : nil
    }

    private mutating func next() throws(StatementError) -> Token {
        while let byte = peek(), byte == 0x20 || (0x09...0x0D).contains(byte) { position += 1 }
        let start = position
        guard let byte = peek() else { return Token(kind: .end, start: start, end: start) }
        let kind: Token.Kind
        switch byte {
        case UInt8(ascii: "0") where peek(1) == UInt8(ascii: "x") && peek(2)?.hexDigit != nil:
            kind = try byteLiteral()
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            kind = try number()
        case UInt8(ascii: ".") where peek(1)?.isDigit == true:
            kind = try number()
        case UInt8(ascii: "\""):
            kind = .string(try string())
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"):
            while let next = peek(), next.isWordByte { position += 1 }
            kind = .word(String(decoding: bytes[start..<position], as: UTF8.self))
        case UInt8(ascii: "_"):
            position += 1
            kind = .word("_")
        default:
            kind = try symbol(byte)
        }
        return Token(kind: kind, start: start, end: position)
    }

    private mutating func symbol(_ byte: UInt8) throws(StatementError) -> Token.Kind {
        let two =
            position + 1 < bytes.count ? String(decoding: bytes[position..<position + 2], as: UTF8.self) : ""
        if ["==", "!=", ">=", "<=", "=>"].contains(two) {
            position += 2
            return .symbol(two)
        }
        guard byte < 0x80, "()[]{}:,.=<>+-*/".utf8.contains(byte) else {
            let shown = String(decoding: bytes[position...].prefix(20), as: UTF8.self)
            throw StatementError(
                "lexer: invalid input text \"\(shown)\"", at: position, help: help(for: byte))
        }
        position += 1
        return .symbol(String(UnicodeScalar(byte)))
    }

    private func help(for byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "'"): "texts are written in double quotes"
        case UInt8(ascii: "#"): "there are no comments inside of statements"
        case UInt8(ascii: ";"): "one statement a list item, nothing behind it"
        case UInt8(ascii: "&"): "write \"and\""
        case UInt8(ascii: "|"): "write \"or\""
        case UInt8(ascii: "!"): "write \"not\""
        default: nil
        }
    }

    private mutating func byteLiteral() throws(StatementError) -> Token.Kind {
        let start = position
        position += 2
        var digits: [UInt8] = []
        while let digit = peek()?.hexDigit {
            digits.append(digit)
            position += 1
        }
        guard digits.count.isMultiple(of: 2) else {
            throw StatementError(
                "bytes need an even number of hex digits, found \(digits.count)", at: start,
                help: "write 0x0 before the first digit")
        }
        return .bytes(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    private mutating func number() throws(StatementError) -> Token.Kind {
        let start = position
        while peek()?.isDigit == true { position += 1 }
        guard peek() == UInt8(ascii: ".") else {
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            guard let value = Int64(text) else {
                throw StatementError("\(text) is out of the range of int64", at: start)
            }
            return .int(value)
        }
        position += 1
        while peek()?.isDigit == true { position += 1 }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            let signed = peek(1) == UInt8(ascii: "-") || peek(1) == UInt8(ascii: "+")
            if peek(signed ? 2 : 1)?.isDigit == true {
                position += signed ? 2 : 1
                while peek()?.isDigit == true { position += 1 }
            }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text.last == "." ? text + "0" : text.first == "." ? "0" + text : pad(text)),
            value.isFinite
        else { throw StatementError("\(text) is out of the range of float64", at: start) }
        return .float(value)
    }

    /// `1.e5` as `1.0e5`, which Swift reads.
    private func pad(_ text: String) -> String {
        guard let dot = text.firstIndex(of: ".") else { return text }
        let after = text.index(after: dot)
        guard after < text.endIndex, !text[after].isNumber else { return text }
        return text[..<after] + "0" + text[after...]
    }

    private mutating func string() throws(StatementError) -> [UInt8] {
        let start = position
        position += 1
        var result: [UInt8] = []
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return result
            case UInt8(ascii: "\n"):
                throw StatementError("a text holds a line break", at: position, help: "write \\n")
            case UInt8(ascii: "\\"):
                try StringEscape.append(to: &result, from: bytes, at: &position)
            default:
                result.append(byte)
                position += 1
            }
        }
        let shown = String(decoding: bytes[start...].prefix(20), as: UTF8.self)
        throw StatementError(
            "lexer: invalid input text \"\(shown)\"", at: start,
            help: "the text is not closed by a double quote")
    }
}

extension UInt8 {
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    var isUpper: Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) }
    var isLower: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) }
    var isWordByte: Bool { isDigit || isUpper || isLower || self == UInt8(ascii: "_") }

    var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
