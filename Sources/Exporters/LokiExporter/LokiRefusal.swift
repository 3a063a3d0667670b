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
        "label names", "label name", "label value", "error parsing labels", "at least one label",
    ]
    private static let aboutEntries = [
        "timestamp too old", "timestamp too new", "too far behind", "out of order", "max entry size",
        "structured metadata", "ignored, reason", "line too long", "entry for stream", "entry with timestamp",
    ]

    /// How many entries a text says were not stored; nil when it speaks of none: then it is about the push.
    /// - Parameter entriesOf: the entries of a stream whose labels a text holds; nil when it holds none of the push.
    static func entries(_ text: String, entriesOf: (Substring) -> Int?) -> Int? {
        if let ignored = ignored(text) { return ignored }
        var count = 0
        for part in parts(text) {
            var message = part
            var times = 1
            let digits = part.prefix { $0.isASCII && $0.isNumber }
            if !digits.isEmpty, part.dropFirst(digits.count).hasPrefix(" errors like: ") {
                guard let number = Int(digits), number <= 1 << 32 else { return nil }
                times = number
                message = part.dropFirst(digits.count + " errors like: ".count)
            }
            switch subject(of: message) {
            case .entry?: count += times
            case .stream?: count += (entriesOf(message) ?? 1) * times
            // The rest of a message in which the separator stands.
            case nil: if times > 1 { count += times }
            }
        }
        return count > 0 ? count : nil
    }

    private static func subject(of message: Substring) -> Subject? {
        // Of the entry that is named, not of its stream: "structured metadata" is asked for first.
        if aboutEntries.dropLast(2).contains(where: { message.contains($0) }) { return .entry }
        if aboutStreams.contains(where: { message.contains($0) }) { return .stream }
        return aboutEntries.suffix(2).contains { message.contains($0) } ? .entry : nil
    }

    /// The sum of `total ignored: N out of M`; nil when there is none.
    private static func ignored(_ text: String) -> Int? {
        var sum: Int?
        var rest = text[...]
        while let found = rest.firstRange(of: "total ignored: ") {
            rest = rest[found.upperBound...]
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest[digits.endIndex...]
            guard let number = Int(digits), number <= 1 << 32, rest.hasPrefix(" out of ") else { continue }
            sum = (sum ?? 0) + number
        }
        return sum
    }

    /// The text, divided at `; `.
    private static func parts(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = text[...]
        while let found = rest.firstRange(of: "; ") {
            parts.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return parts + [rest]
    }
}

extension Substring {
    /// Where a text occurs first.
    func firstRange(of text: String) -> Range<Index>? {
        let words = Array(text.utf8)
        var start = utf8.startIndex
        while let first = utf8[start...].firstIndex(of: words[0]) {
            let rest = utf8[first...]
            if rest.starts(with: words) { return first..<utf8.index(first, offsetBy: words.count) }
            start = utf8.index(after: first)
        }
        return nil
    }
}
