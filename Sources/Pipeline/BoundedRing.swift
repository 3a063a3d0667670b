public import Synchronization

/// A bounded queue of many producers and one consumer, without locks.
///
/// Each slot carries a sequence number. A producer that finds `sequence == tail` claims the slot by moving `tail`,
/// writes, and publishes with `sequence = tail + 1`; the consumer that finds `sequence == head + 1` reads, and hands the
/// slot to the next lap with `sequence = head + capacity`.
///
/// Invariant: for the slot of position p, `sequence` is p (free), p + 1 (filled) or, in between, p while its producer
/// writes. `head <= tail <= head + capacity`.
///
/// `push` from any thread; `pop` and `isEmpty` from one thread at a time. Allocates only in `init`.
@safe
public final class BoundedRing<Element: Sendable>: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): values are touched only between the acquire and the release of their sequence.
    @usableFromInline let mask: Int
    @usableFromInline let sequences: UnsafeMutablePointer<Atomic<Int>>
    @usableFromInline let values: UnsafeMutablePointer<Element>
    @usableFromInline let tail: UnsafeMutablePointer<Atomic<Int>>
    @usableFromInline let head: UnsafeMutablePointer<Int>

    /// Room for at least `capacity` elements, rounded up to a power of two.
    public init(capacity: Int) {
        precondition(capacity > 0 && capacity <= 1 << 24, "ring capacity \(capacity) is not in 1...16777216")
        var size = 2
        while size < capacity { size *= 2 }
        mask = size - 1
        unsafe sequences = .allocate(capacity: size)
        unsafe values = .allocate(capacity: size)
        for index in 0..<size { unsafe (sequences + index).initialize(to: Atomic(index)) }
        // Producers and the consumer write their indices 128 bytes apart: neighbouring lines are fetched in pairs.
        let lines = UnsafeMutableRawPointer.allocate(byteCount: 384, alignment: 128)
        unsafe tail = lines.bindMemory(to: Atomic<Int>.self, capacity: 1)
        unsafe head = (lines + 256).bindMemory(to: Int.self, capacity: 1)
        unsafe tail.initialize(to: Atomic(0))
        unsafe head.initialize(to: 0)
    }

    deinit {
        while pop() != nil {}
        for index in 0...mask { unsafe (sequences + index).deinitialize(count: 1) }
        unsafe sequences.deallocate()
        unsafe values.deallocate()
        unsafe UnsafeMutableRawPointer(tail).deallocate()
    }

    /// How many elements fit.
    public var capacity: Int { mask + 1 }

    /// Appends an element; false, with the ring unchanged, when it is full. Any thread.
    ///
    /// - Parameter claimed: called once there is room, before anybody can see the element. Must be quick: elements that were
    ///   appended later wait for it.
    @inlinable
    public func push(_ element: consuming Element, claimed: () -> Void = {}) -> Bool {
        // SAFETY: index & mask is below the allocated size; the slot is ours after the exchange succeeded.
        var position = unsafe tail.pointee.load(ordering: .relaxed)
        while true {
            let slot = position & mask
            // Pairs with the consumer's releasing store in `pop`.
            let sequence = unsafe sequences[slot].load(ordering: .acquiring)
            if sequence == position {
                let (isOurs, current) = unsafe tail.pointee.weakCompareExchange(
                    expected: position, desired: position &+ 1, ordering: .relaxed)
                if isOurs {
                    claimed()
                    unsafe (values + slot).initialize(to: element)
                    // Pairs with the acquiring load in `pop`. Sequentially consistent, because a producer then looks
                    // whether the consumer sleeps (Mailbox), and that look must not come before this store.
                    unsafe sequences[slot].store(position &+ 1, ordering: .sequentiallyConsistent)
                    return true
                }
                position = current
            } else if sequence < position {
                return false
            } else {
                position = unsafe tail.pointee.load(ordering: .relaxed)
            }
        }
    }

    /// Takes the oldest element; nil when there is none, or when its producer has not finished writing. Consumer only.
    @inlinable
    public func pop() -> Element? {
        // SAFETY: head is the consumer's alone; the value was published by the release that this load acquires.
        let position = unsafe head.pointee
        let slot = position & mask
        guard unsafe sequences[slot].load(ordering: .acquiring) == position &+ 1 else { return nil }
        let element = unsafe (values + slot).move()
        unsafe head.pointee = position &+ 1
        unsafe sequences[slot].store(position &+ mask &+ 1, ordering: .releasing)
        return element
    }

    /// Whether `pop` would find nothing. Consumer only.
    @inlinable
    public var isEmpty: Bool {
        // SAFETY: as in `pop`. Sequentially consistent for the consumer's look between "sleeping" and sleep.
        let position = unsafe head.pointee
        return unsafe sequences[position & mask].load(ordering: .sequentiallyConsistent) != position &+ 1
    }

    /// Whether half of it is taken, or was a moment ago. Any thread.
    public var isHalfFull: Bool {
        // SAFETY: atomics that live as long as the ring. The slot half a ring ahead is free once the consumer has passed it.
        let ahead = unsafe tail.pointee.load(ordering: .relaxed) &+ (mask &+ 1) / 2
        return unsafe sequences[ahead & mask].load(ordering: .relaxed) < ahead
    }

    /// Whether a producer has claimed a slot that `pop` has not given, published or not. Consumer only.
    public var hasClaims: Bool {
        // SAFETY: head is the consumer's alone.
        unsafe tail.pointee.load(ordering: .sequentiallyConsistent) != head.pointee
    }
}
