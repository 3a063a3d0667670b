internal import OTLP

/// A histogram's bounds, shared by all series that have the same.
final class BoundsSet {
    private let bounds: BucketBounds
    /// `le` as the text format and as OpenMetrics write it, with what ends the labels, one behind the other; where
    /// each begins; the end.
    let texts: (plain: [UInt8], plainStarts: [Int], open: [UInt8], openStarts: [Int])
    fileprivate let key: SeriesKey
    fileprivate var references = 0

    fileprivate init(_ values: [Double], key: SeriesKey) {
        bounds = BucketBounds(values)
        self.key = key
        var texts: (plain: [UInt8], plainStarts: [Int], open: [UInt8], openStarts: [Int]) = ([], [0], [], [0])
        for value in values {
            texts.plain += (NumberText.plain(value) + "\"} ").utf8
            texts.plainStarts.append(texts.plain.count)
            texts.open += (NumberText.open(value) + "\"} ").utf8
            texts.openStarts.append(texts.open.count)
        }
        self.texts = texts
    }

    /// Ascending.
    var values: [Double] { bounds.values }

    /// The index of the bucket that a value falls into.
    func bucket(of value: Double) -> Int { bounds.bucket(of: value) }
}

/// All bounds in use, each once, by number. Not thread-safe.
final class BoundsTable {
    private let table = KeyTable()
    private var sets = IndexedList<BoundsSet>()
    private var setBytes = 0

    subscript(index: UInt32) -> BoundsSet { sets[index] }

    var bytes: Int { table.bytes + setBytes }

    /// Whether these are the bounds of this number.
    func isSame(_ index: UInt32, _ bounds: WireBytes) -> Bool {
        let values = sets[index].values
        guard values.count * 8 == bounds.count else { return false }
        for place in 0..<values.count {
            // SAFETY: there are as many doubles as values.
            let bits = unsafe bounds.unsafeBytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)
            if UInt64(littleEndian: bits) != values[place].bitPattern { return false }
        }
        return true
    }

    /// Whether bounds ascend.
    static func areValid(_ bounds: WireBytes) -> Bool {
        let values = values(bounds)
        return zip(values, values.dropFirst()).allSatisfy(<) && !(values.first?.isNaN ?? false)
    }

    private static func values(_ bounds: WireBytes) -> [Double] {
        (0..<(bounds.count / 8)).map { place in
            // SAFETY: as above.
            let bits = unsafe bounds.unsafeBytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)
            return Double(bitPattern: UInt64(littleEndian: bits))
        }
    }

    /// One more reference to bounds; the first makes them known.
    func use(_ bounds: WireBytes, _ hasher: WireHasher) -> UInt32 {
        let key = SeriesKey(hasher.hash(bounds, from: WireHash(low: 6, high: 0)))
        var index = table.find(key)
        if index == noIndex {
            let set = BoundsSet(Self.values(bounds), key: key)
            index = sets.add(set)
            table.set(key, index)
            setBytes += Self.bytes(of: set)
        }
        sets[index].references += 1
        return index
    }

    /// One reference less; the last one forgets them.
    func release(_ index: UInt32) {
        let set = sets[index]
        set.references -= 1
        guard set.references == 0 else { return }
        table.remove(set.key)
        sets.remove(index)
        setBytes -= Self.bytes(of: set)
    }

    private static func bytes(of set: BoundsSet) -> Int {
        set.values.count * 24 + set.texts.plain.count + set.texts.open.count + 128
    }
}

/// A summary point.
struct SummaryState {
    /// More quantiles are refused.
    static let countMax = 1024

    var startTime: UInt64 = 0
    var time: UInt64 = 0
    var count: UInt64 = 0
    var sum: Double? = 0
    /// Quantile and value in turn, bits of doubles.
    var quantiles: [UInt64] = []
    var hasNoRecordedValue = false

    /// Reads a `SummaryDataPoint`; nil when it has too many quantiles.
    init?(_ message: WireBytes) {
        for field in message.fields {
            switch field.number {
            case Field.SummaryPoint.startTime: startTime = field.bits
            case Field.SummaryPoint.time: time = field.bits
            case Field.SummaryPoint.count: count = field.bits
            case Field.SummaryPoint.sum: sum = field.double
            case Field.SummaryPoint.flags: hasNoRecordedValue = field.bits & 1 != 0
            case Field.SummaryPoint.quantileValues:
                var quantile: UInt64 = 0
                var value: UInt64 = 0
                for part in field.bytes.fields {
                    if part.number == Field.QuantileValue.quantile { quantile = part.bits }
                    if part.number == Field.QuantileValue.value { value = part.bits }
                }
                quantiles += [quantile, value]
            default: break
            }
        }
        if quantiles.count > Self.countMax * 2 { return nil }
    }
}

/// An exponential histogram, as a point brings it and as a series keeps it.
struct ExponentialState {
    /// Buckets of values between powers of a base: bucket `offset + i` counts `counts[i]`.
    struct Buckets: Equatable {
        var offset: Int64 = 0
        var counts: [UInt64] = []

        /// Without empty buckets at both ends.
        mutating func trim() {
            while counts.last == 0 { counts.removeLast() }
            let empty = counts.prefix { $0 == 0 }.count
            counts.removeFirst(empty)
            offset = counts.isEmpty ? 0 : offset + Int64(empty)
        }

        /// As of a scale that is smaller by `steps`.
        func downscaled(by steps: Int) -> Buckets {
            guard steps > 0, !counts.isEmpty else { return self }
            let shift = Int64(min(steps, 62))
            var coarse = Buckets(offset: offset >> shift, counts: [])
            coarse.counts = Array(
                repeating: 0, count: Int(((offset + Int64(counts.count) - 1) >> shift) - coarse.offset + 1))
            for (place, count) in counts.enumerated() {
                coarse.counts[Int(((offset + Int64(place)) >> shift) - coarse.offset)] &+= count
            }
            return coarse
        }

        /// The sum of both; both of one scale.
        func adding(_ other: Buckets) -> Buckets {
            if counts.isEmpty { return other }
            if other.counts.isEmpty { return self }
            let first = min(offset, other.offset)
            let end = max(offset + Int64(counts.count), other.offset + Int64(other.counts.count))
            var sum = Buckets(offset: first, counts: Array(repeating: 0, count: Int(end - first)))
            for part in [self, other] {
                for (place, count) in part.counts.enumerated() {
                    sum.counts[Int(part.offset - first) + place] &+= count
                }
            }
            return sum
        }

        /// How far the first bucket is from the last of both.
        func span(with other: Buckets) -> Int64 {
            if counts.isEmpty { return Int64(other.counts.count) }
            if other.counts.isEmpty { return Int64(counts.count) }
            return max(offset + Int64(counts.count), other.offset + Int64(other.counts.count))
                - min(offset, other.offset)
        }
    }

    /// What native histograms can have.
    static let scales: ClosedRange<Int64> = -4...8
    /// Buckets on one side; with more the scale is made smaller.
    static let bucketsMax = 1024

    var startTime: UInt64 = 0
    var time: UInt64 = 0
    var count: UInt64 = 0
    var sum: Double?
    var scale: Int64 = 0
    var zeroCount: UInt64 = 0
    var zeroThreshold = 0.0
    var positive = Buckets()
    var negative = Buckets()
    var hasNoRecordedValue = false

    /// Reads an `ExponentialHistogramDataPoint`; nil when no native histogram can hold it.
    init?(_ message: WireBytes) {
        for field in message.fields {
            switch field.number {
            case Field.ExponentialPoint.startTime: startTime = field.bits
            case Field.ExponentialPoint.time: time = field.bits
            case Field.ExponentialPoint.count: count = field.bits
            case Field.ExponentialPoint.sum: sum = field.double
            case Field.ExponentialPoint.scale: scale = Int64(Int32(truncatingIfNeeded: field.zigzag))
            case Field.ExponentialPoint.zeroCount: zeroCount = field.bits
            case Field.ExponentialPoint.zeroThreshold: zeroThreshold = field.double
            case Field.ExponentialPoint.positive, Field.ExponentialPoint.negative:
                guard let side = Self.buckets(field.bytes) else { return nil }
                if field.number == Field.ExponentialPoint.positive {
                    positive = side
                } else {
                    negative = side
                }
            case Field.ExponentialPoint.flags: hasNoRecordedValue = field.bits & 1 != 0
            default: break
            }
        }
        if hasNoRecordedValue { return }
        // Prometheus gives up the whole scrape for a histogram that does not add up.
        guard total == count else { return nil }
        positive.trim()
        negative.trim()
        guard fit(to: Self.scales.upperBound) else { return nil }
    }

    /// What all buckets hold; nil when that is more than a native histogram can hold.
    private var total: UInt64? {
        var total = zeroCount
        for count in [positive.counts, negative.counts].joined() {
            let (sum, overflow) = total.addingReportingOverflow(count)
            if overflow { return nil }
            total = sum
        }
        return total <= UInt64(Int64.max) ? total : nil
    }

    /// What an SDK sends at most is 160 buckets a side; each is a byte at least.
    private static let bucketBytesMax = 64 << 10

    /// Nil when there are more buckets than anybody would send.
    private static func buckets(_ message: WireBytes) -> Buckets? {
        guard message.count <= bucketBytesMax else { return nil }
        var buckets = Buckets()
        for field in message.fields {
            if field.number == Field.Buckets.offset {
                buckets.offset = Int64(Int32(truncatingIfNeeded: field.zigzag))
            }
            if field.number == Field.Buckets.bucketCounts { buckets.counts.appendVarints(field) }
        }
        return buckets
    }

    /// Makes the scale at most `scaleMax`, and smaller until there are not too many buckets.
    private mutating func fit(to scaleMax: Int64) -> Bool {
        var target = min(scale, scaleMax)
        while target >= Self.scales.lowerBound {
            let steps = Int(scale - target)
            let (up, down) = (positive.downscaled(by: steps), negative.downscaled(by: steps))
            if up.counts.count <= Self.bucketsMax, down.counts.count <= Self.bucketsMax {
                (positive, negative, scale) = (up, down, target)
                return true
            }
            target -= 1
        }
        return false
    }

    /// The sum of this, the newer one, and what came before; nil when no native histogram can hold it.
    func merged(with older: ExponentialState) -> ExponentialState? {
        var (new, old) = (self, older)
        var target = min(new.scale, old.scale)
        while true {
            guard target >= Self.scales.lowerBound, new.fit(to: target), old.fit(to: target) else {
                return nil
            }
            target = min(new.scale, old.scale)
            guard new.scale == old.scale else { continue }
            if new.positive.span(with: old.positive) <= Int64(Self.bucketsMax),
                new.negative.span(with: old.negative) <= Int64(Self.bucketsMax)
            {
                break
            }
            target -= 1
        }
        new.positive = new.positive.adding(old.positive)
        new.negative = new.negative.adding(old.negative)
        new.zeroCount &+= old.zeroCount
        guard let total = new.total else { return nil }
        new.count = total
        new.zeroThreshold = max(new.zeroThreshold, old.zeroThreshold)
        if let sum = new.sum, let before = old.sum { new.sum = sum + before } else { new.sum = nil }
        new.startTime = old.startTime
        return new
    }

    // MARK: - As words of a record

    private static let headWords = 7

    /// Scale, zero count, zero threshold, offset and number of buckets of both sides, the buckets.
    var words: [UInt64] {
        [
            UInt64(bitPattern: scale), zeroCount, zeroThreshold.bitPattern,
            UInt64(bitPattern: positive.offset), UInt64(positive.counts.count),
            UInt64(bitPattern: negative.offset), UInt64(negative.counts.count),
        ] + positive.counts + negative.counts
    }

    /// What a record keeps, whose words came from `words`.
    init(_ record: SeriesRecord, _ memory: borrowing SeriesMemory) {
        startTime = record.startTime
        time = record.time
        count = record.count
        sum = record.flags.contains(.hasSum) ? record.double : nil
        guard memory.words.count >= Self.headWords else { return }
        let words = (0..<memory.words.count).map { memory.words[$0] }
        scale = Int64(bitPattern: words[0])
        zeroCount = words[1]
        zeroThreshold = Double(bitPattern: words[2])
        let middle = Self.headWords + Int(words[4])
        positive = Buckets(
            offset: Int64(bitPattern: words[3]), counts: Array(words[Self.headWords..<middle]))
        negative = Buckets(
            offset: Int64(bitPattern: words[5]), counts: Array(words[middle..<(middle + Int(words[6]))])
        )
    }
}
