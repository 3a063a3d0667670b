/// The kinds of metric families that a page shows.
package enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// The samples of one look at the metrics, gathered family by family: for a page (`render`) or for sending.
///
/// A family of two kinds, a series put twice, or a name that the text format does not allow, is our bug and traps.
///
/// By hand: a metrics library counts by handles of its own, and what is counted here must add up at each node at every look,
/// which takes the order in which `NodeAccount` reads; what is left for a library is this page.
package struct MetricPage: ~Copyable {
    /// The `Content-Type` of what `render` returns.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// All series of one name.
    package struct Family: Sendable {
        package let kind: MetricKind
        package let help: String
        /// In no order.
        package fileprivate(set) var series: [MetricLabels: MetricValue] = [:]
    }

    /// The families by name.
    package private(set) var families: [String: Family] = [:]
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

    /// Puts the counters that several had a part in. Once, when everything was added.
    mutating func putSums() {
        for (name, family) in sums {
            for (labels, value) in family.series { counter(name, help: family.help, labels: labels, value) }
        }
        sums = [:]
    }

    /// Takes families off the page whose names are these; `*` is any text, `?` one character.
    mutating func remove(_ names: [String]) {
        guard !names.isEmpty else { return }
        families = families.filter { family in !names.contains { family.key.matches(wildcards: $0) } }
    }

    /// Puts one series of a counter.
    package mutating func counter(_ name: String, help: String, labels: MetricLabels = [:], _ value: UInt64) {
        put(name, .counter, help, labels, .whole(Int64(clamping: value)))
    }

    /// Puts one series of a counter that is not a whole number, such as seconds.
    package mutating func counter(_ name: String, help: String, labels: MetricLabels = [:], _ value: Double) {
        put(name, .counter, help, labels, .number(value))
    }

    /// Puts one series of a gauge.
    package mutating func gauge(_ name: String, help: String, labels: MetricLabels = [:], _ value: Int) {
        put(name, .gauge, help, labels, .whole(Int64(value)))
    }

    /// Puts one series of a gauge that is not a whole number.
    package mutating func gauge(_ name: String, help: String, labels: MetricLabels = [:], _ value: Double) {
        put(name, .gauge, help, labels, .number(value))
    }

    /// Puts one series of a histogram: cumulative buckets, sum and count.
    package mutating func histogram(
        _ name: String, help: String, labels: MetricLabels = [:], _ histogram: Histogram
    ) {
        let (counts, sum) = histogram.read()
        put(
            name, .histogram, help, labels, .histogram(bounds: histogram.bounds, counts: counts, sum: sum))
    }

    private mutating func put(
        _ name: String, _ kind: MetricKind, _ help: String, _ labels: MetricLabels, _ value: MetricValue
    ) {
        if families[name] == nil {
            precondition(isMetricName(name, colons: true), "Not a metric name: \(name)")
            families[name] = Family(kind: kind, help: help)
        }
        let old = families[name]?.series.updateValue(value, forKey: labels)
        precondition(families[name]?.kind == kind, "Metric \(name) is both a \(kind) and something else")
        precondition(old == .some(nil), "Metric \(name)\(labels.rendered) was put twice on one page")
    }
}

/// What one series shows.
package enum MetricValue: Sendable, Equatable {
    /// A counter or a gauge.
    case whole(Int64)
    /// The same with a fraction.
    case number(Double)
    /// The counts of the buckets, the one above the last bound included, not cumulative.
    case histogram(bounds: [Double], counts: [UInt64], sum: Double)
}
