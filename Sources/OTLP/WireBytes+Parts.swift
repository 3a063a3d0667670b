extension WireBytes: BitwiseCopyable {}

extension WireBytes {
    /// A part of the bytes.
    @inlinable
    @inline(__always)
    public func part(_ range: Range<Int>) -> WireBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range is outside of the bytes")
        // SAFETY: the range was checked.
        return unsafe WireBytes(base: base + range.lowerBound, count: range.count)
    }

    /// Whether both are the same bytes. Eight at a time: keys of attributes are compared for every item.
    @inlinable
    public func isEqual(to other: WireBytes) -> Bool {
        guard count == other.count else { return false }
        // SAFETY: both are valid for `count` bytes; the last word overlaps the one before it.
        guard count >= 8 else { return unsafe Self.areEqual(base, other.base, count) }
        let last = count &- 8
        var index = 0
        while index < last {
            let a = unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let b = unsafe other.base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            guard a == b else { return false }
            index &+= 8
        }
        let a = unsafe base.loadUnaligned(fromByteOffset: last, as: UInt64.self)
        let b = unsafe other.base.loadUnaligned(fromByteOffset: last, as: UInt64.self)
        return a == b
    }

    /// Whether fewer than eight bytes are the same.
    @inlinable
    @inline(__always)
    static func areEqual(_ one: UnsafeRawPointer, _ two: UnsafeRawPointer, _ count: Int) -> Bool {
        if count >= 4 {
            // SAFETY: four bytes are there; the second word overlaps the first.
            let a = unsafe one.loadUnaligned(as: UInt32.self) ^ two.loadUnaligned(as: UInt32.self)
            let b =
                unsafe one.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
                ^ two.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            return a | b == 0
        }
        for index in 0..<count {
            // SAFETY: the index is below the count.
            let a = unsafe one.load(fromByteOffset: index, as: UInt8.self)
            let b = unsafe two.load(fromByteOffset: index, as: UInt8.self)
            guard a == b else { return false }
        }
        return true
    }
}
