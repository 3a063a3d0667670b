internal import OTLP

/// Makes labels of attributes: what happens once, when a series is seen for the first time.
struct LabelMaker: Sendable {
    let namer: MetricNamer
    /// Put on every series.
    let constLabels: [Label]
    /// The ends of histograms and summaries have a label of their own.
    private static let reserved = ["le", "quantile"]

    /// The attributes of a message: their fields' number, in its fields. Sorted by key, each key once.
    static func attributes(_ message: WireBytes, _ number: UInt32) -> [(key: [UInt8], value: [UInt8])] {
        var found: [(key: [UInt8], value: [UInt8])] = []
        for field in message.fields where field.number == number {
            let attribute = Attribute(field.bytes)
            var value: [UInt8] = []
            value.append(attribute.value)
            found.append((attribute.key.array, value))
        }
        return found.count < 2 ? found : found.sortedByKey()
    }

    /// The label of an attribute; nil when its name has nothing that a label can be called.
    ///
    /// A label without a value is none to Prometheus, so it must not tell series apart here either.
    func label(_ key: [UInt8], _ value: [UInt8], isDistribution: Bool = false) -> Label? {
        guard !value.isEmpty, let name = namer.labelName(String(decoding: key, as: UTF8.self)) else {
            return nil
        }
        let isReserved = isDistribution && Self.reserved.contains(name)
        return Label(name: isReserved ? "exported_" + name : name, value: value)
    }

    /// Sorted by name; values of one name joined by `;` in their order here.
    static func joined(_ labels: [Label]) -> [Label] {
        guard labels.count > 1 else { return labels }
        var joined: [Label] = []
        joined.reserveCapacity(labels.count)
        // Stable: equal names stay in their order.
        for label in labels.sorted(by: { $0.name.utf8Precedes($1.name) }) {
            if joined.last?.name == label.name {
                joined[joined.count - 1].value.append(UInt8(ascii: ";"))
                joined[joined.count - 1].value += label.value
            } else {
                joined.append(label)
            }
        }
        return joined
    }

    /// `a="1",b="2"`, as text formats write it for a scraper that knows all UTF-8.
    static func text(_ labels: [Label]) -> (text: [UInt8], hasQuotedNames: Bool) {
        var text: [UInt8] = []
        var hasQuotedNames = false
        text.reserveCapacity(labels.reduce(0) { $0 + $1.name.utf8.count + $1.value.count + 4 })
        for (index, label) in labels.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            if NameEscaping.isLegacy(label.name, colons: false) {
                text.append(contentsOf: label.name.utf8)
            } else {
                hasQuotedNames = true
                text.append(UInt8(ascii: "\""))
                text.appendEscaped(label.name.utf8, quotes: true)
                text.append(UInt8(ascii: "\""))
            }
            text.append("=\"")
            text.appendEscaped(label.value, quotes: true)
            text.append(UInt8(ascii: "\""))
        }
        return (text, hasQuotedNames)
    }
}

extension String {
    /// Whether this comes before another text, by bytes.
    func utf8Precedes(_ other: String) -> Bool {
        utf8.lexicographicallyPrecedes(other.utf8)
    }
}

extension [UInt8] {
    /// Appends text with `\` and line feeds escaped, and quotes where the text is between such.
    mutating func appendEscaped(_ text: some Sequence<UInt8>, quotes: Bool) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\"") where quotes: append("\\\"")
            default: append(byte)
            }
        }
    }
}

/// Reads back what `LabelMaker.text` wrote: for scrapers that want other names, or protobuf.
struct LabelTextReader: Sequence, IteratorProtocol {
    private let text: WireBytes
    private var position = 0

    init(_ text: WireBytes) { self.text = text }

    /// The next label, its name and value without escapes.
    mutating func next() -> Label? {
        guard position < text.count else { return nil }
        let name: [UInt8]
        if text[position] == UInt8(ascii: "\"") {
            name = readQuoted()
        } else {
            var plain: [UInt8] = []
            while position < text.count, text[position] != UInt8(ascii: "=") {
                plain.append(text[position])
                position += 1
            }
            name = plain
        }
        position += 1
        let value = readQuoted()
        position += 1
        return Label(name: String(decoding: name, as: UTF8.self), value: value)
    }

    private mutating func readQuoted() -> [UInt8] {
        var bytes: [UInt8] = []
        position += 1
        while position < text.count {
            let byte = text[position]
            position += 1
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\"), position < text.count {
                bytes.append(text[position] == UInt8(ascii: "n") ? UInt8(ascii: "\n") : text[position])
                position += 1
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}
