internal import COTLP

/// Lengths first, children before parents; then one pass that copies untouched fields as runs.
extension RequestEditor {
    /// Bytes of the request as it is now.
    public var writtenCount: Int { measure(0) }

    /// Writes the request as it is now: exactly `writtenCount` bytes, asked for after the last change.
    public func write(into output: UnsafeMutableRawBufferPointer) {
        // SAFETY: the writer checks that there is room.
        var writer = unsafe FieldWriter(output)
        write(0, to: &writer)
        precondition(writer.isFull, "a request was written with another length than it was measured with")
    }

    /// A message as it is now, kept.
    func folded(_ index: Int32) -> WireBytes {
        guard let content = folded(index, atMost: .max) else {
            preconditionFailure("no message is that long")
        }
        return content
    }

    /// A message as it is now, kept, unless it is longer.
    func folded(_ index: Int32, atMost limit: Int) -> WireBytes? {
        let message = messages[Int(index)]
        let most = message.source.count + message.growth
        // Nearly always: counting would take nearly as long as writing.
        if message.isChanged, !message.hasChangedChild, most <= min(limit, EditorBytes.pieceBytesMax) {
            let room = unsafe kept.take(most)
            // SAFETY: the room is ours until the next request.
            var writer = unsafe FieldWriter(room)
            write(index, to: &writer)
            kept.giveBack(writer.unused)
            // SAFETY: what was written is inside of the room.
            return unsafe WireBytes(UnsafeRawBufferPointer(rebasing: room[..<(most - writer.unused)]))
        }
        let count = measure(index)
        guard count <= limit else { return nil }
        let room = unsafe kept.take(count)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        write(index, to: &writer)
        return unsafe WireBytes(UnsafeRawBufferPointer(room))
    }

    /// Counts the bytes of a message's content, and of all changed ones inside.
    private func measure(_ message: Int32) -> Int {
        let row = messages[Int(message)]
        guard row.isChanged else { return row.source.count }
        if overlay.message == message {
            let total = measureOverlay(row.source)
            messages[Int(message)].writtenCount = total
            return total
        }
        var total = row.source.count
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(touched(row))
        for position in 0..<fields.count {
            let entry = unsafe fields[position]
            switch whatBecomes(of: entry) {
            case .asItCame: continue
            case .nothing: total &-= Int(entry.end &- entry.start)
            case .new: total &+= newCount(entry) &- Int(entry.end &- entry.start)
            case .child:
                total &-= Int(entry.end &- entry.start)
                total += FieldWriter.count(entry.number, content: measure(entry.child))
            }
        }
        messages[Int(message)].writtenCount = total
        return total
    }

    /// - Parameter tail: bytes at the end that are left out: of the message's `untouchedTail` all or none.
    private func write(_ message: Int32, to writer: inout FieldWriter, without tail: Int = 0) {
        let row = messages[Int(message)]
        if overlay.message == message { return writeOverlay(row.source, to: &writer) }
        // Up to where the source was copied, or left out.
        var copied = 0
        if row.isChanged {
            // SAFETY: nothing is added meanwhile, and positions are below the count.
            let fields = unsafe entries.elements(touched(row))
            for position in 0..<fields.count {
                let entry = unsafe fields[position]
                let becomes = whatBecomes(of: entry)
                if case .asItCame = becomes { continue }
                // What was added stands behind all that came.
                let (start, end) =
                    entry.end == 0 ? (row.source.count, row.source.count) : (Int(entry.start), Int(entry.end))
                writer.copy(row.source, copied..<start)
                copied = end
                switch becomes {
                case .asItCame, .nothing: break
                case .new: write(new: entry, to: &writer)
                case .child:
                    writer.begin(entry.number, content: messages[Int(entry.child)].writtenCount)
                    write(entry.child, to: &writer, without: end == row.source.count ? tail : 0)
                }
            }
        }
        let left = row.source.count - copied
        writer.copy(row.source, copied..<copied + max(0, left - tail))
    }

    /// The entries of a changed message among which all are that are not written as they came.
    @inline(__always)
    private func touched(_ row: Message) -> Range<Int> {
        let end = min(row.touchedTo, row.count)
        return row.first >= 0 && row.touchedFrom < end
            ? Int(row.first + row.touchedFrom)..<Int(row.first + end) : 0..<0
    }

    // MARK: - What is changed in front of the rest

    /// What differs from the opened request, where all that does stands in front of its last bytes.
    public struct Front {
        /// All that stands in front of those, as it is now. Kept as long as the request is open.
        public let bytes: WireBytes
        /// How many bytes of the opened request follow as they came.
        public let tailCount: Int
    }

    /// The request as it is now, in two parts; nil when the first one would be longer.
    /// - Parameter count: its `writtenCount`, asked for after the last change.
    public func front(of count: Int, atMost limit: Int) -> Front? {
        let tail = untouchedTail(0)
        let frontCount = count - tail
        guard frontCount <= limit else { return nil }
        let room = unsafe kept.take(frontCount)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        write(0, to: &writer, without: tail)
        precondition(writer.isFull, "a request was written with another length than it was measured with")
        return Front(bytes: unsafe WireBytes(UnsafeRawBufferPointer(room)), tailCount: tail)
    }

    /// How many bytes at the end of a message are written as they came, behind all that is not.
    private func untouchedTail(_ message: Int32) -> Int {
        let row = messages[Int(message)]
        guard row.isChanged else { return row.source.count }
        guard overlay.message != message else { return 0 }
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(touched(row))
        for position in (0..<fields.count).reversed() {
            let entry = unsafe fields[position]
            let becomes = whatBecomes(of: entry)
            if case .asItCame = becomes { continue }
            // What was added stands behind all that came.
            guard entry.end != 0 else { return 0 }
            let left = row.source.count - Int(entry.end)
            guard left == 0, case .child = becomes, !entry.isNew else { return left }
            return untouchedTail(entry.child)
        }
        return row.source.count
    }

    private enum Becoming { case asItCame, nothing, new, child }

    @inline(__always)
    private func whatBecomes(of entry: Entry) -> Becoming {
        if entry.isUntouched { return .asItCame }
        if entry.isVirtual || entry.number == 0 { return .nothing }
        if entry.child >= 0, messages[Int(entry.child)].isChanged { return .child }
        return entry.isNew ? .new : .asItCame
    }
}
