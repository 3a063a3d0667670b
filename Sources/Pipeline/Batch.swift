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
    package init(_ payload: Payload, offset: Int, count: Int, items: Int, acknowledgement: Acknowledgement? = nil) {
        self.payload = payload
        self.offset = offset
        self.count = count
        self.items = items
        self.acknowledgement = acknowledgement
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
    /// The parts, in order.
    package private(set) var slices: ContiguousArray<Slice>
    /// Items of all slices.
    package private(set) var items = 0
    /// Bytes of all slices.
    package private(set) var bytes = 0

    /// An empty batch with room for `slices` without allocating again.
    package init(_ signal: Signal, reservingSlices slices: Int = 0) {
        self.signal = signal
        self.slices = []
        self.slices.reserveCapacity(slices)
    }

    /// A batch of one whole payload.
    package init(_ signal: Signal, payload: Payload, items: Int, acknowledgement: Acknowledgement? = nil) {
        self.signal = signal
        let count = payload.bytes.readableBytes
        slices = [Slice(payload, offset: 0, count: count, items: items, acknowledgement: acknowledgement)]
        self.items = items
        bytes = count
    }

    /// Adds a slice at the end. Builder only.
    package func append(_ slice: Slice) {
        slices.append(slice)
        items += slice.items
        bytes += slice.count
    }

    /// Says how this batch ended to everybody who waits for a part of it. Once for every destination that took it.
    package func settle(_ outcome: Outcome) {
        for slice in slices { slice.acknowledgement?.settle(outcome) }
    }

    /// Announces further settlements: one batch, several destinations.
    package func expectSettlements(_ more: Int) {
        guard more != 0 else { return }
        for slice in slices { slice.acknowledgement?.expect(more) }
    }
}
