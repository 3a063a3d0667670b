/// Reads a page in the text format 0.0.4 or 1.0.0, or in OpenMetrics 1.0.
///
/// Works through the page in portions, so that a long page does not hold up an event loop; the page is the same bytes in
/// every call and is not kept. Spacing and order of lines may be looser than OpenMetrics demands, but a page of it that
/// does not end with `# EOF` is refused: it is cut off.
struct TextParser {
    enum Format: Sendable {
        case text
        case openMetrics
    }

    /// The longest name with labels, in bytes.
    static let seriesBytesMax = 1 << 18
    /// The longest help of a family, in bytes.
    static let helpBytesMax = 64 << 10

    let format: Format
    private var position = 0
    private var lineStart = 0
    private var lineNumber = 0
    private var sawEnd = false

    init(_ format: Format) { self.format = format }

    /// Reads on, for about as many bytes as told.
    /// - Returns: whether the page is read to its end.
    /// - Throws: the page breaks the format, or the sink refuses.
    mutating func parse<Sink: PageSink>(
        _ page: Span<UInt8>, bytesMax: Int = .max, into sink: Sink
    ) throws(PageError) -> Bool {
        let stop = bytesMax < page.count - position ? position + bytesMax : page.count
        while position < stop {
            lineNumber += 1
            lineStart = position
            try readLine(page, sink)
        }
        guard position == page.count else { return false }
        if format == .openMetrics, !sawEnd {
            throw .truncated("the page does not end with # EOF, after line \(lineNumber)")
        }
        return true
    }

    private mutating func readLine<Sink: PageSink>(_ page: Span<UInt8>, _ sink: Sink) throws(PageError) {
        if sawEnd { throw broken(page, "text after # EOF") }
        SeriesText.skipBlanks(page, &position)
        guard !isAtEnd(page) else {
            if format == .openMetrics { throw broken(page, "an empty line") }
            endLine(page)
            return
        }
        if page[position] == UInt8(ascii: "#") {
            try readComment(page, sink)
        } else {
            try readSample(page, sink)
        }
        endLine(page)
    }

    /// Goes behind the line feed, which the last line may lack.
    private mutating func endLine(_ page: Span<UInt8>) {
        position = min(position + 1, page.count)
    }

    // MARK: - Samples

    private mutating func readSample<Sink: PageSink>(_ page: Span<UInt8>, _ sink: Sink) throws(PageError) {
        let key = try scanSeries(page)
        let value = try readNumber(page, "value")
        var timestamp: Int64?
        SeriesText.skipBlanks(page, &position)
        if !isAtEnd(page), page[position] != UInt8(ascii: "#") { timestamp = try readTimestamp(page) }
        let series: Int32
        if let known = sink.series(page.extracting(key)) {
            series = known
        } else {
            series = try sink.add(page.extracting(key), labels: labels(page, key), declaredAs: nil)
        }
        try sink.record(series, value, timestamp: timestamp)
        SeriesText.skipBlanks(page, &position)
        guard !isAtEnd(page) else { return }
        guard format == .openMetrics, page[position] == UInt8(ascii: "#") else {
            throw broken(page, "unexpected text after the value")
        }
        sink.record(series, try readExemplar(page))
    }

    /// Finds where name and labels end, without reading them.
    private mutating func scanSeries(_ page: Span<UInt8>) throws(PageError) -> Range<Int> {
        let start = position
        while position < page.count, SeriesText.isNameByte(page[position], colons: true) { position += 1 }
        var end = position
        SeriesText.skipBlanks(page, &position)
        if position < page.count, page[position] == UInt8(ascii: "{") {
            try scanBraces(page)
            end = position
        }
        guard end > start else { throw broken(page, "expected a metric name") }
        guard end - start <= Self.seriesBytesMax else { throw broken(page, "a series of more than 256 KiB") }
        guard
            isAtEnd(page) || position > end || SeriesText.isBlank(page[position])
                || page[end - 1] == UInt8(ascii: "}")
        else { throw broken(page, "invalid character in a metric name") }
        return start..<end
    }

    /// Goes behind the closing brace.
    private mutating func scanBraces(_ page: Span<UInt8>) throws(PageError) {
        var isQuoted = false
        while position < page.count {
            let byte = page[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: "\\"): if isQuoted { position = min(position + 1, page.count) }
            case UInt8(ascii: "}"): if !isQuoted { return }
            case UInt8(ascii: "\n"): if !isQuoted { throw broken(page, "the labels do not end with }") }
            default: break
            }
        }
        position = page.count
        throw broken(page, "the labels do not end with }")
    }

    private func labels(_ page: Span<UInt8>, _ range: Range<Int>) throws(PageError) -> [Label] {
        do throws(SeriesTextProblem) {
            return try SeriesText.labels(page.extracting(range))
        } catch {
            throw broken(page, error.text)
        }
    }

    private mutating func readNumber(_ page: Span<UInt8>, _ what: String) throws(PageError) -> Double {
        let token = nextToken(page)
        guard let number = PageNumber.double(page.extracting(token)) else {
            throw broken(page, token.isEmpty ? "no \(what)" : "the \(what) is no number")
        }
        return number
    }

    /// A timestamp as nanoseconds: whole milliseconds in the text format, seconds in OpenMetrics.
    private mutating func readTimestamp(_ page: Span<UInt8>) throws(PageError) -> Int64 {
        if format == .openMetrics {
            guard let time = PageNumber.nanoseconds(seconds: try readNumber(page, "timestamp")) else {
                throw broken(page, "the timestamp is out of range")
            }
            return time
        }
        guard let milliseconds = PageNumber.int(page.extracting(nextToken(page))),
            abs(milliseconds) < Int64.max / 1_000_000
        else { throw broken(page, "the timestamp is no number of milliseconds") }
        return milliseconds * 1_000_000
    }

    /// Reads `# {labels} value [timestamp]`, as it follows a value.
    private mutating func readExemplar(_ page: Span<UInt8>) throws(PageError) -> PageExemplar {
        position += 1
        SeriesText.skipBlanks(page, &position)
        let start = position
        guard position < page.count, page[position] == UInt8(ascii: "{") else {
            throw broken(page, "expected the labels of an exemplar")
        }
        try scanBraces(page)
        let labels = try labels(page, start..<position)
        let value = try readNumber(page, "value of the exemplar")
        SeriesText.skipBlanks(page, &position)
        let timestamp = isAtEnd(page) ? nil : try readTimestamp(page)
        SeriesText.skipBlanks(page, &position)
        guard isAtEnd(page) else { throw broken(page, "unexpected text after the exemplar") }
        return PageExemplar(labels: labels, value: value, timestamp: timestamp)
    }

    // MARK: - Comments

    private mutating func readComment<Sink: PageSink>(_ page: Span<UInt8>, _ sink: Sink) throws(PageError) {
        position += 1
        guard position < page.count, SeriesText.isBlank(page[position]) else {
            skipToEnd(page)
            return
        }
        let keyword = nextToken(page)
        let word = page.extracting(keyword)
        if word.elementsEqual("TYPE") {
            let name = try familyName(page)
            let token = nextToken(page)
            guard let type = MetricType(page.extracting(token)) else {
                throw broken(page, token.isEmpty ? "no metric type" : "unknown metric type")
            }
            sink.declare(name.span, type: type)
        } else if word.elementsEqual("HELP") {
            let name = try familyName(page)
            sink.declare(name.span, help: try helpText(page))
        } else if word.elementsEqual("UNIT"), format == .openMetrics {
            let name = try familyName(page)
            sink.declare(name.span, unit: page.extracting(nextToken(page)).validText ?? "")
        } else if word.elementsEqual("EOF"), format == .openMetrics, isAtEnd(page) {
            sawEnd = true
        } else {
            // A comment.
            skipToEnd(page)
            return
        }
        SeriesText.skipBlanks(page, &position)
        guard isAtEnd(page) else { throw broken(page, "unexpected text at the end of the line") }
    }

    private mutating func familyName(_ page: Span<UInt8>) throws(PageError) -> [UInt8] {
        SeriesText.skipBlanks(page, &position)
        if position < page.count, page[position] == UInt8(ascii: "\"") {
            do throws(SeriesTextProblem) {
                return Array(try SeriesText.quotedText(page, &position).utf8)
            } catch {
                throw broken(page, error.text)
            }
        }
        let token = nextToken(page)
        guard !token.isEmpty else { throw broken(page, "no metric name") }
        guard token.count <= Self.seriesBytesMax else {
            throw broken(page, "a metric name of more than 256 KiB")
        }
        var name: [UInt8] = []
        name.reserveCapacity(token.count)
        for index in token {
            guard SeriesText.isNameByte(page[index], colons: true) else {
                throw broken(page, "invalid character in a metric name")
            }
            name.append(page[index])
        }
        return name
    }

    /// The rest of the line with `\\`, `\n` and, in OpenMetrics, `\"` resolved.
    private mutating func helpText(_ page: Span<UInt8>) throws(PageError) -> String {
        SeriesText.skipBlanks(page, &position)
        var bytes: [UInt8] = []
        while !isAtEnd(page) {
            var byte = page[position]
            position += 1
            if byte == UInt8(ascii: "\\"), !isAtEnd(page) {
                switch page[position] {
                case UInt8(ascii: "n"):
                    byte = UInt8(ascii: "\n")
                    position += 1
                case UInt8(ascii: "\\"): position += 1
                case UInt8(ascii: "\""):
                    if format == .openMetrics {
                        byte = UInt8(ascii: "\"")
                        position += 1
                    }
                default: break
                }
            }
            guard bytes.count < Self.helpBytesMax else { throw broken(page, "a help of more than 64 KiB") }
            bytes.append(byte)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw broken(page, "the help is not UTF-8")
        }
        return text
    }

    // MARK: - Lines

    private func isAtEnd(_ page: Span<UInt8>) -> Bool {
        position >= page.count || page[position] == UInt8(ascii: "\n")
    }

    private mutating func nextToken(_ page: Span<UInt8>) -> Range<Int> {
        SeriesText.skipBlanks(page, &position)
        let start = position
        while !isAtEnd(page), !SeriesText.isBlank(page[position]) { position += 1 }
        return start..<position
    }

    private mutating func skipToEnd(_ page: Span<UInt8>) {
        while !isAtEnd(page) { position += 1 }
    }

    /// An error that shows the line.
    private func broken(_ page: Span<UInt8>, _ problem: String) -> PageError {
        var end = min(lineStart, page.count)
        while end < page.count, page[end] != UInt8(ascii: "\n"), end - lineStart < 200 { end += 1 }
        return .line(
            lineNumber, text: page.extracting(min(lineStart, end)..<end).messageText, problem: problem)
    }
}
