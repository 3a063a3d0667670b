/// Plain values behind each other, kept from request to request. Not thread safe.
///
/// A reference, whose owner deallocates it: changing an element is no access to a property of the owner, whose dynamic checks
/// took 40 % of an edit.
@safe
struct EditorList<Element: BitwiseCopyable> {
    @unsafe fileprivate struct Header {
        var base: UnsafeMutablePointer<Element>
        var count = 0
        var capacity: Int
    }

    fileprivate let header: UnsafeMutablePointer<Header>

    init(capacity: Int) {
        unsafe header = .allocate(capacity: 1)
        unsafe header.initialize(to: Header(base: .allocate(capacity: capacity), capacity: capacity))
    }

    /// Once, by the owner, when nobody uses it any more.
    func deallocate() {
        unsafe header.pointee.base.deallocate()
        unsafe header.deallocate()
    }

    var count: Int { unsafe header.pointee.count }

    /// Bytes held.
    var bytes: Int { unsafe header.pointee.capacity * MemoryLayout<Element>.stride }

    subscript(index: Int) -> Element {
        @inline(__always)
        get {
            precondition(unsafe index >= 0 && index < header.pointee.count, "no such entry")
            // SAFETY: the index was checked.
            return unsafe header.pointee.base[index]
        }
        @inline(__always)
        nonmutating _modify {
            precondition(unsafe index >= 0 && index < header.pointee.count, "no such entry")
            // SAFETY: the index was checked.
            yield unsafe &header.pointee.base[index]
        }
    }

    /// Some of them as memory, valid until one is added.
    @unsafe
    @inline(__always)
    func elements(_ range: Range<Int>) -> UnsafeBufferPointer<Element> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "no such entries")
        return unsafe UnsafeBufferPointer(start: header.pointee.base + range.lowerBound, count: range.count)
    }

    @inline(__always)
    func append(_ element: Element) {
        let count = unsafe header.pointee.count
        if unsafe count == header.pointee.capacity { grow(to: count + 1) }
        // SAFETY: there is room.
        unsafe (header.pointee.base + count).initialize(to: element)
        unsafe header.pointee.count = count + 1
    }

    /// Adds what `fill` writes into the room of at least so many, and says how many that are.
    @inline(__always)
    func append(atLeast room: Int, _ fill: (UnsafeMutableBufferPointer<Element>) -> Int) {
        let count = self.count
        if unsafe count &+ room > header.pointee.capacity { grow(to: count + room) }
        // SAFETY: the room behind the last element is ours.
        let free = unsafe UnsafeMutableBufferPointer(
            start: header.pointee.base + count, count: header.pointee.capacity &- count)
        let added = unsafe fill(free)
        precondition(added >= 0 && added <= free.count, "more was added than there is room")
        unsafe header.pointee.count = count &+ added
    }

    /// Adds copies of a range of its own, and room after them that is filled with one value.
    func append(copying range: Range<Int>, reserving reserved: Int, filler: Element) {
        let count = self.count
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "no such entries")
        if unsafe count + range.count + reserved > header.pointee.capacity {
            grow(to: count + range.count + reserved)
        }
        let base = unsafe header.pointee.base
        // SAFETY: there is room, and the ranges do not overlap.
        unsafe (base + count).initialize(from: base + range.lowerBound, count: range.count)
        unsafe (base + count + range.count).initialize(repeating: filler, count: reserved)
        unsafe header.pointee.count = count + range.count + reserved
    }

    /// Adds so many, of any value.
    func reserve(_ added: Int) {
        let count = self.count
        if unsafe count + added > header.pointee.capacity { grow(to: count + added) }
        unsafe header.pointee.count = count + added
    }

    func removeLast(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "no such entries")
        unsafe header.pointee.count = newCount
    }

    private func grow(to least: Int) {
        let larger = unsafe max(header.pointee.capacity * 2, least)
        let new = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        // SAFETY: the old ones are `count` initialized elements.
        unsafe new.moveInitialize(from: header.pointee.base, count: count)
        unsafe header.pointee.base.deallocate()
        unsafe header.pointee.base = unsafe new
        unsafe header.pointee.capacity = larger
    }
}

/// By the last four bits of a field number: a position, `none` or `far`.
typealias LastPositions = SIMD16<UInt8>

extension LastPositions {
    /// No field has such a number.
    static var none: UInt8 { 255 }
    /// The position is this or higher.
    static var far: UInt8 { 254 }
}

extension EditorList where Element == LastPositions {
    /// The positions of a message, as memory that is valid until one is added.
    @unsafe
    @inline(__always)
    func bytes(_ message: Int) -> UnsafeMutableRawPointer {
        precondition(message >= 0 && message < count, "no such entry")
        return unsafe UnsafeMutableRawPointer(header.pointee.base + message)
    }

    @inline(__always)
    subscript(message: Int, number: UInt32) -> UInt8 {
        get {
            // SAFETY: there are sixteen bytes.
            unsafe bytes(message).load(fromByteOffset: Int(number & 15), as: UInt8.self)
        }
        nonmutating set {
            // SAFETY: there are sixteen bytes.
            unsafe bytes(message).storeBytes(of: newValue, toByteOffset: Int(number & 15), as: UInt8.self)
        }
    }
}

/// Bytes that stay where they are until all of them are given up. Not thread safe.
@safe
final class EditorBytes {
    private static let chunkBytes = 64 << 10
    /// A longer piece has memory of its own.
    static let pieceBytesMax = chunkBytes / 4
    /// Chunks kept from request to request.
    private static let keptChunks = 4

    /// What is left of the chunk that is being filled. In memory of its own: see `EditorList`.
    @unsafe private struct Room {
        var next: UnsafeMutableRawPointer?
        var count = 0
    }

    private let room: UnsafeMutablePointer<Room>
    private var chunks: [UnsafeMutableRawBufferPointer] = unsafe []
    /// Chunks that were begun.
    private var begun = 0
    /// Pieces too large for a chunk.
    private var large: [UnsafeMutableRawBufferPointer] = unsafe []
    private(set) var bytes = 0
    /// Told of each piece and chunk.
    private let budget: EditorBudget

    init(budget: EditorBudget) {
        self.budget = budget
        unsafe room = .allocate(capacity: 1)
        unsafe room.initialize(to: Room())
    }

    deinit {
        for index in unsafe chunks.indices { unsafe chunks[index].deallocate() }
        for index in unsafe large.indices { unsafe large[index].deallocate() }
        unsafe room.deallocate()
    }

    /// Room for so many bytes, not initialized, valid until `removeAll`.
    @inline(__always)
    func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        guard count >= 0, let next = unsafe room.pointee.next, unsafe count <= room.pointee.count
        else {
            return unsafe takeMore(count)
        }
        unsafe room.pointee.next = next + count
        unsafe room.pointee.count &-= count
        // SAFETY: the chunk has room.
        return unsafe UnsafeMutableRawBufferPointer(start: next, count: count)
    }

    /// Gives back the end of the room that was taken last, which is at most `pieceBytesMax`.
    @inline(__always)
    func giveBack(_ count: Int) {
        guard let next = unsafe room.pointee.next else { return }
        unsafe room.pointee.next = next - count
        unsafe room.pointee.count &+= count
    }

    @inline(never)
    private func takeMore(_ count: Int) -> UnsafeMutableRawBufferPointer {
        guard count <= Self.pieceBytesMax else {
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
            unsafe large.append(piece)
            grow(by: count)
            return unsafe piece
        }
        if unsafe begun == chunks.count {
            unsafe chunks.append(.allocate(byteCount: Self.chunkBytes, alignment: 8))
            grow(by: Self.chunkBytes)
        }
        unsafe room.pointee = unsafe Room(next: chunks[begun].baseAddress, count: Self.chunkBytes)
        begun += 1
        return unsafe take(count)
    }

    private func grow(by count: Int) {
        bytes += count
        budget.allows(bytes)
    }

    /// A copy.
    func keep(_ source: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let room = unsafe take(source.count)
        unsafe room.copyMemory(from: source)
        return UnsafeRawBufferPointer(room)
    }

    /// Gives everything up; some chunks are kept for the next request.
    func removeAll() {
        while let piece = unsafe large.popLast() {
            bytes -= piece.count
            unsafe piece.deallocate()
        }
        while unsafe chunks.count > Self.keptChunks {
            if let chunk = unsafe chunks.popLast() { unsafe chunk.deallocate() }
            bytes -= Self.chunkBytes
        }
        begun = 0
        unsafe room.pointee = unsafe Room()
    }
}
