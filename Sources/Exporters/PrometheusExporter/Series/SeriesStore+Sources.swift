internal import OTLP

// The sources of a series: nearly always one. Others, whose names and labels have become the same, are chained behind
// the primary and found by a table, as a sender can make any number of them.

extension SeriesStore {
    /// What finds a secondary source.
    private func sourceKey(_ source: UInt64, _ finalKey: SeriesKey) -> SeriesKey {
        SeriesKey(hasher.hash(source, from: WireHash(low: finalKey.low, high: UInt64(finalKey.high))))
    }

    /// The record of a source of the series of this primary; `noIndex` when there is none.
    func findSource(_ source: UInt64, _ finalKey: SeriesKey, primary: UInt32) -> UInt32 {
        guard primary != noIndex, slab[primary].sourceHash != source else { return primary }
        guard slab[primary].nextSource != noIndex else { return noIndex }
        return sources.find(sourceKey(source, finalKey))
    }

    /// Whether the series may have one source more.
    func hasRoomForSource(of primary: UInt32) -> Bool {
        sourceCounts[primary, default: 1] < settings.limits.sourcesPerSeries
    }

    /// Chains a record, whose source and final key are set, behind the primary.
    func addSource(_ made: UInt32, to primary: UInt32) {
        let next = slab[primary].nextSource
        slab[made].flags.insert(.isSecondary)
        slab[made].nextSource = next
        slab[made].previousInFamily = primary
        slab[primary].nextSource = made
        if next != noIndex { slab[next].previousInFamily = made }
        sources.set(sourceKey(slab[made].sourceHash, slab[made].finalKey), made)
        sourceCounts[primary, default: 1] += 1
    }

    /// Takes a secondary record out of its chain.
    func removeSource(_ record: SeriesRecord) {
        slab[record.previousInFamily].nextSource = record.nextSource
        if record.nextSource != noIndex {
            slab[record.nextSource].previousInFamily = record.previousInFamily
        }
        sources.remove(sourceKey(record.sourceHash, record.finalKey))
        count(-1, of: finals.find(record.finalKey))
    }

    /// Makes the source behind a primary, which is going, the primary; its place in the family is the caller's matter.
    func promote(_ successor: UInt32, after primary: UInt32) {
        slab[successor].flags.remove(.isSecondary)
        sources.remove(sourceKey(slab[successor].sourceHash, slab[successor].finalKey))
        finals.set(slab[successor].finalKey, successor)
        sourceCounts[successor] = sourceCounts.removeValue(forKey: primary)
        count(-1, of: successor)
    }

    private func count(_ change: Int, of primary: UInt32) {
        guard let count = sourceCounts[primary] else { return }
        sourceCounts[primary] = count + change > 1 ? count + change : nil
    }
}
