/// Where a sending queue is in its life and, while it runs, how its destination does.
///
/// ```
/// running ─ handOver ─▶ handingOver ─ drain ─▶ draining ─ emptied ─▶ closed
///    └──────────────────── drain ─────────────────┘
/// ```
///
/// All changes are in `apply`.
package enum SendingQueueState: Sendable {
    /// What the last attempts say of the destination.
    package enum Destination: Sendable {
        /// It has not been asked yet, or its last answer says nothing of the next batch.
        case unknown
        /// It took the last batch.
        case taking
        /// It, or the way to it, failed, and has taken nothing since.
        case failing
    }

    /// What happens to a queue.
    package enum Event: Sendable {
        /// The destination took a batch.
        case taken
        /// The destination did not take a batch, for a reason of that batch's.
        case notTaken
        /// An attempt failed and is to be made again.
        case failed
        /// The destination is gone for good while the gateway goes on; the other one gets what it does not take.
        case handOver(to: @Sendable (Batch) -> Void)
        /// The gateway stops.
        case drain
        /// Nothing is under way any more.
        case emptied
    }

    /// Takes batches, sends them, tries again.
    case running(Destination)
    /// Lets the attempts under way end and gives everything else, also what is still posted to it, to a successor.
    case handingOver(to: @Sendable (Batch) -> Void)
    /// Tries everything once more, or leaves it in its store.
    case draining
    /// Has let go of its connections; what is still posted is given up.
    case closed

    /// The only place that changes a state.
    package mutating func apply(_ event: Event) {
        switch (self, event) {
        case (.running, .taken): self = .running(.taking)
        case (.running(.failing), .notTaken): break
        case (.running, .notTaken): self = .running(.unknown)
        case (.running, .failed): self = .running(.failing)
        case (.running, .handOver(let successor)): self = .handingOver(to: successor)
        case (.running, .drain), (.handingOver, .drain): self = .draining
        case (.draining, .emptied): self = .closed
        // What ends a queue is not undone, and how its last attempts ended changes nothing. A queue that has handed
        // everything over goes on to do so with what comes late.
        case (.handingOver, _), (.draining, _), (.closed, _), (.running, .emptied): break
        }
    }

    /// Whether the destination failed last time and is asked again.
    var isFailing: Bool {
        if case .running(.failing) = self { return true }
        return false
    }

    /// Whether the destination took the last batch.
    var isTaking: Bool {
        if case .running(.taking) = self { return true }
        return false
    }

    /// Whether the gateway stops, or has stopped.
    var isStopping: Bool {
        switch self {
        case .running, .handingOver: false
        case .draining, .closed: true
        }
    }
}
