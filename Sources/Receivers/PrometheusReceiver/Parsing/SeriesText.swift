/// Reads a series as pages of text spell it: `name{label="value",…}` or `{"name",label="value",…}`.
///
/// Only for series that are new on a page; see `PageSink`.
struct SeriesText: ~Copyable {
    /// The longest name or value of a label, unescaped, and the most labels: beyond them a page is broken or hostile.
    static let labelBytesMax = 1 << 16
    static let labelsMax = 1024

    private var position = 0
    private var labels: [Label] = []

    /// The labels, sorted by name, with `__name__` for the name if it has one; labels without a value are left out.
    /// - Throws: what is wrong, in words.
    static func labels(_ text: Span<UInt8>) throws(SeriesTextProblem) -> [Label] {
        var reader = SeriesText()
        try reader.read(text)
        return reader.labels
    }

    private mutating func read(_ text: Span<UInt8>) throws(SeriesTextProblem) {
        while position < text.count, Self.isNameByte(text[position], colons: true) { position += 1 }
        if position > 0 {
            guard !Self.isDigit(text[0]) else { throw .init("a metric name begins with a digit") }
            try append(Label.metricName, text.extracting(0..<position).validText ?? "")
        }
        Self.skipBlanks(text, &position)
        if position < text.count {
            guard text[position] == UInt8(ascii: "{") else {
                throw .init("invalid character in a metric name")
            }
            position += 1
            try readBraces(text)
        }
        guard position == text.count else { throw .init("unexpected text after the labels") }
        labels.sort { $0.name < $1.name }
        for index in labels.indices.dropFirst() where labels[index].name == labels[index - 1].name {
            throw .init("label \(labels[index].name) occurs twice")
        }
    }

    private mutating func readBraces(_ text: Span<UInt8>) throws(SeriesTextProblem) {
        var isFirst = true
        while true {
            Self.skipBlanks(text, &position)
            guard position < text.count else { throw .init("the labels do not end with }") }
            if text[position] == UInt8(ascii: "}") {
                position += 1
                return
            }
            if !isFirst {
                guard text[position] == UInt8(ascii: ",") else {
                    throw .init("expected , or } after a label")
                }
                position += 1
                Self.skipBlanks(text, &position)
                // A comma may follow the last label.
                if position < text.count, text[position] == UInt8(ascii: "}") { continue }
            }
            isFirst = false
            try readLabel(text)
        }
    }

    private mutating func readLabel(_ text: Span<UInt8>) throws(SeriesTextProblem) {
        let name: String
        let isQuoted = position < text.count && text[position] == UInt8(ascii: "\"")
        if isQuoted {
            name = try Self.quotedText(text, &position)
        } else {
            let start = position
            while position < text.count, Self.isNameByte(text[position], colons: false) { position += 1 }
            guard position > start, !Self.isDigit(text[start]) else { throw .init("invalid label name") }
            name = text.extracting(start..<position).validText ?? ""
        }
        Self.skipBlanks(text, &position)
        guard position < text.count, text[position] == UInt8(ascii: "=") else {
            // A quoted text by itself is the metric's name.
            guard isQuoted, !labels.contains(where: { $0.name == Label.metricName }) else {
                throw .init("expected = after label \(name)")
            }
            try append(Label.metricName, name)
            return
        }
        position += 1
        Self.skipBlanks(text, &position)
        guard position < text.count, text[position] == UInt8(ascii: "\"") else {
            throw .init("the value of label \(name) is not in quotes")
        }
        let value = try Self.quotedText(text, &position)
        guard name != Label.metricName else { throw .init("__name__ cannot be written as a label") }
        try append(name, value)
    }

    private mutating func append(_ name: String, _ value: String) throws(SeriesTextProblem) {
        guard !name.isEmpty else { throw .init("a name is empty") }
        guard labels.count < Self.labelsMax else { throw .init("more than \(Self.labelsMax) labels") }
        if !value.isEmpty { labels.append(Label(name, value)) }
    }

    /// Reads a text in double quotes; the position is at the first one and then behind the last.
    static func quotedText(_ text: Span<UInt8>, _ position: inout Int) throws(SeriesTextProblem) -> String {
        position += 1
        let start = position
        while position < text.count, text[position] != UInt8(ascii: "\""),
            text[position] != UInt8(ascii: "\\")
        {
            position += 1
        }
        guard position < text.count else { throw .init("a quote is not closed") }
        if text[position] == UInt8(ascii: "\"") {
            guard position - start <= labelBytesMax else { throw .init("a text of more than 64 KiB") }
            guard let plain = text.extracting(start..<position).validText else {
                throw .init("a text is not UTF-8")
            }
            position += 1
            return plain
        }
        return try escapedText(text, from: start, &position)
    }

    private static func escapedText(
        _ text: Span<UInt8>, from start: Int, _ position: inout Int
    ) throws(SeriesTextProblem) -> String {
        var bytes: [UInt8] = []
        for index in start..<position { bytes.append(text[index]) }
        while position < text.count, text[position] != UInt8(ascii: "\"") {
            var byte = text[position]
            position += 1
            if byte == UInt8(ascii: "\\"), position < text.count {
                switch text[position] {
                case UInt8(ascii: "n"): byte = UInt8(ascii: "\n")
                case UInt8(ascii: "\\"), UInt8(ascii: "\""): byte = text[position]
                default:
                    bytes.append(byte)  // Other escapes stand for themselves, as in Prometheus.
                    byte = text[position]
                }
                position += 1
            }
            bytes.append(byte)
        }
        guard position < text.count else { throw .init("a quote is not closed") }
        position += 1
        guard bytes.count <= labelBytesMax else { throw .init("a text of more than 64 KiB") }
        guard let result = String(validating: bytes, as: UTF8.self) else {
            throw .init("a text is not UTF-8")
        }
        return result
    }

    // MARK: - Bytes

    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    static func isNameByte(_ byte: UInt8, colons: Bool) -> Bool {
        let letter = (byte | 0x20) &- UInt8(ascii: "a")
        return letter < 26 || isDigit(byte) || byte == UInt8(ascii: "_")
            || (colons && byte == UInt8(ascii: ":"))
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    static func skipBlanks(_ text: Span<UInt8>, _ position: inout Int) {
        while position < text.count, isBlank(text[position]) { position += 1 }
    }
}

/// What is wrong with the text of a series.
struct SeriesTextProblem: Error {
    let text: String

    init(_ text: String) { self.text = text }
}
