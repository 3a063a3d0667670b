/// Gives a plain (unquoted) YAML scalar its type, by the rules of the YAML core schema as the Collector's
/// reader applies them: `yes`, `no`, `on` and `off` are texts; `0x`, `0o`, `0b` and `_` are allowed in numbers;
/// a leading zero makes an octal number.
func typedScalar(_ text: String) -> ConfigNode.Content {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    case ".nan", ".NaN", ".NAN": return .double(.nan)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .double(.infinity)
    case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
    default: break
    }
    guard let first = text.utf8.first, isNumberStart(first) else { return .string(text) }
    if let whole = wholeNumber(text) { return .int(whole) }
    if looksDecimal(text), let value = Double(text) { return .double(value) }
    return .string(text)
}

private func isNumberStart(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
}

func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}

/// Whether a plain scalar is a date or a time in YAML: `2024-01-02`, or that with `T…` or ` …` behind it.
func isTime(_ text: String) -> Bool {
    let date = text.utf8.prefix {
        $0 != UInt8(ascii: "T") && $0 != UInt8(ascii: "t") && $0 != UInt8(ascii: " ")
    }
    let parts = date.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ $0.allSatisfy(isDigit) }), parts[0].count == 4,
        (1...2).contains(parts[1].count), (1...2).contains(parts[2].count)
    else { return false }
    return date.endIndex == text.utf8.endIndex
        || text.utf8[date.endIndex...].dropFirst().first.map(isDigit) == true
}

/// The value of a whole number in YAML's spelling, or nil when it is none or does not fit 64 bits.
private func wholeNumber(_ text: String) -> Int? {
    var digits = Substring(text)
    var sign = ""
    if digits.first == "-" || digits.first == "+" {
        sign = String(digits.removeFirst())
    }
    var radix = 10
    if digits.first == "0", digits.count > 1 {
        let marked = digits.dropFirst()
        switch marked.first {
        case "x", "X": (radix, digits) = (16, marked.dropFirst())
        case "o", "O": (radix, digits) = (8, marked.dropFirst())
        case "b", "B": (radix, digits) = (2, marked.dropFirst())
        default: (radix, digits) = (8, marked)
        }
    }
    guard let first = digits.first, let last = digits.last, first != "_" || radix != 10, last != "_" else {
        return nil
    }
    let plain = digits.filter { $0 != "_" }
    // Int(_:radix:) takes a sign of its own: "-+5" is not a number.
    guard let lead = plain.first, lead != "-", lead != "+" else { return nil }
    return Int(sign + plain, radix: radix)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
private func looksDecimal(_ text: String) -> Bool {
    var rest = Substring(text).utf8
    func digits() -> Int {
        let run = rest.prefix(while: isDigit)
        rest = rest.dropFirst(run.count)
        return run.count
    }
    func skip(_ allowed: String) -> Bool {
        guard let byte = rest.first, allowed.utf8.contains(byte) else { return false }
        rest = rest.dropFirst()
        return true
    }
    _ = skip("-+")
    let whole = digits()
    var fraction = 0
    if skip(".") { fraction = digits() }
    guard whole + fraction > 0 else { return false }
    if skip("eE") {
        _ = skip("-+")
        guard digits() > 0 else { return false }
    }
    return rest.isEmpty
}
