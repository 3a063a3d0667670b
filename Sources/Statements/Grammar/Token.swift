/// One word of a statement. Offsets are bytes of the statement's UTF-8.
struct Token: Equatable {
    enum Kind: Equatable {
        /// `0x…`, an even number of hex digits.
        case bytes([UInt8])
        case float(Double)
        case int(Int64)
        /// What the quotes hold, escapes resolved.
        case string([UInt8])
        /// Letters, digits and underscores that begin with a letter.
        case word(String)
        /// Operators and punctuation: `==`, `(`, `=>` …
        case symbol(String)
        case end
    }

    let kind: Kind
    let start: Int
    let end: Int

    func isSymbol(_ text: String) -> Bool { kind == .symbol(text) }
    func isWord(_ text: String) -> Bool { kind == .word(text) }
}

extension Token.Kind {
    /// As messages name it.
    var shown: String {
        switch self {
        case .bytes: "bytes"
        case .float(let value): "\(value)"
        case .int(let value): "\(value)"
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .word(let text), .symbol(let text): text
        case .end: "<EOF>"
        }
    }
}
