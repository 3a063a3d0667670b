/// How names and labels are written on a page: by default as the Collector's own page has them.
package struct MetricPageStyle: Sendable {
    /// Counters end in `_total`.
    package var hasTypeSuffix = false
    /// Names end in their unit, `_seconds` or `_bytes`.
    package var hasUnits = false
    /// Added to every series but `target_info`, unless it has a label of that name.
    package var constantLabels: [(name: String, value: String)] = []

    /// The Collector's defaults.
    package init() {}

    /// The name of a family on the page.
    func name(_ name: String, _ kind: MetricKind) -> String {
        guard name != MetricPageStyle.targetInfo else { return name }
        var name = name
        if hasUnits, let unit = MetricUnit(ofMetric: name)?.suffix, !name.hasSuffix("_" + unit) {
            name += "_" + unit
        }
        if hasTypeSuffix, kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return name
    }

    /// The labels of a series, as they are printed.
    func labels(_ labels: MetricLabels, of name: String) -> MetricLabels {
        guard !constantLabels.isEmpty, name != MetricPageStyle.targetInfo else { return labels }
        let names = Set(labels.pairs.map(\.name))
        return MetricLabels(labels.pairs + constantLabels.filter { !names.contains($0.name) })
    }

    private static let targetInfo = "target_info"
}

/// What a metric of ours is measured in, by its name.
package enum MetricUnit: String, Sendable {
    case seconds = "s"
    case milliseconds = "ms"
    case bytes = "By"
    case spans = "{spans}"
    case points = "{datapoints}"
    case records = "{records}"
    case requests = "{requests}"

    /// What Prometheus' names end in; nil for things that are counted.
    var suffix: String? {
        switch self {
        case .seconds: "seconds"
        case .milliseconds: "milliseconds"
        case .bytes: "bytes"
        case .spans, .points, .records, .requests: nil
        }
    }

    /// nil when it has none.
    package init?(ofMetric name: String) {
        switch name {
        case "otelcol_process_uptime": self = .seconds
        case "otelcol_process_memory_rss": self = .bytes
        case _ where name.hasPrefix("rpc_") && name.hasSuffix("_duration"): self = .milliseconds
        case _ where name.hasSuffix("_seconds") || name.hasSuffix("_duration"): self = .seconds
        case _ where name.hasPrefix("rpc_") && name.hasSuffix("_size"): self = .bytes
        case _ where name.hasSuffix("_body_size"): self = .bytes
        case _ where name.hasSuffix("_bytes"): self = .bytes
        case _ where name.hasSuffix("_spans"): self = .spans
        case _ where name.hasSuffix("_metric_points"): self = .points
        case _ where name.hasSuffix("_log_records"): self = .records
        case _ where name.hasSuffix("_requests"): self = .requests
        default: return nil
        }
    }
}

extension MetricPage {
    /// The page as bytes, in the Prometheus text format 0.0.4. Empty when nothing was put.
    ///
    /// Families are printed sorted by name and series sorted by labels, whatever the order they were put in.
    package consuming func render(_ style: MetricPageStyle = MetricPageStyle()) -> [UInt8] {
        putSums()
        let named = families.map { (name: style.name($0.key, $0.value.kind), family: $0.value) }
        var page: [UInt8] = []
        for (name, family) in named.sorted(by: { $0.name < $1.name }) {
            page +=
                "# HELP \(name) \(escapedHelp(family.help))\n# TYPE \(name) \(family.kind.rawValue)\n".utf8
            let series = family.series.map { (labels: style.labels($0.key, of: name), value: $0.value) }
            for (labels, value) in series.sorted(by: { $0.labels.rendered < $1.labels.rendered }) {
                page += Self.lines(name, labels, value).utf8
            }
        }
        return page
    }

    private static func lines(_ name: String, _ labels: MetricLabels, _ value: MetricValue) -> String {
        switch value {
        case .whole(let value): return "\(name)\(labels.rendered) \(value)\n"
        case .number(let value): return "\(name)\(labels.rendered) \(number(value))\n"
        case .histogram(let bounds, let counts, let sum):
            var lines = ""
            var cumulative: UInt64 = 0
            for (index, count) in counts.enumerated() {
                cumulative &+= count
                let bound = index < bounds.count ? number(bounds[index]) : "+Inf"
                lines += "\(name)_bucket\(labels.adding("le", bound).rendered) \(cumulative)\n"
            }
            lines += "\(name)_sum\(labels.rendered) \(number(sum))\n"
            return lines + "\(name)_count\(labels.rendered) \(cumulative)\n"
        }
    }
}

/// A floating-point number as the text format spells it.
func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    let text = value.description
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
