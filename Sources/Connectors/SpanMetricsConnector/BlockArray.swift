/// An array that is never moved when it grows: blocks of 1 024 elements, or of so many times `stride` values.
///
/// While 600 000 series were made in requests of 2 000 spans, moving them held their loop 7 or 8 times for 10 to 50 ms.
struct BlockArray<Element> {
    private static var shift: Int { 10 }
    private static var mask: Int { 1 << shift - 1 }

    /// Values an element has.
    private let stride: Int
    private var blocks: ContiguousArray<ContiguousArray<Element>> = []
    private(set) var count = 0

    init(stride: Int = 1) { self.stride = stride }

    /// A value of an element.
    subscript(_ index: Int, _ place: Int = 0) -> Element {
        get { blocks[index &>> Self.shift][(index & Self.mask) &* stride &+ place] }
        _modify { yield &blocks[index &>> Self.shift][(index & Self.mask) &* stride &+ place] }
    }

    /// The values of an element.
    subscript(values index: Int) -> ArraySlice<Element> {
        let start = (index & Self.mask) * stride
        return ArraySlice(blocks[index >> Self.shift][start..<start + stride])
    }

    /// Adds an element whose values are all the same.
    mutating func append(_ value: Element) {
        if count & Self.mask == 0 {
            blocks.append([])
            // The first one grows: most tables are small.
            if count > 0 { blocks[blocks.count - 1].reserveCapacity((Self.mask + 1) * stride) }
        }
        blocks[count >> Self.shift].append(contentsOf: repeatElement(value, count: stride))
        count += 1
    }

    /// The values of an element, to be looked at.
    @inline(__always)
    func withValues<Result>(of index: Int, _ body: (UnsafePointer<Element>) -> Result) -> Result {
        unsafe blocks[index &>> Self.shift].withUnsafeBufferPointer {
            // SAFETY: the block has `stride` values of the element.
            unsafe body($0.baseAddress.unsafelyUnwrapped + (index & Self.mask) &* stride)
        }
    }

    /// The values of an element, to be changed.
    @inline(__always)
    mutating func withMutableValues(of index: Int, _ body: (UnsafeMutablePointer<Element>) -> Void) {
        let stride = stride
        unsafe blocks[index &>> Self.shift].withUnsafeMutableBufferPointer {
            // SAFETY: as above.
            unsafe body($0.baseAddress.unsafelyUnwrapped + (index & Self.mask) &* stride)
        }
    }
}
