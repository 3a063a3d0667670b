internal import NIOCore
internal import Pipeline

/// How far the delivery of one batch got. Confined to its sender.
final class Delivery {
    let batch: Batch
    /// What has not been encoded; nil when all has.
    private(set) var cursor: PushCursor? = PushCursor()
    /// Pushes for this attempt, in order.
    private var waiting: CircularBuffer<Push> = []
    /// Pushes for the next attempt.
    private var held: [Push] = []
    /// Compressed bytes of all of them.
    private(set) var bytes = 0
    /// Tenants of the batch so far, and those that have no room now.
    private var tenants: Set<String?> = []
    private var heldTenants: Set<String?> = []
    /// Chunks encoded in this attempt since all those tenants were without room.
    private var chunksInVain = 0
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
        heldTenants = []
        chunksInVain = 0
        trouble = nil
        retryAfter = nil
        isStopped = false
    }

    /// Ends it.
    /// - Returns: what is to be told; nil when it has ended before.
    func end() -> ((SendResult) -> Void)? {
        // An attempt that was stopped leaves pushes behind.
        held += waiting
        waiting = []
        defer { done = nil }
        return done
    }

    /// Whether every record has its fate.
    var isComplete: Bool { cursor == nil && held.isEmpty && waiting.isEmpty }

    /// The push to send now.
    func nextPush() -> Push? {
        while !isStopped, let push = waiting.popFirst() {
            guard heldTenants.contains(push.tenant) else {
                bytes -= push.body.readableBytes
                return push
            }
            held.append(push)
        }
        return nil
    }

    /// Whether encoding more serves nobody in this attempt: no tenant seen so far has room, and what was encoded to
    /// look for another one was all theirs.
    var isInVain: Bool { chunksInVain >= Self.chunksInVainMax }

    /// Further chunks of one tenant's batch only take memory; those of a batch of many may be somebody else's.
    private static let chunksInVainMax = 1

    /// Adds what was encoded.
    func take(_ chunk: PushChunk) {
        waiting.append(contentsOf: chunk.pushes)
        cursor = chunk.next
        for push in chunk.pushes {
            bytes += push.body.readableBytes
            tenants.insert(push.tenant)
        }
        let isForNobody = !heldTenants.isEmpty && tenants.isSubset(of: heldTenants)
        chunksInVain = isForNobody ? chunksInVain + 1 : 0
    }

    /// Puts the parts of a push in its place.
    func prepend(_ parts: [Push]) {
        for part in parts.reversed() {
            waiting.prepend(part)
            bytes += part.body.readableBytes
        }
    }

    /// Forgets the parts of a push that is sent as a whole again.
    func remove(_ family: PushFamily) {
        func keep(_ push: Push) -> Bool {
            guard push.family === family else { return true }
            bytes -= push.body.readableBytes
            return false
        }
        waiting = CircularBuffer(waiting.filter(keep))
        held = held.filter(keep)
    }

    /// Notes that a push was answered for good.
    func settle(_ push: Push, rejected count: Int, _ message: String) {
        stored += push.entries - count
        rejected += count
        if count > 0 { rejection = message }
    }

    /// Keeps a push that was taken for the next attempt.
    func hold(_ push: Push) {
        held.append(push)
        bytes += push.body.readableBytes
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
