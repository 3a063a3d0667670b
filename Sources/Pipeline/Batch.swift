package import NIOCore
package import OTLP

/// A run of bytes of a payload: zero or more whole fields of an `Export*ServiceRequest`.
package struct Slice: Sendable {
    /// Who owns the bytes.
    package let payload: Payload
    /// First byte, counted from the payload's first readable byte.
    package let offset: Int
    /// Length in bytes.
    package let count: Int
    /// Spans, data points or log records inside. Zero for an envelope whose items follow in the next slice.
    package let items: Int
    /// Who waits for these items, if somebody does; owed one settlement by this slice.
    package let acknowledgement: Acknowledgement?

    /// Describes a part of a payload.
    package init(
        _ payload: Payload, offset: Int, count: Int, items: Int, acknowledgement: Acknowledgement? = nil
    ) {
        self.payload = payload
        self.offset = offset
        self.count = count
        self.items = items
        self.acknowledgement = acknowledgement
    }

    /// Answers for this part. A partial success of the whole batch is one of at most this part's items.
    fileprivate func settle(_ outcome: Outcome) {
        guard let acknowledgement else { return }
        if case .partial(let rejected, let message) = outcome {
            let own = min(rejected, items)
            acknowledgement.settle(own > 0 ? .partial(rejectedItems: own, message: message) : .accepted)
        } else {
            acknowledgement.settle(outcome)
        }
    }

    /// The bytes, shared, not copied.
    package var bytes: ByteBuffer {
        payload.bytes.getSlice(at: payload.bytes.readerIndex + offset, length: count)!
    }
}

/// What travels: slices of payloads that, put one behind the other, are one `Export*ServiceRequest`.
///
/// Built by one owner (receiver or batcher); immutable once it was handed to a consumer that took it, so that a fan-out
/// can share it between threads.
package final class Batch: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): changed only by its builder before it is handed on.
    /// What the bytes are.
    package let signal: Signal
    /// The slice of a batch that has but one, as every request's batch has: no array for it.
    private var single: Slice?
    /// The slices of all other batches.
    private var list: ContiguousArray<Slice>
    /// Items of all slices.
    package private(set) var items = 0
    /// Bytes of all slices.
    package private(set) var bytes = 0

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

    /// How many slices there are.
    package var sliceCount: Int { single == nil ? list.count : 1 }

    /// A batch of one whole payload.
    package init(_ signal: Signal, payload: Payload, items: Int, acknowledgement: Acknowledgement? = nil) {
        self.signal = signal
        let count = payload.bytes.readableBytes
        single = Slice(payload, offset: 0, count: count, items: items, acknowledgement: acknowledgement)
        list = []
        self.items = items
        bytes = count
    }

    /// Adds a slice at the end. Builder only.
    package func append(_ slice: Slice) {
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

    /// Says how this batch ended to everybody who waits for a part of it. Once for every destination that took it.
    ///
    /// A destination does not say whose items it rejected: everybody hears of the rejection, but nobody of more items
    /// than were sent.
    package func settle(_ outcome: Outcome) {
        single?.settle(outcome)
        for slice in list { slice.settle(outcome) }
    }

    /// Announces further settlements: one batch, several destinations.
    package func expectSettlements(_ more: Int) {
        guard more != 0 else { return }
        single?.acknowledgement?.expect(more)
        for slice in list { slice.acknowledgement?.expect(more) }
    }
}
