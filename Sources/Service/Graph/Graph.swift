internal import Configuration
internal import NIOCore
internal import Pipeline
import Synchronization

/// The components of the pipelines, running: started from the exporters to the receivers, stopped from the receivers to the
/// exporters. Any thread; `start` and `stop` once each.
final class Graph: Sendable {
    let nodes: [GraphNode]
    /// The nodes that were asked to start.
    private let started = Mutex(0)

    init(_ nodes: [GraphNode]) {
        self.nodes = nodes
    }

    /// Starts every node after those behind it, then opens their pages.
    /// - Throws: what the first one says that cannot start; it and those before it in this order are to be stopped.
    func start() async throws {
        for node in nodes {
            started.withLock { $0 += 1 }
            try await node.component.start()
        }
        for node in nodes { try await node.component.serve() }
    }

    /// Stops every node that was asked to start before those behind it; nodes of one level at a time.
    ///
    /// Receivers get a third of the time, so that the later ones have some even when a client holds on to the end. Each
    /// other level leaves a share to each level behind it: a second, or less when the time is short.
    /// - Returns: what was left of each node that had something left.
    func stop(until deadline: NIODeadline) async -> [(node: NodeID, remainder: Remainder)] {
        let running = nodes.prefix(started.withLock { $0 })
        let time = max(deadline - .now(), .zero)
        let levels = Int64(max(1, running.map(\.level).max() ?? 0))
        let share = TimeAmount.nanoseconds(
            min(time.nanoseconds / 10, time.nanoseconds / 3 * 2 / levels, 1_000_000_000))
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
