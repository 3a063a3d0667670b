internal import OTLP

/// Writes families as text, in the format 0.0.4 or as OpenMetrics.
struct TextPage {
    let isOpenMetrics: Bool
    let escaping: NameEscaping
    let sendsTimestamps: Bool
    let showsCreated: Bool
    // Of the family at hand.
    private(set) var type = FamilyType.unknown
    private var plain = SampleName()
    private var bucket = SampleName()
    private var sum = SampleName()
    private var count = SampleName()
    private var created = SampleName()
    private var hasCreated = false

    /// - Parameter showsCreated: whether OpenMetrics has `_created` samples.
    init(isOpenMetrics: Bool, escaping: NameEscaping, sendsTimestamps: Bool, showsCreated: Bool) {
        self.isOpenMetrics = isOpenMetrics
        self.escaping = escaping
        self.sendsTimestamps = sendsTimestamps
        self.showsCreated = showsCreated
    }

    /// A name as samples begin with it.
    private struct SampleName {
        /// `name`, or `{"name"}`.
        var alone: [UInt8] = []
        /// `name{`, or `{"name",`.
        var open: [UInt8] = []

        init() {}

        init(_ name: String) {
            if NameEscaping.isLegacy(name, colons: true) {
                alone = Array(name.utf8)
                open = alone + "{".utf8
            } else {
                alone.append("{\"")
                alone.appendEscaped(name.utf8, quotes: true)
                alone.append("\"")
                open = alone + ",".utf8
                alone.append("}")
            }
        }

        /// As lines of comments have it.
        static func inComment(_ name: String) -> [UInt8] {
            if NameEscaping.isLegacy(name, colons: true) { return Array(name.utf8) }
            var text: [UInt8] = []
            text.append("\"")
            text.appendEscaped(name.utf8, quotes: true)
            text.append("\"")
            return text
        }
    }

    /// Writes the lines about a family.
    mutating func begin(_ family: Family, _ writer: inout PageWriter) {
        type = family.type
        // Suffixes come behind the escaped name: that is how scrapers find the family of a sample.
        let whole = escaping.metricName(family.name)
        var base = whole
        if isOpenMetrics, type == .counter {
            if base.hasSuffix("_total"), base.utf8.count > 6 {
                base.removeLast(6)
            } else {
                // OpenMetrics has no counters that are called otherwise.
                type = .unknown
            }
        }
        hasCreated =
            isOpenMetrics && showsCreated && (type == .counter || type == .histogram || type == .summary)
        let title = SampleName.inComment(base)
        if !family.help.isEmpty {
            writer.put("# HELP ")
            writer.put(title)
            writer.put(UInt8(ascii: " "))
            var help: [UInt8] = []
            help.appendEscaped(family.help, quotes: isOpenMetrics)
            writer.put(help)
            writer.put(UInt8(ascii: "\n"))
        }
        writer.put("# TYPE ")
        writer.put(title)
        writer.put(UInt8(ascii: " "))
        writer.put(type == .unknown && !isOpenMetrics ? "untyped" : type.rawValue)
        writer.put(UInt8(ascii: "\n"))
        // A unit that is not the end of the name costs the scraper the page, as does a line end within one.
        if isOpenMetrics, !family.unit.isEmpty, base.hasSuffix("_" + family.unit),
            NameEscaping.isLegacy("_" + family.unit, colons: true)
        {
            writer.put("# UNIT ")
            writer.put(title)
            writer.put(UInt8(ascii: " "))
            writer.put(family.unit)
            writer.put(UInt8(ascii: "\n"))
        }
        plain = SampleName(whole)
        if hasCreated { created = SampleName(base + "_created") }
        if type == .histogram { bucket = SampleName(base + "_bucket") }
        if type == .histogram || type == .summary {
            sum = SampleName(base + "_sum")
            count = SampleName(base + "_count")
        }
    }

    /// Writes the samples of a series. Of an exponential histogram these are its count and sum, so that rates and
    /// averages survive a scraper that knows no native histograms.
    func write(_ view: SeriesView, _ store: SeriesStore, _ writer: inout PageWriter) {
        let text = view.context?.text ?? []
        // SAFETY: the text lives for the call.
        unsafe text.withUnsafeBytes { tail in
            let tail = unsafe WireBytes(tail)
            if mustRename(view) {
                let labels = LabelMaker.text(renamed(view, tail)).text
                unsafe labels.withUnsafeBytes {
                    write(view, unsafe WireBytes($0), WireBytes.none, store, &writer)
                }
            } else {
                write(view, view.labels, tail, store, &writer)
            }
        }
    }

    private func mustRename(_ view: SeriesView) -> Bool {
        guard escaping != .allowUTF8 else { return false }
        return view.record.flags.contains(.hasQuotedNames) || view.context?.hasQuotedNames ?? false
    }

    /// The labels with names as the scraper knows them; names that become the same are joined.
    private func renamed(_ view: SeriesView, _ tail: WireBytes) -> [Label] {
        LabelMaker.joined(
            [view.labels, tail].flatMap {
                LabelTextReader($0).map { label in
                    Label(name: escaping.labelName(label.name), value: label.value)
                }
            })
    }

    private func write(
        _ view: SeriesView, _ labels: WireBytes, _ tail: WireBytes, _ store: SeriesStore,
        _ writer: inout PageWriter
    ) {
        let record = view.record
        switch view.kind {
        case .number:
            begin(plain, labels, tail, &writer)
            putNumber(record, &writer)
            putTime(record, &writer)
            if isOpenMetrics, type == .counter { putExemplar(view, 0, store, &writer) }
            writer.put(UInt8(ascii: "\n"))
        case .histogram:
            writeBuckets(view, labels, tail, store, &writer)
            writeSumAndCount(record, labels, tail, store, &writer)
        case .summary:
            writeQuantiles(view, labels, tail, store, &writer)
            writeSumAndCount(record, labels, tail, store, &writer)
        case .exponential:
            writeTotalBucket(record, labels, tail, &writer)
            writeSumAndCount(record, labels, tail, store, &writer)
        }
        if hasCreated, record.startTime > 0 {
            begin(created, labels, tail, &writer)
            writer.putSeconds(unixNanoseconds: record.startTime)
            putTime(record, &writer)
            writer.put(UInt8(ascii: "\n"))
        }
    }

    /// Name, labels and the space behind them.
    @inline(__always)
    private func begin(
        _ name: SampleName, _ labels: WireBytes, _ tail: WireBytes, _ writer: inout PageWriter
    ) {
        if labels.count == 0 && tail.count == 0 {
            writer.put(name.alone)
        } else {
            putOpen(name, labels, tail, &writer)
            writer.put(UInt8(ascii: "}"))
        }
        writer.put(UInt8(ascii: " "))
    }

    /// Name and labels without the closing brace.
    @inline(__always)
    private func putOpen(
        _ name: SampleName, _ labels: WireBytes, _ tail: WireBytes, _ writer: inout PageWriter
    ) {
        writer.put(name.open)
        writer.put(labels)
        if labels.count > 0 && tail.count > 0 { writer.put(UInt8(ascii: ",")) }
        writer.put(tail)
    }

    private func putNumber(_ record: SeriesRecord, _ writer: inout PageWriter) {
        if record.flags.contains(.isInt) {
            writer.put(Int64(bitPattern: record.number))
        } else {
            writer.put(Double(bitPattern: record.number))
        }
    }

    private func putTime(_ record: SeriesRecord, _ writer: inout PageWriter) {
        guard sendsTimestamps, record.time > 0 else { return }
        writer.put(UInt8(ascii: " "))
        let milliseconds = record.time / 1_000_000
        if isOpenMetrics {
            writer.putSeconds(unixNanoseconds: milliseconds * 1_000_000)
        } else {
            writer.put(milliseconds)
        }
    }

    private func putExemplar(
        _ view: SeriesView, _ place: Int, _ store: SeriesStore, _ writer: inout PageWriter
    ) {
        guard place < store.slab[memory: view.index].exemplars.count else { return }
        put(store.slab[memory: view.index].exemplars[place], &writer)
    }

    private func put(_ exemplar: borrowing ExemplarSlot, _ writer: inout PageWriter) {
        guard !exemplar.isEmpty else { return }
        writer.put(" # {")
        if escaping == .allowUTF8 {
            writer.put(exemplar.labels.borrowed)
        } else {
            let labels = LabelTextReader(exemplar.labels.borrowed).map {
                Label(name: escaping.labelName($0.name), value: $0.value)
            }
            writer.put(LabelMaker.text(LabelMaker.joined(labels)).text)
        }
        writer.put("} ")
        writer.put(Double(bitPattern: exemplar.value))
        if exemplar.time > 0 {
            writer.put(UInt8(ascii: " "))
            writer.putSeconds(unixNanoseconds: exemplar.time)
        }
    }

    // MARK: - Distributions

    private func writeBuckets(
        _ view: SeriesView, _ labels: WireBytes, _ tail: WireBytes, _ store: SeriesStore,
        _ writer: inout PageWriter
    ) {
        let record = view.record
        let bounds = record.bounds == noIndex ? nil : store.bounds[record.bounds]
        let finite = finiteBuckets(record, store)
        let labelBytes = labels.count + tail.count + (labels.count > 0 && tail.count > 0 ? 1 : 0)
        let headBytes = bucket.open.count + labelBytes + (labelBytes > 0 ? 5 : 4)
        // A line's head is copied from the line before, as long as that is in the same part of the page.
        var start = -1
        var part = -1
        var cumulative: UInt64 = 0
        for place in 0...finite {
            if part == writer.partCount, writer.hasRoom(headBytes + 64) {
                let next = writer.used
                writer.repeatBytes(from: start, count: headBytes)
                start = next
            } else {
                writer.reserveTogether(headBytes + 64)
                start = writer.used
                part = writer.partCount
                putOpen(bucket, labels, tail, &writer)
                writer.put(labelBytes > 0 ? ",le=\"" : "le=\"")
            }
            if place < finite, let bounds {
                cumulative &+= view.count(place, store)
                putBound(bounds, place, &writer)
                writer.put(cumulative)
            } else {
                writer.put("+Inf\"} ")
                writer.put(record.count)
            }
            putTime(record, &writer)
            if isOpenMetrics { putExemplar(view, place, store, &writer) }
            writer.put(UInt8(ascii: "\n"))
        }
    }

    /// The bucket of all values, and no other.
    private func writeTotalBucket(
        _ record: SeriesRecord, _ labels: WireBytes, _ tail: WireBytes, _ writer: inout PageWriter
    ) {
        putOpen(bucket, labels, tail, &writer)
        writer.put(labels.count + tail.count > 0 ? ",le=\"+Inf\"} " : "le=\"+Inf\"} ")
        writer.put(record.count)
        putTime(record, &writer)
        writer.put(UInt8(ascii: "\n"))
    }

    private func putBound(_ bounds: BoundsSet, _ place: Int, _ writer: inout PageWriter) {
        if isOpenMetrics {
            writer.put(
                bounds.texts.open, from: bounds.texts.openStarts[place],
                to: bounds.texts.openStarts[place + 1])
        } else {
            writer.put(
                bounds.texts.plain, from: bounds.texts.plainStarts[place],
                to: bounds.texts.plainStarts[place + 1])
        }
    }

    private func writeQuantiles(
        _ view: SeriesView, _ labels: WireBytes, _ tail: WireBytes, _ store: SeriesStore,
        _ writer: inout PageWriter
    ) {
        for place in stride(from: 0, to: store.slab[memory: view.index].words.count - 1, by: 2) {
            let quantile = Double(bitPattern: store.slab[memory: view.index].words[place])
            let value = Double(bitPattern: store.slab[memory: view.index].words[place + 1])
            guard allows(quantile: quantile, value: value) else { continue }
            putOpen(plain, labels, tail, &writer)
            writer.put(labels.count + tail.count > 0 ? ",quantile=\"" : "quantile=\"")
            writer.put(isOpenMetrics ? NumberText.open(quantile) : NumberText.plain(quantile))
            writer.put("\"} ")
            writer.put(value)
            putTime(view.record, &writer)
            writer.put(UInt8(ascii: "\n"))
        }
    }

    private func writeSumAndCount(
        _ record: SeriesRecord, _ labels: WireBytes, _ tail: WireBytes, _ store: SeriesStore,
        _ writer: inout PageWriter
    ) {
        let showsSum = showsSum(record, store)
        // OpenMetrics has a histogram's count beside its sum only; the last bucket tells it, too.
        guard showsSum || !isOpenMetrics || type != .histogram else { return }
        if showsSum {
            begin(sum, labels, tail, &writer)
            writer.put(Double(bitPattern: record.number))
            putTime(record, &writer)
            writer.put(UInt8(ascii: "\n"))
        }
        begin(count, labels, tail, &writer)
        writer.put(record.count)
        putTime(record, &writer)
        writer.put(UInt8(ascii: "\n"))
    }
}
