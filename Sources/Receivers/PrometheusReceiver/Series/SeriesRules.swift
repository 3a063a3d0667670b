/// What a target's configuration says about its series.
struct SeriesRules: Sendable {
    /// The target's labels after relabelling: `job`, `instance` and more; none begins with `__`.
    var targetLabels = LabelSet()
    /// `http` or `https`, for the resource.
    var scheme = "http"
    /// Labels of the page win over those of the target. Key `honor_labels`.
    var honorsLabels = false
    /// Timestamps of the page are taken. Key `honor_timestamps`.
    var honorsTimestamps = true
    /// Series with timestamps of their own go stale, too. Key `track_timestamps_staleness`.
    var tracksTimestampsStaleness = false
    /// Unit and `_total` are cut off names. Key `trim_metric_suffixes` of the receiver.
    var trimsSuffixes = false
    /// Key `metric_relabel_configs`.
    var relabelling: [RelabelRule] = []
    /// Samples of a page after relabelling; 0 is no limit. Key `sample_limit`.
    var sampleLimit = 0
    /// Labels of a series. Key `label_limit`.
    var labelLimit = 0
    /// Bytes of a label's name. Key `label_name_length_limit`.
    var labelNameLengthLimit = 0
    /// Bytes of a label's value. Key `label_value_length_limit`.
    var labelValueLengthLimit = 0

    init() {}

    /// The labels of a series of the page, joined with the target's; nil when relabelling drops it.
    /// - Throws: a limit is exceeded, or relabelling took the name.
    func labels(of page: [Label]) throws(PageError) -> LabelSet? {
        var set = LabelSet(sorted: page)
        for label in targetLabels.labels {
            let own = set[label.name]
            if honorsLabels {
                if own.isEmpty { set[label.name] = label.value }
                continue
            }
            if !own.isEmpty {
                var name = "exported_" + label.name
                while set.contains(name) || targetLabels.contains(name) { name = "exported_" + name }
                set[name] = own
            }
            set[label.name] = label.value
        }
        guard relabelling.apply(to: &set) else { return nil }
        if set[Label.metricName].isEmpty {
            throw .relabelled("metric_relabel_configs left a series without a name")
        }
        try check(set)
        return set
    }

    private func check(_ set: LabelSet) throws(PageError) {
        if labelLimit > 0, set.labels.count > labelLimit {
            throw .limit(
                key: "label_limit", limit: labelLimit,
                found: "series \(set[Label.metricName]) with \(set.labels.count) labels")
        }
        guard labelNameLengthLimit > 0 || labelValueLengthLimit > 0 else { return }
        for label in set.labels {
            if labelNameLengthLimit > 0, label.name.utf8.count > labelNameLengthLimit {
                throw .limit(
                    key: "label_name_length_limit", limit: labelNameLengthLimit,
                    found: "label name \(label.name.prefix(64)) of \(label.name.utf8.count) bytes")
            }
            if labelValueLengthLimit > 0, label.value.utf8.count > labelValueLengthLimit {
                throw .limit(
                    key: "label_value_length_limit", limit: labelValueLengthLimit,
                    found: "value of label \(label.name) of \(label.value.utf8.count) bytes")
            }
        }
    }
}
