/// What a page of metrics says about a family of series: Prometheus' metric types.
enum MetricType: UInt8, Sendable, CaseIterable {
    case unknown
    case counter
    case gauge
    case histogram
    case gaugeHistogram
    case summary
    case info
    case stateSet

    /// The word of a `# TYPE` line, and the value of the attribute `prometheus.type`.
    var word: String {
        switch self {
        case .gaugeHistogram: "gaugehistogram"
        case .stateSet: "stateset"
        default: "\(self)"
        }
    }

    /// Reads the word of a `# TYPE` line. `untyped` is the text format's `unknown`.
    init?(_ word: Span<UInt8>) {
        if word.elementsEqual("untyped") {
            self = .unknown
            return
        }
        guard let type = Self.allCases.first(where: { word.elementsEqual($0.word) }) else { return nil }
        self = type
    }
}

/// Why a page was not taken. Nothing of such a page counts.
enum PageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A line of text that breaks the format.
    case line(Int, text: String, problem: String)
    /// Bytes of the protobuf format that break it, at this offset.
    case protobuf(offset: Int, problem: String)
    /// A page that ends too early.
    case truncated(String)
    /// A limit of the configuration.
    case limit(key: String, limit: Int, found: String)
    /// The series of the page would take more memory than there is for a target.
    case memory(bytes: Int)
    /// A series that relabelling left without what it needs.
    case relabelled(String)

    var description: String {
        switch self {
        case .line(let number, let text, let problem): "line \(number): \(problem): \(text)"
        case .protobuf(let offset, let problem): "byte \(offset): \(problem)"
        case .truncated(let problem): problem
        case .limit(let key, let limit, let found): "\(found) exceeds \(key) \(limit)"
        case .memory(let bytes):
            "the target's series take \(bytes >> 20) MiB, more than a quarter of what memory_limiter has free: set"
                + " sample_limit, drop series by metric_relabel_configs, or raise limit_mib"
        case .relabelled(let problem): problem
        }
    }
}

/// An example of what was counted: a point in time and the labels of, usually, a trace.
struct PageExemplar {
    var labels: [Label]
    var value: Double
    /// Nanoseconds since 1970; nil when the page does not tell.
    var timestamp: Int64?
}

/// Takes what a parser finds on a page, in the page's order.
///
/// A series is named by its bytes on the page. Whoever keeps numbers for these bytes from page to page spares the parser
/// everything but a look-up: labels are only read for series that are new.
protocol PageSink: AnyObject {
    /// The type of a family.
    func declare(_ family: Span<UInt8>, type: MetricType)
    /// The help of a family, unescaped.
    func declare(_ family: Span<UInt8>, help: String)
    /// The unit of a family.
    func declare(_ family: Span<UInt8>, unit: String)
    /// The number of a series that was added before; nil for a new one.
    func series(_ key: Span<UInt8>) -> Int32?
    /// Adds a series. Its labels are sorted by name, `__name__` is one of them.
    func add(_ key: Span<UInt8>, labels: [Label], declaredAs type: MetricType?) throws(PageError) -> Int32
    /// A value. `timestamp` in nanoseconds since 1970, nil when the page does not tell.
    func record(_ series: Int32, _ value: Double, timestamp: Int64?) throws(PageError)
    /// A native histogram.
    func record(_ series: Int32, _ histogram: NativeHistogram, timestamp: Int64?) throws(PageError)
    /// An exemplar of the value recorded last for this series.
    func record(_ series: Int32, _ exemplar: PageExemplar)
    /// When the series began to count, in nanoseconds since 1970. Follows the series' value.
    func record(_ series: Int32, created: Int64)
}

extension Span<UInt8> {
    /// Whether these are exactly the bytes of a text.
    func elementsEqual(_ text: String) -> Bool {
        guard count == text.utf8.count else { return false }
        var index = 0
        for byte in text.utf8 {
            guard self[index] == byte else { return false }
            index += 1
        }
        return true
    }

    /// The bytes as text; nil when they are not UTF-8.
    var validText: String? {
        // SAFETY: the bytes are borrowed for the call and copied.
        unsafe withUnsafeBufferPointer { unsafe String(validating: $0, as: UTF8.self) }
    }

    /// The bytes as text for a message: repaired, and cut after 120 bytes.
    var messageText: String {
        let end = Swift.min(count, 120)
        // SAFETY: the bytes are borrowed for the call and copied.
        let text = unsafe extracting(0..<end).withUnsafeBufferPointer {
            unsafe String(decoding: $0, as: UTF8.self)
        }
        return end < count ? text + "…" : text
    }
}
