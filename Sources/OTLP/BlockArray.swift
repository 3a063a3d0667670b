/// An array that is never moved when it grows: blocks of 1 024 elements, or of so many times `stride` values.
///
/// While 600 000 series of `span_metrics` were made in requests of 2 000 spans, moving them held their loop 7 or 8 times for 10 to
/// 50 ms.
public struct BlockArray<Element> {
    @usableFromInline static var shift: Int { 10 }
    @usableFromInline static var mask: Int { 1 << shift - 1 }

    /// Values an element has.
    @usableFromInline let stride: Int
    @usableFromInline var blocks: ContiguousArray<ContiguousArray<Element>> = []
    /// How many elements there are.
    public var count: Int { elements }
    @usableFromInline var elements = 0

    /// An empty array.
    public init(stride: Int = 1) { self.stride = stride }

    /// A value of an element.
    @inlinable
    public subscript(_ index: Int, _ place: Int = 0) -> Element {
        get { blocks[index &>> Self.shift][(index & Self.mask) &* stride &+ place] }
        _modify { yield &blocks[index &>> Self.shift][(index & Self.mask) &* stride &+ place] }
    }

    /// The values of an element.
    @inlinable
    public subscript(values index: Int) -> ArraySlice<Element> {
        let start = (index & Self.mask) * stride
        return ArraySlice(blocks[index >> Self.shift][start..<start + stride])
    }

    /// Adds an element whose values are all the same.
    @inlinable
    public mutating func append(_ value: Element) {
        if elements & Self.mask == 0 {
            blocks.append([])
            // The first one grows: most tables are small.
            if elements > 0 { blocks[blocks.count - 1].reserveCapacity((Self.mask + 1) * stride) }
        }
        blocks[elements >> Self.shift].append(contentsOf: repeatElement(value, count: stride))
        elements += 1
    }

    /// The values of an element, to be looked at.
    @inlinable
    @inline(__always)
    public func withValues<Result>(of index: Int, _ body: (UnsafePointer<Element>) -> Result) -> Result {
        unsafe blocks[index &>> Self.shift].withUnsafeBufferPointer {
            // SAFETY: the block has `stride` values of the element.
            unsafe body($0.baseAddress.unsafelyUnwrapped + (index & Self.mask) &* stride)
        }
    }

    /// The values of an element, to be changed.
    @inlinable
    @inline(__always)
    public mutating func withMutableValues(of index: Int, _ body: (UnsafeMutablePointer<Element>) -> Void) {
        let stride = stride
        unsafe blocks[index &>> Self.shift].withUnsafeMutableBufferPointer {
            // SAFETY: as above.
            unsafe body($0.baseAddress.unsafelyUnwrapped + (index & Self.mask) &* stride)
        }
    }
}

extension BlockArray: Sendable where Element: Sendable {}
