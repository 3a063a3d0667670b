/// What a page is written in.
enum ExpositionFormat: Sendable, Hashable, CaseIterable {
    /// Prometheus text 0.0.4.
    case text
    /// OpenMetrics text 1.0.0, with exemplars.
    case openMetrics
    /// Messages `io.prometheus.client.MetricFamily`, each behind its length as a varint; with native histograms.
    case protobuf
}
