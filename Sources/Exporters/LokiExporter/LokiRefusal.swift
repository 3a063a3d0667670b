/// Reads in the text of Loki's 400 how many entries of a push it refused; it has stored the others.
///
/// Its distributor says `MESSAGE` for one, `N errors like: MESSAGE` for several, and joins different ones with `; `. Its
/// ingester lists entries and ends with `total ignored: N out of M for stream: …`, once a stream.
enum LokiRefusal {
    /// What a message is about.
    private enum Subject {
        case entry
        /// All entries of a stream.
        case stream
    }

    private static let aboutStreams = [
        "label names", "label name", "label value", "rror parsing labels", "at least one label",
        "missing required labels",
    ].map { Array($0.utf8) }
    private static let aboutEntries = [
        "timestamp too old", "timestamp too new", "too far behind", "out of order", "max entry size",
        "structured metadata", "ignored, reason", "line too long",
    ].map { Array($0.utf8) }
    /// Where a stream is named, its labels may be what is wrong.
    private static let aboutNamed = ["entry for stream", "entry with timestamp"].map { Array($0.utf8) }
    private static let (several, total) = (Array(" errors like: ".utf8), Array("total ignored: ".utf8))
    private static let (outOf, separator) = (Array(" out of ".utf8), Array("; ".utf8))
    /// More entries than any push has.
    private static let numberMax = 1 << 32

    /// How many entries a text says were not stored; nil when it does not say: then it is about the push.
    /// - Parameter entriesOf: the entries of a stream whose labels a text holds; nil when it holds none of the push.
    /// - Complexity: linear. A destination says what is searched.
    static func entries(_ text: String, entriesOf: (String) -> Int?) -> Int? {
        let text = Array(text.utf8)[...]
        if let ignored = ignored(text) { return ignored }
        var count = 0
        for part in parts(text) {
            var message = part
            var times = 1
            let digits = part.prefix(while: isDigit)
            if !digits.isEmpty, part.dropFirst(digits.count).starts(with: several) {
                guard let number = number(digits) else { return nil }
                times = number
                message = part.dropFirst(digits.count + several.count)
            }
            switch subject(of: message) {
            case .entry?: count += times
            case .stream?:
                // All entries of a stream that nobody can find, or of several of which one is named: in a push of their own
                // they can be counted.
                guard times == 1, let entries = entriesOf(String(decoding: message, as: UTF8.self)) else {
                    return nil
                }
                count += entries
            // The rest of a message in which the separator stands.
            case nil: if times > 1 { count += times }
            }
        }
        return count > 0 ? count : nil
    }

    private static func subject(of message: ArraySlice<UInt8>) -> Subject? {
        // Of the entry that is named, not of its stream: "structured metadata" is asked for first.
        if aboutEntries.contains(where: { message.firstRange(of: $0) != nil }) { return .entry }
        if aboutStreams.contains(where: { message.firstRange(of: $0) != nil }) { return .stream }
        return aboutNamed.contains { message.firstRange(of: $0) != nil } ? .entry : nil
    }

    /// The sum of `total ignored: N out of M`; nil when there is none.
    private static func ignored(_ text: ArraySlice<UInt8>) -> Int? {
        var sum: Int?
        var rest = text
        while let found = rest.firstRange(of: total) {
            rest = rest[found.upperBound...]
            let digits = rest.prefix(while: isDigit)
            rest = rest[digits.endIndex...]
            guard let number = number(digits), rest.starts(with: outOf) else { continue }
            sum = (sum ?? 0) + number
        }
        return sum
    }

    /// The text, divided at `; `.
    private static func parts(_ text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var rest = text
        while let found = rest.firstRange(of: separator) {
            parts.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return parts + [rest]
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        Int(String(decoding: digits, as: UTF8.self)).flatMap { $0 <= numberMax ? $0 : nil }
    }
}

extension ArraySlice<UInt8> {
    /// Where some bytes occur first.
    fileprivate func firstRange(of words: [UInt8]) -> Range<Int>? {
        var start = startIndex
        while let first = self[start...].firstIndex(of: words[0]) {
            if self[first...].starts(with: words) { return first..<first + words.count }
            start = first + 1
        }
        return nil
    }
}
