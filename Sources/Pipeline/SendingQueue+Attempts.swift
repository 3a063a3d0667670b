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
            if work.batch.bytes > maxRequestBytes {
                let limit = "larger than the limit of \(maxRequestBytes) bytes a request"
                divide(work, maxBytes: maxRequestBytes, because: limit)
            } else {
                start(work)
            }
        }
        wakeIfIdle()
    }

    private func start(_ work: Work) {
        work.standApart(from: active.values)
        active[ObjectIdentifier(work)] = work
        work.backoff = Backoff(retry, now: eventLoop.now)
        counters.batchItems?.observe(Double(work.batch.items))
        counters.batchBytes?.observe(Double(work.batch.bytes))
        attempt(work)
    }

    func attempt(_ work: Work) {
        work.timer = nil
        let deadline = timeout > .zero ? eventLoop.now + timeout : .distantFuture
        counters.inFlight.add(1)
        let span = tracer?.begin("exporter/\(name)/\(signalName)", .client)
        sender.send(work.batch, deadline: deadline) { [self] result in
            eventLoop.preconditionInEventLoop()
            counters.inFlight.add(-1)
            if let span { end(span, work.batch.items, result) }
            attempted(work, result)
        }
    }

    private func end(_ span: Tracer.Open, _ items: Int, _ result: SendResult) {
        var sent = 0
        var error: String?
        switch result {
        case .sent(let rejected, _): sent = items - min(max(rejected, 0), items)
        case .permanent(let message, _), .tooLarge(let message), .retryable(let message, _): error = message
        }
        tracer?.end(
            span,
            [
                ("items.sent", .whole(Int64(sent))), ("items.failed", .whole(Int64(items - sent))),
            ], error: error)
    }

    private func attempted(_ work: Work, _ result: SendResult) {
        // Given up in the meantime, and counted so.
        guard active[ObjectIdentifier(work)] != nil else { return }
        switch result {
        case .sent(let rejected, let message):
            sent(work, rejected: min(max(rejected, 0), work.batch.items), message)
        case .permanent(let message, let code):
            state.apply(.notTaken)
            logger.error(
                "Exporting failed. Dropping data.",
                metadata: [
                    "error": "\(message)", "dropped_items": "\(work.batch.items)", "permanent": "true",
                ])
            fail(work, Refusal(.rejected, message, isPermanent: true, code: code))
        case .tooLarge(let message):
            state.apply(.notTaken)
            active[ObjectIdentifier(work)] = nil
            divide(work, maxBytes: max(1, work.batch.bytes / 2), because: message)
        case .retryable(let message, let hint):
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
        finish(work, rejected > 0 ? .partial(rejectedItems: rejected, message: message) : .accepted)
    }

    /// Puts a batch that is too large back as smaller ones, to be sent next. A single item is dropped, by name.
    /// Precondition: the work is neither active nor waiting.
    private func divide(_ work: Work, maxBytes: Int, because message: String) {
        let pieces = work.batch.cut(maxItems: .max, maxBytes: maxBytes)
        guard pieces.count > 1 else {
            logger.error(
                "Exporting failed. Dropping data: a single item, with what it belongs to, is too large.",
                metadata: [
                    "error": "\(message)", "item": "\(work.batch.firstItemName)",
                    "bytes": "\(work.batch.bytes)", "dropped_items": "\(work.batch.items)",
                ])
            fail(work, Refusal(.tooLarge, message, isPermanent: true))
            return
        }
        var weightLeft = work.weight
        for (index, piece) in pieces.enumerated().reversed() {
            let share = index == 0 ? weightLeft : work.weight / pieces.count
            weightLeft -= share
            waiting.prepend(Work(piece, weight: share))
        }
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
        let bound = NIOLoopBound((self, work), eventLoop: eventLoop)
        work.timer = eventLoop.scheduleTask(in: delay) {
            let (queue, work) = bound.value
            // Cancelled when it was due already, the timer runs all the same.
            guard work.timer != nil else { return }
            queue.attempt(work)
        }
    }

    private func fail(_ work: Work, _ refusal: Refusal) {
        let delivered = sender.itemsDelivered(of: work.batch)
        counters.sent.add(delivered)
        counters.failed.add(work.batch.items - delivered)
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
    private func finish(_ work: Work, _ outcome: Outcome?) {
        forget(work)
        if answersLater, let outcome { work.batch.settle(outcome) }
    }

    /// The batch is no longer this queue's.
    func forget(_ work: Work) {
        work.timer?.cancel()
        work.timer = nil
        active[ObjectIdentifier(work)] = nil
        size.subtract(work.weight, ordering: .relaxed)
    }
}

extension TimeAmount {
    /// Whole seconds, rounded up, at least one.
    fileprivate var wholeSeconds: Int {
        Int(max(1, nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 > 0 ? 1 : 0)))
    }
}

extension Batch {
    /// The name of its first item, for messages about an item that cannot be sent.
    var firstItemName: String {
        for slice in slices {
            let name = unsafe slice.bytes.withUnsafeReadableBytes { bytes -> String? in
                for entry in unsafe WireBytes(bytes).fields where entry.number == Field.Request.resources {
                    for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes {
                        for item in scope.bytes.fields where item.number == Field.ScopeEntry.entries {
                            return nameOfItem(item.bytes)
                        }
                    }
                }
                return nil
            }
            if let name { return name }
        }
        return "none"
    }

    private func nameOfItem(_ item: WireBytes) -> String {
        let number: UInt32
        switch signal {
        case .traces: number = Field.Span.name
        case .metrics: number = 1
        case .logs: number = 3  // The severity's text: a record has no name.
        }
        var text = ""
        for field in item.fields where field.number == number && field.isBytes { text = field.bytes.text }
        return "\(signal) item \"\(text.prefix(128))\""
    }
}
