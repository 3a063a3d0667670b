internal import OTLP

// Metrics as they are read from the wire, for both kinds of text. All borrow as `WireBytes`.

/// Which of the five kinds a metric is, with the message of that kind.
enum MetricData {
    case empty
    case gauge(WireBytes)
    case sum(WireBytes)
    case histogram(WireBytes)
    case exponentialHistogram(WireBytes)
    case summary(WireBytes)

    /// Reads a `Metric`; of several kinds the last counts.
    init(_ metric: WireBytes) {
        self = .empty
        for field in metric.fields {
            switch field.number {
            case Field.Metric.gauge: self = .gauge(field.bytes)
            case Field.Metric.sum: self = .sum(field.bytes)
            case Field.Metric.histogram: self = .histogram(field.bytes)
            case Field.Metric.exponentialHistogram: self = .exponentialHistogram(field.bytes)
            case Field.Metric.summary: self = .summary(field.bytes)
            default: break
            }
        }
    }

    /// The Collector's name of the kind.
    var name: String {
        switch self {
        case .empty: "Empty"
        case .gauge: "Gauge"
        case .sum: "Sum"
        case .histogram: "Histogram"
        case .exponentialHistogram: "ExponentialHistogram"
        case .summary: "Summary"
        }
    }
}

/// The value of a data point or exemplar.
enum NumberValue {
    case none
    case int(Int64)
    case double(Double)

    /// Reads the one that comes last of two fields.
    init(_ message: WireBytes, asInt: UInt32, asDouble: UInt32) {
        self = .none
        for field in message.fields {
            if field.number == asInt { self = .int(field.int64) }
            if field.number == asDouble { self = .double(field.double) }
        }
    }
}

/// What histograms and summaries have in common.
struct Distribution {
    let count: UInt64
    let sum: Double?
    let min: Double?
    let max: Double?

    init(histogram point: WireBytes) {
        count = point.last(Field.HistogramPoint.count)?.bits ?? 0
        sum = point.last(Field.HistogramPoint.sum)?.double
        min = point.last(Field.HistogramPoint.min)?.double
        max = point.last(Field.HistogramPoint.max)?.double
    }

    init(exponential point: WireBytes) {
        count = point.last(Field.ExponentialPoint.count)?.bits ?? 0
        sum = point.last(Field.ExponentialPoint.sum)?.double
        min = point.last(Field.ExponentialPoint.min)?.double
        max = point.last(Field.ExponentialPoint.max)?.double
    }
}

/// `ExponentialHistogramDataPoint.Buckets`.
struct ExponentialBuckets {
    let offset: Int32
    let counts: [UInt64]

    init(_ message: WireBytes) {
        offset = Int32(truncatingIfNeeded: message.last(Field.Buckets.offset)?.zigzag ?? 0)
        counts = message.varints(Field.Buckets.bucketCounts)
    }
}

extension WireBytes {
    /// The values of a repeated `fixed64` or `double` field, packed or not.
    func fixed64s(_ number: UInt32) -> [UInt64] {
        var values: [UInt64] = []
        for field in fields where field.number == number {
            guard field.kind == .bytes else {
                values.append(field.bits)
                continue
            }
            let packed = field.bytes
            for start in stride(from: 0, to: packed.count - packed.count % 8, by: 8) {
                // SAFETY: 8 bytes are left from `start`, because the end is a multiple of 8 within the bytes.
                let word = unsafe packed.unsafeBytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
                values.append(UInt64(littleEndian: word))
            }
        }
        return values
    }

    /// The values of a repeated `uint64` field, packed or not.
    func varints(_ number: UInt32) -> [UInt64] {
        var values: [UInt64] = []
        for field in fields where field.number == number {
            guard field.kind == .bytes else {
                values.append(field.bits)
                continue
            }
            let packed = field.bytes
            var value: UInt64 = 0
            var shift: UInt64 = 0
            for index in 0..<packed.count {
                value |= UInt64(packed[index] & 0x7F) << shift
                shift += 7
                if packed[index] < 0x80 {
                    values.append(value)
                    (value, shift) = (0, 0)
                }
            }
        }
        return values
    }
}
