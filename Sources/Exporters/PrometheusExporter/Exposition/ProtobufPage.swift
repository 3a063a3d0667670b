internal import OTLP

/// Writes families as messages `io.prometheus.client.MetricFamily`, each behind its length.
///
/// The only form that shows exponential histograms: as native histograms.
struct ProtobufPage {
    let escaping: NameEscaping
    let sendsTimestamps: Bool
    private var type = FamilyType.unknown
    private var family: PageWriter.Place?
    /// The message of a series and its parts.
    private var metric = ProtobufMessage()
    private var inner = ProtobufMessage()
    private var part = ProtobufMessage()
    /// The labels of the context that was written last.
    private var contextID: UInt64?
    private var contextLabels = ProtobufMessage()

    init(escaping: NameEscaping, sendsTimestamps: Bool) {
        self.escaping = escaping
        self.sendsTimestamps = sendsTimestamps
    }

    /// The numbers of `MetricType`.
    private static func number(_ type: FamilyType) -> UInt64 {
        switch type {
        case .counter: 0
        case .gauge: 1
        case .summary: 2
        case .unknown: 3
        case .histogram: 4
        }
    }

    /// Writes a family's fields but for its series.
    mutating func begin(_ family: Family, _ writer: inout PageWriter) {
        type = family.type
        self.family = writer.putLengthLater()
        var head = ProtobufMessage()
        head.bytes(1, Array(escaping.metricName(family.name).utf8))
        if !family.help.isEmpty { head.bytes(2, family.help) }
        head.varint(3, Self.number(type))
        if !family.unit.isEmpty,
            family.name.hasSuffix("_" + family.unit)
                || family.name.hasSuffix("_" + family.unit + "_total")
        {
            head.bytes(5, Array(family.unit.utf8))
        }
        writer.put(head.content)
    }

    /// Ends the family that was begun last.
    mutating func end(_ writer: inout PageWriter) {
        if let place = family.take() { writer.setLength(place) }
    }

    /// Writes a series.
    mutating func write(_ view: SeriesView, _ store: SeriesStore, _ writer: inout PageWriter) {
        let record = view.record
        metric.removeAll()
        putLabels(view)
        inner.removeAll()
        switch view.kind {
        case .number: putNumber(view, store)
        case .histogram:
            putHistogram(view, store)
            metric.bytes(7, inner.content)
        case .exponential:
            putNative(view, store)
            metric.bytes(7, inner.content)
        case .summary:
            putSummary(view, store)
            metric.bytes(4, inner.content)
        }
        if sendsTimestamps, record.time > 0 { metric.varint(6, record.time / 1_000_000) }
        // Field 4, a message.
        writer.put(UInt8(4 << 3 | 2))
        writer.putVarint(UInt64(metric.content.count))
        writer.put(metric.content)
    }

    // MARK: - Labels

    private mutating func putLabels(_ view: SeriesView) {
        let renames =
            escaping != .allowUTF8
            && (view.record.flags.contains(.hasQuotedNames) || view.context?.hasQuotedNames ?? false)
        if renames {
            let labels = LabelTextReader(view.labels).map { $0 } + (view.context?.labels ?? [])
            let renamed = labels.map { Label(name: escaping.labelName($0.name), value: $0.value) }
            for label in LabelMaker.joined(renamed) { metric.label(label) }
            return
        }
        metric.labels(view.labels)
        guard let context = view.context else { return }
        if contextID != context.id {
            contextID = context.id
            contextLabels.removeAll()
            for label in context.labels { contextLabels.label(label) }
        }
        metric.append(contextLabels)
    }

    // MARK: - Values

    private mutating func putNumber(_ view: SeriesView, _ store: SeriesStore) {
        let record = view.record
        inner.double(1, record.double)
        switch type {
        case .counter:
            if let exemplar = Self.exemplar(view, 0, store) { inner.bytes(2, exemplar.content) }
            putTime(3, record.startTime)
            metric.bytes(3, inner.content)
        case .gauge: metric.bytes(2, inner.content)
        case .unknown, .histogram, .summary: metric.bytes(5, inner.content)
        }
    }

    private mutating func putTime(_ number: UInt32, _ unixNanoseconds: UInt64) {
        guard unixNanoseconds > 0 else { return }
        inner.time(number, unixNanoseconds)
    }

    private static func exemplar(_ view: SeriesView, _ place: Int, _ store: SeriesStore) -> ProtobufMessage? {
        guard place < store.slab[memory: view.index].exemplars.count else { return nil }
        return message(store.slab[memory: view.index].exemplars[place])
    }

    private static func message(_ exemplar: borrowing ExemplarSlot) -> ProtobufMessage? {
        guard !exemplar.isEmpty else { return nil }
        var message = ProtobufMessage()
        message.labels(exemplar.labels.borrowed)
        message.double(2, Double(bitPattern: exemplar.value))
        if exemplar.time > 0 { message.time(3, exemplar.time) }
        return message
    }

    private mutating func putHistogram(_ view: SeriesView, _ store: SeriesStore) {
        let record = view.record
        inner.varint(1, record.count)
        if record.flags.contains(.hasSum) { inner.double(2, Double(bitPattern: record.number)) }
        var cumulative: UInt64 = 0
        let values = record.bounds == noIndex ? [] : store.bounds[record.bounds].values
        for (place, bound) in values.enumerated() where bound != .infinity {
            cumulative &+= view.count(place, store)
            putBucket(cumulative, bound, Self.exemplar(view, place, store))
        }
        putBucket(record.count, .infinity, Self.exemplar(view, values.count, store))
        putTime(15, record.startTime)
    }

    private mutating func putBucket(_ cumulative: UInt64, _ bound: Double, _ exemplar: ProtobufMessage?) {
        part.removeAll()
        part.varint(1, cumulative)
        part.double(2, bound)
        if let exemplar { part.bytes(3, exemplar.content) }
        inner.bytes(3, part.content)
    }

    private mutating func putSummary(_ view: SeriesView, _ store: SeriesStore) {
        let record = view.record
        inner.varint(1, record.count)
        if record.flags.contains(.hasSum) { inner.double(2, Double(bitPattern: record.number)) }
        for place in stride(from: 0, to: store.slab[memory: view.index].words.count - 1, by: 2) {
            part.removeAll()
            part.double(1, Double(bitPattern: store.slab[memory: view.index].words[place]))
            part.double(2, Double(bitPattern: store.slab[memory: view.index].words[place + 1]))
            inner.bytes(3, part.content)
        }
        putTime(4, record.startTime)
    }

    /// What tells a native histogram without observations from a classic one, and the threshold when none is
    /// given.
    private static let zeroThreshold = 1e-128

    private mutating func putNative(_ view: SeriesView, _ store: SeriesStore) {
        let state = ExponentialState(view.record, store.slab[memory: view.index])
        inner.varint(1, state.count)
        if let sum = state.sum { inner.double(2, sum) }
        inner.zigzag(5, state.scale)
        inner.double(6, state.zeroThreshold > 0 ? state.zeroThreshold : Self.zeroThreshold)
        inner.varint(7, state.zeroCount)
        putBuckets(state.negative, spans: 9, deltas: 10)
        putBuckets(state.positive, spans: 12, deltas: 13)
        putTime(15, view.record.startTime)
    }

    /// One span, and of each bucket how much more it counts than the one before it.
    private mutating func putBuckets(_ buckets: ExponentialState.Buckets, spans: UInt32, deltas: UInt32) {
        guard !buckets.counts.isEmpty else { return }
        part.removeAll()
        // OTLP numbers a bucket by its lower bound, Prometheus by its upper.
        part.zigzag(1, buckets.offset + 1)
        part.varint(2, UInt64(buckets.counts.count))
        inner.bytes(spans, part.content)
        part.removeAll()
        var before: UInt64 = 0
        for count in buckets.counts {
            part.zigzag(Int64(bitPattern: count &- before))
            before = count
        }
        inner.bytes(deltas, part.content)
    }
}

/// The bytes of a protobuf message, field by field.
struct ProtobufMessage {
    private(set) var content: [UInt8] = []

    mutating func removeAll() { content.removeAll(keepingCapacity: true) }

    mutating func append(_ other: ProtobufMessage) { content += other.content }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            content.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        content.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func zigzag(_ value: Int64) { varint(UInt64(bitPattern: value << 1 ^ value >> 63)) }

    mutating func tag(_ number: UInt32, _ wireType: UInt32) { varint(UInt64(number << 3 | wireType)) }

    mutating func varint(_ number: UInt32, _ value: UInt64) {
        tag(number, 0)
        varint(value)
    }

    mutating func zigzag(_ number: UInt32, _ value: Int64) {
        tag(number, 0)
        zigzag(value)
    }

    mutating func double(_ number: UInt32, _ value: Double) {
        tag(number, 1)
        unsafe withUnsafeBytes(of: value.bitPattern.littleEndian) { unsafe content.append(contentsOf: $0) }
    }

    mutating func bytes(_ number: UInt32, _ value: [UInt8]) {
        tag(number, 2)
        varint(UInt64(value.count))
        content += value
    }

    /// A `Timestamp`.
    mutating func time(_ number: UInt32, _ unixNanoseconds: UInt64) {
        let (seconds, rest) = unixNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        tag(number, 2)
        varint(UInt64(2 + Self.varintBytes(seconds) + Self.varintBytes(rest)))
        varint(1, seconds)
        varint(2, rest)
    }

    private static func varintBytes(_ value: UInt64) -> Int {
        value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
    }

    /// A field 1 that is a `LabelPair`.
    mutating func label(_ label: Label) {
        var pair = ProtobufMessage()
        pair.bytes(1, Array(label.name.utf8))
        pair.bytes(2, label.value)
        bytes(1, pair.content)
    }

    /// The same for all labels of a text, as `LabelMaker` writes it.
    mutating func labels(_ text: WireBytes) {
        // SAFETY: the text lives for the call.
        let bytes = unsafe text.unsafeBytes
        var start = 0
        while start < text.count {
            var nameEnd = start
            while nameEnd < text.count, text[nameEnd] != UInt8(ascii: "=") { nameEnd += 1 }
            var end = nameEnd + 2
            var isPlain = text[start] != UInt8(ascii: "\"")
            while end < text.count, text[end] != UInt8(ascii: "\"") {
                isPlain = isPlain && text[end] != UInt8(ascii: "\\")
                end += 1
            }
            guard isPlain, end < text.count else {
                // Escapes or a name in quotes: the long way for this label and what is behind it.
                let rest = unsafe WireBytes(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                for label in LabelTextReader(rest) { self.label(label) }
                return
            }
            let name = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<nameEnd])
            let value = unsafe UnsafeRawBufferPointer(rebasing: bytes[(nameEnd + 2)..<end])
            let sizes = Self.varintBytes(UInt64(name.count)) + Self.varintBytes(UInt64(value.count))
            tag(1, 2)
            varint(UInt64(2 + sizes + name.count + value.count))
            tag(1, 2)
            varint(UInt64(name.count))
            unsafe content.append(contentsOf: name)
            tag(2, 2)
            varint(UInt64(value.count))
            unsafe content.append(contentsOf: value)
            start = end + 2
        }
    }
}
