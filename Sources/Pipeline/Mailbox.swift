package import NIOCore
import Synchronization

/// A ring whose consumer is an event loop that sleeps while it is empty.
///
/// `post` from any thread; the receiver runs on `eventLoop` only, element after element, in the order of arrival of each
/// producer. A wake costs two system calls and a change of thread, and is paid only when the consumer sleeps, and has
/// no patience left: one that wakes by itself later anyway says how much may wait until then.
package final class Mailbox<Element: Sendable>: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `receive` is set before the first post and called, and `isHeld` touched, on the event loop only.
    private let ring: BoundedRing<Element>
    private unowned let owner: (any AnyObject & Sendable)?
    private let eventLoop: any EventLoop
    /// While the consumer sleeps, the weight that may still be posted without waking it; negative once it is awake.
    private let credit = Atomic<Int>(0)
    private let receive: (Element) -> Void
    private let patience: () -> Int
    private let cost: (Element) -> Int
    private let receivesAtOnce: Bool
    /// What is taken, in what `cost` counts, before it is asked how long that took,
    private let turn = 256
    /// and how long they may take, but for the first, before other work of the loop gets its turn.
    private static var turnTime: TimeAmount { .milliseconds(1) }

    /// - Parameters:
    ///   - capacity: elements that wait at most.
    ///   - owner: who has the mailbox, and whom the other closures may therefore refer to without keeping it: while the loop
    ///     is still to look into the mailbox, the mailbox does.
    ///   - eventLoop: where `receive` runs.
    ///   - receivesAtOnce: whether what is posted on the loop itself is received before `post` returns, while its bytes are
    ///     in the cache, if nothing else waits.
    ///   - patience: asked on the loop when everything is taken: how much may be posted before the consumer must be woken.
    ///     Not 0 only for one that calls `takeAll` by itself in time.
    ///   - cost: how much work an element is: items, where each takes a while. At least 1.
    ///   - receive: takes one element; must not block.
    package init(
        capacity: Int, owner: (any AnyObject & Sendable)? = nil, eventLoop: any EventLoop,
        receivesAtOnce: Bool = false, patience: @escaping () -> Int = { 0 },
        cost: @escaping (Element) -> Int = { _ in 1 },
        receive: @escaping (Element) -> Void
    ) {
        ring = BoundedRing(capacity: capacity)
        self.owner = owner
        self.eventLoop = eventLoop
        self.receivesAtOnce = receivesAtOnce
        self.patience = patience
        self.cost = cost
        self.receive = receive
    }

    /// Whether nothing is received for the moment: what is posted waits. Event loop only.
    package var isHeld = false {
        didSet { if oldValue, !isHeld { drain() } }
    }

    /// Hands an element over; false, with nothing changed, when the mailbox is full. Any thread.
    ///
    /// - Parameters:
    ///   - weight: what the consumer's patience is counted in; at least 1.
    ///   - claimed: called when there is room, before the event loop can see the element.
    package func post(_ element: Element, weight: Int = 1, claimed: () -> Void = {}) -> Bool {
        guard ring.push(element, claimed: claimed) else { return false }
        // The push is sequentially consistent and so is this load: either it sees the consumer asleep, or the
        // consumer's last look at the ring, which follows its own store of what it has patience for, sees the element.
        guard credit.load(ordering: .sequentiallyConsistent) >= 0 else { return true }
        let (before, left) = credit.subtract(max(weight, 1), ordering: .sequentiallyConsistent)
        if before >= 0, left < 0 {
            if receivesAtOnce, eventLoop.inEventLoop {
                drain()
            } else {
                eventLoop.execute { [owner] in withExtendedLifetime(owner) { self.drain() } }
            }
        }
        return true
    }

    /// Whether half of what may wait waits, or did a moment ago: producers that can should slow down. Any thread.
    package var isHalfFull: Bool { ring.isHalfFull }

    /// Takes what waits, without a pause, which was posted before the call or meanwhile. Event loop only.
    /// - Parameter limit: elements, at most.
    package func drainNow(atMost limit: Int = .max) {
        eventLoop.preconditionInEventLoop()
        var left = limit
        while left > 0, !isHeld, let element = ring.pop() {
            receive(element)
            left -= 1
        }
    }

    /// Takes what waits, a turn of the loop at a time, and asks for the patience anew: for when it has changed. Event loop
    /// only.
    package func takeAll() {
        eventLoop.preconditionInEventLoop()
        // To take nothing from a ring of any type costs 500 instructions, to see that it is empty 10.
        if ring.isEmpty, mayRest() { return }
        drain()
    }

    /// Says what may be posted from now on without a wake, and looks whether something came before that.
    private func mayRest() -> Bool {
        let patience = patience()
        // An exchange, so that the claims of all who have taken from the credit before are seen.
        _ = credit.exchange(patience, ordering: .sequentiallyConsistent)
        guard ring.isEmpty else { return false }
        guard patience > 0, ring.hasClaims else { return true }
        // Behind a slot that is claimed and not published may be what was weighed before: whoever publishes it wakes.
        _ = credit.exchange(0, ordering: .sequentiallyConsistent)
        return ring.isEmpty
    }

    private func drain() {
        var (taken, began) = (0, NIODeadline.distantPast)
        while true {
            while !isHeld, let element = ring.pop() {
                taken += cost(element)
                receive(element)
                guard taken >= turn else { continue }
                // How much that was: elements cost much or little.
                let now = NIODeadline.now()
                if began == .distantPast { began = now }
                if now - began >= Self.turnTime {
                    eventLoop.executeInTurn { [owner] in withExtendedLifetime(owner) { self.drain() } }
                    return
                }
                taken = 0
            }
            // Who holds it wakes it.
            if isHeld || mayRest() { return }
            // Something came between the last pop and that. Whoever makes the credit negative does the work.
            guard credit.exchange(-1, ordering: .sequentiallyConsistent) >= 0 else { return }
        }
    }
}
