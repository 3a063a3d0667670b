import Glibc
internal import Pipeline

/// The memory of fragments: slabs that are filled from one end to the other and used again when all in them is freed.
///
/// Traces leave about in the order in which they came, so slabs become empty one after another; from the heap, holes that
/// requests leave between fragments would cost a third of the memory again. A slab is one huge page where the system has them:
/// else each eighth span would wait for a fresh page of the kernel, and each fragment's address be looked for in page tables.
/// One thread. A structure: what is stored in a class is checked for overlapping changes at each step.
@safe
struct FragmentPool: ~Copyable {
    static let slabBytes = 2 << 20
    /// Larger ones come from the heap.
    static let slabFragmentMax = 16 << 10
    /// At the start of a slab: how many of its fragments live.
    private static let slabHeader = 16
    /// Empty slabs that are kept in any case.
    private static let spareMin = 2

    private var current: UnsafeMutableRawPointer?
    /// Where the next fragment goes in the current slab.
    private var position = 0
    private(set) var spare: [UnsafeMutableRawPointer] = unsafe []
    private(set) var slabsInUse = 0
    /// The most slabs that were in use lately; `trim` brings it down.
    private var recentPeak = 0
    /// Is charged with slabs that are in use, holes and all, but for what was not yet filled of the current one; with the empty
    /// ones that are kept, but for `spareMin`; and with what comes from the heap.
    private let ledger: MemoryLedger?
    /// With how much.
    private var charged = 0

    init(ledger: MemoryLedger?) { self.ledger = ledger }

    // SAFETY (all below): a slab has `slabBytes` from an address that is a multiple of it, so that a fragment's address
    // tells its slab; its first word counts the fragments that live in it.

    deinit {
        if let current = unsafe current, unsafe current.load(as: Int.self) == 0 { unsafe Self.unmap(current) }
        for index in unsafe spare.indices { unsafe Self.unmap(spare[index]) }
        ledger?.release(charged)
    }

    /// Memory for so many bytes, a multiple of 8 apart.
    mutating func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
        guard bytes <= Self.slabFragmentMax else {
            charge(bytes)
            return .allocate(byteCount: bytes, alignment: 8)
        }
        let rounded = (bytes + 7) & ~7
        if unsafe current == nil || position + rounded > Self.slabBytes { next() }
        let slab = unsafe current.unsafelyUnwrapped
        unsafe slab.storeBytes(of: slab.load(as: Int.self) + 1, as: Int.self)
        let memory = unsafe slab + position
        position += rounded
        charge(rounded)
        return unsafe memory
    }

    /// Gives memory back that `allocate` gave for so many bytes.
    mutating func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        guard bytes <= Self.slabFragmentMax else {
            charge(-bytes)
            return unsafe memory.deallocate()
        }
        let offset = Int(bitPattern: memory) & (Self.slabBytes - 1)
        let slab = unsafe memory - offset
        let left = unsafe slab.load(as: Int.self) - 1
        unsafe slab.storeBytes(of: left, as: Int.self)
        guard left == 0 else { return }
        if unsafe slab == current {
            charge(Self.slabHeader - position)
            position = Self.slabHeader
        } else {
            unsafe retire(slab)
        }
    }

    private mutating func next() {
        // The one that is full lives on until its last fragment goes, and takes as much as if all of them lived.
        if unsafe current != nil { charge(Self.slabBytes - position) }
        let slab = unsafe takeSpare() ?? Self.map()
        unsafe slab.storeBytes(of: 0, as: Int.self)
        unsafe current = unsafe slab
        position = Self.slabHeader
        slabsInUse += 1
        recentPeak = max(recentPeak, slabsInUse)
    }

    /// As many empty slabs as make, with those in use, what was in use lately: a fresh page costs several times what it costs to
    /// copy spans into it, so what a burst needed is not given back before the next one can use it.
    private var spareMax: Int { isShort ? Self.spareMin : max(Self.spareMin, recentPeak - slabsInUse) }

    /// Whether so much is charged that what is empty is better used by others.
    private var isShort: Bool {
        guard let ledger else { return false }
        return ledger.bytes > ledger.limitBytes / 8 * 7
    }

    /// Gives back what has not been needed for a while, or at all at the moment.
    mutating func trim(all: Bool) {
        recentPeak = all ? slabsInUse + slabsInUse / 2 : max(slabsInUse, recentPeak - (recentPeak + 31) / 32)
        while unsafe spare.count > spareMax, let slab = unsafe takeSpare() { unsafe Self.unmap(slab) }
    }

    private mutating func takeSpare() -> UnsafeMutableRawPointer? {
        guard let slab = unsafe spare.popLast() else { return nil }
        unsafe charge(Self.charge(ofSpare: spare.count) - Self.charge(ofSpare: spare.count + 1))
        return unsafe slab
    }

    /// What so many empty slabs are charged with.
    private static func charge(ofSpare spare: Int) -> Int { max(0, spare - spareMin) * slabBytes }

    /// Keeps an empty slab for later, or gives it back to the system.
    private mutating func retire(_ slab: UnsafeMutableRawPointer) {
        slabsInUse -= 1
        charge(Self.slabHeader - Self.slabBytes)
        guard unsafe spare.count < spareMax else { return unsafe Self.unmap(slab) }
        unsafe spare.append(slab)
        unsafe charge(Self.charge(ofSpare: spare.count) - Self.charge(ofSpare: spare.count - 1))
    }

    private mutating func charge(_ delta: Int) {
        charged += delta
        ledger?.charge(delta)
    }

    private static func map() -> UnsafeMutableRawPointer {
        let protection = PROT_READ | PROT_WRITE
        // Twice as much, of which an aligned half is kept.
        let all = unsafe mmap(nil, 2 * slabBytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let all = unsafe all, unsafe all != MAP_FAILED else {
            fatalError("no memory for \(slabBytes) bytes of spans: mmap failed with error \(errno)")
        }
        let before = (slabBytes - Int(bitPattern: all) & (slabBytes - 1)) & (slabBytes - 1)
        if before > 0 { unsafe munmap(all, before) }
        unsafe munmap(all + before + slabBytes, slabBytes - before)
        // A system without them has small ones.
        _ = unsafe madvise(all + before, slabBytes, MADV_HUGEPAGE)
        return unsafe all + before
    }

    private static func unmap(_ slab: UnsafeMutableRawPointer) { unsafe munmap(slab, slabBytes) }
}
