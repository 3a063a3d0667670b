package import NIOCore

/// One request's bytes, owned once, shared by reference.
///
/// Made by a receiver when it admits a request, before the body is read, so that whatever ends the request also releases
/// its memory. The receiver fills `bytes` on its loop, or beside it; from the moment a `Batch` holds the payload nobody changes it.
/// When the last reference goes, on whatever thread, the buffer returns to its pool and the ledger is released.
package final class Payload: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): mutated by one thread at a time, before it is handed on, which `sealed` checks.
    private var storage: ByteBuffer?
    private let sealed = Seal()
    private let pool: BufferPool?
    let ledger: MemoryLedger?
    private var chargedBytes: Int
    /// The gzip members that `bytes` came from, all of them, when somebody may pass them on as they are. Set before the
    /// payload is handed on; charged by itself.
    package var gzipMembers: Payload? { willSet { checkNotSealed() } }
    /// What the client sent beside the data; nil unless the receiver keeps it. Set before the payload is handed on; charged
    /// with the payload's own bytes.
    package var metadata: ClientMetadata? {
        willSet { checkNotSealed() }
        didSet {
            let change = (metadata?.byteCount ?? 0) - (oldValue?.byteCount ?? 0)
            ledger?.charge(change)
            metadataBytes += change
        }
    }
    private var metadataBytes = 0
    /// Who sent it; nil for data that came into being here. Set before the payload is handed on.
    package var client: ClientAddress? { willSet { checkNotSealed() } }

    /// Takes a buffer of at least `capacity` bytes from the pool and charges its capacity. Pool's loop only.
    package init(capacity: Int, pool: BufferPool, ledger: MemoryLedger) {
        let buffer = pool.take(capacity: capacity)
        storage = buffer
        chargedBytes = buffer.capacity
        self.pool = pool
        self.ledger = ledger
        ledger.charge(chargedBytes)
    }

    /// Takes over bytes that come from no pool: rewritten envelopes, tests. Any thread.
    package init(_ bytes: ByteBuffer, ledger: MemoryLedger? = nil) {
        storage = bytes
        pool = nil
        self.ledger = ledger
        chargedBytes = ledger == nil ? 0 : bytes.capacity
        ledger?.charge(chargedBytes)
    }

    /// An empty one for what is made of this one, with room for `capacity` bytes: from the same pool if this is its thread, else
    /// fresh. Says the same of who sent it. Any thread.
    package func successor(capacity: Int, ledger: MemoryLedger) -> Payload {
        let new: Payload
        if let pool, pool.isOnLoop {
            new = Payload(capacity: capacity, pool: pool, ledger: ledger)
        } else {
            new = Payload(ByteBufferAllocator().buffer(capacity: capacity), ledger: ledger)
        }
        new.metadata = metadata
        new.client = client
        return new
    }

    deinit {
        ledger?.release(chargedBytes + metadataBytes)
        if let pool, let buffer = storage.take() { pool.recycle(buffer) }
    }

    /// The readable bytes. Mutating is for the receiver that fills it, and must not outgrow the capacity that was
    /// charged, except through `adjustCharge`.
    package var bytes: ByteBuffer {
        _read { yield storage! }
        _modify {
            checkNotSealed()
            yield &storage!
        }
    }

    /// Says that nobody changes this payload any more: a slice does, when it is made of it.
    func seal() { sealed.close() }

    private func checkNotSealed() { sealed.check("a payload was changed after a batch had been made of it") }

    /// Charges what the buffer holds now, after it grew. Whoever fills it only.
    package func adjustCharge() {
        let capacity = bytes.capacity
        ledger?.charge(capacity - chargedBytes)
        chargedBytes = capacity
    }
}
