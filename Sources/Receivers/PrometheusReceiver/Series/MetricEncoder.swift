/// Writes what a scrape gave as `ExportMetricsServiceRequest`s. Confined to its `ScrapeLoop`; keeps its memory for the next scrape.
///
/// Each level is put together in a buffer of its own and then appended to the level above, which knows its length then.
final class MetricEncoder {
    /// What a request holds at most, roughly, so that a large target does not become one large request.
    static let itemsMax = 8192
    static let bytesMax = 1 << 20

    private let scopeName: String
    private let scopeVersion: String
    private var request = WireBuffer()
    private var resource = WireBuffer()
    private var scope = WireBuffer()
    private var metric = WireBuffer()
    private var points = WireBuffer()
    private var point = WireBuffer()
    private var items = 0

    /// - Parameters:
    ///   - scopeName: of series that name no scope themselves: who made OTLP of them.
    ///   - scopeVersion: its version.
    init(scopeName: String, scopeVersion: String) {
        self.scopeName = scopeName
        self.scopeVersion = scopeVersion
    }

    /// Writes all values of the scrape that ended last, and a point without a value for each series that is gone.
    /// - Parameters:
    ///   - time: of the scrape, in nanoseconds since 1970.
    ///   - emit: takes each request and the points in it.
    func encode(_ table: SeriesTable, at time: Int64, emit: ([UInt8], Int) -> Void) {
        for group in table.resources {
            for scopeGroup in group.scopes {
                for stream in scopeGroup.streams {
                    encode(stream, of: table, at: time) {
                        close(scopeGroup, of: group)
                        close(group, scheme: table.rules.scheme)
                        flush(emit)
                    }
                }
                close(scopeGroup, of: group)
            }
            close(group, scheme: table.rules.scheme)
            if isFull { flush(emit) }
        }
        flush(emit)
    }

    private var isFull: Bool {
        items >= Self.itemsMax || points.count + scope.count + resource.count + request.count >= Self.bytesMax
    }

    private func flush(_ emit: ([UInt8], Int) -> Void) {
        guard items > 0 else { return }
        emit(request.bytes, items)
        request.clear()
        items = 0
    }

    // MARK: - Envelopes

    private func close(_ group: ResourceGroup, scheme: String) {
        guard !resource.isEmpty else { return }
        let attributes = group.attributes(scheme: scheme)
        var head = WireBuffer()
        head.field(1, attributes)
        request.lengthDelimited(1, count: head.count + resource.count)
        request.append(head.bytes)
        request.append(resource.bytes)
        resource.clear()
    }

    private func close(_ group: ScopeGroup, of owner: ResourceGroup) {
        guard !scope.isEmpty else { return }
        var message = WireBuffer()
        let isNamed = !group.key.name.isEmpty
        message.text(1, isNamed ? group.key.name : scopeName)
        message.text(2, isNamed || !group.key.version.isEmpty ? group.key.version : scopeVersion)
        let info = owner.scopeInfo[ScopeKey(name: group.key.name, version: group.key.version)] ?? []
        message.attributes(3, group.key.attributes, overridden: info)
        var head = WireBuffer()
        head.field(1, message.bytes)
        var tail = WireBuffer()
        tail.text(3, group.key.schemaURL)
        resource.lengthDelimited(2, count: head.count + scope.count + tail.count)
        resource.append(head.bytes)
        resource.append(scope.bytes)
        resource.append(tail.bytes)
        scope.clear()
    }

    private func encode(
        _ stream: MetricStream, of table: SeriesTable, at time: Int64, whenFull: () -> Void
    ) {
        for item in stream.points {
            let hasValue = table.hasValue(item)
            guard hasValue || table.isStale(item) else { continue }
            point.clear()
            if hasValue {
                encode(item, stream.kind, at: time)
            } else {
                encodeStale(item, stream.kind, at: time)
            }
            points.field(1, point.bytes)
            items += 1
            if isFull {
                close(stream)
                whenFull()
            }
        }
        close(stream)
    }

    private func close(_ stream: MetricStream) {
        guard !points.isEmpty else { return }
        switch stream.kind {
        case .gauge, .summary: break
        case .counter, .upDown:
            points.integer(2, 2)
            if stream.kind == .counter { points.integer(3, 1) }
        case .histogram, .exponential: points.integer(2, 2)
        }
        metric.append(stream.header)
        metric.field(stream.kind.field, points.bytes)
        metric.append(stream.metadata)
        scope.field(2, metric.bytes)
        points.clear()
        metric.clear()
    }

    // MARK: - Points

    private func encode(_ item: MetricPoint, _ kind: MetricKind, at time: Int64) {
        if kind == .exponential { point.append(item.attributes) }
        if kind.isCounting { point.fixed64(2, UInt64(bitPattern: item.start)) }
        point.fixed64(3, UInt64(bitPattern: item.timestamp ?? time))
        switch kind {
        case .gauge, .counter, .upDown:
            point.double(4, item.value)
        case .histogram: encodeHistogram(item)
        case .summary: encodeSummary(item)
        case .exponential: if let native = item.native { encodeExponential(native) }
        }
        point.append(item.exemplars)
        if kind != .exponential { point.append(item.attributes) }
    }

    private func encodeStale(_ item: MetricPoint, _ kind: MetricKind, at time: Int64) {
        if kind.isCounting { point.fixed64(2, UInt64(bitPattern: item.start)) }
        point.fixed64(3, UInt64(bitPattern: time))
        point.append(item.attributes)
        point.integer(kind.flagsField, 1)
    }

    private func encodeHistogram(_ item: MetricPoint) {
        let finite = item.slots.last?.bound == .infinity ? item.slots.count - 1 : item.slots.count
        let total = item.count ?? 0
        point.fixed64(4, nearestCount(total) ?? 0)
        if item.hasSum { point.double(5, item.value) }
        point.lengthDelimited(6, count: 8 * (finite + 1))
        var below = 0.0
        for slot in item.slots[..<finite] {
            // Read while it was counted on, a bucket may be behind the one before.
            point.word(nearestCount(slot.value - below) ?? 0)
            below = max(below, slot.value)
        }
        point.word(nearestCount(total - below) ?? 0)
        guard finite > 0 else { return }
        point.lengthDelimited(7, count: 8 * finite)
        for slot in item.slots[..<finite] { point.word(slot.bound.bitPattern) }
    }

    private func encodeSummary(_ item: MetricPoint) {
        point.fixed64(4, nearestCount(item.count ?? 0) ?? 0)
        point.double(5, item.hasSum ? item.value : 0)
        for slot in item.slots {
            point.lengthDelimited(6, count: 18)
            point.double(1, slot.bound)
            point.double(2, slot.value)
        }
    }

    private func encodeExponential(_ native: NativeHistogram) {
        point.fixed64(4, native.count)
        point.double(5, native.sum)
        point.zigzag(6, native.schema)
        point.fixed64(7, native.zeroCount)
        encode(native.positive, 8)
        encode(native.negative, 9)
        if native.zeroThreshold != 0 { point.double(14, native.zeroThreshold) }
    }

    private func encode(_ side: NativeHistogram.Side, _ number: UInt32) {
        guard !side.counts.isEmpty else { return }
        var counts = WireBuffer()
        for count in side.counts { counts.varint(count) }
        var message = WireBuffer()
        // Prometheus names a bucket by its upper bound, OTLP by its lower one.
        message.zigzag(1, side.firstIndex &- 1)
        message.field(2, counts.bytes)
        point.field(number, message.bytes)
    }
}

extension MetricKind {
    /// The field of `Metric`.
    var field: UInt32 {
        switch self {
        case .gauge: 5
        case .counter, .upDown: 7
        case .histogram: 9
        case .exponential: 10
        case .summary: 11
        }
    }

    /// The field `attributes` of the data point.
    var attributesField: UInt32 {
        switch self {
        case .gauge, .counter, .upDown, .summary: 7
        case .histogram: 9
        case .exponential: 1
        }
    }

    /// The field `flags` of the data point.
    var flagsField: UInt32 {
        switch self {
        case .gauge, .counter, .upDown, .summary: 8
        case .histogram, .exponential: 10
        }
    }

    /// The field `exemplars` of the data point; nil for a summary.
    var exemplarsField: UInt32? {
        switch self {
        case .gauge, .counter, .upDown: 5
        case .histogram: 8
        case .exponential: 11
        case .summary: nil
        }
    }
}
