internal import OTLP

/// The bytes that name a series of a protobuf page, put together in buffers that are reused.
///
///     family name · 0 · the `LabelPair`s as they are on the page, each behind its length · kind · bits of `le` or quantile
struct ProtobufKey {
    private(set) var bytes: [UInt8] = []
    private var familyCount = 0
    private var metricCount = 0

    mutating func begin(family: String) {
        bytes.removeAll(keepingCapacity: true)
        bytes += family.utf8
        bytes.append(0)
        familyCount = bytes.count
    }

    mutating func beginMetric() {
        bytes.removeSubrange(familyCount...)
        metricCount = familyCount
    }

    mutating func addLabel(_ pair: WireBytes) {
        unsafe withUnsafeBytes(of: UInt32(truncatingIfNeeded: pair.count)) { unsafe bytes += $0 }
        // SAFETY: the pair belongs to the page, which lives during the call, and is copied.
        unsafe bytes += pair.unsafeBytes
        metricCount = bytes.count
    }

    /// Completes the key of one sample of the metric.
    mutating func end(_ part: ProtobufPart) {
        bytes.removeSubrange(metricCount...)
        bytes.append(part.tag)
        unsafe withUnsafeBytes(of: part.parameter.bitPattern) { unsafe bytes += $0 }
    }
}

/// Which sample of a metric.
enum ProtobufPart {
    case value
    case native
    case sum
    case count
    case bucket(Double)
    case quantile(Double)

    var tag: UInt8 {
        switch self {
        case .value: 0
        case .native: 1
        case .sum: 2
        case .count: 3
        case .bucket: 4
        case .quantile: 5
        }
    }

    var parameter: Double {
        switch self {
        case .bucket(let bound), .quantile(let bound): bound
        default: 0
        }
    }

    /// What the text formats append to the family's name.
    var suffix: String {
        switch self {
        case .sum: "_sum"
        case .count: "_count"
        case .bucket: "_bucket"
        default: ""
        }
    }
}

/// Hands the samples of one `Metric` to the sink.
struct ProtobufOutput<Sink: PageSink> {
    let metric: ProtobufMetric
    /// The `Metric` message.
    let bytes: WireBytes
    let sink: Sink

    /// `Counter`, `Gauge`, `Untyped`: value 1; a counter's exemplar 2 and created timestamp 3.
    func number(_ message: WireBytes, _ key: inout ProtobufKey) throws(ProtobufProblem) {
        var value = 0.0
        var exemplar: PageExemplar?
        var created: Int64?
        var fields = message.fields
        while let field = fields.next() {
            switch field.number {
            case 1: value = field.double
            case 2: exemplar = try Self.exemplar(field.bytes)
            case 3: created = field.timestamp()
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("a value of \(metric.family)") }
        let series = try put(.value, value, &key)
        if let exemplar { sink.record(series, exemplar) }
        if let created { sink.record(series, created: created) }
    }

    /// `Summary`: count 1, sum 2, quantiles 3, created 4.
    func summary(_ message: WireBytes, _ key: inout ProtobufKey) throws(ProtobufProblem) {
        var count = 0.0
        var sum = 0.0
        var created: Int64?
        var fields = message.fields
        while let field = fields.next() {
            switch field.number {
            case 1: count = Double(field.bits)
            case 2: sum = field.double
            case 3:
                let (quantile, value) = try Self.pair(field.bytes)
                _ = try put(.quantile(quantile), value, &key)
            case 4: created = field.timestamp()
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("a summary of \(metric.family)") }
        _ = try put(.sum, sum, &key)
        let series = try put(.count, count, &key)
        if let created { sink.record(series, created: created) }
    }

    /// `Histogram`, classic, native or both.
    func histogram(
        _ message: WireBytes, _ readsClassicBesidesNative: Bool, _ key: inout ProtobufKey
    ) throws(ProtobufProblem) {
        let parts = try ProtobufHistogram(message, family: metric.family)
        if parts.isNative {
            guard let histogram = parts.native() else { throw .malformed("the buckets of \(metric.family)") }
            let series = try find(.native, &key)
            do throws(PageError) {
                try sink.record(series, histogram, timestamp: metric.timestamp)
            } catch {
                throw .sink(error)
            }
            for bytes in parts.exemplars { sink.record(series, try Self.exemplar(bytes)) }
            if let created = parts.created { sink.record(series, created: created) }
            guard readsClassicBesidesNative else { return }
        }
        var sawInfinite = false
        for bytes in parts.buckets {
            let bucket = try ProtobufBucket(bytes)
            sawInfinite = sawInfinite || bucket.bound == .infinity
            let series = try put(.bucket(bucket.bound), bucket.cumulative, &key)
            if let exemplar = bucket.exemplar { sink.record(series, try Self.exemplar(exemplar)) }
        }
        if !sawInfinite { _ = try put(.bucket(.infinity), parts.count, &key) }
        _ = try put(.sum, parts.sum, &key)
        let series = try put(.count, parts.count, &key)
        if let created = parts.created { sink.record(series, created: created) }
    }

    // MARK: - Series

    private func put(_ part: ProtobufPart, _ value: Double, _ key: inout ProtobufKey) throws(ProtobufProblem)
        -> Int32
    {
        let series = try find(part, &key)
        do throws(PageError) {
            try sink.record(series, value, timestamp: metric.timestamp)
        } catch {
            throw .sink(error)
        }
        return series
    }

    private func find(_ part: ProtobufPart, _ key: inout ProtobufKey) throws(ProtobufProblem) -> Int32 {
        key.end(part)
        if let series = sink.series(key.bytes.span) { return series }
        let labels = try labels(part)
        do throws(PageError) {
            return try sink.add(key.bytes.span, labels: labels, declaredAs: metric.type)
        } catch {
            throw .sink(error)
        }
    }

    private func labels(_ part: ProtobufPart) throws(ProtobufProblem) -> [Label] {
        var labels = [Label(Label.metricName, metric.family + part.suffix)]
        var fields = bytes.fields
        while let field = fields.next() {
            guard field.number == 1 else { continue }
            let label = try Self.label(field.bytes)
            if !label.value.isEmpty { labels.append(label) }
        }
        switch part {
        case .bucket(let bound): labels.append(Label("le", canonicalText(bound)))
        case .quantile(let quantile): labels.append(Label("quantile", canonicalText(quantile)))
        default: break
        }
        labels.sort { $0.name < $1.name }
        for index in labels.indices.dropFirst() where labels[index].name == labels[index - 1].name {
            throw .malformed("label \(labels[index].name) of \(metric.family) occurs twice")
        }
        return labels
    }

    // MARK: - Messages

    private static func label(_ pair: WireBytes) throws(ProtobufProblem) -> Label {
        var label = Label("", "")
        var fields = pair.fields
        while let field = fields.next() {
            if field.number == 1 { label.name = try field.text() }
            if field.number == 2 { label.value = try field.text() }
        }
        guard !fields.isMalformed, !label.name.isEmpty else { throw .malformed("a label") }
        return label
    }

    private static func pair(_ message: WireBytes) throws(ProtobufProblem) -> (Double, Double) {
        var pair = (0.0, 0.0)
        var fields = message.fields
        while let field = fields.next() {
            if field.number == 1 { pair.0 = field.double }
            if field.number == 2 { pair.1 = field.double }
        }
        guard !fields.isMalformed else { throw .malformed("a quantile") }
        return pair
    }

    private static func exemplar(_ message: WireBytes) throws(ProtobufProblem) -> PageExemplar {
        var exemplar = PageExemplar(labels: [], value: 0, timestamp: nil)
        var fields = message.fields
        while let field = fields.next() {
            switch field.number {
            case 1: exemplar.labels.append(try label(field.bytes))
            case 2: exemplar.value = field.double
            case 3: exemplar.timestamp = field.timestamp()
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("an exemplar") }
        return exemplar
    }
}

/// A bound or quantile as OpenMetrics writes it in labels: `0.5`, `1.0`, `+Inf`.
func canonicalText(_ value: Double) -> String {
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value.isNaN ? "NaN" : value.description
}
