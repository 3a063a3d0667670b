package import NIOCore

/// A component that runs: a node of the graph.
///
/// The graph starts nodes against the direction of the data, exporters first and receivers last, and stops them in the
/// direction of the data. So whatever a node hands on, while it starts, runs or stops, goes to something that runs.
package protocol Component: AnyObject, Sendable {
    /// Gets ready for data. Once; what stands behind has started. The default does nothing.
    /// - Throws: why the gateway cannot start, as a sentence that names the key to change.
    func start() async throws
    /// Opens pages: once every node has started, so that who finds a page finds receivers that listen, too. The default does
    /// nothing.
    /// - Throws: why the gateway cannot start, as `start`.
    func serve() async throws
    /// Takes nothing more, hands on what it holds, and lets go of what it uses. What cannot be handed on by `deadline` is
    /// counted as dropped. Once, after `start`, also when that failed; everything before has stopped, everything behind
    /// still runs. The default does nothing.
    func stop(until deadline: NIODeadline) async -> Remainder
}

extension Component {
    package func start() async throws {}
    package func serve() async throws {}
    package func stop(until deadline: NIODeadline) async -> Remainder { Remainder() }
}

/// Why a component cannot be made or started, as a sentence; the graph puts the component's section before it.
package struct ComponentError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// What was left of a component when it stopped.
package struct Remainder: Sendable, Equatable {
    /// Items that were accepted and that no destination has.
    package var items = 0
    /// Client connections that were cut.
    package var connections = 0

    package init(items: Int = 0, connections: Int = 0) {
        self.items = items
        self.connections = connections
    }
}

/// A node that takes data: a processor, a connector, an exporter.
package protocol PipelineComponent: Component {
    /// How the nodes before it hand data to it. Constant once it is made.
    var input: PipelineInput { get }
}

/// An extension that keeps sending queues on disk: `sending_queue::storage` names it.
package protocol StorageExtension: Component {
    /// Makes the store of one exporter and signal, which opens and closes it.
    func makeStore(for context: ComponentContext) -> any BatchStore
}
