internal import CNghttp2
internal import Compression
internal import Glibc

/// The memory of one server's session of nghttp2: blocks in a slot of its own, and in malloc's memory what does not fit.
///
/// A session that is idle is put away: its blocks are compressed to a fifth, and their pages given back. They come back to
/// the same addresses, so that what points at them is right. Meanwhile nobody may touch the session, which
/// `HTTP2Session.raw` sees to. Event loop only.
@safe
final class SessionMemory {
    /// Nothing else that a session asks for when it is made has these sizes.
    private static let roomBytes = (least: 16 << 10, most: SessionSlots.roomBytes)
    /// Sessions begin at different places of their slots: at the same ones they would push each other out of the processor's
    /// caches.
    private static let (colours, colourBytes) = (8, 64)

    private let slots: SessionSlots
    // SAFETY: `slot` is this object's from init to deinit; the arena is within it; what is packed is owned.
    private let slot: UnsafeMutableRawPointer
    private let arena: OpaquePointer
    private var packed: UnsafeMutableRawBufferPointer?
    /// What was packed.
    private var plainBytes = 0
    /// Whether it was all that the session has.
    private var wasWhole = false

    /// Nil when there is no memory.
    init?(_ slots: SessionSlots) {
        guard let slot = unsafe slots.take() else { return nil }
        self.slots = slots
        slots.awake += 1
        unsafe self.slot = slot
        let colour =
            Int(bitPattern: slot) / SessionSlots.slotBytes % Self.colours * Self.colourBytes
        unsafe arena = session_arena_begin(
            slot + colour, SessionSlots.slotBytes - colour, slots.room, Self.roomBytes.least,
            Self.roomBytes.most)
    }

    deinit {
        let isCold = unsafe packed != nil
        if !isCold { slots.awake -= 1 }
        unsafe packed?.deallocate()
        unsafe slots.give(slot, isCold: isCold)
    }

    /// Calls `make` with the memory functions of a session.
    func make(_ make: (UnsafeMutablePointer<nghttp2_mem>) -> Int32) -> Int32 {
        var memory = unsafe session_arena_memory(arena)
        let code = unsafe make(&memory)
        unsafe session_arena_made(arena)
        return code
    }

    /// Whether more sessions of the loop are awake than should be without a stream.
    var isCrowded: Bool { slots.areCrowded }

    /// Has the session put away when it is its turn.
    func putAwaySoon(_ session: HTTP2Session) { slots.putAwaySoon(session) }

    /// Compresses what is in the slot and gives its pages back.
    /// - Returns: whether it is so now: not, when too little would be saved.
    func putAway() -> Bool {
        guard unsafe packed == nil else { return true }
        let count = unsafe session_arena_tidy(arena)
        let plain = unsafe UnsafeRawBufferPointer(start: UnsafeRawPointer(arena), count: count)
        // Nothing is in it between two calls of nghttp2.
        let room = unsafe UnsafeMutableRawBufferPointer(start: slots.room, count: SessionSlots.roomBytes)
        guard let size = unsafe LZ4Block.compress(plain, into: room), size < count / 2 else { return false }
        let kept = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
        unsafe kept.copyMemory(from: UnsafeRawBufferPointer(rebasing: room.prefix(size)))
        unsafe packed = kept
        plainBytes = count
        wasWhole = unsafe session_arena_is_whole(arena)
        unsafe slots.giveBackPages(slot)
        slots.awake -= 1
        return true
    }

    /// Brings back what was put away.
    func bringBack() {
        guard let kept = unsafe packed else { return }
        let plain = unsafe UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(arena), count: plainBytes)
        let isWhole = unsafe LZ4Block.decompress(UnsafeRawBufferPointer(kept), into: plain)
        precondition(isWhole, "an HTTP/2 session that was put away has been damaged")
        unsafe packed = nil
        unsafe kept.deallocate()
        slots.awake += 1
    }

    /// Whether a session that was put away has nothing elsewhere: then it may be forgotten as it is.
    var holdsAll: Bool { unsafe packed != nil && wasWhole }

    /// For tests: what is kept of a session that was put away.
    var packedBytes: Int? { unsafe packed?.count }
    /// For tests: where the session is.
    var slotRange: Range<Int> {
        unsafe Int(bitPattern: slot)..<Int(bitPattern: slot) + SessionSlots.slotBytes
    }
}
