internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline
internal import Synchronization

/// A request whose body takes long: decompressed, translated, checked and handed on beside its event loop, so that nobody else
/// of the loop waits for it.
///
/// One of very many items is handed on in parts: what stands behind the pipelines' queues works on a batch in one go. Once
/// a part was taken, the others wait for a queue or for memory that has no room: the client would send again what was
/// taken already. When the first part is refused, or room does not come for long, the client is told.
final class LargeRequest: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `outcome` and `hasEnded` are the loop's; `run` has the other variables to itself while it
    // runs, the loop before and after it.

    /// A body of more bytes is large, as it was received or decompressed. Usual requests of a thousand items are not: worked on
    /// beside the loop, as their bytes move to another processor, those of 455 KB had 0.61 ± 0.06 of the CPU efficiency.
    static let bytesMax = 1 << 20
    /// One of more bytes that is translated is: a tag of eight bytes takes half a microsecond.
    private static let translatedBytesMax = 128 << 10
    /// A body of more bytes for a target is large.
    static func bytesMax(_ target: Target) -> Int {
        target.translator == nil ? bytesMax : translatedBytesMax
    }
    /// One of more bytes that is compressed is nearly always large.
    static let compressedBytesMax = 256 << 10
    /// One of more items is large, however small: processors take some microseconds for each.
    static let smallItemsMax = 2_500
    /// A request of more items is handed on in parts. No batch of usual size: agents send 8 192 at most.
    static let itemsMax = 10_000
    /// After how long a part is offered again.
    static let pause = TimeAmount.milliseconds(20)
    private static let partItems = 1_000
    /// However many items a request has, a queue that counts requests has no more of it to hold.
    private static let partsMax = 50
    private static let patience = TimeAmount.seconds(30)

    private enum State: Int, AtomicRepresentable {
        case waiting
        case begun
        case givenUp
    }

    private let state = Atomic(State.waiting)
    private let eventLoop: any EventLoop
    /// When its client gives up, and sends it again.
    private let deadline: NIODeadline
    private let body: BodyDecoding
    /// What came, until it is looked at; or what was made of it.
    private var payload: Payload?
    private let isChecked: Bool
    private let receivedBytes: Int
    /// What the parts settle, who waits for that, and how it ended.
    private var acknowledgement: Acknowledgement?
    private let client: Acknowledgement?
    private var outcome: Outcome?
    private var hasEnded = false
    /// What is not taken yet; the next one is the last.
    private var parts: [Batch] = []
    private var itemsLeft = 0
    /// Before `run` was called last.
    private var itemsTaken = 0
    private var waitsSince: NIODeadline?

    /// What the request holds, once that is known.
    private(set) var items = 0
    /// Why it is not taken, or not to its end.
    private(set) var failure: Answer.Failure?
    /// Whether `run` is to be called again after `pause`: there is no room now.
    private(set) var waits = false

    /// Event loop only.
    /// - Parameters:
    ///   - payload: as it was received; or OTLP, of so many items.
    ///   - receivedBytes: of the body.
    ///   - deadline: when its client gives up.
    ///   - acknowledgement: settled on the loop, not before `end`.
    init(
        _ payload: Payload, items: Int? = nil, receivedBytes: Int, _ body: BodyDecoding,
        deadline: NIODeadline = .distantFuture, eventLoop: any EventLoop, acknowledgement: Acknowledgement?
    ) {
        self.payload = payload
        self.receivedBytes = receivedBytes
        self.body = body
        self.deadline = deadline
        self.eventLoop = eventLoop
        isChecked = items != nil
        self.items = items ?? 0
        client = acknowledgement
        guard acknowledgement != nil else { return }
        self.acknowledgement = Acknowledgement { [self] outcome in
            eventLoop.execute {
                self.outcome = outcome
                if self.hasEnded { self.client?.settle(outcome) }
            }
        }
    }

    /// Whether a part of it may have been taken: it is gone on with, whatever its deadline. Any thread.
    var hasBegun: Bool { state.load(ordering: .relaxed) == .begun }

    /// Nobody waits for it any more: no further part is handed on. Any thread.
    func giveUp() { state.store(.givenUp, ordering: .relaxed) }

    /// Works on it until it is taken or refused, or has to wait for room. Any thread.
    /// - Returns: the bytes received of what was taken now; nil for none.
    func run() -> Int? {
        waits = false
        let isLate = eventLoop.now > deadline
        let (wasWaiting, _) = state.compareExchange(
            expected: .waiting, desired: isLate ? .givenUp : .begun, ordering: .relaxed)
        // Its client has sent it again perhaps: nothing of it is taken.
        if isLate, wasWaiting { failure = .timeoutExpired }
        guard hasBegun else {
            payload = nil
            return nil
        }
        do throws(Answer.Failure) {
            if let payload = payload.take() { try decode(payload) }
            try handOn()
        } catch {
            failure = error
            parts = []
        }
        if items == 0 { return failure == nil && hasBegun ? receivedBytes : nil }
        let taken = items - itemsLeft - itemsTaken
        itemsTaken += taken
        return taken > 0 ? receivedBytes * taken / items : nil
    }

    private func decode(_ received: Payload) throws(Answer.Failure) {
        var payload = received
        if !isChecked {
            if body.encoding != .identity {
                guard let whole = try body.inflated(received, while: { hasBegun }) else { return }
                payload = whole
            }
            guard hasBegun else { return }
            let summary: RequestSummary
            (payload, summary) = try body.checked(payload)
            items = summary.items
            if items == 0 { return }
        }
        itemsLeft = items
        let batch = Batch(
            body.target.signal, payload: payload, items: items, acknowledgement: acknowledgement,
            isGiven: true)
        parts = [batch]
        guard items > Self.itemsMax, payload.gzipMembers == nil else { return }
        if let refusal = body.target.admit(bytes: payload.bytes.readableBytes) { throw refusal }
        // No more than there was room for; one with large envelopes stays whole.
        let most = max(Self.partItems, (items + Self.partsMax - 1) / Self.partsMax)
        parts = batch.cut(maxItems: most, growth: 1).reversed()
    }

    private func handOn() throws(Answer.Failure) {
        while hasBegun, let part = parts.last {
            part.entry = Batch.Entry(body.target.counters.accepted, items: part.items)
            if let refusal = body.target.input.consumer.consume(part) {
                let now = eventLoop.now
                let since = waitsSince ?? now
                waitsSince = since
                let isForNow = !refusal.isPermanent && refusal.reason != .shuttingDown
                guard itemsLeft < items, isForNow, now - since < Self.patience else {
                    throw Answer.Failure(refusal)
                }
                waits = true
                return
            }
            waitsSince = nil
            parts.removeLast()
            itemsLeft -= part.items
        }
    }

    /// The loop knows that the work has ended, for good. Counts what was not taken. Event loop only, once.
    func end() {
        hasEnded = true
        body.target.counters.refused.add(itemsLeft)
        parts = []
        acknowledgement = nil
        if let outcome { client?.settle(outcome) }
    }
}
