/// One message of the request that an editor has open: a handle, valid until the editor opens another request or the
/// message is closed.
public struct MessageID: Hashable, Sendable {
    let index: Int32
}

/// A request open for change, wire to wire.
///
/// A message is opened when it is asked for. The first few changes of its fields are patches of its bytes; only one whose
/// fields are asked for by position, or that has many patches, becomes a row of entries, each as it came or replaced. What
/// nobody opened, and each field that nobody replaced, is written as the run of bytes that it was, unknown fields included.
/// Opened messages are closed behind a walk: a changed one is folded into its parent, an unchanged one is forgotten. So the
/// working memory is that of one item and of what was changed.
///
///     messages   request ── resource entry ── scope entry ── span        handles are indices
///     entries    [1 1 1]    [1 2]             [1 2 2 2 2]                 a range each; moved to the end when it grows
///     patches                                                -5 … +9      up to eight, by position
///     kept       new values and folded messages
///
/// Ownership: borrows the request's bytes until the next `open` or `reset`; `WireBytes` that it gives are valid as long. One
/// thread at a time. Kept for the next request: opening allocates nothing once it has grown.
///
/// Public, as all that is called per item from other modules.
public final class RequestEditor {
    struct Entry: BitwiseCopyable {
        /// 0 for a removed one.
        var number: UInt32
        var kind: WireKind
        /// Not as in the source: `content` or `bits` are new.
        var isNew = false
        /// Reads as absent until its child is changed.
        var isVirtual = false
        /// The opened message; -1 while there is none.
        var child: Int32 = -1
        var bits: UInt64 = 0
        /// The content of a length-delimited field: in the source, or kept.
        var content = WireBytes.none
        /// Where the field lies in the source, with its tag.
        var start: UInt32 = 0
        var end: UInt32 = 0
    }

    struct Message: BitwiseCopyable {
        var source: WireBytes
        /// Its entries; -1 while its fields are read from the source.
        var first: Int32 = -1
        var count: Int32 = 0
        var capacity: Int32 = 0
        /// Its patches; -1 while there is none, and once there is a row.
        var firstPatch: Int32 = -1
        var patchCount: Int32 = 0
        /// Patches that there were when it was opened.
        var patchBase: Int32 = 0
        /// Fields in the source; -1 while nobody walked over all.
        var sourceFields: Int32 = -1
        /// -1 for the request.
        let parent: Int32
        /// The entry in the parent.
        let position: Int32
        /// Itself or something in it.
        var isChanged = false
        /// Of its content; counted by `measure`.
        var writtenCount = 0
    }

    let messages = EditorList<Message>(capacity: 16)
    let entries = EditorList<Entry>(capacity: 256)
    let patches = EditorList<Place>(capacity: 64)
    let budget: EditorBudget
    let kept: EditorBytes
    /// Messages behind whose entries stand those of one that was opened before them, and grew.
    private var pinned: Range<Int32> = 0..<0
    /// The one field that was found last: statements that read one mostly set it next.
    let lastFound = EditorList<Place>(capacity: 1)

    /// One without a request: `root` reads as empty.
    public init() {
        budget = EditorBudget()
        kept = EditorBytes(budget: budget)
        lastFound.append(.nowhere)
        open(.none)
    }

    deinit {
        messages.deallocate()
        entries.deallocate()
        patches.deallocate()
        lastFound.deallocate()
        budget.deallocate()
    }

    /// Opens a request, which must be valid, and gives up what was open. Borrows the bytes until the next one.
    public func open(_ request: WireBytes) {
        reset()
        _ = openMessage(request, parent: -1, position: -1)
    }

    private func reset() {
        messages.removeLast(to: 0)
        entries.removeLast(to: 0)
        // What is written to where there is no memory.
        entries.append(Entry(number: 0, kind: .bytes))
        patches.removeLast(to: 0)
        kept.removeAll()
        budget.reset()
        pinned = 0..<0
    }

    /// The `Export*ServiceRequest`.
    public var root: MessageID { MessageID(index: 0) }

    /// Whether anything differs from what was opened.
    public var isChanged: Bool { messages[0].isChanged }

    /// Bytes of memory held now.
    public var workingBytes: Int { messages.bytes + entries.bytes + patches.bytes + kept.bytes }

    // MARK: - Memory

    /// Limits the memory that is held. `ask` gets the bytes that are needed in all once they are more than `granted`, and says
    /// how many may be held from then on; nil: no more, see `isOutOfMemory`.
    public func limitMemory(to granted: Int, _ ask: @escaping (_ bytes: Int) -> Int?) {
        budget.limit(to: granted, ask)
    }

    /// Whether it needed more memory than it may hold, until another request is opened. Walks have ended early then, and what
    /// would be written is not whole: refuse the request.
    public var isOutOfMemory: Bool { budget.isExhausted }

    /// The fields of a longer message are counted before there is a row of them.
    private static let countedBytes = 64 << 10

    // MARK: - Opening

    private func openMessage(_ source: WireBytes, parent: Int32, position: Int32) -> MessageID {
        forgetFound()
        let bytes = messages.bytes
        var message = Message(source: source, parent: parent, position: position)
        message.patchBase = Int32(truncatingIfNeeded: patches.count)
        messages.append(message)
        if messages.bytes != bytes { holdLists() }
        return MessageID(index: Int32(truncatingIfNeeded: messages.count - 1))
    }

    /// The row of a message whose entries are asked for; made when it is first.
    @inline(__always)
    func row(_ message: MessageID) -> Message {
        let row = messages[Int(message.index)]
        return row.first >= 0 ? row : indexed(message)
    }

    private func indexed(_ message: MessageID) -> Message {
        let index = Int(message.index)
        let first = entries.count
        pin(above: message)
        let bytes = entries.bytes
        let source = messages[index].source
        var hasRoom = true
        if source.count > Self.countedBytes {
            var count = 0
            for _ in source.fields { count += 1 }
            hasRoom = budget.allows(kept.bytes + count * MemoryLayout<Entry>.stride)
        }
        var fields = (hasRoom ? source : .none).fields
        entries.appendAll { Entry(next: &fields) }
        let count = Int32(truncatingIfNeeded: entries.count - first)
        messages[index].first = Int32(truncatingIfNeeded: first)
        messages[index].count = count
        messages[index].capacity = count
        if messages[index].firstPatch >= 0 { applyPatches(message) }
        if entries.bytes != bytes { holdLists() }
        return messages[index]
    }

    /// Asks for what the lists take, once one has grown.
    func holdLists() {
        budget.hold(lists: messages.bytes + entries.bytes + patches.bytes)
        budget.allows(kept.bytes)
    }

    /// Opens the message in the field at a position; the same id while it is open.
    public func child(_ message: MessageID, at position: Int) -> MessageID {
        let index = entryIndex(message, position)
        let open = entries[index].child
        if open >= 0 { return MessageID(index: open) }
        let child = openMessage(
            entries[index].content, parent: message.index, position: Int32(truncatingIfNeeded: position))
        entries[index].child = child.index
        return child
    }

    /// Opens the last message of a field number. Where there is none: a virtual one, which reads as empty and comes into
    /// being when it is changed.
    public func child(_ message: MessageID, _ number: UInt32) -> MessageID {
        let position: Int
        if let last = lastPosition(message, number, virtual: true) {
            position = last
        } else {
            position = appendEntry(message, Entry(number: number, kind: .bytes, isNew: true, isVirtual: true))
        }
        return child(message, at: position)
    }

    /// A new, empty message at the end of its parent.
    public func appendChild(_ message: MessageID, _ number: UInt32) -> MessageID {
        let position = appendEntry(message, Entry(number: number, kind: .bytes, isNew: true))
        markChanged(message)
        return child(message, at: position)
    }

    /// Says that a message is not looked at any more: a changed one is folded into its parent, an unchanged one forgotten. Its
    /// id, and those of all opened in it, are not valid afterwards. One that others were opened after, outside of it, stays
    /// open, and so does a large one, which would be copied once more: that costs memory only.
    public func close(_ id: MessageID) {
        forgetFound()
        let closing = id.index
        let message = messages[Int(closing)]
        guard message.parent >= 0, isLast(closing) else { return }
        let place = entryIndex(of: message)
        if entries[place].child == closing {
            if message.isChanged {
                guard let content = folded(closing, atMost: Self.foldedBytesMax) else { return }
                entries[place].content = content
                entries[place].isNew = true
            }
            entries[place].child = -1
        }
        messages.removeLast(to: Int(closing))
        if message.first >= 0, !pinned.contains(closing) { entries.removeLast(to: Int(message.first)) }
        pinned = min(pinned.lowerBound, closing)..<min(pinned.upperBound, closing)
        patches.removeLast(to: Int(message.patchBase))
    }

    /// A changed message larger than this stays open.
    private static let foldedBytesMax = 32 << 10

    /// Whether everything that was opened later is inside of it.
    private func isLast(_ closing: Int32) -> Bool {
        var later = closing + 1
        while later < messages.count {
            guard messages[Int(later)].parent >= closing else { return false }
            later += 1
        }
        return true
    }

    /// Says that entries of a message are about to stand behind those of all that were opened after it.
    private func pin(above message: MessageID) {
        let first = message.index + 1
        let opened = Int32(truncatingIfNeeded: messages.count)
        guard first < opened else { return }
        pinned = (pinned.isEmpty ? first : min(pinned.lowerBound, first))..<opened
    }

    // MARK: - Entries

    @inline(__always)
    func entryIndex(_ message: MessageID, _ position: Int) -> Int {
        let row = row(message)
        guard position >= 0, position < Int(row.count) else {
            precondition(isOutOfMemory, "the message has no such field")
            return nowhere()
        }
        return Int(row.first) + position
    }

    /// The entry of its parent in which a message stands.
    @inline(__always)
    private func entryIndex(of message: Message) -> Int {
        let parent = messages[Int(message.parent)]
        return message.position < parent.count ? Int(parent.first + message.position) : nowhere()
    }

    /// An entry for what is asked of a row for which there was no memory; such a request is refused.
    @inline(never)
    private func nowhere() -> Int {
        entries[0] = Entry(number: 0, kind: .bytes)
        return 0
    }

    /// The position of the last field of a number.
    func lastPosition(_ message: MessageID, _ number: UInt32, virtual: Bool = false) -> Int? {
        let row = row(message)
        var position = Int(row.count) - 1
        while position >= 0 {
            let entry = entries[Int(row.first) + position]
            if entry.number == number, virtual || !entry.isVirtual { return position }
            position -= 1
        }
        return nil
    }

    /// Adds a field; its position. The message moves to the end when it has no room.
    func appendEntry(_ message: MessageID, _ entry: Entry) -> Int {
        let index = Int(message.index)
        let row = row(message)
        let bytes = entries.bytes
        let end = Int(row.first + row.capacity)
        if row.count < row.capacity {
            entries[Int(row.first + row.count)] = entry
        } else if end == entries.count {
            entries.append(entry)
            messages[index].capacity += 1
        } else {
            let spare = max(4, row.capacity)
            pin(above: message)
            messages[index].first = Int32(truncatingIfNeeded: entries.count)
            messages[index].capacity = row.count + spare
            entries.append(
                copying: Int(row.first)..<Int(row.first + row.count), reserving: Int(spare), filler: entry)
        }
        messages[index].count += 1
        if entries.bytes != bytes { holdLists() }
        return Int(row.count)
    }

    /// Marks a message and all around it; what was virtual comes into being.
    func markChanged(_ message: MessageID) {
        var index = Int(message.index)
        while !messages[index].isChanged {
            messages[index].isChanged = true
            let parent = messages[index].parent
            guard parent >= 0 else { return }
            let place = entryIndex(of: messages[index])
            // A message whose field was replaced or removed meanwhile changes nothing.
            guard entries[place].child == index else { return }
            entries[place].isVirtual = false
            index = Int(parent)
        }
    }
}

extension RequestEditor.Entry {
    /// As it came, and not opened.
    @inline(__always)
    var isUntouched: Bool { !isNew && child < 0 }

    /// The next field of a message; nil at its end.
    @inline(__always)
    init?(next fields: inout WireFields) {
        guard let field = fields.next() else { return nil }
        self.init(field)
    }

    /// A field as it came.
    @inline(__always)
    init(_ field: WireField) {
        self.init(
            number: field.number, kind: field.kind, bits: field.bits, content: field.bytes,
            start: UInt32(truncatingIfNeeded: field.start), end: UInt32(truncatingIfNeeded: field.end))
    }
}
