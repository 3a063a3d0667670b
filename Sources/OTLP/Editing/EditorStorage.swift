/// Plain values behind each other, kept from request to request. Not thread safe.
@safe
struct EditorList<Element: BitwiseCopyable>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private(set) var count = 0
    private(set) var capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe base = .allocate(capacity: capacity)
    }

    deinit {
        unsafe base.deallocate()
    }

    /// Bytes held.
    var bytes: Int { capacity * MemoryLayout<Element>.stride }

    subscript(index: Int) -> Element {
        @inline(__always)
        _read {
            precondition(index >= 0 && index < count, "no such entry")
            // SAFETY: the index was checked.
            yield unsafe base[index]
        }
        @inline(__always)
        _modify {
            precondition(index >= 0 && index < count, "no such entry")
            // SAFETY: the index was checked.
            yield unsafe &base[index]
        }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        if count == capacity { grow(to: count + 1) }
        // SAFETY: there is room.
        unsafe (base + count).initialize(to: element)
        count += 1
    }

    /// Adds copies of a range of its own, and room after them that is filled with the first one.
    mutating func append(copying range: Range<Int>, reserving reserved: Int, filler: Element) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "no such entries")
        if count + range.count + reserved > capacity { grow(to: count + range.count + reserved) }
        // SAFETY: there is room, and the ranges do not overlap.
        unsafe (base + count).initialize(from: base + range.lowerBound, count: range.count)
        unsafe (base + count + range.count).initialize(repeating: filler, count: reserved)
        count += range.count + reserved
    }

    mutating func removeLast(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "no such entries")
        count = newCount
    }

    private mutating func grow(to least: Int) {
        let larger = max(capacity * 2, least)
        let new = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        // SAFETY: the old ones are `count` initialized elements.
        unsafe new.moveInitialize(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = unsafe new
        capacity = larger
    }
}

/// Bytes that stay where they are until all of them are given up. Not thread safe.
@safe
struct EditorBytes: ~Copyable {
    private static let chunkBytes = 64 << 10
    /// Chunks kept from request to request.
    private static let keptChunks = 4

    private var chunks: [UnsafeMutableRawBufferPointer] = unsafe []
    /// The chunk that is being filled.
    private var current = 0
    private var used = 0
    /// Pieces too large for a chunk.
    private var large: [UnsafeMutableRawBufferPointer] = unsafe []
    private(set) var bytes = 0

    deinit {
        for index in unsafe chunks.indices { unsafe chunks[index].deallocate() }
        for index in unsafe large.indices { unsafe large[index].deallocate() }
    }

    /// Room for so many bytes, not initialized, valid until `removeAll`.
    mutating func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        guard count <= Self.chunkBytes / 4 else {
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
            unsafe large.append(piece)
            bytes += count
            return unsafe piece
        }
        if unsafe current < chunks.count, used + count > Self.chunkBytes {
            current += 1
            used = 0
        }
        if unsafe current == chunks.count {
            unsafe chunks.append(.allocate(byteCount: Self.chunkBytes, alignment: 8))
            bytes += Self.chunkBytes
        }
        defer { used += count }
        // SAFETY: the chunk has room from `used` on.
        return unsafe UnsafeMutableRawBufferPointer(rebasing: chunks[current][used..<used + count])
    }

    /// A copy.
    mutating func keep(_ source: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let room = unsafe take(source.count)
        unsafe room.copyMemory(from: source)
        return UnsafeRawBufferPointer(room)
    }

    /// Gives everything up; some chunks are kept for the next request.
    mutating func removeAll() {
        while let piece = unsafe large.popLast() {
            bytes -= piece.count
            unsafe piece.deallocate()
        }
        while unsafe chunks.count > Self.keptChunks {
            if let chunk = unsafe chunks.popLast() { unsafe chunk.deallocate() }
            bytes -= Self.chunkBytes
        }
        current = 0
        used = 0
    }
}
