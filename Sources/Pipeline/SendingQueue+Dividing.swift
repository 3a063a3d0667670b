internal import Logging
internal import NIOCore
internal import OTLP

// Batches that are sent in parts: too large ones, and those that the destination refuses. Event loop only.

extension SendingQueue {
    /// Batches below this are not taken to be too large for no other reason than that they fail.
    private static let suspectBytesMin = 16 << 10
    /// Parts of a batch of which none was taken.
    private static let partsInVainMax = 16

    // MARK: - Too large

    /// Puts a batch back in parts that keep the limits: the configured one, and the one that the destination's answers
    /// have shown. A single item above the configured one is dropped.
    /// - Returns: whether it is dealt with.
    func divideIfTooLarge(_ work: Work) -> Bool {
        if work.batch.bytes > maxRequestBytes {
            let limit = "larger than the limit of \(maxRequestBytes) bytes a request"
            divide(work, maxBytes: maxRequestBytes, because: limit)
            return true
        }
        let known = sizeLimit.current(at: eventLoop.now)
        guard work.batch.bytes > known else { return false }
        let parts = work.batch.cut(maxItems: .max, maxBytes: known)
        guard parts.count > 1 else { return false }
        putBack(work, parts, of: work.division)
        return true
    }

    /// The destination said so.
    func tooLarge(_ work: Work, _ message: String) {
        if work.batch.items > 1 {
            note(sizeLimit.refused(work.batch.bytes, at: eventLoop.now), message)
        } else {
            sizeLimit.refusedItem(work.batch.bytes)
        }
        active[ObjectIdentifier(work)] = nil
        divide(work, maxBytes: max(1, work.batch.bytes / 2), because: message)
    }

    private func note(_ limit: Int?, _ message: String) {
        guard let limit else { return }
        logger.warning(
            "The destination finds requests too large. Sending smaller ones.",
            metadata: ["error": "\(message)", "bytes": "\(limit)", "help": "lower max_request_bytes"])
    }

    /// Puts a batch that is too large back as smaller ones, to be sent next. A single item is dropped, by name.
    /// Precondition: the work is neither active nor waiting.
    private func divide(_ work: Work, maxBytes: Int, because message: String) {
        let parts = work.batch.cut(maxItems: .max, maxBytes: maxBytes)
        guard parts.count == 1 else { return putBack(work, parts, of: work.division) }
        log(
            work, message, kind: "too large " + message.prefix(40),
            [
                "reason": "a single item, with what it belongs to, is too large",
                "item": "\(work.batch.firstItemName)", "service": "\(work.batch.firstServiceName)",
                "bytes": "\(work.batch.bytes)", "dropped_items": "\(work.batch.items)",
            ])
        fail(work, Refusal(.tooLarge, message, isPermanent: true))
    }

    /// Puts parts in the place of a batch, to be sent next.
    private func putBack(_ work: Work, _ parts: [Batch], of division: Division?) {
        division?.partsLeft += parts.count - 1
        division?.partsMade += parts.count - 1
        var weightLeft = work.weight
        for (index, part) in parts.enumerated().reversed() {
            let share = index == 0 ? weightLeft : work.weight / parts.count
            weightLeft -= share
            let next = Work(part, weight: share, of: division)
            // Together they are tried no longer than the whole would have been.
            next.backoff = work.backoff
            waiting.prepend(next)
        }
    }

    // MARK: - Perhaps too large

    /// Whether a batch has failed so often, and in such a way, that its size may be why: the destination says "not now"
    /// again and again, or takes others meanwhile, or nothing else can be tried. Then its halves are put in its place. A
    /// destination that takes nothing at all gets a batch in a few parts at most.
    func divideIfSuspect(_ work: Work) -> Bool {
        let takesOthers = work.failures >= 3 && takenBatches > work.takenBefore
        guard work.throttles >= 2 || takesOthers || work.failures >= 4, work.batch.items > 1,
            work.batch.bytes > Self.suspectBytesMin, !(sender is any PartialBatchSender),
            work.division.map({ $0.isTaken || $0.partsMade < Self.partsInVainMax }) ?? true
        else { return false }
        let parts = work.batch.cut(maxItems: (work.batch.items + 1) / 2)
        guard parts.count > 1 else { return false }
        active[ObjectIdentifier(work)] = nil
        putBack(work, parts, of: work.division ?? Division(bytes: work.batch.bytes))
        return true
    }

    // MARK: - Refused

    /// The destination will never take this batch as it is: its halves may tell what it does not take.
    func refused(_ work: Work, _ message: String, _ code: GRPCCode?) {
        let mayDivide =
            config.judgesItems
            ? config.dividesRefused : work.division?.mayDivide() ?? (config.dividesRefused && !dividesInVain)
        if mayDivide, work.batch.items > 1 {
            let parts = work.batch.cut(maxItems: (work.batch.items + 1) / 2)
            if parts.count > 1 {
                active[ObjectIdentifier(work)] = nil
                putBack(work, parts, of: work.division ?? Division(bytes: work.batch.bytes))
                return
            }
        }
        guard work.division != nil, work.batch.items == 1 else { return reject(work, message, code) }
        let service = work.batch.firstServiceName
        log(
            work, message, kind: "alone " + service,
            [
                "reason": "the destination does not take this item", "service": "\(service)",
                "item": "\(work.batch.firstItemName)", "dropped_items": "1", "permanent": "true",
            ])
        fail(work, Refusal(.rejected, message, isPermanent: true, code: code))
    }

    /// A part of a refused batch has ended.
    func ended(_ division: Division) {
        division.partsLeft -= 1
        guard division.partsLeft == 0 else { return }
        if !division.isTaken, division.hasLost {
            dividesInVain = true
        } else if division.isTaken, !division.hasLost {
            let limit = sizeLimit.suspected(division.bytes, at: eventLoop.now)
            note(limit, "it refuses batches of \(division.bytes) bytes and takes their halves")
        }
        for (batch, refusal) in division.refused {
            batch.settle(
                division.isTaken
                    ? .partial(rejectedItems: batch.items, message: refusal.message) : .refused(refusal))
        }
        division.refused = []
    }
}
