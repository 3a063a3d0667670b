internal import Configuration
internal import NIOCore
internal import Pipeline
import Synchronization

/// The components of the pipelines, running: started from the exporters to the receivers, stopped from the receivers to the
/// exporters. Any thread; `start` and `stop` once each.
final class Graph: Sendable {
    let nodes: [GraphNode]
    /// The nodes that were started, as many as there are.
    private let started = Mutex(0)

    init(_ nodes: [GraphNode]) {
        self.nodes = nodes
    }

    /// Starts every node after those behind it.
    /// - Throws: what the first one says that cannot start; those before it in this order run and are to be stopped.
    func start() async throws {
        for node in nodes {
            try await node.component.start()
            started.withLock { $0 += 1 }
        }
    }

    /// Stops every node that runs before those behind it; nodes that have nothing to do with each other at a time.
    ///
    /// Receivers get a third of the time, so that the later ones have some even when a client holds on to the end. Each
    /// other level leaves a tenth of it, or a second, to each level behind it.
    /// - Returns: what was left of each node that had something left.
    func stop(until deadline: NIODeadline) async -> [(node: NodeID, remainder: Remainder)] {
        let running = nodes.prefix(started.withLock { $0 })
        let time = max(deadline - .now(), .zero)
        let share = TimeAmount.nanoseconds(min(time.nanoseconds / 10, 1_000_000_000))
        var left: [(NodeID, Remainder)] = []
        for level in Set(running.map(\.level)).sorted(by: >) {
            let group = running.filter { $0.level == level }
            var groupDeadline = deadline - share * level
            if group.contains(where: { $0.id.kind == .receiver }) {
                groupDeadline = min(groupDeadline, .now() + .nanoseconds(time.nanoseconds / 3))
            }
            left += await stop(group, until: groupDeadline)
        }
        return left
    }

    private func stop(_ group: [GraphNode], until deadline: NIODeadline) async -> [(NodeID, Remainder)] {
        await withTaskGroup(of: (NodeID, Remainder).self) { tasks in
            for node in group { tasks.addTask { (node.id, await node.component.stop(until: deadline)) } }
            return await tasks.reduce(into: []) { all, one in
                if one.1 != Remainder() { all.append(one) }
            }
        }
    }
}
