internal import OTLP

/// A series as a page shows it: one record, or what several sources of it are together. Borrows from the
/// store, under its lock.
struct SeriesView {
    var record: SeriesRecord
    let kind: Descriptor.Kind
    /// The labels of the series, and those of its context unless they are among them.
    let labels: WireBytes
    let context: Context?
    /// The buckets of several sources; else they are the record's words.
    var counts: [UInt64]?

    /// A bucket's own count.
    @inline(__always)
    func count(_ index: Int) -> UInt64 { counts?[index] ?? record.words[index] }

    var bucketCount: Int { record.words.count }
}

extension SeriesStore {
    /// The series of a primary record; nil when it is not to be shown any more.
    func view(_ index: UInt32, now: UInt32) -> SeriesView? {
        let record = slab[index]
        let kind = record.descriptor == noIndex ? .number : descriptors[record.descriptor].kind
        if record.nextSource != noIndex { return mergedView(index, now: now) }
        guard record.flags.contains(.hasValue), !isExpired(record, now: now) else { return nil }
        return SeriesView(
            record: record, kind: kind, labels: record.labels.borrowed,
            context: record.flags.contains(.hasAllLabels) ? nil : contexts[record.context], counts: nil)
    }

    /// Counters and histograms of several sources are added; of other series the latest value counts.
    private func mergedView(_ primary: UInt32, now: UInt32) -> SeriesView? {
        var merged: SeriesView?
        var index = primary
        while index != noIndex {
            let record = slab[index]
            index = record.nextSource
            guard record.flags.contains(.hasValue), !isExpired(record, now: now) else { continue }
            let kind = record.descriptor == noIndex ? .number : descriptors[record.descriptor].kind
            guard var sum = merged else {
                merged = SeriesView(
                    record: record, kind: kind, labels: record.labels.borrowed,
                    context: record.flags.contains(.hasAllLabels) ? nil : contexts[record.context],
                    counts: nil)
                continue
            }
            guard kind == sum.kind else { continue }
            let isSameSort =
                switch kind {
                case .number: family(of: record).type == .counter
                case .histogram:
                    record.bounds == sum.record.bounds && record.words.count == sum.record.words.count
                case .exponential, .summary: false
                }
            if isSameSort {
                sum.add(record)
            } else if record.time >= sum.record.time {
                // The labels are the same, as they are of all sources of a series.
                sum = SeriesView(
                    record: record, kind: kind, labels: record.labels.borrowed,
                    context: record.flags.contains(.hasAllLabels) ? nil : contexts[record.context],
                    counts: nil)
            }
            merged = sum
        }
        return merged
    }

    /// Begins a page of the families of these names, or of all.
    func beginPage(names: Set<String>?) -> PageCursor {
        let cursor = PageCursor(names: names)
        cursors.append(cursor)
        return cursor
    }

    /// Ends a page, wherever it stands.
    func endPage(_ cursor: PageCursor) {
        cursors.removeAll { $0 === cursor }
    }

    /// Goes on to the family behind the one at which a page stands; false at the end.
    func openNextFamily(_ cursor: PageCursor) -> Bool {
        guard let family = cursor.nextFamily(of: families) else { return false }
        cursor.family = family
        cursor.next = family.first
        cursor.isOpen = false
        return true
    }
}

extension SeriesView {
    fileprivate mutating func add(_ other: SeriesRecord) {
        if kind == .histogram {
            var sums = counts ?? (0..<bucketCount).map { record.words[$0] }
            for place in 0..<sums.count { sums[place] &+= other.words[place] }
            counts = sums
            record.count &+= other.count
            record.setSum(other.flags.contains(.hasSum) ? other.double : nil, adding: true)
        } else {
            record.add(bits: other.number, isInt: other.flags.contains(.isInt))
        }
        if other.startTime > 0, record.startTime == 0 || other.startTime < record.startTime {
            record.startTime = other.startTime
        }
        record.time = max(record.time, other.time)
    }
}
