internal import Glibc
internal import OTLP

/// What the records of one resource have in common, worked out once. One thread at a time.
final class ResourceContext {
    /// The resource's bytes, by which it is found again.
    let raw: [UInt8]
    /// Its labels, before limits.
    let labels: Labels
    /// Its labels after limits, as Loki reads them.
    let labelText: [UInt8]
    /// The structured metadata of its entries, as fields of an entry; at most what the limits allow.
    let metadata: [UInt8]
    /// Pairs in `metadata`, and their names and values in bytes.
    let metadataPairs: Int
    let metadataBytes: Int
    /// Labels over the limits; they are in `metadata`.
    let moved: [Labels.Pair]
    /// What the limits have changed of the labels, for each entry; and of the metadata.
    let labelChanges: LokiLimits.Changes
    let metadataChanges: LokiLimits.Changes
    let hints: Hints
    /// The tenant, where the resource alone decides.
    let tenant: [UInt8]?
    /// Whether records need more than the quick way.
    let needsGeneral: Bool

    /// Memory that it takes, about: each of its arrays has 32 bytes beside its elements.
    var sizeBytes: Int {
        let pairs = labels.pairs.count + moved.count
        return 512 + raw.count + metadata.count + labelText.count + 128 * pairs + ownBytes
    }

    /// The stream of records that have these labels beside the resource's, worked out when it is new.
    /// - Parameter own: in the order in which they are set.
    func ownStream(_ own: [Labels.Pair], _ limits: LokiLimits) -> OwnStream {
        if let known = ownStreams[own] { return known }
        var labels = labels
        for pair in own { labels.set(pair.name, pair.value) }
        let stream = OwnStream(labels, besides: moved, limits)
        let size = stream.sizeBytes + own.reduce(0) { $0 + 96 + $1.name.count + $1.value.count }
        guard size <= Self.ownStreamBytesMax else { return stream }
        if ownBytes + size > Self.ownBytesMax {
            ownStreams.removeAll()
            ownBytes = 0
        }
        ownStreams[own] = stream
        ownBytes += size
        return stream
    }

    /// The stream of its records in the chunk of this number.
    var epoch: UInt64 = 0
    var stream = 0
    /// Streams of records with labels of their own, by those.
    private var ownStreams: [[Labels.Pair]: OwnStream] = [:]
    private var ownBytes = 0
    /// Whether the cache has it and counts its bytes.
    fileprivate(set) var isKept = false

    /// Of own streams that are kept; then all are forgotten. A larger one, by itself, is not kept.
    private static let ownBytesMax = 256 << 10
    private static let ownStreamBytesMax = 16 << 10

    /// - Parameter resource: a `Resource` message; empty for none.
    init(_ resource: WireBytes, _ settings: EncoderSettings) {
        raw = resource.array
        let attributes = AttributeList(resource, Field.Resource.attributes)
        var hints = Hints()
        var own = attributes
        own.remove { hints.take($0) }
        self.hints = hints
        let hintedTenant = settings.tenantFromHints ? hints.tenantAttribute : nil
        tenant = hintedTenant.flatMap { attributes.value($0) }.map { Self.text($0) }.flatMap {
            isTenant($0) ? $0 : nil
        }

        var labels = Labels()
        var labelChanges = LokiLimits.Changes()
        var budget = MetadataBudget(settings.limits)
        var draft = ByteDraft(capacity: 512)
        for (name, value) in zip(hints.resourceLabels, attributes.values(hints.resourceLabels)) {
            if let value { labels.set(labelName(Array(name.utf8)), Self.text(value)) }
        }
        own.remove(named: hints.resourceLabels)
        labelChanges.add(.labelCount, hints.leftOut)
        budget.leaveOut(attributes.leftOut)
        var metadata: [Attribute] = []
        switch settings.mapping {
        case .legacy: Self.addDefaults(settings.defaultLabels, attributes, &labels)
        case .native:
            for attribute in own.all {
                switch settings.resourceRules.action(for: attribute.key.text) {
                case .indexLabel:
                    var leaves = Leaves(bytesMax: settings.limits.metadataBytes)
                    leaves.add(attribute)
                    labelChanges.add(.labelValueLength, leaves.tooLong)
                    for leaf in leaves.pairs { labels.set(leaf.name, leaf.value) }
                case .structuredMetadata: metadata.append(attribute)
                case .drop: break
                }
            }
        }
        self.labels = labels
        moved = labels.applyLimits(settings.limits, &labelChanges)
        if settings.mapping == .native { for pair in moved { draft.appendPair(pair, &budget) } }
        for attribute in metadata { draft.appendPairs(attribute, &budget) }
        labelText = labels.text
        self.metadata = draft.array
        metadataPairs = settings.limits.metadataPairs - budget.pairs
        metadataBytes = settings.limits.metadataBytes - budget.bytes
        self.labelChanges = labelChanges
        metadataChanges = budget.changes
        needsGeneral =
            settings.mapping == .legacy || !hints.attributeLabels.isEmpty || hints.format != nil
            || (hintedTenant != nil && tenant == nil)
    }

    /// `job`, `instance` and `exporter`, as far as they are on.
    private static func addDefaults(
        _ defaults: LokiConfig.DefaultLabels, _ attributes: AttributeList, _ labels: inout Labels
    ) {
        if defaults.exporter { labels.set("exporter", Array("OTLP".utf8)) }
        if defaults.job, let name = attributes.value("service.name").map({ text($0) }), !name.isEmpty {
            let space = attributes.value("service.namespace").map { text($0) } ?? []
            labels.set("job", space.isEmpty ? name : space + [UInt8(ascii: "/")] + name)
        }
        if defaults.instance, let instance = attributes.value("service.instance.id").map({ text($0) }) {
            labels.set("instance", instance)
        }
    }

    /// A value as the text of a label.
    static func text(_ value: AttributeValue) -> [UInt8] {
        var draft = ByteDraft(capacity: 64)
        draft.appendText(value)
        return draft.array
    }
}

/// A stream of a resource's records that have labels of their own. One thread at a time.
final class OwnStream {
    /// The labels after limits, as Loki reads them.
    let labelText: [UInt8]
    /// What the limits took out of them, less what is in the resource's metadata; and what they have changed.
    let moved: [Labels.Pair]
    let changes: LokiLimits.Changes
    /// Its number in the chunk of this number, for this tenant.
    var epoch: UInt64 = 0
    var tenant: [UInt8] = []
    var stream = 0

    init(_ labels: Labels, besides others: [Labels.Pair], _ limits: LokiLimits) {
        var labels = labels
        var changes = LokiLimits.Changes()
        moved = labels.applyLimits(limits, &changes).filter { !others.contains($0) }
        self.changes = changes
        labelText = labels.text
    }

    /// Memory that it takes, about.
    var sizeBytes: Int {
        256 + labelText.count + moved.reduce(0) { $0 + 96 + $1.name.count + $1.value.count }
    }
}

/// The contexts of resources seen before: a fixed table of sets of four, and a limit of bytes.
///
/// A new resource takes a free place of its set, else in turn that of another. Beyond the limit, places are emptied in
/// the order of the table, which is that of the hashes.
struct ContextCache {
    private static let setsBits: UInt64 = 12
    private static let ways = 4
    /// Bytes of contexts that are kept.
    static let bytesMax = 8 << 20

    private var slots: [ResourceContext?] = Array(repeating: nil, count: ways << Int(setsBits))
    private(set) var bytes = 0
    /// The way that goes when a set is full, and the slot that goes when there are too many bytes.
    private var nextWay = 0
    private var hand = 0
    /// How many contexts were made.
    private(set) var made = 0

    /// The context of a resource, made when it is new.
    mutating func context(_ resource: WireBytes, _ settings: EncoderSettings) -> ResourceContext {
        let set = Int(truncatingIfNeeded: Self.hash(resource) >> (64 - Self.setsBits))
        let first = set * Self.ways
        var free: Int?
        for index in first..<(first + Self.ways) {
            guard let known = slots[index] else {
                free = free ?? index
                continue
            }
            if known.raw.count == resource.count,
                unsafe known.raw.withUnsafeBytes({ unsafe isSame($0, resource.unsafeBytes) })
            {
                return known
            }
        }
        let context = ResourceContext(resource, settings)
        made += 1
        // A large one would push many others out.
        guard context.sizeBytes <= Self.bytesMax / 8 else { return context }
        if free == nil { nextWay = (nextWay + 1) % Self.ways }
        let place = free ?? first + nextWay
        empty(place)
        slots[place] = context
        context.isKept = true
        bytes += context.sizeBytes
        makeRoom(besides: context)
        return context
    }

    /// Notes that a context that is in use has grown since it had so many bytes.
    mutating func grown(_ context: ResourceContext, from before: Int) {
        guard context.isKept, context.sizeBytes != before else { return }
        bytes += context.sizeBytes - before
        makeRoom(besides: context)
    }

    private mutating func makeRoom(besides context: ResourceContext) {
        var visited = 0
        while bytes > Self.bytesMax, visited < slots.count {
            hand = (hand + 1) % slots.count
            visited += 1
            if slots[hand] !== context { empty(hand) }
        }
    }

    private mutating func empty(_ index: Int) {
        guard let old = slots[index] else { return }
        bytes -= old.sizeBytes
        old.isKept = false
        slots[index] = nil
    }

    private static func hash(_ resource: WireBytes) -> UInt64 {
        let bytes = unsafe resource.unsafeBytes
        var state = UInt64(truncatingIfNeeded: resource.count) &* 0x9E37_79B9_7F4A_7C15
        var offset = 0
        while offset &+ 8 <= resource.count {
            // SAFETY: 8 bytes are left.
            let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            state = (state ^ word) &* 0xD6E8_FEB8_6659_FD93
            state ^= state >> 32
            offset &+= 8
        }
        while offset < resource.count {
            state = (state ^ UInt64(resource[offset])) &* 0xD6E8_FEB8_6659_FD93
            offset &+= 1
        }
        return (state ^ state >> 29) &* 0xD6E8_FEB8_6659_FD93
    }
}

/// Whether two ranges of the same length hold the same bytes.
func isSame(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard left.count > 0, let left = left.baseAddress, let start = right.baseAddress else { return true }
    // SAFETY: both have so many bytes.
    return unsafe memcmp(left, start, right.count) == 0
}
