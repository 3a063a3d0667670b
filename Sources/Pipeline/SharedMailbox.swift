package import NIOCore
import Synchronization

/// A ring whose elements are received one at a time by whoever brings one: on the thread that has the element's bytes in its
/// cache, and without waking anybody. Who finds somebody at work leaves the element to them.
///
/// `post` from any thread. `receive` runs on any thread, never on two at once; what it touches needs no lock.
package final class SharedMailbox<Element: Sendable>: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the ring is emptied, and `receive` called, by whoever made `visits` leave 0 until it is 0
    // again, or by the loop when that one hands over to it; `waiting` is touched on the loop only.
    private let ring: BoundedRing<Element>
    private let eventLoop: any EventLoop
    private let receive: (Element) -> Void
    /// How many have come since somebody is at work, that one included; 0 while nobody is.
    private let visits = Atomic<Int>(0)
    /// What waits to be alone.
    private var waiting = CircularBuffer<() -> Void>()
    private let isWanted = Atomic<Bool>(false)
    /// Elements that are received before the rest is left to the event loop.
    private let turn = 64

    /// - Parameters:
    ///   - capacity: elements that wait at most.
    ///   - eventLoop: goes on where more comes than one thread should do at a time.
    ///   - receive: takes one element; must not block.
    package init(capacity: Int, eventLoop: any EventLoop, receive: @escaping (Element) -> Void) {
        ring = BoundedRing(capacity: capacity)
        self.eventLoop = eventLoop
        self.receive = receive
    }

    /// Hands an element over; false, with nothing changed, when the mailbox is full. Any thread.
    ///
    /// - Parameter claimed: called when there is room, before anybody can see the element.
    package func post(_ element: Element, claimed: () -> Void = {}) -> Bool {
        guard ring.push(element, claimed: claimed) else { return false }
        // The element is in the ring before it is announced: either this thread finds nobody at work, or who is at work finds
        // the announcement, and then the element.
        if visits.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue == 0 { work() }
        return true
    }

    /// Runs something while nothing is received: now, or as soon as who is at work is done. Event loop only.
    package func alone(_ body: @escaping () -> Void) {
        eventLoop.preconditionInEventLoop()
        waiting.append(body)
        runAlone()
    }

    private func runAlone() {
        isWanted.store(true, ordering: .sequentiallyConsistent)
        // Either this finds nobody at work, or who is at work finds, when it is done, that this waits.
        let begun = visits.compareExchange(expected: 0, desired: 1, ordering: .sequentiallyConsistent)
        guard begun.exchanged else { return }
        isWanted.store(false, ordering: .sequentiallyConsistent)
        while let body = waiting.popFirst() { body() }
        work()
    }

    /// Receives what is there and what comes meanwhile.
    private func work() {
        var taken = 0
        var seen = visits.load(ordering: .sequentiallyConsistent)
        repeat {
            while let element = ring.pop() {
                receive(element)
                taken += 1
                if taken == turn { return eventLoop.executeInTurn { self.work() } }
            }
            seen = visits.wrappingSubtract(seen, ordering: .sequentiallyConsistent).newValue
        } while seen > 0
        guard isWanted.exchange(false, ordering: .sequentiallyConsistent) else { return }
        eventLoop.execute { self.runAlone() }
    }
}
