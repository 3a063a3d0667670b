internal import OTLP

// What OpenMetrics forbids. Prometheus reads such samples, but a strict parser refuses the whole page for one of them, so
// that one application could take everybody's metrics away. Text 0.0.4 shows them all.

extension TextPage {
    /// Whether a series may be on the page: no counter that is negative or no number, no buckets that fall.
    func allows(_ view: SeriesView, _ store: SeriesStore) -> Bool {
        guard isOpenMetrics else { return true }
        switch view.kind {
        case .number: return type != .counter || view.record.double >= 0
        case .histogram:
            var total: UInt64 = 0
            for place in 0..<finiteBuckets(view.record, store) {
                let (sum, overflow) = total.addingReportingOverflow(view.count(place, store))
                if overflow { return false }
                total = sum
            }
            return total <= view.record.count
        case .exponential, .summary: return true
        }
    }

    /// Whether the sum of a distribution may be on the page: none that falls, as beside values below zero it may.
    func showsSum(_ record: SeriesRecord, _ store: SeriesStore) -> Bool {
        guard record.flags.contains(.hasSum) else { return false }
        guard isOpenMetrics else { return true }
        let hasNegativeBounds =
            record.bounds != noIndex && store.bounds[record.bounds].values.first.map { $0 < 0 } ?? false
        return record.double >= 0 && !hasNegativeBounds
    }

    /// Whether a quantile may be on the page.
    func allows(quantile: Double, value: Double) -> Bool {
        !isOpenMetrics || quantile >= 0 && quantile <= 1 && !(value < 0)
    }

    /// Buckets but for that of all values.
    func finiteBuckets(_ record: SeriesRecord, _ store: SeriesStore) -> Int {
        guard record.bounds != noIndex else { return 0 }
        let values = store.bounds[record.bounds].values
        return values.last == .infinity ? values.count - 1 : values.count
    }
}
