internal import OTLP

/// The fields of a `Histogram` message. Borrows the page.
struct ProtobufHistogram {
    private(set) var count = 0.0
    private(set) var sum = 0.0
    private(set) var buckets: [WireBytes] = []
    private(set) var exemplars: [WireBytes] = []
    private(set) var created: Int64?
    private var wholeCount: UInt64?
    private var schema: Int64 = 0
    private var zeroThreshold = 0.0
    private var zeroCount = 0.0
    private var positive = NativeSpans()
    private var negative = NativeSpans()
    private var hasZeroBucket = false

    /// Buckets that one message may have.
    private static let partsMax = 100_000

    init(_ message: WireBytes, family: String) throws(ProtobufProblem) {
        var fields = message.fields
        var parts = 0
        while let field = fields.next() {
            try read(field)
            parts += 1
            guard parts <= Self.partsMax else {
                throw .malformed("a histogram of \(family) with too many parts")
            }
        }
        guard !fields.isMalformed else { throw .malformed("a histogram of \(family)") }
    }

    private mutating func read(_ field: WireField) throws(ProtobufProblem) {
        switch field.number {
        case 1:
            if field.bits > 0 { (count, wholeCount) = (Double(field.bits), field.bits) }
        case 2: sum = field.double
        case 3: buckets.append(field.bytes)
        case 4: if field.double > 0 { count = field.double }
        case 5: schema = field.zigzag
        case 6:
            zeroThreshold = field.double
            hasZeroBucket = true
        case 7:
            zeroCount = max(zeroCount, Double(field.bits))
            hasZeroBucket = hasZeroBucket || field.bits > 0
        case 8:
            zeroCount = max(zeroCount, field.double)
            hasZeroBucket = hasZeroBucket || field.double > 0
        case 9: negative.spans.append(try Self.span(field.bytes))
        case 10: try Self.numbers(field) { negative.deltas.append($0.zigzag) }
        case 11: try Self.doubles(field, into: &negative.counts)
        case 12: positive.spans.append(try Self.span(field.bytes))
        case 13: try Self.numbers(field) { positive.deltas.append($0.zigzag) }
        case 14: try Self.doubles(field, into: &positive.counts)
        case 15: created = field.timestamp()
        case 16: exemplars.append(field.bytes)
        default: break
        }
    }

    /// Whether there are native buckets; an empty native histogram shows itself by a zero threshold or an empty span.
    var isNative: Bool { hasZeroBucket || !positive.isEmpty || !negative.isEmpty }

    /// The native histogram; nil when its buckets contradict each other or its schema is not exponential.
    func native() -> NativeHistogram? {
        guard (-4...8).contains(schema), let positive = positive.side(), let negative = negative.side(),
            let count = wholeCount ?? PrometheusReceiver.wholeCount(self.count),
            let zeroCount = PrometheusReceiver.wholeCount(zeroCount)
        else { return nil }
        return NativeHistogram(
            schema: Int32(schema), zeroThreshold: zeroThreshold, zeroCount: zeroCount, count: count, sum: sum,
            positive: positive, negative: negative)
    }

    private static func span(_ message: WireBytes) throws(ProtobufProblem) -> (offset: Int32, length: UInt32)
    {
        var span = (offset: Int32(0), length: UInt32(0))
        var fields = message.fields
        while let field = fields.next() {
            if field.number == 1 { span.offset = Int32(clamping: field.zigzag) }
            if field.number == 2 { span.length = UInt32(clamping: field.bits) }
        }
        guard !fields.isMalformed else { throw .malformed("a span of buckets") }
        return span
    }

    /// A repeated varint field, packed or not.
    private static func numbers(_ field: WireField, _ take: (PackedVarint) -> Void) throws(ProtobufProblem) {
        guard field.isBytes else { return take(PackedVarint(bits: field.bits)) }
        let bytes = field.bytes
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for index in 0..<bytes.count {
            guard shift < 70 else { throw .malformed("a packed number") }
            value |= shift < 64 ? UInt64(bytes[index] & 0x7F) << shift : 0
            shift += 7
            guard bytes[index] < 0x80 else { continue }
            take(PackedVarint(bits: value))
            (value, shift) = (0, 0)
        }
        guard shift == 0 else { throw .malformed("a packed number") }
    }

    /// A repeated double field, packed or not.
    private static func doubles(_ field: WireField, into values: inout [Double]) throws(ProtobufProblem) {
        guard field.isBytes else { return values.append(field.double) }
        let bytes = field.bytes
        guard bytes.count % 8 == 0 else { throw .malformed("packed numbers") }
        for start in stride(from: 0, to: bytes.count, by: 8) {
            let bits = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << UInt64($1 * 8) }
            values.append(Double(bitPattern: bits))
        }
    }
}

/// A number of a packed list.
struct PackedVarint {
    let bits: UInt64

    /// As `sint64`.
    var zigzag: Int64 { Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1) }
}

/// A `Bucket` of a classic histogram.
struct ProtobufBucket {
    private(set) var cumulative = 0.0
    private(set) var bound = 0.0
    private(set) var exemplar: WireBytes?

    init(_ message: WireBytes) throws(ProtobufProblem) {
        var fields = message.fields
        while let field = fields.next() {
            switch field.number {
            case 1: cumulative = max(cumulative, Double(field.bits))
            case 2: bound = field.double
            case 3: exemplar = field.bytes
            case 4: cumulative = max(cumulative, field.double)
            default: break
            }
        }
        guard !fields.isMalformed else { throw .malformed("a bucket") }
    }
}
