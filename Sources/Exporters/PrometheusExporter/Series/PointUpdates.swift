internal import OTLP

// What a point does to the state of its series. Cumulative points replace what is there, unless they are older.
// Delta points are added when they begin where the last one ended or later: SDKs send nothing of a series that was not
// touched, so a gap means that nothing happened. Only a gap behind which the resource is another process begins anew.
// A delta that begins earlier was counted already, at least in part.

/// What a delta point does.
enum DeltaStep {
    case add
    case beginAnew
    case drop

    /// - Parameters:
    ///   - process: of the resource that sends the point; see `Context.process`.
    ///   - record: what is there; an empty one takes everything.
    @inline(__always)
    init(startTime: UInt64, time: UInt64, process: UInt32, after record: borrowing SeriesRecord) {
        if !record.flags.contains(.hasValue) {
            self = .beginAnew
        } else if startTime == record.time {
            self = .add
        } else if startTime == 0 {
            // A sender that does not say when a delta began goes on where it was.
            self = time > record.time ? .add : .drop
        } else {
            let before = record.process
            let isRestart = process != 0 && before != 0 && process != before
            self = startTime < record.time ? .drop : isRestart ? .beginAnew : .add
        }
    }
}

extension SeriesRecord {
    /// Whether a cumulative point of this time comes too late. Points without a time never do.
    @inline(__always)
    func isNewer(than other: UInt64) -> Bool { other < time && other != 0 }

    /// Takes a number in; says why when it does not.
    @inline(__always)
    mutating func update(_ point: borrowing MetricPoint, isDelta: Bool, process: UInt32) -> DropReason? {
        if isDelta { return addDelta(point, process) }
        if isNewer(than: point.time) { return .outOfOrder }
        number = point.number
        startTime = point.startTime
        time = point.time
        if point.numberKind == .int {
            flags.formUnion([.hasValue, .isInt])
        } else {
            flags.insert(.hasValue)
            flags.remove(.isInt)
        }
        return nil
    }

    private mutating func addDelta(_ point: borrowing MetricPoint, _ process: UInt32) -> DropReason? {
        switch DeltaStep(startTime: point.startTime, time: point.time, process: process, after: self) {
        case .drop: return .deltaOverlap
        case .beginAnew:
            number = point.number
            startTime = point.startTime
            if point.numberKind == .int { flags.insert(.isInt) } else { flags.remove(.isInt) }
            flags.insert(.hasValue)
        case .add:
            add(bits: point.number, isInt: point.numberKind == .int)
        }
        time = point.time
        self.process = process
        return nil
    }

    /// Adds a number; integers stay exact until they meet a double or grow too large.
    mutating func add(bits: UInt64, isInt: Bool) {
        if isInt, flags.contains(.isInt) {
            let (sum, overflow) = Int64(bitPattern: number).addingReportingOverflow(Int64(bitPattern: bits))
            if !overflow {
                number = UInt64(bitPattern: sum)
                return
            }
        }
        let other = isInt ? Double(Int64(bitPattern: bits)) : Double(bitPattern: bits)
        number = (double + other).bitPattern
        flags.remove(.isInt)
    }

    /// Takes a distribution's sum in, or adds it; a sum that is missing once is missing from then on.
    mutating func setSum(_ sum: Double?, adding: Bool) {
        if adding {
            guard let sum, flags.contains(.hasSum) else {
                flags.remove(.hasSum)
                return
            }
            number = (Double(bitPattern: number) + sum).bitPattern
        } else {
            number = (sum ?? 0).bitPattern
            if sum == nil { flags.remove(.hasSum) } else { flags.insert(.hasSum) }
        }
    }
}

/// Room for buckets that a sender did not write in one piece. One for a store.
final class PointScratch {
    private var words = OwnedRun<UInt64>()

    /// A histogram point's counts and bounds, each in one piece, until the next call.
    fileprivate func gather(_ point: WireBytes) -> (counts: WireBytes, bounds: WireBytes) {
        var counts: [UInt64] = []
        var bounds: [UInt64] = []
        for field in point.fields {
            if field.number == Field.HistogramPoint.bucketCounts { counts.appendFixed(field) }
            if field.number == Field.HistogramPoint.explicitBounds { bounds.appendFixed(field) }
        }
        var next = (counts + bounds).makeIterator()
        words = OwnedRun(count: counts.count + bounds.count) { (next.next() ?? 0).littleEndian }
        let all = words.borrowed
        let middle = counts.count * 8
        // SAFETY: both are parts of the words, which stay until they are replaced.
        return (
            unsafe WireBytes(UnsafeRawBufferPointer(rebasing: all.unsafeBytes[..<middle])),
            unsafe WireBytes(UnsafeRawBufferPointer(rebasing: all.unsafeBytes[middle...]))
        )
    }
}

/// A histogram point's buckets, one piece each. Borrows as `WireBytes`, and at most until the next point.
struct HistogramBuckets {
    /// More buckets than this are refused: a page could not be written in small parts.
    static let countMax = 4096

    /// Little-endian numbers, one more than bounds, or none.
    let counts: WireBytes
    /// Little-endian doubles.
    let bounds: WireBytes

    /// Nil when the numbers do not match.
    @inline(__always)
    init?(_ point: borrowing MetricPoint, scratch: PointScratch) {
        let parts =
            point.isScattered
            ? scratch.gather(point.whole) : (counts: point.bucketCounts, bounds: point.bounds)
        counts = parts.counts
        bounds = parts.bounds
        guard counts.count == bounds.count + 8 || counts.count == 0 && bounds.count == 0,
            counts.count <= Self.countMax * 8
        else { return nil }
    }

}

extension [UInt64] {
    /// Appends the values of a `fixed64` or `double` field, packed or not.
    fileprivate mutating func appendFixed(_ field: WireField) {
        guard field.kind == .bytes else {
            append(field.bits)
            return
        }
        let packed = field.bytes
        for start in stride(from: 0, to: packed.count & ~7, by: 8) {
            // SAFETY: 8 bytes are left from `start`.
            append(
                UInt64(
                    littleEndian: unsafe packed.unsafeBytes.loadUnaligned(
                        fromByteOffset: start, as: UInt64.self)))
        }
    }

    /// Appends the values of a `uint64` field, packed or not.
    mutating func appendVarints(_ field: WireField) {
        guard field.kind == .bytes else {
            append(field.bits)
            return
        }
        let packed = field.bytes
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for index in 0..<packed.count {
            value |= UInt64(packed[index] & 0x7F) << shift
            shift += 7
            if packed[index] < 0x80 {
                append(value)
                (value, shift) = (0, 0)
            }
        }
    }
}

extension SeriesStore {
    /// Takes a histogram point in; says why when it does not.
    func updateHistogram(
        _ index: UInt32, _ point: borrowing MetricPoint, _ buckets: HistogramBuckets, isDelta: Bool,
        process: UInt32
    ) -> DropReason? {
        var isAdding = false
        if isDelta {
            switch DeltaStep(
                startTime: point.startTime, time: point.time, process: process, after: slab[index])
            {
            case .drop: return .deltaOverlap
            case .beginAnew: break
            case .add: isAdding = true
            }
        } else if slab[index].isNewer(than: point.time) {
            return .outOfOrder
        }
        let old = slab[index].bounds
        let isSame =
            old != noIndex && bounds.isSame(old, buckets.bounds)
            && slab[memory: index].words.count * 8 == buckets.counts.count
        if !isSame {
            if let reason = changeBounds(index, buckets) { return reason }
            isAdding = false
        }
        let sum = point.numberKind == .none ? nil : Double(bitPattern: point.number)
        slab[index].setSum(sum, adding: isAdding)
        if isAdding {
            slab[index].count &+= point.count
            slab[memory: index].words.add(buckets.counts)
        } else {
            slab[index].count = point.count
            slab[index].startTime = point.startTime
            if buckets.counts.count > 0 { slab[memory: index].words.copy(buckets.counts) }
        }
        slab[index].time = point.time
        slab[index].process = process
        slab[index].flags.insert(.hasValue)
        return nil
    }

    private func changeBounds(_ index: UInt32, _ buckets: HistogramBuckets) -> DropReason? {
        guard BoundsTable.areValid(buckets.bounds) else { return .malformed }
        if let lack = lackOfRoom(for: buckets.counts.count - slab[memory: index].words.bytes) { return lack }
        dropExemplars(index)
        let new = bounds.use(buckets.bounds, hasher)
        if slab[index].bounds != noIndex { bounds.release(slab[index].bounds) }
        slab[index].bounds = new
        resizeWords(index, buckets.counts.count / 8)
        return nil
    }

    /// Takes a summary point in; says why when it does not.
    func updateSummary(_ index: UInt32, _ summary: SummaryState) -> DropReason? {
        if slab[index].isNewer(than: summary.time) { return .outOfOrder }
        if let lack = lackOfRoom(for: summary.quantiles.count * 8 - slab[memory: index].words.bytes) {
            return lack
        }
        resizeWords(index, summary.quantiles.count)
        for (place, word) in summary.quantiles.enumerated() { slab[memory: index].words[place] = word }
        slab[index].count = summary.count
        slab[index].setSum(summary.sum, adding: false)
        slab[index].startTime = summary.startTime
        slab[index].time = summary.time
        slab[index].flags.insert(.hasValue)
        return nil
    }

    /// Takes an exponential point in; says why when it does not.
    func updateExponential(
        _ index: UInt32, _ state: ExponentialState, isDelta: Bool, process: UInt32
    ) -> DropReason? {
        var state = state
        var isAdding = false
        if isDelta {
            switch DeltaStep(
                startTime: state.startTime, time: state.time, process: process, after: slab[index])
            {
            case .drop: return .deltaOverlap
            case .beginAnew: break
            case .add: isAdding = true
            }
        } else if slab[index].isNewer(than: state.time) {
            return .outOfOrder
        }
        if isAdding {
            guard let sum = state.merged(with: ExponentialState(slab[index], slab[memory: index])) else {
                return .malformed
            }
            state = sum
        }
        let words = state.words
        if let lack = lackOfRoom(for: words.count * 8 - slab[memory: index].words.bytes) { return lack }
        resizeWords(index, words.count)
        for (place, word) in words.enumerated() { slab[memory: index].words[place] = word }
        slab[index].count = state.count
        slab[index].setSum(state.sum, adding: false)
        if !isAdding { slab[index].startTime = state.startTime }
        slab[index].time = state.time
        slab[index].process = process
        slab[index].flags.insert(.hasValue)
        return nil
    }

    private func resizeWords(_ index: UInt32, _ count: Int) {
        guard slab[memory: index].words.count != count else { return }
        ownedBytes -= slab[memory: index].words.bytes
        slab[memory: index].words = OwnedRun(count: count) { 0 }
        ownedBytes += slab[memory: index].words.bytes
    }

    // MARK: - Exemplars

    /// Exemplars of a point that are looked at; the rest are counted.
    static let exemplarsPerPointMax = 1024

    /// Keeps the latest exemplar of a counter or of each bucket.
    /// - Returns: the work that it took.
    func keepExemplars(of point: borrowing MetricPoint, field number: UInt32, series index: UInt32) -> Int {
        let bytesMax = min(settings.limits.exemplarBytes, memoryMax / 4)
        guard bytesMax > 0 else { return 0 }
        let type = family(of: slab[index]).type
        guard type == .counter || type == .histogram else { return 0 }
        let slots = max(1, slab[memory: index].words.count)
        var seen = 0
        for field in point.whole.fields where field.number == number {
            seen += 1
            guard seen <= Self.exemplarsPerPointMax else {
                events.exemplars += 1
                continue
            }
            guard let exemplar = Exemplar(field.bytes, namer: settings.namer) else { continue }
            if slab[memory: index].exemplars.count != slots {
                guard
                    exemplarBytes + slots * MemoryLayout<ExemplarSlot>.stride <= bytesMax
                else { break }
                dropExemplars(index)
                slab[memory: index].exemplars = OwnedRun(count: slots) { ExemplarSlot() }
                exemplarBytes += slab[memory: index].exemplars.bytes
            }
            let bounds = slab[index].bounds
            let place = bounds == noIndex || slots == 1 ? 0 : self.bounds[bounds].bucket(of: exemplar.value)
            let bytes = slab[memory: index].exemplars[place].labels.bytes
            let labels = OwnedRun(exemplar.labels)
            guard slab[memory: index].exemplars[place].time <= exemplar.time,
                exemplarBytes - bytes + labels.bytes <= bytesMax
            else { continue }
            exemplarBytes += labels.bytes - bytes
            slab[memory: index].exemplars[place] = ExemplarSlot(
                value: exemplar.value.bitPattern, time: exemplar.time, labels: labels)
        }
        return seen <= Self.exemplarsPerPointMax ? seen * Self.workPerExemplar : Self.workPerTurn
    }

    private func dropExemplars(_ index: UInt32) {
        exemplarBytes -= slab[memory: index].exemplarBytes
        slab[memory: index].exemplars = OwnedRun()
    }
}
