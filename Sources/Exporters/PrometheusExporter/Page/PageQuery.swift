/// The metric families that a query asks for: the values of its `name[]`.
///
/// - Parameter query: what follows the question mark, as it was sent.
/// - Returns: the names, each once, sorted, percent-decoded; empty when the query names none, which means all. A pair
///   that is not encoded as it must be is left out.
func familyNames(ofQuery query: some StringProtocol) -> [String] {
    var names: Set<String> = []
    for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
        let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        guard percentDecoded(halves[0]) == "name[]" else { continue }
        guard let name = halves.count > 1 ? percentDecoded(halves[1]) : "" else { continue }
        names.insert(name)
    }
    return names.sorted()
}

/// The text behind an encoded part of a query; nil when a `%` has no two hexadecimal digits behind it.
private func percentDecoded(_ text: some Sequence<UInt8>) -> String? {
    var bytes: [UInt8] = []
    var rest = text.makeIterator()
    while let byte = rest.next() {
        switch byte {
        case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
        case UInt8(ascii: "%"):
            guard let high = rest.next().flatMap(hexDigit), let low = rest.next().flatMap(hexDigit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        default: bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
