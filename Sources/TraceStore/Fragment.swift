internal import OTLP

/// Spans of one trace that came together in one scope, as they came: whole `spans` fields of a `ScopeSpans`.
///
///     | next (8) | bytes (8) | spans (4) | envelope (4) | fields … |
///
/// One piece of a pool, freed by hand: a trace is a chain of them, and a class would cost as much again.
@safe
struct Fragment {
    private static let nextOffset = 0
    private static let bytesOffset = 8
    private static let spansOffset = 16
    private static let envelopeOffset = 20
    static let headerBytes = 24

    fileprivate let memory: UnsafeMutableRawPointer

    /// Takes the memory; the caller fills `content`.
    init(bytes: Int, spans: Int, envelope: EnvelopeTable.ID, in pool: inout FragmentPool) {
        unsafe memory = pool.allocate(Self.headerBytes + bytes)
        // SAFETY: the header lies inside the allocation, each field at its alignment.
        unsafe memory.storeBytes(of: 0, toByteOffset: Self.nextOffset, as: UInt.self)
        unsafe memory.storeBytes(of: bytes, toByteOffset: Self.bytesOffset, as: Int.self)
        unsafe memory.storeBytes(
            of: UInt32(truncatingIfNeeded: spans), toByteOffset: Self.spansOffset, as: UInt32.self)
        unsafe memory.storeBytes(of: envelope, toByteOffset: Self.envelopeOffset, as: EnvelopeTable.ID.self)
    }

    private init(_ memory: UnsafeMutableRawPointer) {
        unsafe self.memory = unsafe memory
    }

    // SAFETY (all below): the memory is initialized in init and lives until `free`, which the chain's owner calls last.

    var next: Fragment? {
        get {
            let address = unsafe memory.load(fromByteOffset: Self.nextOffset, as: UInt.self)
            guard let memory = unsafe UnsafeMutableRawPointer(bitPattern: address) else { return nil }
            return unsafe Fragment(memory)
        }
        nonmutating set {
            var address: UInt = 0
            if let newValue { address = unsafe UInt(bitPattern: newValue.memory) }
            unsafe memory.storeBytes(of: address, toByteOffset: Self.nextOffset, as: UInt.self)
        }
    }

    var byteCount: Int { unsafe memory.load(fromByteOffset: Self.bytesOffset, as: Int.self) }
    var spanCount: Int { unsafe Int(memory.load(fromByteOffset: Self.spansOffset, as: UInt32.self)) }
    var envelope: EnvelopeTable.ID {
        unsafe memory.load(fromByteOffset: Self.envelopeOffset, as: EnvelopeTable.ID.self)
    }

    /// The fields, to be filled once.
    var content: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: memory + Self.headerBytes, count: byteCount)
    }

    /// The fields; valid until `free`.
    var fields: WireBytes { unsafe WireBytes(UnsafeRawBufferPointer(content)) }

    /// Asks for the header to be brought into the cache.
    func prefetch() { unsafe OTLP.prefetch(UnsafeRawBufferPointer(start: memory, count: Self.headerBytes)) }

    /// Gives the memory back to the pool that it came from. Once.
    func free(in pool: inout FragmentPool) { unsafe pool.free(memory, Self.headerBytes + byteCount) }
}

/// The spans of a trace, or of a part of it, in the order in which they came. Freed by hand, by whoever owns it:
/// `TraceStore.free`.
package struct SpanChain {
    private(set) var first: Fragment?
    private(set) var last: Fragment?
    /// How many spans there are.
    package private(set) var spans = 0
    /// The bytes of their fields.
    package private(set) var bytes = 0
    /// The bytes of what stands around them, each time that it came.
    package private(set) var envelopeBytes = 0
    /// Of all of them, if the grouper makes summaries.
    package private(set) var summary = SpanSummary()

    package init() {}

    /// The bytes of a request with nothing but these spans, near enough.
    package var wireBytes: Int { bytes + envelopeBytes }

    package var isEmpty: Bool { spans == 0 }

    mutating func append(_ fragment: Fragment, envelopeBytes: Int, _ summary: SpanSummary) {
        if let last { last.next = fragment } else { first = fragment }
        last = fragment
        spans += fragment.spanCount
        bytes += fragment.byteCount
        self.envelopeBytes += envelopeBytes
        self.summary.add(summary)
    }

    /// Moves the fragments of another chain behind those of this one.
    mutating func append(_ other: SpanChain) {
        guard let start = other.first else { return }
        if let last { last.next = start } else { first = start }
        last = other.last
        spans += other.spans
        bytes += other.bytes
        envelopeBytes += other.envelopeBytes
        summary.add(other.summary)
    }

    /// Takes fragments out, from the first one on, as many as have at most so many bytes with what stands around them, but at
    /// least one. The summaries stay here.
    mutating func takeFirst(bytes most: Int, _ envelopes: EnvelopeTable) -> SpanChain {
        var taken = SpanChain()
        guard wireBytes > most else {
            swap(&taken, &self)
            return taken
        }
        while let fragment = first {
            let around = envelopes.wireBytes(fragment.envelope)
            guard taken.isEmpty || taken.wireBytes + fragment.byteCount + around <= most else { break }
            first = fragment.next
            if first == nil { last = nil }
            fragment.next = nil
            spans -= fragment.spanCount
            bytes -= fragment.byteCount
            envelopeBytes -= around
            taken.append(fragment, envelopeBytes: around, SpanSummary())
        }
        return taken
    }

    /// The fragments, in order. One may be freed when the next one was asked for.
    var fragments: Fragments { Fragments(next: first) }

    struct Fragments: Sequence, IteratorProtocol {
        fileprivate var following: Fragment?

        fileprivate init(next: Fragment?) { following = next }

        mutating func next() -> Fragment? {
            guard let fragment = following else { return nil }
            following = fragment.next
            return fragment
        }
    }
}
