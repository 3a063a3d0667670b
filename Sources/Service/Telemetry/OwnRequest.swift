internal import OTLP
internal import Pipeline

/// Requests of OTLP about the gateway itself.
struct OwnRequest: Sendable {
    /// The name of the scope of everything.
    private static let scopeName = "sluice"

    private let resource: [UInt8]
    private let scope: [UInt8]

    init(_ resource: OwnResource, version: String) {
        self.resource = WireWriter.bytes { writer in
            for (name, value) in resource.attributes {
                writer.field(1, Self.attribute(name, .text(value)))
            }
        }
        scope = WireWriter.bytes {
            $0.text(1, Self.scopeName)
            $0.text(2, version)
        }
    }

    /// A request with these spans, log records or metrics: the three have the same envelopes.
    func request(_ items: [[UInt8]]) -> [UInt8] {
        let scoped = WireWriter.bytes { writer in
            writer.field(1, scope)
            for item in items { writer.field(2, item) }
        }
        return WireWriter.bytes {
            $0.field(
                1,
                WireWriter.bytes {
                    $0.field(1, resource)
                    $0.field(2, scoped)
                })
        }
    }

    /// A KeyValue.
    static func attribute(_ key: String, _ value: OwnValue) -> [UInt8] {
        WireWriter.bytes {
            $0.text(1, key)
            $0.field(
                2,
                WireWriter.bytes { content in
                    switch value {
                    // The kind of a value must be there, also when it is the default.
                    case .text(let text): content.field(1, Array(text.utf8))
                    case .whole(let number): content.whole(3, number)
                    }
                })
        }
    }

    // MARK: - Spans

    /// A Span.
    static func span(_ span: OwnSpan) -> [UInt8] {
        WireWriter.bytes { writer in
            writer.field(1, bigEndian(span.trace.high) + bigEndian(span.trace.low))
            writer.field(2, bigEndian(span.id))
            if span.parent != 0 { writer.field(4, bigEndian(span.parent)) }
            writer.text(5, span.name)
            writer.integer(6, span.kind.rawValue)
            writer.fixed64(7, UInt64(bitPattern: span.startNanoseconds))
            writer.fixed64(8, UInt64(bitPattern: span.endNanoseconds))
            for (key, value) in span.attributes { writer.field(9, attribute(key, value)) }
            guard let error = span.error else { return }
            writer.field(
                15,
                WireWriter.bytes {
                    $0.text(2, error)
                    $0.integer(3, 2)  // STATUS_CODE_ERROR
                })
        }
    }

    private static func bigEndian(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
    }

    // MARK: - Log records

    /// A LogRecord.
    static func record(_ line: OwnLogRecord) -> [UInt8] {
        WireWriter.bytes { writer in
            writer.fixed64(1, UInt64(bitPattern: line.unixNanoseconds))
            writer.integer(2, line.severity)
            writer.text(3, line.severityText)
            writer.field(5, WireWriter.bytes { $0.field(1, Array(line.message.utf8)) })
            for (key, value) in line.attributes { writer.field(6, attribute(key, value)) }
            writer.fixed64(11, UInt64(bitPattern: line.unixNanoseconds))
        }
    }

    // MARK: - Metrics

    /// Metrics as they are now, and how many points they have. Sums and histograms are cumulative since `start`, or, with
    /// `last`, which is brought up to date, what came since then.
    static func metrics(
        _ page: borrowing MetricPage, since last: inout LastValues?, from start: Int64, to now: Int64
    ) -> (items: [[UInt8]], points: Int) {
        var items: [[UInt8]] = []
        var points = 0
        for (name, family) in page.families.sorted(by: { $0.key < $1.key }) where name != "target_info" {
            points += family.series.count
            var series = family.series
            if family.kind != .gauge, last != nil {
                for (labels, value) in series { series[labels] = last?.difference(name, labels, value) }
            }
            let temporality: Int64 = last == nil ? 2 : 1  // AGGREGATION_TEMPORALITY_CUMULATIVE, …_DELTA
            let data = WireWriter.bytes { writer in
                for (labels, value) in series {
                    writer.field(1, point(labels, value, from: start, to: now))
                }
                guard family.kind != .gauge else { return }
                writer.integer(2, temporality)
                if family.kind == .counter { writer.integer(3, 1) }
            }
            items.append(
                WireWriter.bytes {
                    $0.text(1, name)
                    $0.text(2, family.help)
                    $0.text(3, MetricUnit(ofMetric: name)?.rawValue ?? "")
                    $0.field(family.kind.field, data)
                })
        }
        return (items, points)
    }

    private static func point(
        _ labels: MetricLabels, _ value: MetricValue, from start: Int64, to now: Int64
    ) -> [UInt8] {
        WireWriter.bytes { writer in
            let isHistogram = if case .histogram = value { true } else { false }
            for (name, value) in labels.pairs {
                writer.field(isHistogram ? 9 : 7, attribute(name, .text(value)))
            }
            writer.fixed64(2, UInt64(bitPattern: start))
            writer.fixed64(3, UInt64(bitPattern: now))
            switch value {
            case .whole(let number): writer.fixed64(6, UInt64(bitPattern: number))
            case .number(let number): writer.fixed64(4, number.bitPattern)
            case .histogram(let bounds, let counts, let sum):
                writer.fixed64(4, counts.reduce(0, &+))
                writer.fixed64(5, sum.bitPattern)
                writer.packed(6, counts)
                writer.packed(7, bounds.map(\.bitPattern))
            }
        }
    }
}

/// What counters and histograms had when they were last sent.
struct LastValues {
    private var values: [String: [MetricLabels: MetricValue]] = [:]

    /// What has come to a series since; all of it for one that is new or has begun anew.
    mutating func difference(_ name: String, _ labels: MetricLabels, _ value: MetricValue) -> MetricValue {
        let before = values[name, default: [:]].updateValue(value, forKey: labels)
        switch (value, before) {
        case (.whole(let now), .whole(let then)) where now >= then: return .whole(now - then)
        case (.number(let now), .number(let then)) where now >= then: return .number(now - then)
        case (.histogram(let bounds, let now, let sum), .histogram(let boundsThen, let then, let sumThen))
        where bounds == boundsThen && now.count == then.count && zip(now, then).allSatisfy({ $0 >= $1 }):
            return .histogram(bounds: bounds, counts: zip(now, then).map { $0 - $1 }, sum: sum - sumThen)
        default: return value
        }
    }
}

extension MetricKind {
    /// The field of a Metric that has its data.
    fileprivate var field: UInt32 {
        switch self {
        case .gauge: 5
        case .counter: 7
        case .histogram: 9
        }
    }
}
