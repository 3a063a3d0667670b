internal import COTLP

/// 128 bits that stand for bytes; also what a hash goes on from.
public struct WireHash: Equatable, Sendable {
    /// The lower 64 bits.
    public var low: UInt64
    /// The upper 64 bits.
    public var high: UInt64

    /// From its halves.
    @inlinable
    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }
}

/// Hashes bytes with a secret, so that nobody outside can make two texts of one hash. Any thread.
///
/// The hash is for tables in memory only: it is another one in every process.
public struct WireHasher: Sendable {
    private let key: cotlp_hash_key

    /// With a new secret.
    public init() {
        var source = SystemRandomNumberGenerator()
        var key = cotlp_hash_key()
        key.words = (
            source.next(), source.next(), source.next(), source.next(), source.next(), source.next(),
            source.next(), source.next()
        )
        self.key = key
    }

    /// The hash of bytes that come behind those that `from` stands for.
    public func hash(_ bytes: WireBytes, from: WireHash) -> WireHash {
        // SAFETY: the C function reads the key and exactly these bytes, during the call.
        let hash = unsafe withUnsafePointer(to: key) { key in
            unsafe cotlp_hash_bytes(
                key, cotlp_hash(from), bytes.unsafeBytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
                bytes.count)
        }
        return WireHash(hash)
    }

    /// The hash of a number behind what `from` stands for.
    public func hash(_ number: UInt64, from: WireHash) -> WireHash {
        // SAFETY: the eight bytes of `number` live for the call.
        unsafe withUnsafeBytes(of: number.littleEndian) { unsafe hash(WireBytes($0), from: from) }
    }

    func withKey<Result>(_ body: (UnsafePointer<cotlp_hash_key>) -> Result) -> Result {
        unsafe withUnsafePointer(to: key) { unsafe body($0) }
    }
}

extension cotlp_hash {
    init(_ hash: WireHash) { self.init(low: hash.low, high: hash.high) }
}

extension WireHash {
    init(_ hash: cotlp_hash) { self.init(low: hash.low, high: hash.high) }
}

/// A `Metric` but for its points. Borrows as `WireBytes`.
public struct MetricHead {
    /// UTF-8 text, empty when it is not there.
    public let name: WireBytes
    /// UTF-8 text, as the unit.
    public let description: WireBytes
    /// UTF-8 text, empty when it is not there.
    public let unit: WireBytes
    /// The last `Gauge`, `Sum`, … message.
    public let data: WireBytes
    /// Points in the messages of the metric's kind.
    public let points: Int
    /// One of `Field.Metric.gauge`, `sum`, …; 0 for none.
    public let kind: UInt32
    /// 0 unspecified, 1 delta, 2 cumulative; other numbers mean nothing.
    public let temporality: UInt32
    /// Of a sum.
    public let isMonotonic: Bool
    /// Whether there is a field `metadata`.
    public let hasMetadata: Bool
    /// Whether there is more than one message of the kind, or of several kinds; `data` is but the last.
    public let isScattered: Bool

    /// Reads a `Metric`; of several kinds the last counts.
    public init(_ message: WireBytes) {
        var metric = unsafe cotlp_metric()
        // SAFETY: the C function reads exactly these bytes, during the call.
        unsafe cotlp_metric_read(message.bytePointer, message.count, &metric)
        unsafe name = WireBytes(metric.name)
        unsafe description = WireBytes(metric.description)
        unsafe unit = WireBytes(metric.unit)
        unsafe data = WireBytes(metric.data)
        points = unsafe metric.points
        kind = unsafe metric.kind
        temporality = unsafe metric.temporality
        isMonotonic = unsafe metric.is_monotonic != 0
        hasMetadata = unsafe metric.has_metadata != 0
        isScattered = unsafe metric.is_scattered != 0
    }
}

/// A data point of any kind, as far as every store of series needs it. Borrows as `WireBytes`.
public struct MetricPoint {
    /// What kind of number a point has.
    public enum NumberKind: UInt8, Sendable {
        case none
        case int
        case double
    }

    /// The message of the point.
    public internal(set) var whole = WireBytes.none
    /// Of the attributes, in the order in which they are written.
    public internal(set) var hash = WireHash(low: 0, high: 0)
    /// Nanoseconds since 1970; 0 when unknown. Zero for points of `nextOther`, as all that follows.
    public internal(set) var startTime: UInt64 = 0
    /// Nanoseconds since 1970.
    public internal(set) var time: UInt64 = 0
    /// The bits of the value, or of a histogram's sum.
    public internal(set) var number: UInt64 = 0
    /// Of a histogram.
    public internal(set) var count: UInt64 = 0
    /// A histogram's bucket counts: little-endian 64-bit numbers, not aligned.
    public internal(set) var bucketCounts = WireBytes.none
    /// A histogram's bounds: little-endian doubles, not aligned.
    public internal(set) var bounds = WireBytes.none
    /// `DataPointFlags`.
    public internal(set) var flags: UInt32 = 0
    /// Which field held the value.
    public internal(set) var numberKind = NumberKind.none
    /// Whether there is a field `exemplars`.
    public internal(set) var hasExemplars = false
    /// Whether counts and bounds must be read from `whole`, because they are in several parts.
    public internal(set) var isScattered = false

    /// An empty point, to be read into.
    public init() {}

    /// The flag NO_RECORDED_VALUE: the series ended.
    @inlinable public var hasNoRecordedValue: Bool { flags & 1 != 0 }
}

/// Walks the points of one `Gauge`, `Sum`, … message. Borrows as `WireBytes`.
@safe
public struct MetricPoints {
    private var points: cotlp_points
    private var read = unsafe cotlp_point()
    private let start: UnsafePointer<UInt8>
    private let hasher: WireHasher
    private let from: cotlp_hash

    /// - Parameter from: what the hashes of the points go on from.
    public init(_ data: WireBytes, hasher: WireHasher, from: WireHash) {
        // SAFETY: the end of the borrowed bytes is a valid address.
        unsafe points = cotlp_points(next: data.bytePointer, end: data.bytePointer + data.count)
        unsafe start = data.bytePointer
        self.hasher = hasher
        self.from = cotlp_hash(from)
    }

    /// Where the next point is looked for: bytes from the start of the message.
    public var offset: Int { unsafe points.next - start }

    /// Reads the next `NumberDataPoint`; false at the end.
    public mutating func nextNumber(into point: inout MetricPoint) -> Bool {
        // SAFETY: the C function reads inside the borrowed bytes.
        let found = unsafe hasher.withKey { unsafe cotlp_number_next(&points, $0, from, &read) }
        guard found != 0 else { return false }
        unsafe point.set(read)
        return true
    }

    /// Reads the next `HistogramDataPoint`; false at the end.
    public mutating func nextHistogram(into point: inout MetricPoint) -> Bool {
        // SAFETY: as above.
        let found = unsafe hasher.withKey { unsafe cotlp_histogram_next(&points, $0, from, &read) }
        guard found != 0 else { return false }
        unsafe point.set(read)
        unsafe point.count = read.count
        unsafe point.bucketCounts = WireBytes(read.counts)
        unsafe point.bounds = WireBytes(read.bounds)
        point.isScattered = unsafe read.is_scattered != 0
        return true
    }

    /// Finds the next point of another kind, of which only `whole` and `hash` are read; false at the end.
    ///
    /// - Parameter attributes: the number of the field that holds the attributes.
    public mutating func nextOther(attributes: UInt32, into point: inout MetricPoint) -> Bool {
        // SAFETY: as above.
        let found = unsafe hasher.withKey { unsafe cotlp_point_next(&points, attributes, $0, from, &read) }
        guard found != 0 else { return false }
        point = MetricPoint()
        unsafe point.whole = WireBytes(read.whole)
        unsafe point.hash = WireHash(read.hash)
        return true
    }
}

extension MetricPoint {
    fileprivate mutating func set(_ read: cotlp_point) {
        unsafe whole = WireBytes(read.whole)
        unsafe hash = WireHash(read.hash)
        unsafe startTime = read.start_time
        unsafe time = read.time
        unsafe number = read.number
        unsafe flags = read.flags
        numberKind = unsafe NumberKind(rawValue: read.number_kind) ?? .none
        hasExemplars = unsafe read.has_exemplars != 0
    }
}

extension WireBytes {
    /// SAFETY: valid for reading `count` bytes as long as the request.
    var bytePointer: UnsafePointer<UInt8> {
        unsafe unsafeBytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
    }

    /// SAFETY: a run lies in the bytes that were read; without an address it is empty.
    init(_ run: cotlp_run) {
        unsafe self.init(UnsafeRawBufferPointer(start: run.bytes, count: run.count))
    }
}
