internal import Configuration
internal import OTLP
internal import Pipeline

/// Where a component stands in the graph.
struct NodeID: Hashable, CustomStringConvertible {
    let kind: ComponentKind
    let id: ComponentID
    /// What goes in; nil for receivers and shared parts.
    var signal: Signal?
    /// A processor's pipeline.
    var pipeline: PipelineID?
    /// What a connector gives.
    var output: Signal?

    var description: String {
        var words = "\(kind.rawValue) \(id)"
        if let signal { words += " (\(signal.name)\(output.map { " to \($0.name)" } ?? ""))" }
        if let pipeline { words += " in pipeline \(pipeline)" }
        return words
    }
}

/// A component of the graph with its edges. Nodes are numbered in the order in which they are made: whatever stands behind
/// a node has a smaller number.
struct GraphNode: Sendable {
    let id: NodeID
    let component: any Component
    /// Counts what passes it; nil for receivers and shared parts.
    let account: NodeAccount?
    /// Nodes that get every item which leaves this one: the next processor, or all exporters.
    var next: [Int] = []
    /// Other nodes that must run longer: dead-letter targets, the pipelines behind a connector or a receiver, shared parts.
    var needs: [Int] = []
    /// What it brings into pipelines, each with the nodes that get all of it, one of them once for each way.
    var brings: [(account: NodeAccount, to: [Int])] = []
    /// The longest way to an end of the graph; receivers are further away than everything else.
    var level = 0

    init(_ id: NodeID, _ component: any Component, _ account: NodeAccount? = nil) {
        self.id = id
        self.component = component
        self.account = account
    }
}
