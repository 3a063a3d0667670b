internal import OTLP

/// An exponential histogram as Prometheus has it: spans of buckets and the differences of their counts.
struct NativeHistogram {
    static let schemaMin: Int64 = -4
    private static let schemaMax: Int64 = 8
    /// So many empty buckets are written rather than a new span begun.
    private static let gapMax = 2

    private struct Buckets {
        var offset: Int64 = 0
        var counts: [UInt64] = []

        init() {}

        init(_ message: WireBytes) {
            for field in message.fields {
                switch field.number {
                case Field.Buckets.offset: offset = field.zigzag
                case Field.Buckets.bucketCounts: counts += field.varints
                default: break
                }
            }
        }

        /// Counts by Prometheus' index at a scale that is `levels` coarser, without empty ones.
        func indexed(levels: Int64) -> [(index: Int64, count: UInt64)] {
            var result: [(index: Int64, count: UInt64)] = []
            for (position, count) in counts.enumerated() where count > 0 {
                // Prometheus numbers buckets by their upper bounds.
                let index = ((offset &+ Int64(position)) >> min(levels, 62)) + 1
                if result.last?.index == index {
                    result[result.count - 1].count &+= count
                } else {
                    result.append((index, count))
                }
            }
            return result
        }
    }

    private var time: UInt64 = 0
    private var isStale = false
    private var count: UInt64 = 0
    private var sum: Double?
    private var scale: Int64 = 0
    private var zeroCount: UInt64 = 0
    private var zeroThreshold = 0.0
    private var positive = Buckets()
    private var negative = Buckets()

    /// Reads an `ExponentialHistogramDataPoint`; nil when its scale is too coarse.
    init?(_ point: WireBytes) {
        for field in point.fields {
            switch field.number {
            case Field.ExponentialPoint.time: time = field.bits
            case Field.ExponentialPoint.flags: isStale = field.bits & 1 != 0
            case Field.ExponentialPoint.count: count = field.bits
            case Field.ExponentialPoint.sum: sum = field.double
            case Field.ExponentialPoint.scale: scale = field.zigzag
            case Field.ExponentialPoint.zeroCount: zeroCount = field.bits
            case Field.ExponentialPoint.zeroThreshold: zeroThreshold = field.double
            case Field.ExponentialPoint.positive: positive = Buckets(field.bytes)
            case Field.ExponentialPoint.negative: negative = Buckets(field.bytes)
            default: break
            }
        }
        guard scale >= Self.schemaMin else { return nil }
    }

    /// Writes a `Histogram` message.
    func write(to draft: inout ProtobufDraft, stale: Double) {
        let schema = min(scale, Self.schemaMax)
        draft.integer(1, isStale ? 0 : count)
        if let sum = isStale ? stale : sum { draft.double(3, sum) }
        draft.signed(4, schema)
        draft.double(5, zeroThreshold == 0 ? 1e-128 : zeroThreshold)
        draft.integer(6, isStale ? 0 : zeroCount)
        if !isStale {
            Self.write(negative.indexed(levels: scale - schema), spans: 8, deltas: 9, to: &draft)
            Self.write(positive.indexed(levels: scale - schema), spans: 11, deltas: 12, to: &draft)
        }
        draft.integer(15, time / 1_000_000)
    }

    private static func write(
        _ buckets: [(index: Int64, count: UInt64)], spans: UInt64, deltas: UInt64,
        to draft: inout ProtobufDraft
    ) {
        var ranges: [(offset: Int64, length: UInt64)] = []
        var packed = ProtobufDraft()
        var last: (index: Int64, count: UInt64)?
        func add(_ count: UInt64) {
            let delta = Int64(bitPattern: count &- (last?.count ?? 0))
            packed.varint(UInt64(bitPattern: (delta << 1) ^ (delta >> 63)))
        }
        for bucket in buckets {
            let gap = last.map { bucket.index - $0.index - 1 }
            if let gap, gap <= gapMax {
                for _ in 0..<gap {
                    add(0)
                    last?.count = 0
                }
                ranges[ranges.count - 1].length += UInt64(gap) + 1
            } else {
                ranges.append((gap ?? bucket.index, 1))
            }
            add(bucket.count)
            last = bucket
        }
        for range in ranges {
            draft.message(spans) {
                $0.signed(1, range.offset)
                $0.integer(2, range.length)
            }
        }
        if !packed.bytes.isEmpty { draft.field(deltas, packed.bytes) }
    }
}

extension WireField {
    /// Varints, packed or a single one.
    fileprivate var varints: [UInt64] {
        guard isBytes else { return [bits] }
        var numbers: [UInt64] = []
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for index in 0..<bytes.count {
            value |= UInt64(bytes[index] & 0x7F) << shift
            shift += 7
            guard bytes[index] < 0x80 else { continue }
            numbers.append(value)
            (value, shift) = (0, 0)
        }
        return numbers
    }
}
