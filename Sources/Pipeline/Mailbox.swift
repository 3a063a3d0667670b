package import NIOCore
import Synchronization

/// A ring whose consumer is an event loop that sleeps while it is empty.
///
/// `post` from any thread; the receiver runs on `eventLoop` only, element after element, in the order of arrival of each
/// producer. A wake costs a scheduled task and is paid only when the consumer sleeps.
package final class Mailbox<Element: Sendable>: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `receive` is set before the first post and called on the event loop only.
    private let ring: BoundedRing<Element>
    private let eventLoop: any EventLoop
    private let sleeping = Atomic<Bool>(true)
    private let receive: (Element) -> Void
    private let receivesAtOnce: Bool
    /// Elements taken before it is asked how long they took,
    private let turn = 256
    /// and how long they may take, but for the first, before other work of the loop gets its turn.
    private static var turnTime: TimeAmount { .milliseconds(1) }

    /// - Parameters:
    ///   - capacity: elements that wait at most.
    ///   - eventLoop: where `receive` runs.
    ///   - receivesAtOnce: whether what is posted on the loop itself is received before `post` returns, while its bytes are
    ///     in the cache, if nothing else waits.
    ///   - receive: takes one element; must not block.
    package init(
        capacity: Int, eventLoop: any EventLoop, receivesAtOnce: Bool = false,
        receive: @escaping (Element) -> Void
    ) {
        ring = BoundedRing(capacity: capacity)
        self.eventLoop = eventLoop
        self.receivesAtOnce = receivesAtOnce
        self.receive = receive
    }

    /// Hands an element over; false, with nothing changed, when the mailbox is full. Any thread.
    ///
    /// - Parameter claimed: called when there is room, before the event loop can see the element.
    package func post(_ element: Element, claimed: () -> Void = {}) -> Bool {
        guard ring.push(element, claimed: claimed) else { return false }
        // The push is sequentially consistent and so is this load: either it sees the consumer asleep, or the
        // consumer's last look at the ring, which follows its own store of `true`, sees the element.
        if sleeping.load(ordering: .sequentiallyConsistent),
            sleeping.exchange(false, ordering: .sequentiallyConsistent)
        {
            if receivesAtOnce, eventLoop.inEventLoop { drain() } else { eventLoop.execute { self.drain() } }
        }
        return true
    }

    /// Takes everything that was posted before the call. Event loop only.
    package func drainNow() {
        eventLoop.preconditionInEventLoop()
        while let element = ring.pop() { receive(element) }
    }

    private func drain() {
        var (taken, began) = (0, NIODeadline.distantPast)
        while true {
            while let element = ring.pop() {
                receive(element)
                taken += 1
                guard taken == turn else { continue }
                // How much that was: elements cost much or little.
                let now = NIODeadline.now()
                if began == .distantPast { began = now }
                if now - began >= Self.turnTime {
                    eventLoop.executeInTurn { self.drain() }
                    return
                }
                taken = 0
            }
            sleeping.store(true, ordering: .sequentiallyConsistent)
            if ring.isEmpty { return }
            // Something came between the last pop and the store. Whoever turns the flag back does the work.
            guard sleeping.exchange(false, ordering: .sequentiallyConsistent) else { return }
        }
    }
}
