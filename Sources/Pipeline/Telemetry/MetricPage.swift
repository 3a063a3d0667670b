/// The kinds of metric families that a page shows.
package enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// The samples of one scrape, gathered family by family and printed in the Prometheus text format 0.0.4.
///
/// Families are printed sorted by name and series sorted by labels, whatever the order they were put in.
/// A family of two kinds, a series put twice, or a name that the format does not allow, is our bug and traps.
package struct MetricPage: ~Copyable {
    /// The `Content-Type` of what `render` returns.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private struct Family {
        let kind: MetricKind
        let help: String
        /// Labels as text (which makes the order) and the lines of that series.
        var series: [String: String] = [:]
    }

    private var families: [String: Family] = [:]
    /// Nodes as this page shows them.
    private var readings: [ObjectIdentifier: NodeAccount.Reading] = [:]
    /// Counters that several nodes count, with the help of their family.
    private var sums: [String: (help: String, series: [MetricLabels: UInt64])] = [:]

    /// An empty page.
    package init() {}

    /// A node as this page shows it, whatever was counted since. One that is not on the page traps.
    package func reading(of account: NodeAccount) -> NodeAccount.Reading {
        guard let reading = readings[ObjectIdentifier(account)] else {
            preconditionFailure("The node is not on this page")
        }
        return reading
    }

    /// Looks at a node and puts what it counts.
    mutating func read(_ account: NodeAccount) {
        let reading = account.read()
        readings[ObjectIdentifier(account)] = reading
        account.put(reading, on: &self)
    }

    /// Adds to a counter that several may have a part in.
    mutating func addToCounter(_ name: String, help: String, labels: MetricLabels, _ value: UInt64) {
        sums[name, default: (help, [:])].series[labels, default: 0] &+= value
    }

    /// Puts one series of a counter.
    package mutating func counter(_ name: String, help: String, labels: MetricLabels = [:], _ value: UInt64) {
        put(name, .counter, help, labels, "\(name)\(labels.rendered) \(value)\n")
    }

    /// Puts one series of a counter that is not a whole number, such as seconds.
    package mutating func counter(_ name: String, help: String, labels: MetricLabels = [:], _ value: Double) {
        put(name, .counter, help, labels, "\(name)\(labels.rendered) \(number(value))\n")
    }

    /// Puts one series of a gauge.
    package mutating func gauge(_ name: String, help: String, labels: MetricLabels = [:], _ value: Int) {
        put(name, .gauge, help, labels, "\(name)\(labels.rendered) \(value)\n")
    }

    /// Puts one series of a gauge that is not a whole number.
    package mutating func gauge(_ name: String, help: String, labels: MetricLabels = [:], _ value: Double) {
        put(name, .gauge, help, labels, "\(name)\(labels.rendered) \(number(value))\n")
    }

    /// Puts one series of a histogram: cumulative buckets, sum and count.
    package mutating func histogram(
        _ name: String, help: String, labels: MetricLabels = [:], _ histogram: Histogram
    ) {
        let (counts, sum) = histogram.read()
        var lines = ""
        var cumulative: UInt64 = 0
        for (index, count) in counts.enumerated() {
            cumulative &+= count
            let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
            lines += "\(name)_bucket\(labels.adding("le", bound).rendered) \(cumulative)\n"
        }
        lines += "\(name)_sum\(labels.rendered) \(number(sum))\n"
        lines += "\(name)_count\(labels.rendered) \(cumulative)\n"
        put(name, .histogram, help, labels, lines)
    }

    /// The page as bytes. Empty when nothing was put.
    package consuming func render() -> [UInt8] {
        for (name, family) in sums {
            for (labels, value) in family.series { counter(name, help: family.help, labels: labels, value) }
        }
        var page: [UInt8] = []
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            page +=
                "# HELP \(name) \(escapedHelp(family.help))\n# TYPE \(name) \(family.kind.rawValue)\n".utf8
            for (_, lines) in family.series.sorted(by: { $0.key < $1.key }) {
                page += lines.utf8
            }
        }
        return page
    }

    private mutating func put(
        _ name: String, _ kind: MetricKind, _ help: String, _ labels: MetricLabels, _ lines: String
    ) {
        if families[name] == nil {
            precondition(isMetricName(name, colons: true), "Not a metric name: \(name)")
            families[name] = Family(kind: kind, help: help)
        }
        let old = families[name]?.series.updateValue(lines, forKey: labels.rendered)
        precondition(families[name]?.kind == kind, "Metric \(name) is both a \(kind) and something else")
        precondition(old == .some(nil), "Metric \(name)\(labels.rendered) was put twice on one page")
    }
}

/// A floating-point number as the text format spells it.
func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    let text = value.description
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
