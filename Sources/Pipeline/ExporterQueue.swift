package import Configuration
package import NIOCore

/// What stands before an exporter's destination, or before each of several, as the gateway starts, connects and stops it.
package protocol ExporterQueue: Consumer {
    /// The exporter that is to get what the destination will never take: `on_permanent_failure`.
    var onPermanentFailure: ComponentID? { get }
    /// Says who gets what the destination will never take. Before the first batch.
    func setDeadLetter(_ deadLetter: SendingQueue.DeadLetter)
    /// Gets ready. Once, before the first batch; any thread.
    /// - Returns: the batches that an earlier process left.
    func start() -> EventLoopFuture<Int>
    /// Sends what it holds until `deadline`, then gives up the rest. Once; any thread.
    /// - Returns: the items that no destination has because the gateway stopped.
    func drain(until deadline: NIODeadline) async -> Int
}

extension SendingQueue: ExporterQueue {
    package func start() -> EventLoopFuture<Int> { openStore() }
}
