internal import Configuration
internal import Logging
internal import NIOCore
internal import OTLP
import Synchronization

// From the first attempt to the last word about a batch. Event loop only.

extension SendingQueue {
    /// Gives the sender as much as it may have, and says so if nothing is left.
    func startWork() {
        if case .handingOver(let successor) = state {
            while let work = waiting.popFirst() { handOver(work, to: successor) }
        }
        while active.count < config.numConsumers, let work = waiting.popFirst() {
            if !divideIfTooLarge(work) { start(work) }
        }
        wakeIfIdle()
    }

    private func start(_ work: Work) {
        work.standApart(from: active.values)
        active[ObjectIdentifier(work)] = work
        if work.backoff == nil { work.backoff = Backoff(retry, now: eventLoop.now) }
        counters.batchItems?.observe(Double(work.batch.items))
        counters.batchBytes?.observe(Double(work.batch.bytes))
        attempt(work)
    }

    func attempt(_ work: Work) {
        work.timer = nil
        let deadline = timeout > .zero ? eventLoop.now + timeout : .distantFuture
        counters.inFlight.add(1)
        sender.send(work.batch, deadline: deadline) { [self] result in
            eventLoop.preconditionInEventLoop()
            counters.inFlight.add(-1)
            attempted(work, result)
        }
    }

    private func attempted(_ work: Work, _ result: SendResult) {
        // Given up in the meantime, and counted so.
        guard active[ObjectIdentifier(work)] != nil else { return }
        switch result {
        case .sent(let rejected, let message):
            sent(work, rejected: min(max(rejected, 0), work.batch.items), message)
        case .refused(let message, let code):
            state.apply(.notTaken)
            refused(work, message, code)
        case .permanent(let message, let code):
            state.apply(.notTaken)
            reject(work, message, code)
        case .tooLarge(let message):
            state.apply(.notTaken)
            tooLarge(work, message)
        case .retryable(let message, let hint):
            notSent(work, message, hint)
        case .throttled(let message, let hint):
            work.throttles += 1
            notSent(work, message, hint)
        }
        startWork()
    }

    private func sent(_ work: Work, rejected: Int, _ message: String) {
        counters.sent.add(work.batch.items - rejected)
        if rejected > 0 {
            counters.failed.add(rejected)
            logger.warning(
                "Partial success: the destination rejected items, which are not retried.",
                metadata: ["rejected": "\(rejected)", "message": "\(message)"])
        }
        if state.isFailing { logger.info("Exporting works again.") }
        state.apply(.taken)
        takenBatches += 1
        dividesInVain = false
        work.division?.noteTaken()
        finish(work, rejected > 0 ? .partial(rejectedItems: rejected, message: message) : .accepted)
        wakeNext()
    }

    /// The destination takes again: the batch that has waited longest for another attempt need not wait on. One at a time,
    /// so that a destination that has just come back is not asked by all at once.
    private func wakeNext() {
        let now = eventLoop.now
        let next = active.values
            .filter { $0.timer != nil && $0.throttles == 0 && $0.notBefore <= now }
            .min { ($0.backoff?.started ?? now) < ($1.backoff?.started ?? now) }
        guard let next else { return }
        next.timer?.cancel()
        attemptAgain(next)
    }

    /// Makes another attempt, of the whole batch or, if its size may be what the destination does not take, of its halves.
    private func attemptAgain(_ work: Work) {
        work.timer = nil
        if case .running = state, divideIfSuspect(work) { return startWork() }
        attempt(work)
    }

    /// An attempt failed, and another one may succeed.
    private func notSent(_ work: Work, _ message: String, _ hint: TimeAmount?) {
        switch state {
        case .handingOver(let successor):
            handOver(work, to: successor)
        case .draining, .closed:
            if disk != nil { return release(work) }
            givenUp.add(work.batch.items, ordering: .relaxed)
            dropUnsent(work, message, hint, cause: "the gateway is stopping")
        case .running:
            retryLater(work, message, hint)
        }
    }

    private func dropUnsent(_ work: Work, _ message: String, _ hint: TimeAmount?, cause: String) {
        logger.error(
            "Exporting failed. Dropping data.",
            metadata: [
                "error": "\(message)", "dropped_items": "\(work.batch.items)", "cause": "\(cause)",
            ])
        fail(work, Refusal(.unavailable, message, retryAfterSeconds: hint?.wholeSeconds ?? 1))
    }

    private func retryLater(_ work: Work, _ message: String, _ hint: TimeAmount?) {
        guard retry.enabled else {
            state.apply(.notTaken)
            return dropUnsent(work, message, hint, cause: "retry_on_failure.enabled is false")
        }
        guard let delay = work.backoff?.next(hint: hint, now: eventLoop.now, random: .random(in: 0..<1))
        else {
            state.apply(.notTaken)
            logger.error(
                "Exporting failed. No more retries left. Dropping data.",
                metadata: [
                    "error": "\(message)", "dropped_items": "\(work.batch.items)",
                    "limit": "retry_on_failure.max_elapsed_time \(retry.maxElapsedTime)",
                ])
            return fail(work, Refusal(.retriesExhausted, message))
        }
        if !state.isFailing {
            logger.warning(
                "Exporting failed. Will retry the request after interval.",
                metadata: ["error": "\(message)", "interval": "\(delay.nanoseconds / 1_000_000)ms"])
        }
        state.apply(.failed)
        if work.failures == 0 { work.takenBefore = takenBatches }
        work.failures += 1
        work.notBefore = hint.map { eventLoop.now + $0 } ?? .distantPast
        let bound = NIOLoopBound((self, work), eventLoop: eventLoop)
        work.timer = eventLoop.scheduleTask(in: delay) {
            let (queue, work) = bound.value
            // Cancelled when it was due already, the timer runs all the same.
            guard work.timer != nil else { return }
            queue.attemptAgain(work)
        }
    }
}

extension TimeAmount {
    /// Whole seconds, rounded up, at least one.
    fileprivate var wholeSeconds: Int {
        Int(max(1, nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 > 0 ? 1 : 0)))
    }
}
