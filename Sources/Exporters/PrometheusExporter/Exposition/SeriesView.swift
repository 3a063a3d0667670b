internal import OTLP

/// A series as a page shows it: one record, or what several sources of it are together. Borrows from the
/// store, under its lock.
struct SeriesView {
    /// Of which record the labels, the exemplars, and the buckets are.
    let index: UInt32
    var record: SeriesRecord
    let kind: Descriptor.Kind
    /// The labels of the series, and those of its context unless they are among them.
    let labels: WireBytes
    let context: Context?
    /// The buckets of several sources; else they are the record's words.
    var counts: [UInt64]?

    /// A bucket's own count.
    @inline(__always)
    func count(_ place: Int, _ store: SeriesStore) -> UInt64 {
        counts?[place] ?? store.slab[memory: index].words[place]
    }
}

extension SeriesStore {
    /// The series of a primary record; nil when it is not to be shown any more.
    func view(_ index: UInt32, now: UInt32) -> SeriesView? {
        let record = slab[index]
        let kind = record.descriptor == noIndex ? .number : descriptors[record.descriptor].kind
        if record.nextSource != noIndex { return mergedView(index, now: now) }
        guard record.flags.contains(.hasValue), !isExpired(record, now: now) else { return nil }
        return view(index, record, kind)
    }

    private func view(_ index: UInt32, _ record: SeriesRecord, _ kind: Descriptor.Kind) -> SeriesView {
        SeriesView(
            index: index, record: record, kind: kind, labels: slab[memory: index].labels.borrowed,
            context: record.flags.contains(.hasAllLabels) ? nil : contexts[record.context], counts: nil)
    }

    /// Counters and histograms of several sources are added; of other series the latest value counts.
    private func mergedView(_ primary: UInt32, now: UInt32) -> SeriesView? {
        var merged: SeriesView?
        var next = primary
        while next != noIndex {
            let index = next
            let record = slab[index]
            next = record.nextSource
            guard record.flags.contains(.hasValue), !isExpired(record, now: now) else { continue }
            let kind = record.descriptor == noIndex ? .number : descriptors[record.descriptor].kind
            guard var sum = merged else {
                merged = view(index, record, kind)
                continue
            }
            guard kind == sum.kind else { continue }
            let isSameSort =
                switch kind {
                case .number: family(of: record).type == .counter
                case .histogram:
                    record.bounds == sum.record.bounds
                        && slab[memory: index].words.count == slab[memory: sum.index].words.count
                case .exponential, .summary: false
                }
            if isSameSort {
                sum.add(index, self)
            } else if record.time >= sum.record.time {
                // The labels are the same, as they are of all sources of a series.
                sum = view(index, record, kind)
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
    fileprivate mutating func add(_ source: UInt32, _ store: SeriesStore) {
        let other = store.slab[source]
        if kind == .histogram {
            counts = (0..<store.slab[memory: source].words.count).map {
                count($0, store) &+ store.slab[memory: source].words[$0]
            }
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
