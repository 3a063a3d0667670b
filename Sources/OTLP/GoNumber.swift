extension Double {
    /// Reads a number as the Collector does, in Go's syntax: `1.`, `.5`, `1e3`, `0x1p4`, `inf`, `nan`. Hexadecimal digits need
    /// an exponent; there are no spaces. Nil for anything else, and for what is greater than all floats.
    package init?(goText text: String) {
        var rest = Array(text.utf8)[...]
        let isSigned = rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+")
        if isSigned { rest = rest.dropFirst() }
        switch String(decoding: rest, as: UTF8.self).lowercased() {
        case "inf", "infinity": self = text.utf8.first == UInt8(ascii: "-") ? -.infinity : .infinity
        case "nan" where !isSigned: self = .nan
        default:
            guard Self.isGoNumber(rest), let value = Double(Self.padded(text)), value.isFinite else {
                return nil
            }
            self = value
        }
    }

    private static func isGoNumber(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        let isHexadecimal = rest.starts(with: "0x".utf8) || rest.starts(with: "0X".utf8)
        if isHexadecimal { rest = rest.dropFirst(2) }
        func isDigit(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): isHexadecimal
            default: false
            }
        }
        let whole = rest.prefix(while: isDigit)
        rest = rest.dropFirst(whole.count)
        var fraction = rest.prefix(0)
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix(while: isDigit)
            rest = rest.dropFirst(fraction.count + 1)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { return false }
        guard let letter = rest.first else { return !isHexadecimal }
        guard letter | 0x20 == UInt8(ascii: isHexadecimal ? "p" : "e") else { return false }
        rest = rest.dropFirst()
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        return !rest.isEmpty && rest.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// With a digit at each side of the point.
    private static func padded(_ text: String) -> String {
        guard let dot = text.firstIndex(of: ".") else { return text }
        let isHexadecimal = text.lowercased().contains("x")
        func isDigit(_ character: Character?) -> Bool {
            (isHexadecimal ? character?.isHexDigit : character?.isNumber) ?? false
        }
        let (before, after) = (text[..<dot], text[text.index(after: dot)...])
        return "\(before)" + (isDigit(before.last) ? "." : "0.") + (isDigit(after.first) ? "" : "0")
            + "\(after)"
    }
}
