package import NIOCore
package import OTLP

/// A run of bytes of a payload: zero or more whole fields of an `Export*ServiceRequest`.
package struct Slice: Sendable {
    /// Who owns the bytes.
    package fileprivate(set) var payload: Payload
    /// First byte, counted from the payload's first readable byte.
    package let offset: Int
    /// Length in bytes.
    package let count: Int
    /// Spans, data points or log records inside. Zero for an envelope whose items follow in the next slice.
    package let items: Int
    /// Who waits for these items, if somebody does: this slice holds one share of it.
    package let acknowledgement: Acknowledgement?

    /// Describes a part of a payload.
    package init(
        _ payload: Payload, offset: Int, count: Int, items: Int, acknowledgement: Acknowledgement? = nil
    ) {
        payload.seal()
        self.payload = payload
        self.offset = offset
        self.count = count
        self.items = items
        self.acknowledgement = acknowledgement
    }

    /// Settles this slice's share. A partial success of the whole batch is one of at most this slice's items.
    fileprivate func settle(_ outcome: Outcome, isCounted: Bool) {
        guard let acknowledgement else { return }
        var own = outcome
        if case .partial(let rejected, let message) = outcome {
            let most = min(rejected, items)
            own = most > 0 ? .partial(rejectedItems: most, message: message) : .accepted
        }
        acknowledgement.settle(own, uncounted: isCounted ? 0 : items)
    }

    /// The same part with another one who waits for it, or nobody.
    package func acknowledged(by acknowledgement: Acknowledgement?) -> Slice {
        Slice(payload, offset: offset, count: count, items: items, acknowledgement: acknowledgement)
    }

    /// The gzip members that hold exactly these bytes, when the request came so and nothing was cut off it.
    package var gzipMembers: ByteBuffer? {
        guard let members = payload.gzipMembers, count == payload.bytes.readableBytes else { return nil }
        return members.bytes
    }

    /// The bytes, shared, not copied.
    package var bytes: ByteBuffer {
        payload.bytes.getSlice(at: payload.bytes.readerIndex + offset, length: count)!
    }
}

/// What travels: slices of payloads that, put one behind the other, are one `Export*ServiceRequest`.
///
/// Built by one owner (receiver or batcher); immutable once it was handed to a consumer, so that a fan-out can share it
/// between threads. Only one that is given goes on with a changed slice, until it is sealed.
package final class Batch: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): changed only by its builder before it is handed on, which `sealed` checks.
    /// What the bytes are.
    package let signal: Signal
    /// The slice of a batch that has but one, as every request's batch has: no array for it.
    private var single: Slice?
    /// The slices of all other batches.
    private var list: ContiguousArray<Slice>
    // Stored apart from what other modules see, access to which is checked at run time.
    private var itemCount = 0
    private var byteCount = 0
    /// Items of all slices.
    package private(set) var items: Int {
        get { itemCount }
        set { itemCount = newValue }
    }
    /// Bytes of all slices.
    package private(set) var bytes: Int {
        get { byteCount }
        set { byteCount = newValue }
    }
    /// Where its items are counted as come in, when somebody takes it: see `enter`. Written by the producer's thread only,
    /// before anybody else sees the batch.
    package var entry: Entry?
    /// Whether whoever is handed this batch may change the bytes of its payload, as long as it puts them back when it refuses the
    /// batch: said by who made both and looks at the bytes no more once they were taken. Nobody's any more when it is sealed.
    package private(set) var isGiven = false

    /// A receiver's, or a connector's, count of what the pipelines took.
    package struct Entry: Sendable {
        let counter: Counter
        let items: Int
        /// What is counted with it: by a connector, which comes to know only from those behind it that something was taken.
        private(set) var more: [(counter: Counter, items: Int)] = []

        package init(_ counter: Counter, items: Int) {
            self.counter = counter
            self.items = items
        }

        /// Counts so many items with further counters, after those of another entry, if there is one.
        package init(after other: Entry?, _ counters: [Counter], items: Int) {
            precondition(other != nil || !counters.isEmpty, "an entry counts something")
            var rest = counters[...]
            if let other {
                self = other
            } else {
                self.init(rest.removeFirst(), items: items)
            }
            for counter in rest { more.append((counter, items)) }
        }
    }

    private let sealed = Seal()

    /// An empty batch with room for `slices` without allocating again.
    package init(_ signal: Signal, reservingSlices slices: Int = 0) {
        self.signal = signal
        list = []
        list.reserveCapacity(slices)
    }

    /// The parts, in order.
    package var slices: ContiguousArray<Slice> {
        if let single { return [single] }
        return list
    }

    /// The slice of a batch that has but one.
    var onlySlice: Slice? { single ?? (list.count == 1 ? list[0] : nil) }

    /// How many slices there are.
    package var sliceCount: Int { single == nil ? list.count : 1 }

    /// A batch of one whole payload.
    package init(
        _ signal: Signal, payload: Payload, items: Int, acknowledgement: Acknowledgement? = nil,
        isGiven: Bool = false
    ) {
        self.signal = signal
        let count = payload.bytes.readableBytes
        single = Slice(payload, offset: 0, count: count, items: items, acknowledgement: acknowledgement)
        list = []
        self.items = items
        bytes = count
        self.isGiven = isGiven
    }

    /// Counts the items as come in, once. Said by the first consumer that takes the batch, before it lets anybody else see
    /// it: so no page shows an item that left and did not come.
    package func enter() {
        // Without one nothing is written: a batch that was taken may be seen by other threads.
        guard let entry else { return }
        self.entry = nil
        entry.counter.add(entry.items)
        for (counter, items) in entry.more { counter.add(items) }
    }

    /// Adds a slice, the first one without an array.
    private func add(_ slice: Slice) {
        guard single == nil, list.isEmpty else { return append(slice) }
        single = slice
        items = slice.items
        bytes = slice.count
    }

    /// Says that nobody changes this batch any more: a consumer does, when it is handed one.
    package func seal() {
        // Not written by those who share it: it was sealed before.
        if isGiven { isGiven = false }
        sealed.close()
    }

    /// Adds a slice at the end. Builder only.
    package func append(_ slice: Slice) {
        sealed.check("a batch was changed after it had been handed on")
        if let first = single.take() { list.append(first) }
        list.append(slice)
        items += slice.items
        bytes += slice.count
    }

    /// Adds the slices of another batch of the same signal at the end. Builder only.
    package func append(contentsOf other: Batch) {
        if let slice = other.single {
            append(slice)
            return
        }
        for slice in other.list { append(slice) }
    }

    /// Says how this batch ended to everybody who waits for a part of it. Once.
    ///
    /// A destination does not say whose items it rejected: everybody hears of the rejection, but nobody of more items
    /// than were sent.
    /// - Parameter isCounted: false when no counter has seen the end of these items: they stay in a store.
    package func settle(_ outcome: Outcome, isCounted: Bool = true) {
        single?.settle(outcome, isCounted: isCounted)
        for slice in list { slice.settle(outcome, isCounted: isCounted) }
    }

    /// The same data, for which nobody waits.
    package func unacknowledged() -> Batch { map { $0.acknowledged(by: nil) } }

    /// The same data with another one who waits for it.
    /// - Parameter make: makes the acknowledgement, for so many shares.
    package func acknowledged(by make: (_ shares: Int) -> Acknowledgement) -> Batch {
        let acknowledgement = make(sliceCount)
        return map { $0.acknowledged(by: acknowledgement) }
    }

    /// This batch for several destinations, each of which settles it once; whoever waits for a slice hears of it when all
    /// have. May be thrown away instead, if none has.
    func shared(among destinations: Int) -> Batch {
        guard isAwaited else { return self }
        return map { slice in
            guard let acknowledgement = slice.acknowledgement else { return slice }
            return slice.acknowledged(
                by: Acknowledgement(.destinations, shares: destinations, below: acknowledgement))
        }
    }

    /// The same data, and who waits for it, as a batch of its own.
    package func copy() -> Batch { map { $0 } }

    private func map(_ transform: (Slice) -> Slice) -> Batch {
        let copy = Batch(signal, reservingSlices: single == nil ? list.count : 0)
        if let single { copy.add(transform(single)) }
        for slice in list { copy.add(transform(slice)) }
        return copy
    }

    // MARK: - Changing what comes first

    /// Whether the bytes may be changed where they are: they were given, and this batch alone has them, in one payload. Asked
    /// before the slice is looked at, which would be another one that has it.
    package var hasBytesAlone: Bool {
        guard isGiven, single != nil, isKnownUniquelyReferenced(&single!.payload) else { return false }
        return single?.offset == 0 && single?.count == single?.payload.bytes.readableBytes
    }

    /// What was done to the bytes of a batch, for the case that nobody takes it.
    struct FrontChange {
        fileprivate let bytesBefore: [UInt8]
        fileprivate let gzipMembers: Payload?
        fileprivate let tailCount: Int
    }

    /// Replaces all but the last `tailCount` bytes of a batch that had its bytes alone; nil, and nothing is changed: there is no
    /// room for it. The items stay the same ones.
    func replaceFront(with front: WireBytes, before tailCount: Int) -> FrontChange? {
        sealed.check("a batch was changed after it had been handed on")
        guard let payload = single?.payload else { return nil }
        let members = payload.gzipMembers
        // SAFETY: the memory is not the payload's.
        guard let before = unsafe payload.replaceFront(with: front.unsafeBytes, before: tailCount) else {
            return nil
        }
        setSingle(payload)
        return FrontChange(bytesBefore: before, gzipMembers: members, tailCount: tailCount)
    }

    /// Puts the bytes back that stood there before a change, after the batch was refused.
    func undo(_ change: FrontChange) {
        guard single != nil else { return }
        let isAlone = isKnownUniquelyReferenced(&single!.payload)
        guard let payload = single?.payload else { return }
        if isAlone {
            let isBack = unsafe change.bytesBefore.withUnsafeBytes { before in
                // SAFETY: the memory is not the payload's, which nobody else has.
                unsafe payload.replaceFront(
                    with: before, before: change.tailCount, gzipMembers: change.gzipMembers) != nil
            }
            if isBack { return setSingle(payload) }
        }
        // Who refused it may look at it still.
        setSingle(
            payload.copied(change.bytesBefore, before: change.tailCount, gzipMembers: change.gzipMembers))
    }

    private func setSingle(_ payload: Payload) {
        guard let slice = single else { return }
        bytes = payload.bytes.readableBytes
        single = Slice(
            payload, offset: 0, count: bytes, items: slice.items, acknowledgement: slice.acknowledgement)
    }

    /// Whether somebody waits for a part of it.
    package var isAwaited: Bool {
        if let single { return single.acknowledgement != nil }
        return list.contains { $0.acknowledgement != nil }
    }
}
