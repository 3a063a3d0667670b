internal import NIOCore
internal import Pipeline

/// How far the delivery of one batch got. Event loop only.
final class Delivery {
    let batch: Batch
    /// What has not been encoded; nil when all has.
    private(set) var cursor: PushCursor? = PushCursor()
    /// Pushes for this attempt, in order.
    private var waiting: CircularBuffer<Push> = []
    /// Pushes for the next attempt.
    private var held: [Push] = []
    /// Compressed bytes of those.
    private(set) var heldBytes = 0
    /// Tenants that have no room now.
    private var heldTenants: Set<String?> = []
    /// Records that Loki has, and that it will never take.
    private(set) var stored = 0
    private(set) var rejected = 0
    /// Why it rejected the last ones.
    private(set) var rejection = ""
    /// Why there must be another attempt, and when at the soonest.
    private(set) var trouble: String?
    private(set) var retryAfter: TimeAmount?
    /// Whether this attempt is over: nobody would answer.
    private(set) var isStopped = false
    /// Whether the queue has given the batch up.
    var isAbandoned = false
    private(set) var deadline = NIODeadline.distantFuture
    private var done: ((SendResult) -> Void)?

    init(_ batch: Batch) { self.batch = batch }

    /// Begins an attempt.
    func begin(deadline: NIODeadline, _ done: @escaping (SendResult) -> Void) {
        precondition(self.done == nil, "two attempts at a time")
        self.deadline = deadline
        self.done = done
        waiting = CircularBuffer(held)
        held = []
        heldBytes = 0
        heldTenants = []
        trouble = nil
        retryAfter = nil
        isStopped = false
    }

    /// Ends it.
    /// - Returns: what is to be told; nil when it has ended before.
    func end() -> ((SendResult) -> Void)? {
        // An attempt that was stopped leaves pushes behind.
        while let push = waiting.popFirst() { hold(push) }
        defer { done = nil }
        return done
    }

    /// Whether every record has its fate.
    var isComplete: Bool { cursor == nil && held.isEmpty && waiting.isEmpty }

    /// The push to send now.
    func nextPush() -> Push? {
        while !isStopped, let push = waiting.popFirst() {
            guard heldTenants.contains(push.tenant) else { return push }
            hold(push)
        }
        return nil
    }

    /// Adds what was encoded.
    func take(_ chunk: PushChunk) {
        waiting.append(contentsOf: chunk.pushes)
        cursor = chunk.next
    }

    /// Puts the parts of a push in its place.
    func prepend(_ parts: [Push]) {
        for part in parts.reversed() { waiting.prepend(part) }
    }

    /// Notes that a push was answered for good.
    func settle(_ push: Push, rejected count: Int, _ message: String) {
        stored += push.entries - count
        rejected += count
        if count > 0 { rejection = message }
    }

    /// Keeps a push for the next attempt.
    func hold(_ push: Push) {
        held.append(push)
        heldBytes += push.body.readableBytes
    }

    /// Keeps all pushes of a tenant for the next attempt.
    func holdTenant(_ tenant: String?, _ message: String, after: TimeAmount?) {
        heldTenants.insert(tenant)
        noteTrouble(message, after)
    }

    /// Sends nothing more in this attempt.
    func stop(_ message: String, after: TimeAmount?) {
        isStopped = true
        noteTrouble(message, after)
    }

    private func noteTrouble(_ message: String, _ after: TimeAmount?) {
        trouble = message
        if let after { retryAfter = max(after, retryAfter ?? after) }
    }
}
