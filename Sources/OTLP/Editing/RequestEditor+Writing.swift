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
        if row.first < 0 {
            let count = measurePatched(row)
            messages[Int(message)].writtenCount = count
            return count
        }
        var total = 0
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(Int(row.first)..<Int(row.first + row.count))
        for position in 0..<fields.count {
            let entry = unsafe fields[position]
            if entry.isUntouched {
                total &+= Int(entry.end &- entry.start)
                continue
            }
            guard entry.number != 0, !entry.isVirtual else { continue }
            if entry.child >= 0, messages[Int(entry.child)].isChanged {
                total += FieldWriter.count(entry.number, content: measure(entry.child))
            } else if !entry.isNew {
                total &+= Int(entry.end &- entry.start)
            } else {
                total += entry.newCount
            }
        }
        messages[Int(message)].writtenCount = total
        return total
    }

    private func write(_ message: Int32, to writer: inout FieldWriter) {
        let row = messages[Int(message)]
        guard row.isChanged else { return writer.copy(row.source, 0..<row.source.count) }
        if row.first < 0 { return writePatched(row, to: &writer) }
        // The run of untouched fields that was not copied yet.
        var (runStart, runEnd) = (0, 0)
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(Int(row.first)..<Int(row.first + row.count))
        for position in 0..<fields.count {
            let entry = unsafe fields[position]
            guard entry.isUntouched || (entry.number != 0 && !entry.isVirtual) else { continue }
            let isChild = entry.child >= 0 && messages[Int(entry.child)].isChanged
            if entry.isUntouched || (!entry.isNew && !isChild) {
                if runEnd != Int(entry.start) {
                    writer.copy(row.source, runStart..<runEnd)
                    runStart = Int(entry.start)
                }
                runEnd = Int(entry.end)
                continue
            }
            writer.copy(row.source, runStart..<runEnd)
            (runStart, runEnd) = (0, 0)
            if isChild {
                writer.begin(entry.number, content: messages[Int(entry.child)].writtenCount)
                write(entry.child, to: &writer)
            } else {
                writer.new(entry)
            }
        }
        writer.copy(row.source, runStart..<runEnd)
    }
}
