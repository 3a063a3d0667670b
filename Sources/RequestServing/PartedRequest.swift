internal import HTTP
internal import NIOCore
internal import Pipeline

/// A request of very many items, handed on a part at a time: what the pipelines do with each item is linear, and nobody
/// else of the loop should wait for all of it. Event loop only.
///
/// Once a part was taken, the others wait for a queue or for memory that has no room: the client would send again what was
/// taken already. When the first part is refused, or room does not come for long, the client is told.
final class PartedRequest {
    /// What came of an offer.
    enum Step {
        case goOn
        /// There is no room now.
        case wait
        case done
    }

    /// A request of more items is handed on in parts. No batch of usual size: agents send 8 192 at most.
    static let itemsMax = 10_000
    /// After how long a part is offered again.
    static let pause = TimeAmount.milliseconds(20)
    private static let partItems = 5_000
    private static let patience = TimeAmount.seconds(30)

    /// The next one is the last.
    private var parts: [Batch]
    private let items: Int
    private let bytes: Int
    private(set) var refusal: Refusal?
    /// Of parts that nobody took.
    private(set) var itemsLeft: Int
    private var waitsSince: NIODeadline?

    /// - Parameter bytes: of the request as it was received.
    init(_ batch: Batch, bytes: Int) {
        // No more than there was room for; one with large envelopes stays whole.
        parts = batch.cut(maxItems: Self.partItems, growth: 1).reversed()
        items = batch.items
        itemsLeft = batch.items
        self.bytes = bytes
    }

    /// Hands on the next part. The time is excused as that of one request is.
    func step(_ target: Target, _ account: ConnectionAccount, now: NIODeadline) -> Step {
        guard let part = parts.last else { return .done }
        part.entry = Batch.Entry(target.counters.accepted, items: part.items)
        let received = bytes * part.items / max(items, 1)
        let isFirst = itemsLeft == items
        let refusal = account.excusing(isFirst: isFirst) {
            target.input.consumer.consume(part)
        } bytes: {
            $0 == nil ? received : nil
        }
        if let refusal {
            let since = waitsSince ?? now
            waitsSince = since
            let isForNow = !refusal.isPermanent && refusal.reason != .shuttingDown
            if !isFirst, isForNow, now - since < Self.patience { return .wait }
            self.refusal = refusal
            return .done
        }
        waitsSince = nil
        parts.removeLast()
        itemsLeft -= part.items
        return parts.isEmpty ? .done : .goOn
    }

    /// Nobody waits for it any more.
    func giveUp() { parts = [] }
}
