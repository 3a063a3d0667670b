package import NIOCore

/// One request's bytes, owned once, shared by reference.
///
/// Made by a receiver when it admits a request, before the body is read, so that whatever ends the request also releases
/// its memory. The receiver fills `bytes` on its loop, or beside it; from the moment a `Batch` holds the payload nobody changes it,
/// but who alone has it, and puts it back if the batch is refused: see `Batch.isGiven`.
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
    package var gzipMembers: Payload? {
        get { members }
        set {
            checkNotSealed()
            members = newValue
        }
    }
    private var members: Payload?
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
        storage = buffer.leavingHeadRoom(capacity)
        chargedBytes = buffer.capacity
        self.pool = pool
        self.ledger = ledger
        ledger.charge(chargedBytes)
    }

    /// One with fresh memory for at least `capacity` bytes. Any thread.
    package convenience init(capacity: Int, ledger: MemoryLedger) {
        self.init(
            ByteBufferAllocator().buffer(capacity: capacity).leavingHeadRoom(capacity), ledger: ledger)
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
            new = Payload(capacity: capacity, ledger: ledger)
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

    // MARK: - Changing what comes first

    /// Replaces all but the last `tailCount` bytes; those stay where they are, and so does the charge. Only for one who knows that
    /// nobody else has this payload.
    /// - Parameter gzipMembers: what the bytes are from then on.
    /// - Returns: what stood there; nil, and nothing is changed: there is no room in front of them.
    func replaceFront(
        with front: UnsafeRawBufferPointer, before tailCount: Int, gzipMembers: Payload? = nil
    ) -> [UInt8]? {
        let (start, end) = (bytes.readerIndex, bytes.writerIndex - tailCount)
        let newStart = end - front.count
        guard newStart >= 0, let old = bytes.getBytes(at: start, length: end - start) else { return nil }
        // A buffer that somebody else has, too, is copied by it.
        unsafe storage?.withVeryUnsafeMutableBytes { memory in
            // SAFETY: `end` is not behind the bytes that were written.
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[newStart..<end]).copyMemory(from: front)
        }
        storage?.moveReaderIndex(to: newStart)
        members = gzipMembers
        return old
    }

    /// Other bytes in front of a copy of the last `tailCount` ones.
    func copied(_ front: [UInt8], before tailCount: Int, gzipMembers: Payload?) -> Payload {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(front.count + tailCount)
        buffer.writeBytes(front)
        if let tail = bytes.getSlice(at: bytes.writerIndex - tailCount, length: tailCount) {
            buffer.writeImmutableBuffer(tail)
        }
        let copy = Payload(buffer, ledger: ledger)
        copy.gzipMembers = gzipMembers
        copy.metadata = metadata
        copy.client = client
        return copy
    }
}

extension ByteBuffer {
    /// An empty one that leaves free in front what it has more than so many bytes, up to a bound.
    fileprivate consuming func leavingHeadRoom(_ needed: Int) -> ByteBuffer {
        let room = min(BufferPool.headRoomMax, capacity - needed) & ~63
        guard room > 0 else { return self }
        moveWriterIndex(to: room)
        moveReaderIndex(to: room)
        return self
    }
}
