/// What a metric is in OTLP.
enum MetricKind: UInt8, Sendable {
    case gauge
    /// A cumulative sum; monotonic for counters only.
    case counter
    case upDown
    case histogram
    case exponential
    case summary

    init(_ type: MetricType, isNative: Bool) {
        switch type {
        case .counter: self = .counter
        case .unknown, .gauge, .gaugeHistogram: self = .gauge
        case .info, .stateSet: self = .upDown
        case .summary: self = .summary
        case .histogram: self = isNative ? .exponential : .histogram
        }
    }

    /// Whether its points have a start, and a decrease means that they began anew.
    var isCounting: Bool {
        switch self {
        case .gauge, .upDown: false
        case .counter, .histogram, .exponential, .summary: true
        }
    }
}

/// A data point of one target, kept from page to page. Confined to its `ScrapeLoop`.
final class MetricPoint {
    /// A bucket or a quantile.
    struct Slot {
        /// Upper bound, or quantile.
        let bound: Double
        /// Cumulative count, or value.
        var value: Double
        var seen: UInt32
    }

    /// The field `attributes`, encoded, repeated for each.
    let attributes: [UInt8]
    /// The value of a number, or the sum.
    var value = 0.0
    var hasSum = false
    /// Of histograms and summaries; nil when the page has none.
    var count: Double?
    /// Sorted by bound, once the values of a page are taken.
    var slots: [Slot] = []
    /// Those that were not there before, in the order of the page, which need not be that of bounds.
    private var newSlots: [Slot] = []
    var native: NativeHistogram?
    /// The field `exemplars`, encoded, repeated for each.
    var exemplars: [UInt8] = []
    /// As the page tells; nil when it does not.
    var created: Int64?
    /// As the page tells; nil for the time of the scrape.
    var timestamp: Int64?
    /// Number of the scrape that last had a part of this point.
    private(set) var seen: UInt32 = 0
    /// Whether that scrape had all that makes a value.
    private(set) var hasValue = false
    /// Number of the scrape that first had it.
    let born: UInt32

    /// Where it began to count, in nanoseconds since 1970; 0 until its first value was taken.
    private(set) var start: Int64 = 0
    private var last = 0.0
    /// Whether the pipelines were given a value, and no word since that there is none.
    var isLive = false

    init(attributes: [UInt8], born: UInt32) {
        self.attributes = attributes
        self.born = born
    }

    /// Forgets the values of the page before, at the first value of a new one.
    func begin(_ scrape: UInt32) {
        guard seen != scrape else { return }
        seen = scrape
        hasValue = false
        hasSum = false
        count = nil
        native = nil
        created = nil
        timestamp = nil
        newSlots = []
        if !exemplars.isEmpty { exemplars.removeAll(keepingCapacity: true) }
    }

    /// Puts a bucket or quantile.
    func set(_ bound: Double, _ value: Double) {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].bound < bound { low = middle + 1 } else { high = middle }
        }
        if low < slots.count, slots[low].bound == bound {
            slots[low].value = value
            slots[low].seen = seen
        } else {
            newSlots.append(Slot(bound: bound, value: value, seen: seen))
        }
    }

    /// Leaves the slots of this page, sorted; of several of one bound the last.
    private func settleSlots() {
        slots.removeAll { $0.seen != seen }
        guard !newSlots.isEmpty else { return }
        var merged: [Slot] = []
        merged.reserveCapacity(slots.count + newSlots.count)
        // Stable: of equal bounds the later stays behind.
        for slot in (slots + newSlots.filter { $0.seen == seen }).sorted(by: { $0.bound < $1.bound }) {
            if merged.last?.bound == slot.bound { merged.removeLast() }
            merged.append(slot)
        }
        slots = merged
        newSlots = []
    }

    /// Whether the page had all that a point of this kind needs.
    private func isComplete(_ kind: MetricKind) -> Bool {
        switch kind {
        case .gauge, .counter, .upDown: hasSum
        case .histogram, .summary: count != nil
        case .exponential: native != nil
        }
    }

    /// Takes the values of this page, if they are complete, and finds out where they began to count. Once a scrape.
    /// - Returns: whether they are complete.
    func take(_ kind: MetricKind, at time: Int64) -> Bool {
        guard isComplete(kind) else { return false }
        settleSlots()
        hasValue = true
        isLive = true
        settleStart(kind, at: time)
        return true
    }

    private func settleStart(_ kind: MetricKind, at time: Int64) {
        guard kind.isCounting else { return }
        let current: Double =
            switch kind {
            case .counter: value
            case .exponential: native.map { Double($0.count) } ?? 0
            default: count ?? 0
            }
        if let created {
            start = created
        } else if start == 0 || current < last {
            start = timestamp ?? time
        }
        last = current
    }
}
