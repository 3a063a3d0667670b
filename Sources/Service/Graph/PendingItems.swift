internal import Configuration
internal import OTLP
internal import Pipeline

/// What was accepted for an exporter and has no fate yet, wherever it is: in a ring, in a batch, in a queue, on the wire
/// (`sluice_exporter_pending_items`).
///
///     came in at the sources before it or from other exporters + made on the way - dropped on the way - sent - failed - refused
///
/// A source counts once for each way from it to the exporter. So an item that were lost would stay in this number for ever,
/// where somebody sees it.
struct PendingItems: Sendable {
    private let labels: MetricLabels
    private let exporter: NodeAccount
    /// Receivers and connectors with the number of ways from them.
    private var sources: [(account: NodeAccount, ways: Int)] = []
    /// Processors on the way.
    private var between: [(account: NodeAccount, ways: Int)] = []

    /// Has pages show the number for every exporter of a graph.
    static func register(_ nodes: [GraphNode], in registry: MetricRegistry) {
        let all = nodes.indices.compactMap { PendingItems(of: $0, in: nodes) }
        registry.addCollector { page in
            for pending in all {
                page.gauge(
                    "sluice_exporter_pending_items",
                    help: "Items accepted for this exporter that are not yet sent, failed or dropped.",
                    labels: pending.labels, pending.count(on: page))
            }
        }
    }

    private init?(of index: Int, in nodes: [GraphNode]) {
        let node = nodes[index]
        guard node.id.kind == .exporter, let account = node.account, let signal = node.id.signal else {
            return nil
        }
        exporter = account
        labels = ["exporter": "\(node.id.id)", "data_type": signal.name]
        var ways = [Int](repeating: 0, count: nodes.count)
        ways[index] = 1
        for (before, node) in nodes.enumerated() where before > index {
            ways[before] = node.next.reduce(0) { $0 + ways[$1] }
            if ways[before] > 0, let account = node.account { between.append((account, ways[before])) }
            for (account, to) in node.brings {
                let count = to.reduce(0) { $0 + ways[$1] }
                if count > 0 { sources.append((account, count)) }
            }
        }
    }

    private func count(on page: borrowing MetricPage) -> Int {
        let own = page.reading(of: exporter)
        var count = Int(own.made) + Int(own.announced) - Int(own.left) - Int(own.droppedInAll)
        for (account, ways) in between {
            let reading = page.reading(of: account)
            count += ways * (Int(reading.made) - Int(reading.droppedInAll))
        }
        for (account, ways) in sources { count += ways * Int(page.reading(of: account).entered) }
        return count
    }
}
