internal import COTLP

/// One message of the request that an editor has open: a handle, valid until the editor opens another request or the
/// message is closed.
public struct MessageID: Hashable, Sendable {
    let index: Int32
}

/// A request open for change, wire to wire.
///
/// A message is opened when it is asked for. One that is read once is searched; for the second read, and for a change, its
/// attributes are put into the overlay if they are asked for by key, else it becomes a row of entries, made in one walk: each as
/// it came or replaced. What nobody opened, and each field that nobody replaced, is written as the run of bytes that it was,
/// unknown fields included. Opened messages are closed behind a walk: a changed one is folded into its parent, an unchanged one
/// is forgotten. So the working memory is that of one item and of what was changed.
///
///     messages   request ── resource entry ── scope entry ── span        handles are indices
///     entries    [1 1 1]    [1 2]             [1 2 2 2 2]  [1 2 4 5 …]    a range each; moved to the end when it grows
///     made       which of them are new, and what they are
///     kept       the bytes of new values and folded messages
///
/// Ownership: borrows the request's bytes until the next `open` or `reset`; `WireBytes` that it gives are valid as long. One
/// thread at a time. Kept for the next request: opening allocates nothing once it has grown.
///
/// Public, as all that is called per item from other modules.
public final class RequestEditor {
    struct Message: BitwiseCopyable {
        let source: WireBytes
        /// How many of `made` there were when it was opened.
        let madeBefore: Int32
        /// Its entries; -1 while its fields are read from the source.
        var first: Int32 = -1
        var count: Int32 = 0
        var capacity: Int32 = 0
        /// The positions from the first to behind the last field that was opened, replaced, removed or added.
        var touchedFrom: Int32 = .max
        var touchedTo: Int32 = 0
        /// Whether it was searched without a row.
        var isRead = false
        /// Whether its attributes stood in the overlay, or were to.
        var wasOverlaid = false
        /// -1 for the request.
        let parent: Int32
        /// The entry in the parent.
        let position: Int32
        /// Itself or something in it.
        var isChanged = false
        /// Whether a message in it was changed.
        var hasChangedChild = false
        /// Bytes that new fields add at most, opened messages apart.
        var growth = 0
        /// Of its content; counted by `measure`.
        var writtenCount = 0
    }

    let messages = EditorList<Message>(capacity: 16)
    let entries = EditorList<Entry>(capacity: 256)
    let made = EditorList<Made>(capacity: 64)
    /// Of each message with a row, by its last four bits of a field number: the last position of such a field. Most numbers are
    /// below 16, so that one look finds a field.
    let lastPositions = EditorList<LastPositions>(capacity: 16)
    let budget: EditorBudget
    let kept: EditorBytes
    /// Messages behind whose entries stand those of one that was opened before them, and grew.
    private var pinned: Range<Int32> = 0..<0
    /// How many of `made` may be of messages that stay open when the last one is closed.
    private var pinnedMade = 0
    /// The attribute that was found last: statements that read one mostly set it next.
    let lastFound = EditorList<Found>(capacity: 1)
    /// The attributes of one message that has no row.
    let overlay = AttributeOverlay()
    /// Of messages with many fields.
    let indexes = AttributeIndexes()

    /// One without a request: `root` reads as empty.
    public init() {
        budget = EditorBudget()
        kept = EditorBytes(budget: budget)
        lastFound.append(Found())
        open(.none)
    }

    deinit {
        messages.deallocate()
        entries.deallocate()
        made.deallocate()
        lastPositions.deallocate()
        lastFound.deallocate()
        overlay.deallocate()
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
        made.removeLast(to: 0)
        // What is written to where there is no memory.
        entries.append(Entry(number: 0, kind: .bytes, made: Entry.empty))
        lastPositions.removeLast(to: 0)
        kept.removeAll()
        budget.reset()
        pinned = 0..<0
        pinnedMade = 0
        forgetFound()
        if indexes.isUsed { indexes.forget(from: 0) }
        overlay.clear()
    }

    /// The `Export*ServiceRequest`.
    public var root: MessageID { MessageID(index: 0) }

    /// Whether anything differs from what was opened.
    public var isChanged: Bool { messages[0].isChanged }

    /// Bytes of memory held now.
    public var workingBytes: Int { listBytes + kept.bytes }

    private var listBytes: Int {
        messages.bytes + lastPositions.bytes + entries.bytes + made.bytes
            + (indexes.isUsed ? indexes.bytes : 0)
    }

    // MARK: - Memory

    /// Limits the memory that is held. `ask` gets the bytes that are needed in all once they are more than `granted`, and says
    /// how many may be held from then on; nil: no more, see `isOutOfMemory`.
    public func limitMemory(to granted: Int, _ ask: @escaping (_ bytes: Int) -> Int?) {
        budget.limit(to: granted, ask)
    }

    /// Whether it needed more memory than it may hold, until another request is opened. Walks have ended early then, and what
    /// would be written is not whole: refuse the request.
    public var isOutOfMemory: Bool { budget.isExhausted }

    /// Bytes of the request that is open, as it came.
    public var openedBytes: Int { messages[0].source.count }

    /// Whether somebody may hold so many bytes on behalf of the open request; else `isOutOfMemory`.
    public func mayHold(_ bytes: Int) -> Bool { budget.allows(kept.bytes + bytes) }

    /// The fields of a longer message are counted before there is a row of them.
    private static let countedBytes = 64 << 10

    // MARK: - Opening

    private func openMessage(_ source: WireBytes, parent: Int32, position: Int32) -> MessageID {
        let bytes = messages.bytes
        messages.append(
            Message(
                source: source, madeBefore: Int32(truncatingIfNeeded: made.count), parent: parent,
                position: position))
        lastPositions.reserve(1)
        forgetFound()
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
        unsafe entries.appendFields(of: hasRoom ? source : .none, lastPositions.bytes(index))
        let count = Int32(truncatingIfNeeded: entries.count - first)
        messages[index].first = Int32(truncatingIfNeeded: first)
        messages[index].count = count
        messages[index].capacity = count
        if entries.bytes != bytes { holdLists() }
        if overlay.message == message.index { moveOverlay(to: message) }
        return messages[index]
    }

    /// Asks for what the lists take, once one has grown.
    func holdLists() {
        budget.hold(lists: listBytes)
        budget.allows(kept.bytes)
    }

    /// Opens the message in the field at a position; the same id while it is open.
    public func child(_ message: MessageID, at position: Int) -> MessageID {
        let index = entryIndex(message, position)
        let open = entries[index].child
        return open >= 0 ? MessageID(index: open) : openEntry(index, message, position)
    }

    /// Opens the message in a field that is not open.
    func openEntry(_ index: Int, _ message: MessageID, _ position: Int) -> MessageID {
        let child = openMessage(
            content(of: entries[index], in: message), parent: message.index,
            position: Int32(truncatingIfNeeded: position))
        entries[index].child = child.index
        entries[index].key_count = KeyValueParts.unusual
        if indexes.isUsed { indexes.opened(message.index, entries[index].number) }
        return child
    }

    /// Opens the last message of a field number. Where there is none: a virtual one, which reads as empty and comes into
    /// being when it is changed.
    public func child(_ message: MessageID, _ number: UInt32) -> MessageID {
        let position: Int
        if let last = lastPosition(message, number, virtual: true) {
            position = last
        } else {
            position = appendEntry(message, Entry(number: number, kind: .bytes, made: Entry.virtual))
        }
        return child(message, at: position)
    }

    /// A new, empty message at the end of its parent.
    public func appendChild(_ message: MessageID, _ number: UInt32) -> MessageID {
        let position = appendEntry(message, Entry(number: number, kind: .bytes, made: Entry.empty))
        markChanged(message)
        return child(message, at: position)
    }

    /// Says that a message is not looked at any more: a changed one is folded into its parent, an unchanged one forgotten. Its
    /// id, and those of all opened in it, are not valid afterwards. One that others were opened after, outside of it, stays
    /// open, and so does a large one, which would be copied once more: that costs memory only.
    public func close(_ id: MessageID) {
        let closing = id.index
        let message = messages[Int(closing)]
        guard message.parent >= 0, isLast(closing) else { return giveUpOverlay(closing) }
        let place = entryIndex(of: message)
        let isInPlace = entries[place].child == closing
        var content: WireBytes?
        if isInPlace, message.isChanged {
            let most = message.parent == 0 ? Self.foldedResourceBytesMax : Self.foldedBytesMax
            if message.source.count > most { return giveUpOverlay(closing) }
            content = folded(closing, atMost: most)
            if content == nil { return giveUpOverlay(closing) }
        }
        if overlay.message >= closing { overlay.clear() }
        forgetFound()
        if indexes.isUsed { indexes.forget(from: closing) }
        messages.removeLast(to: Int(closing))
        lastPositions.removeLast(to: Int(closing))
        if message.first >= 0, !pinned.contains(closing) { entries.removeLast(to: Int(message.first)) }
        if !pinned.isEmpty {
            pinned = min(pinned.lowerBound, closing)..<min(pinned.upperBound, closing)
        }
        made.removeLast(to: max(Int(message.madeBefore), pinnedMade))
        guard isInPlace else { return }
        entries[place].child = -1
        if let content { make(place, message.parent, Made(content: content)) }
    }

    /// A message that stays open leaves the overlay to others.
    private func giveUpOverlay(_ closing: Int32) {
        if overlay.message == closing { _ = row(MessageID(index: closing)) }
    }

    /// A changed message larger than this stays open.
    private static let foldedBytesMax = 32 << 10
    /// The same of a resource with what belongs to it, where otherwise all of that would be copied once more, and would not be known
    /// as what did not change.
    private static let foldedResourceBytesMax = 4 << 10

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

    /// Says that what was made last is of a message behind which others are open.
    func pinMade() { pinnedMade = made.count }

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
        entries[0] = Entry(number: 0, kind: .bytes, made: Entry.empty)
        return 0
    }

    /// The position of the last field of a number.
    @inline(__always)
    func lastPosition(_ message: MessageID, _ number: UInt32, virtual: Bool = false) -> Int? {
        let row = row(message)
        let last = lastPositions[Int(message.index), number]
        if last == LastPositions.none { return nil }
        if last < row.count, last < LastPositions.far {
            let entry = entries[Int(row.first) + Int(last)]
            if entry.number == number, virtual || !entry.isVirtual { return Int(last) }
        }
        return scannedPosition(message, row, number, virtual: virtual)
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
            // An empty row of a message inside begins here, too: closing it must not take this entry away.
            pin(above: message)
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
        messages[index].growth += newCountMax(entry)
        // It may give an attribute of its parent another key.
        if row.parent == lastFound[0].message { forgetFound() }
        if indexes.isUsed { indexes.added(message.index, entry.number) }
        lastPositions[index, entry.number] = UInt8(
            truncatingIfNeeded: min(row.count, Int32(LastPositions.far)))
        touch(index, row.count)
        if entries.bytes != bytes { holdLists() }
        return Int(row.count)
    }

    /// Says that the field at a position is not written as it came.
    @inline(__always)
    func touch(_ message: Int, _ position: Int32) {
        guard position >= 0 else { return }
        if position < messages[message].touchedFrom { messages[message].touchedFrom = position }
        if position >= messages[message].touchedTo { messages[message].touchedTo = position + 1 }
    }

    /// Marks a message and all around it; what was virtual comes into being.
    func markChanged(_ message: MessageID) {
        var index = Int(message.index)
        while !messages[index].isChanged {
            messages[index].isChanged = true
            let parent = messages[index].parent
            guard parent >= 0 else { return }
            messages[Int(parent)].hasChangedChild = true
            let place = entryIndex(of: messages[index])
            touch(Int(parent), messages[index].position)
            // A message whose field was replaced or removed meanwhile changes nothing.
            guard entries[place].child == index else { return }
            if entries[place].isVirtual {
                entries[place].made = Entry.empty
                if indexes.isUsed { indexes.added(parent, entries[place].number) }
            }
            index = Int(parent)
        }
    }
}
