package import Configuration
package import OTLP
import Synchronization

/// Why a node gave up items that it had taken. A closed set: the `reason` label of `sluice_component_dropped_items`.
package enum DropReason: String, Sendable, CaseIterable {
    /// The destination refused the items, or could not be reached until the retries ended.
    case sendFailed = "send_failed"
    /// The exporter's queue did not take them, or the gateway stopped before it sent them.
    case enqueueFailed = "enqueue_failed"
    /// A filter's condition held.
    case filtered
    /// A sampler decided against them.
    case notSampled = "not_sampled"
    /// They were made part of other items, which are counted as made.
    case merged
    /// The data did not fit the component, such as a value of a wrong type with `error_mode: propagate`.
    case invalid
    /// What keeps state had no room for more of it.
    case stateLimit = "state_limit"
    /// Nobody behind took them, and who brought them could not be asked to keep them.
    case refused
}

/// What a node of the graph counts, in items. At every moment
///
///     in + made = out + dropped + inside
///
/// holds with what `read` gives, and nothing is negative, whatever other threads count meanwhile: a node counts an item in,
/// or made, before it can be counted out or dropped, and `read` looks at the exits before it looks at the entrances. What
/// is inside is not counted but is what is missing: an item that were lost would stay there, where somebody sees it.
///
/// Counters are made while the component is made; counting is one atomic addition on any thread.
package final class NodeAccount: Sendable {
    /// Which way a counter counts.
    package enum Flow: Sendable, Equatable {
        case entered
        /// Came into being here: read from a store, or produced.
        case made
        case left
        case dropped(DropReason)
        /// In and out in one: for nodes that hold nothing.
        case passed
        /// Is on its way here from a node that has counted it out; entered or dropped when it comes.
        case announced
    }

    fileprivate struct Entry: Sendable {
        let flow: Flow
        /// The metrics of the Collector's, or ours, that show this counter; without any only the node's sums do.
        var metrics: [Metric]
        let counter: Counter
    }

    fileprivate typealias Metric = (name: String, help: String, labels: MetricLabels)

    package let kind: ComponentKind
    package let id: ComponentID
    package let signal: Signal?
    /// What a connector makes of the signal.
    package let output: Signal?
    package let pipeline: PipelineID?
    private let entries = Mutex<[Entry]>([])

    package init(
        kind: ComponentKind, id: ComponentID, signal: Signal?, output: Signal? = nil,
        pipeline: PipelineID? = nil
    ) {
        self.kind = kind
        self.id = id
        self.signal = signal
        self.output = output
        self.pipeline = pipeline
    }

    /// A counter that only the node's sums show.
    package func counter(_ flow: Flow) -> Counter {
        let counter = Counter()
        entries.withLock { $0.append(Entry(flow: flow, metrics: [], counter: counter)) }
        return counter
    }

    /// A counter with a metric of its own. Several nodes may count the same metric and labels: pages show the sum.
    package func counter(_ flow: Flow, _ name: String, help: String, labels: MetricLabels) -> Counter {
        let counter = counter(flow)
        show(counter, name, help: help, labels: labels)
        return counter
    }

    /// Shows one of this node's counters under a further name.
    package func show(_ counter: Counter, _ name: String, help: String, labels: MetricLabels) {
        entries.withLock { entries in
            guard let index = entries.firstIndex(where: { $0.counter === counter }) else {
                preconditionFailure("Metric \(name) is to show a counter of another node")
            }
            entries[index].metrics.append((name, help, labels))
        }
    }

    /// One look at a node.
    package struct Reading: Sendable {
        package fileprivate(set) var entered: UInt64 = 0
        package fileprivate(set) var made: UInt64 = 0
        package fileprivate(set) var left: UInt64 = 0
        package fileprivate(set) var announced: UInt64 = 0
        package fileprivate(set) var dropped: [DropReason: UInt64] = [:]
        fileprivate var metrics: [(metric: Metric, value: UInt64)] = []

        /// All that were dropped.
        package var droppedInAll: UInt64 { dropped.values.reduce(0, &+) }
        /// What is inside.
        package var inside: Int { Int(entered &+ made) - Int(left &+ droppedInAll) }
    }

    /// Looks at all counters, exits first.
    package func read() -> Reading {
        let entries = entries.withLock { $0 }
        var reading = Reading()
        for entry in entries where entry.flow.isExit { reading.add(entry) }
        for entry in entries where !entry.flow.isExit { reading.add(entry) }
        return reading
    }

    /// Puts the metrics of a reading on a page.
    func put(_ reading: Reading, on page: inout MetricPage) {
        for (metric, value) in reading.metrics {
            page.addToCounter(metric.name, help: metric.help, labels: metric.labels, value)
        }
        var labels: MetricLabels = ["kind": kind.rawValue, "component": "\(id)"]
        if let signal { labels = labels.adding("otel_signal", signal.name) }
        if let output { labels = labels.adding("otel_signal_output", output.name) }
        if let pipeline { labels = labels.adding("pipeline", "\(pipeline)") }
        page.addToCounter(
            "sluice_component_in_items", help: "Items that the component took.", labels: labels,
            reading.entered)
        page.addToCounter(
            "sluice_component_made_items", help: "Items that came into being in the component.",
            labels: labels, reading.made)
        page.addToCounter(
            "sluice_component_out_items", help: "Items that the component handed on.", labels: labels,
            reading.left)
        for (reason, value) in reading.dropped {
            page.addToCounter(
                "sluice_component_dropped_items", help: "Items that the component gave up.",
                labels: labels.adding("reason", reason.rawValue), value)
        }
        page.gauge(
            "sluice_component_inside_items",
            help: "Items in the component: in and made, neither out nor dropped.", labels: labels,
            reading.inside)
    }
}

extension NodeAccount.Flow {
    fileprivate var isExit: Bool {
        switch self {
        case .left, .dropped: true
        case .entered, .made, .passed, .announced: false
        }
    }
}

extension NodeAccount.Reading {
    fileprivate mutating func add(_ entry: NodeAccount.Entry) {
        let value = entry.counter.value
        switch entry.flow {
        case .entered: entered &+= value
        case .made: made &+= value
        case .left: left &+= value
        case .announced: announced &+= value
        case .dropped(let reason): dropped[reason, default: 0] &+= value
        case .passed:
            entered &+= value
            left &+= value
        }
        for metric in entry.metrics { metrics.append((metric, value)) }
    }
}
