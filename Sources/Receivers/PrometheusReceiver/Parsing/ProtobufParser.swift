internal import OTLP

/// Reads a page in Prometheus' protobuf format: messages `io.prometheus.client.MetricFamily`, each behind its length.
///
/// Every sample becomes a series with a key of its own, as in the text formats: the buckets of a histogram are
/// `…_bucket` with a label `le`, and so on. A native histogram is one series. Works in portions as `TextParser`.
struct ProtobufParser {
    /// Whether a histogram that has native buckets is read as a classic one, too. Key `always_scrape_classic_histograms`.
    let readsClassicBesidesNative: Bool
    private var position = 0
    /// Buffers for keys, reused.
    private var scratch = ProtobufKey()

    init(readsClassicBesidesNative: Bool = false) {
        self.readsClassicBesidesNative = readsClassicBesidesNative
    }

    /// Reads on, for about as many bytes as told; a family is read whole.
    /// - Returns: whether the page is read to its end.
    /// - Throws: the page breaks the format, or the sink refuses.
    mutating func parse<Sink: PageSink>(
        _ page: WireBytes, bytesMax: Int = .max, into sink: Sink
    ) throws(PageError) -> Bool {
        let stop = bytesMax < page.count - position ? position + bytesMax : page.count
        while position < stop {
            let start = position
            let length = try familyLength(page)
            // SAFETY: the length was checked against the page, which the caller lends for the call.
            let bytes = unsafe WireBytes(
                UnsafeRawBufferPointer(rebasing: page.unsafeBytes[position..<position + length]))
            position += length
            do throws(ProtobufProblem) {
                try readFamily(bytes, sink)
            } catch {
                throw error.located(start)
            }
        }
        return position == page.count
    }

    private mutating func familyLength(_ page: WireBytes) throws(PageError) -> Int {
        let start = position
        var length: UInt64 = 0
        var shift: UInt64 = 0
        while position < page.count, shift < 35 {
            let byte = page[position]
            position += 1
            length |= UInt64(byte & 0x7F) << shift
            shift += 7
            guard byte & 0x80 != 0 else {
                guard length <= UInt64(page.count - position) else {
                    throw .truncated(
                        "byte \(start): a metric family of \(length) bytes, \(page.count - position) left")
                }
                return Int(length)
            }
        }
        throw .protobuf(offset: start, problem: "malformed length of a metric family")
    }

    private mutating func readFamily<Sink: PageSink>(
        _ family: WireBytes, _ sink: Sink
    ) throws(ProtobufProblem) {
        var name = ""
        var type = MetricType.counter
        var fields = family.fields
        while let field = fields.next() {
            switch field.number {
            case 1: name = try field.text()
            case 3: type = try MetricType(protobuf: field.int64)
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("a metric family") }
        guard !name.isEmpty else { throw .malformed("a metric family without a name") }
        scratch.begin(family: name)
        let nameBytes = Array(name.utf8)
        sink.declare(nameBytes.span, type: type)
        fields = family.fields
        while let field = fields.next() {
            switch field.number {
            case 2:
                guard field.bytes.count <= TextParser.helpBytesMax else {
                    throw .malformed("the help of \(name.prefix(200)) has more than 64 KiB")
                }
                sink.declare(nameBytes.span, help: try field.text())
            case 5: sink.declare(nameBytes.span, unit: try field.text())
            default: break
            }
        }
        fields = family.fields
        while let field = fields.next() {
            guard field.number == 4 else { continue }
            try readMetric(field.bytes, name, type, sink)
        }
    }

    private mutating func readMetric<Sink: PageSink>(
        _ bytes: WireBytes, _ family: String, _ type: MetricType, _ sink: Sink
    ) throws(ProtobufProblem) {
        var metric = ProtobufMetric(family: family, type: type)
        scratch.beginMetric()
        var fields = bytes.fields
        var value: WireField?
        while let field = fields.next() {
            switch field.number {
            case 1: scratch.addLabel(field.bytes)
            case 2, 3, 4, 5, 7: value = field
            case 6: metric.timestamp = field.int64.multipliedReportingOverflow(by: 1_000_000).partialValue
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("a metric of \(family)") }
        guard let value else { throw .malformed("a metric of \(family) without a value") }
        let output = ProtobufOutput(metric: metric, bytes: bytes, sink: sink)
        switch value.number {
        case 4: try output.summary(value.bytes, &scratch)
        case 7: try output.histogram(value.bytes, readsClassicBesidesNative, &scratch)
        default: try output.number(value.bytes, &scratch)
        }
    }
}

/// What the samples of one `Metric` have in common.
struct ProtobufMetric {
    let family: String
    let type: MetricType
    /// Nanoseconds since 1970.
    var timestamp: Int64?
}

/// Why a metric family is refused.
enum ProtobufProblem: Error {
    case malformed(String)
    case sink(PageError)

    func located(_ offset: Int) -> PageError {
        switch self {
        case .malformed(let what): .protobuf(offset: offset, problem: "malformed: " + what)
        case .sink(let error): error
        }
    }
}

extension WireField {
    /// A text field.
    func text() throws(ProtobufProblem) -> String {
        // SAFETY: the bytes belong to the page, which lives during the call, and are copied.
        guard let text = unsafe String(validating: bytes.unsafeBytes, as: UTF8.self) else {
            throw .malformed("text that is not UTF-8")
        }
        return text
    }

    /// `google.protobuf.Timestamp` as nanoseconds since 1970; nil when it is out of range.
    func timestamp() -> Int64? {
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        var fields = bytes.fields
        while let field = fields.next() {
            if field.number == 1 { seconds = field.int64 }
            if field.number == 2 { nanoseconds = field.int64 }
        }
        guard (-9_000_000_000...9_000_000_000).contains(seconds), (0..<1_000_000_000).contains(nanoseconds)
        else { return nil }
        return seconds * 1_000_000_000 + nanoseconds
    }
}

extension MetricType {
    init(protobuf number: Int64) throws(ProtobufProblem) {
        switch number {
        case 0: self = .counter
        case 1: self = .gauge
        case 2: self = .summary
        case 3: self = .unknown
        case 4: self = .histogram
        case 5: self = .gaugeHistogram
        default: throw .malformed("unknown metric type \(number)")
        }
    }
}
