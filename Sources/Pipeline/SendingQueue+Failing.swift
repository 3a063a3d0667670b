internal import Logging
internal import NIOCore
internal import OTLP
import Synchronization

// What becomes of a batch that its destination does not have, and of one that it has. Event loop only.

extension SendingQueue {
    /// The destination will never take the batch.
    func reject(_ work: Work, _ message: String, _ code: GRPCCode?) {
        log(work, message, kind: message, ["dropped_items": "\(work.batch.items)", "permanent": "true"])
        fail(work, Refusal(.rejected, message, isPermanent: true, code: code))
    }

    /// Says that a batch is given up for good, each kind once a minute.
    func log(_ work: Work, _ message: String, kind: String, _ more: Logger.Metadata) {
        guard !sender.logsRejections, let unsaid = logLimiter.admit(kind, at: eventLoop.now) else { return }
        var metadata = more
        metadata["error"] = "\(message)"
        if unsaid > 0 { metadata["more_of_the_kind"] = "\(unsaid)" }
        let fate = deadLetter.map { "Handing the data to on_permanent_failure \($0.name)." }
        logger.error("Exporting failed. \(fate ?? "Dropping data.")", metadata: metadata)
    }

    func fail(_ work: Work, _ refusal: Refusal) {
        let delivered = sender.itemsDelivered(of: work.batch)
        counters.sent.add(delivered)
        counters.failed.add(work.batch.items - delivered)
        work.division?.hasLost = true
        guard refusal.isPermanent, let deadLetter else { return finish(work, .refused(refusal)) }
        let batch =
            disk == nil
            ? work.batch.unacknowledged()
            : work.batch.acknowledged { keptUntilSafe(work.batch, refusal, shares: $0) }
        deadLetter.counter.add(batch.items)
        if let refusal = deadLetter.consumer.consume(batch) {
            logger.error(
                "The exporter for permanent failures does not take data. Dropping it.",
                metadata: [
                    "on_permanent_failure": "\(deadLetter.name)", "error": "\(refusal.message)",
                    "dropped_items": "\(batch.items)",
                ])
            deadLetter.consumer.drop(batch, because: refusal)
        }
        finish(work, disk == nil ? .refused(refusal) : nil)
    }

    /// A dead letter stays stored here until the other exporter has it where that one keeps its own data. Its clients
    /// have their answer from here; what becomes of it there is counted there.
    private func keptUntilSafe(_ batch: Batch, _ refusal: Refusal, shares: Int) -> Acknowledgement {
        let eventLoop = eventLoop
        let bound = NIOLoopBound(batch, eventLoop: eventLoop)
        return Acknowledgement(shares: shares) { outcome in
            eventLoop.execute {
                var ending = refusal
                if case .refused(let other) = outcome, other.reason == .shuttingDown { ending = other }
                bound.value.settle(.refused(ending))
            }
        }
    }

    /// - Parameter outcome: nil: somebody else tells it.
    func finish(_ work: Work, _ outcome: Outcome?) {
        var outcome = answersLater ? outcome : nil
        if let division = work.division, case .refused(let refusal) = outcome, refusal.isPermanent {
            // Whether all of the batch was refused is known when its last part has ended.
            division.refused.append((work.batch, refusal))
            outcome = nil
        }
        forget(work)
        if let outcome { work.batch.settle(outcome) }
    }

    /// The batch is no longer this queue's.
    func forget(_ work: Work) {
        work.timer?.cancel()
        work.timer = nil
        active[ObjectIdentifier(work)] = nil
        size.subtract(work.weight, ordering: .relaxed)
        if let division = work.division { ended(division) }
    }
}
