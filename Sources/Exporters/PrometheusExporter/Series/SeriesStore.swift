internal import OTLP

/// Why a data point did not become a sample.
enum DropReason: String, CaseIterable, Sendable {
    /// A new series beyond `max_series`, or beyond the memory that so many are given.
    case seriesLimit = "max_series"
    /// A new series beyond `max_series_per_metric`.
    case metricLimit = "max_series_per_metric"
    /// A new source of a series beyond `max_sources_per_series`.
    case sourceLimit = "max_sources_per_series"
    /// Another metric of this name has another type.
    case typeConflict = "type_conflict"
    /// Nothing valid is left of the metric's name.
    case invalidName = "invalid_name"
    /// Of unspecified temporality, or a delta that may be negative.
    case temporality
    /// A delta of a time that was counted already.
    case deltaOverlap = "delta_overlap"
    /// Older than what is there.
    case outOfOrder = "out_of_order"
    /// Of more attributes than a point, a resource or a scope may have.
    case attributes
    /// Without a value, or with buckets that make no sense.
    case malformed
}

/// Something that is worth a line in the log, once a metric.
enum StoreNotice: Hashable, Sendable {
    case typeConflict(metric: String, existing: String, new: String)
    case limit(metric: String, DropReason)
    case invalidName(metric: String)
    case temporality(metric: String)
    case attributes(metric: String)
    case merged(metric: String)

    /// Bytes of a name that are remembered and logged: refused metrics may be called anything.
    static let nameBytesMax = 256

    /// The beginning of a name.
    static func short(_ name: String) -> String {
        name.utf8.count <= nameBytesMax
            ? name : String(decoding: name.utf8.prefix(nameBytesMax), as: UTF8.self) + "…"
    }

    /// The same with short names.
    var shortened: StoreNotice {
        switch self {
        case .typeConflict(let metric, let existing, let new):
            .typeConflict(metric: Self.short(metric), existing: existing, new: new)
        case .limit(let metric, let reason): .limit(metric: Self.short(metric), reason)
        case .invalidName(let metric): .invalidName(metric: Self.short(metric))
        case .temporality(let metric): .temporality(metric: Self.short(metric))
        case .attributes(let metric): .attributes(metric: Self.short(metric))
        case .merged(let metric): .merged(metric: Self.short(metric))
        }
    }
}

/// What happened since it was last asked.
struct StoreEvents: Sendable {
    /// By `DropReason`, in the order of its cases.
    var drops = [Int](repeating: 0, count: DropReason.allCases.count)
    /// Points of new series beyond a limit, by metric; of a bounded number of metrics, the rest under
    /// `other`.
    var overLimit: [String: Int] = [:]
    /// New sources of series that another source has already.
    var merged = 0
    /// Exemplars that were not looked at, because their point had too many.
    var exemplars = 0
    var notices: [StoreNotice] = []

    /// Points that were dropped for this reason.
    subscript(reason: DropReason) -> Int {
        get { drops[DropReason.allCases.firstIndex(of: reason)!] }
        set { drops[DropReason.allCases.firstIndex(of: reason)!] = newValue }
    }
}

/// The series of one exporter: fed with the bytes of requests, read by pages.
///
/// A data point finds its series by a hash of its attributes' bytes, with two small reads; nothing is
/// decoded. Only what is seen for the first time, or with its attributes in another order, is made into
/// labels, and then found by these. Not thread-safe: its owner holds a lock, for one request or one part of a
/// page at a time.
final class SeriesStore {
    struct Limits: Sendable {
        /// Records, of all metrics and of one.
        var series: Int
        var seriesPerMetric: Int
        /// Sources whose names and labels become those of one series: a page adds them up in one go.
        var sourcesPerSeries = 1000
        /// Memory of labels and buckets: more than this, on average, and new series are refused before
        /// `series` is reached.
        var bytesPerSeries = 1024
        /// Memory of exemplars: beyond, there are no new ones.
        var exemplarBytes = 64 << 20
        /// Ticks without an update after which a series is removed; 0 for never.
        var expiration: UInt32 = 0
    }

    struct Settings: Sendable {
        var namer: MetricNamer
        var constLabels: [Label] = []
        var resourceLabels = ResourceLabels()
        var withoutScopeInfo = false
        var limits: Limits
    }

    /// Another way in which a series was written: its attributes in another order, or by another resource of
    /// the same labels.
    struct Alias {
        let key: SeriesKey
        let context: UInt32
        let descriptor: UInt32
    }

    struct Target {
        var record: UInt32
        var labels: [Label]
        var references: Int
    }

    /// Aliases beyond the first that a series may have; the oldest is forgotten for a new one, which costs
    /// time only.
    static let moreAliasesMax = 16
    /// Metrics that are named when they are over a limit.
    static let namedMetricsMax = 64
    /// Lines for the log that are remembered as written.
    private static let noticesMax = 1024

    let settings: Settings
    let labels: LabelMaker
    let hasher = WireHasher()
    let slab: SeriesSlab
    let aliases = KeyTable(parts: 64)
    let finals = KeyTable(parts: 64)
    /// Secondary sources, by final key and source.
    let sources = KeyTable()
    /// How many sources a primary stands for, itself included; of one with secondary ones only.
    var sourceCounts: [UInt32: Int] = [:]
    let bounds = BoundsTable()
    let descriptorTable = KeyTable()
    let contextTable = KeyTable()
    var moreAliases: [UInt32: [Alias]] = [:]
    var descriptors = IndexedList<Descriptor>()
    var contexts = IndexedList<Context>()
    var targets: [SeriesKey: Target] = [:]
    var targetFamily: Family?
    var families = FamilyList()
    var cursors: [PageCursor] = []
    /// Memory of labels, buckets, contexts.
    var ownedBytes = 0
    var exemplarBytes = 0
    /// Counted with `count`, but for merged series and notices.
    var events = StoreEvents()
    private var hasDrops = false
    var scratch = PointScratch()
    /// What the turn may still do; see `workPerTurn`.
    var work = 0
    private var noticed: Set<StoreNotice> = []
    private var namedMetrics: Set<String> = []
    private var lastID: UInt64 = 0
    /// Where the next sweep goes on.
    var sweepPosition: UInt32 = 0

    init(_ settings: Settings) {
        self.settings = settings
        labels = LabelMaker(namer: settings.namer, constLabels: settings.constLabels)
        slab = SeriesSlab(countMax: settings.limits.series)
    }

    /// A number that was never given before.
    func makeID() -> UInt64 {
        lastID += 1
        return lastID
    }

    /// Memory of everything.
    var bytes: Int {
        slab.bytes + aliases.bytes + finals.bytes + sources.bytes + descriptorTable.bytes
            + contextTable.bytes + bounds.bytes + ownedBytes + exemplarBytes
    }

    /// Whether anything happened since `takeEvents` was called.
    var hasEvents: Bool { hasDrops || events.merged > 0 || events.exemplars > 0 || !events.notices.isEmpty }

    /// Whether labels and buckets may take so much more memory. What is there for every series, large or
    /// small, is not counted; a small limit has room for a megabyte.
    func hasRoom(for more: Int) -> Bool {
        let limits = settings.limits
        return ownedBytes + exemplarBytes + bounds.bytes + more
            <= max(limits.series * limits.bytesPerSeries, 1 << 20)
    }

    /// What happened since the last call.
    func takeEvents() -> StoreEvents {
        let taken = events
        events = StoreEvents()
        hasDrops = false
        return taken
    }

    /// Counts dropped points.
    func count(_ reason: DropReason, _ points: Int = 1) {
        hasDrops = true
        events[reason] += points
    }

    /// Says something once.
    func notice(_ notice: StoreNotice) {
        let notice = notice.shortened
        guard noticed.count < Self.noticesMax, noticed.insert(notice).inserted else { return }
        events.notices.append(notice)
    }

    /// Counts points of new series that are over a limit, under the name of their metric.
    func dropOverLimit(_ reason: DropReason, _ family: Family) {
        count(reason)
        var name = StoreNotice.short(family.name)
        if !namedMetrics.contains(name) {
            if namedMetrics.count < Self.namedMetricsMax {
                namedMetrics.insert(name)
            } else {
                name = "other"
            }
        }
        events.overLimit[name, default: 0] += 1
        notice(.limit(metric: family.name, reason))
    }

    /// The family of a record.
    func family(of record: borrowing SeriesRecord) -> Family {
        record.descriptor == noIndex ? targetFamily! : descriptors[record.descriptor].family
    }

    /// Whether nothing has updated a record for so long that it must not be shown any more.
    @inline(__always)
    func isExpired(_ record: borrowing SeriesRecord, now: UInt32) -> Bool {
        let age = now &- record.touched
        let isPinned = record.flags.contains(.isPinned)
        // A younger time than the last update is that of a page that was begun before it.
        return !isPinned && settings.limits.expiration > 0 && age > settings.limits.expiration
            && age < 1 << 31
    }
}

/// Objects by number; numbers are used again.
struct IndexedList<Element: AnyObject> {
    private var elements: [Element?] = []
    private var free: [UInt32] = []

    subscript(index: UInt32) -> Element { elements[Int(index)]! }

    mutating func add(_ element: Element) -> UInt32 {
        if let index = free.popLast() {
            elements[Int(index)] = element
            return index
        }
        elements.append(element)
        return UInt32(elements.count - 1)
    }

    mutating func remove(_ index: UInt32) {
        elements[Int(index)] = nil
        free.append(index)
    }

    var count: Int { elements.count - free.count }
}

/// Where a page stands in the store. Made by `beginPage`, ended by `endPage`; under the store's lock.
final class PageCursor {
    /// The families to show that are left, in order; nil for all.
    private(set) var names: ArraySlice<String>?
    var family: Family?
    /// The next series of `family`.
    var next = noIndex
    /// Whether the family's first line is written.
    var isOpen = false

    init(names: Set<String>?) {
        self.names = names.map { ArraySlice($0.sorted { $0.utf8Precedes($1) }) }
    }

    /// The next family that is to be shown.
    func nextFamily(of families: FamilyList) -> Family? {
        guard names != nil else { return families.next(after: family?.name) }
        while let name = names?.popFirst() {
            if let found = families[name] { return found }
        }
        return nil
    }
}
