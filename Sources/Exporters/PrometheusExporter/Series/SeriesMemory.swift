internal import OTLP

/// What a series keeps besides its record, freed with it.
struct SeriesMemory: ~Copyable {
    /// `a="1",b="2"` as text formats write it.
    var labels = OwnedRun<UInt8>()
    /// Buckets, quantiles. What they are says `DistributionWords`.
    var words = OwnedRun<UInt64>()
    /// One for a number, one a bucket for a histogram; empty when there never was one.
    var exemplars = OwnedRun<ExemplarSlot>()

    /// Bytes of the exemplars and their labels.
    var exemplarBytes: Int {
        (0..<exemplars.count).reduce(exemplars.bytes) { $0 + exemplars[$1].labels.bytes }
    }
}

/// A fixed number of elements in memory of their own, in 8 bytes: the number stands before the elements. An array would
/// take 32 bytes more of each, and is counted by references.
@safe
struct OwnedRun<Element: ~Copyable>: ~Copyable {
    private static var headBytes: Int { MemoryLayout<Int>.stride }

    // SAFETY: nil, or what `init` allocated: the number, then as many initialized elements. Nobody else has it.
    private let memory: UnsafeMutableRawPointer?

    /// None.
    init() {
        unsafe memory = nil
    }

    /// So many elements, each as `make` says.
    init(count: Int, _ make: () -> Element) {
        precondition(
            MemoryLayout<Element>.alignment <= MemoryLayout<Int>.alignment, "aligned like the number")
        guard count > 0 else {
            unsafe memory = nil
            return
        }
        unsafe memory = .allocate(
            byteCount: Self.headBytes + count * MemoryLayout<Element>.stride,
            alignment: MemoryLayout<Int>.alignment)
        unsafe memory.unsafelyUnwrapped.storeBytes(of: count, as: Int.self)
        let elements = unsafe (memory.unsafelyUnwrapped + Self.headBytes).bindMemory(
            to: Element.self, capacity: count)
        for index in 0..<count { unsafe (elements + index).initialize(to: make()) }
    }

    deinit {
        guard let memory = unsafe memory else { return }
        unsafe elements.deinitialize(count: count)
        unsafe memory.deallocate()
    }

    var count: Int { unsafe memory?.load(as: Int.self) ?? 0 }

    /// What it takes, without what the allocator adds.
    var bytes: Int { unsafe memory == nil ? 0 : Self.headBytes + count * MemoryLayout<Element>.stride }

    /// Where the elements begin; for runs that are not empty.
    private var elements: UnsafeMutablePointer<Element> {
        unsafe (memory.unsafelyUnwrapped + Self.headBytes).assumingMemoryBound(to: Element.self)
    }

    subscript(index: Int) -> Element {
        @inline(__always)
        unsafeAddress {
            precondition(index >= 0 && index < count, "outside of the run")
            return unsafe UnsafePointer(elements + index)
        }
        @inline(__always)
        unsafeMutableAddress {
            precondition(index >= 0 && index < count, "outside of the run")
            return unsafe elements + index
        }
    }

    /// The elements' bytes, as long as the run is not replaced.
    var borrowed: WireBytes {
        guard count > 0 else { return WireBytes.none }
        return unsafe WireBytes(
            UnsafeRawBufferPointer(start: elements, count: count * MemoryLayout<Element>.stride))
    }
}

extension OwnedRun<UInt8> {
    /// A copy of text.
    init(_ text: [UInt8]) {
        var next = text.makeIterator()
        self.init(count: text.count) { next.next() ?? 0 }
    }
}

extension OwnedRun<UInt64> {
    /// Replaces all elements by little-endian numbers, of which there are as many.
    mutating func copy(_ numbers: WireBytes) {
        precondition(numbers.count == count * 8, "as many numbers as elements")
        for index in 0..<count { self[index] = Self.number(numbers, index) }
    }

    /// Adds little-endian numbers to the elements, of which there are as many; wraps.
    mutating func add(_ numbers: WireBytes) {
        precondition(numbers.count == count * 8, "as many numbers as elements")
        for index in 0..<count { self[index] &+= Self.number(numbers, index) }
    }

    private static func number(_ numbers: WireBytes, _ index: Int) -> UInt64 {
        // SAFETY: the callers' indices are below the count.
        UInt64(
            littleEndian: unsafe numbers.unsafeBytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
        )
    }
}
