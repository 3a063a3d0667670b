internal import COTLP

/// The attributes of one message, and what becomes of them, without a row: most processors change nothing else of an item. One
/// message has it at a time; a row takes over what was changed when more than attributes by key is asked for. Not thread safe.
///
/// A reference, as `EditorList`; the editor deallocates it.
@safe
struct AttributeOverlay {
    private static let countMax = COTLP_OVERLAY_MAX

    @unsafe private struct State {
        var message: Int32 = -1
        var number: UInt32 = 0
        var count = 0
        var changed: UInt64 = 0
        /// See `cotlp_overlay_read`.
        let keyCounts: UnsafeMutablePointer<UInt8>
        let attributes: UnsafeMutablePointer<cotlp_overlaid>
    }

    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        let keyCounts = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.countMax)
        // The C function reads eight at once, also behind the last one.
        unsafe keyCounts.initialize(repeating: KeyValueParts.unusual, count: Self.countMax)
        unsafe state.initialize(
            to: State(keyCounts: keyCounts, attributes: .allocate(capacity: Self.countMax)))
    }

    /// Once, by the owner, when nobody uses it any more.
    func deallocate() {
        unsafe state.pointee.keyCounts.deallocate()
        unsafe state.pointee.attributes.deallocate()
        unsafe state.deallocate()
    }

    /// Whose attributes they are; -1: nobody's.
    @inline(__always)
    var message: Int32 { unsafe state.pointee.message }

    /// The number of the message's `KeyValue` fields.
    @inline(__always)
    var number: UInt32 { unsafe state.pointee.number }

    /// A bit for each attribute that is not as it came.
    @inline(__always)
    var changed: UInt64 { unsafe state.pointee.changed }

    @inline(__always)
    func clear() {
        unsafe state.pointee.message = -1
        unsafe state.pointee.changed = 0
    }

    /// Turns to the attributes of a message; false, and they are nobody's: these need a row.
    func open(_ source: WireBytes, number: UInt32, of message: Int32) -> Bool {
        clear()
        // SAFETY: the C function reads inside of the source, and writes `countMax` at most.
        let count = unsafe cotlp_overlay_read(
            source.bytePointer, source.count, number, state.pointee.keyCounts, state.pointee.attributes)
        guard count >= 0 else { return false }
        unsafe state.pointee.message = message
        unsafe state.pointee.number = number
        unsafe state.pointee.count = count
        return true
    }

    /// The first attribute with a key.
    @inline(__always)
    func find(_ key: WireBytes, from start: Int = 0) -> Int? {
        // SAFETY: the C function reads inside of the key, and of attributes, which live as long as the request.
        let found = unsafe cotlp_overlay_find(
            state.pointee.keyCounts, state.pointee.attributes, start, state.pointee.count, key.bytePointer,
            key.count)
        return found < 0 ? nil : found
    }

    @inline(__always)
    private func checked(_ index: Int) -> Int {
        precondition(unsafe index >= 0 && index < state.pointee.count, "no such attribute")
        return index
    }

    /// What an attribute is now: a `KeyValue` in the usual form.
    @inline(__always)
    func content(_ index: Int) -> WireBytes {
        let attribute = unsafe state.pointee.attributes[checked(index)]
        // SAFETY: it lives as long as the request.
        return unsafe WireBytes(base: attribute.content, count: Int(attribute.count))
    }

    /// The `AnyValue` of an attribute.
    @inline(__always)
    func value(_ index: Int) -> WireBytes {
        KeyValueParts.usualValue(
            of: content(index), behind: unsafe Int(state.pointee.keyCounts[checked(index)]))
    }

    /// Where the field of an attribute begins in the source; at its end for one that was added.
    @inline(__always)
    func start(_ index: Int) -> Int { unsafe Int(state.pointee.attributes[checked(index)].start) }

    @inline(__always)
    func isRemoved(_ index: Int) -> Bool {
        unsafe state.pointee.keyCounts[checked(index)] == KeyValueParts.unusual
    }

    func remove(_ index: Int) {
        unsafe state.pointee.keyCounts[checked(index)] = KeyValueParts.unusual
        unsafe state.pointee.changed |= 1 << UInt64(index)
    }

    /// Gives an attribute another content; false, and nothing is changed: that is not in the usual form.
    func replace(_ index: Int, with content: WireBytes) -> Bool {
        put(content, at: index, start: start(index))
    }

    /// Adds an attribute; false, and nothing is changed: there are too many, or it is not in the usual form.
    /// - Parameter end: of the source.
    func append(_ content: WireBytes, behind end: Int) -> Bool {
        let index = unsafe state.pointee.count
        guard index < Self.countMax, put(content, at: index, start: end) else { return false }
        unsafe state.pointee.count = index + 1
        return true
    }

    @inline(__always)
    private func put(_ content: WireBytes, at index: Int, start: Int) -> Bool {
        let keyCount = KeyValueParts.usualKeyCount(of: content)
        guard keyCount != KeyValueParts.unusual else { return false }
        // SAFETY: the callers have checked that there is room.
        unsafe state.pointee.keyCounts[index] = keyCount
        unsafe state.pointee.attributes[index] = unsafe cotlp_overlaid(
            content: content.bytePointer, count: UInt32(content.count), start: UInt32(start))
        unsafe state.pointee.changed |= 1 << UInt64(index)
        return true
    }
}

/// The editor's side: who has it, and what is written of it.
extension RequestEditor {
    /// Whether the attributes stand in the overlay; they are read into it if they may.
    @inline(__always)
    func isOverlaid(_ table: AttributeTable) -> Bool {
        overlay.message == table.message.index && overlay.number == table.number || overlays(table)
    }

    private func overlays(_ table: AttributeTable) -> Bool {
        let index = Int(table.message.index)
        let message = messages[index]
        guard message.first < 0, !message.wasOverlaid else { return false }
        if overlay.changed != 0 {
            // A resource that was changed first would keep it from all of its items.
            guard overlay.message != table.message.index else { return false }
            _ = row(MessageID(index: overlay.message))
            guard overlay.changed == 0 else { return false }
        }
        messages[index].isRead = true
        messages[index].wasOverlaid = true
        return overlay.open(message.source, number: table.number, of: table.message.index)
    }

    /// Says that an attribute of the overlay is not as it came.
    /// - Parameter count: bytes of what it is now.
    func overlayChanged(_ count: Int) {
        let message = overlay.message
        messages[Int(message)].growth += newFieldCountMax + count
        if !messages[Int(message)].isChanged { markChanged(MessageID(index: message)) }
    }

    /// Has the row of a message, which was made just now, take over what was changed.
    func moveOverlay(to message: MessageID) {
        let number = overlay.number
        // Attributes stand in the order of the fields.
        var (changed, next) = (overlay.changed, 0)
        messages[Int(message.index)].growth = 0
        while changed != 0 {
            let index = changed.trailingZeroBitCount
            changed &= changed - 1
            let (start, isRemoved) = (overlay.start(index), overlay.isRemoved(index))
            if start == messages[Int(message.index)].source.count {
                if !isRemoved { appendKept(message, number, overlay.content(index)) }
            } else if let position = position(message, startingAt: start, from: next) {
                next = position
                if isRemoved {
                    remove(message, at: position)
                } else {
                    setKept(message, at: position, overlay.content(index))
                }
            }
        }
        overlay.clear()
    }

    /// The position of the field that begins at an offset of the source; nil: there was no memory for the row.
    private func position(_ message: MessageID, startingAt start: Int, from first: Int) -> Int? {
        (first..<max(first, fieldCount(message))).first { position in
            let entry = entries[entryIndex(message, position)]
            return Int(entry.start) == start && entry.end != 0
        }
    }

    /// Counts the bytes of a message whose changes stand in the overlay.
    func measureOverlay(_ source: WireBytes) -> Int {
        var total = source.count
        var changed = overlay.changed
        while changed != 0 {
            let index = changed.trailingZeroBitCount
            changed &= changed - 1
            let start = overlay.start(index)
            total -= fieldEnd(source, start) - start
            if !overlay.isRemoved(index) {
                total += FieldWriter.count(overlay.number, content: overlay.content(index).count)
            }
        }
        return total
    }

    /// Writes a message whose changes stand in the overlay.
    func writeOverlay(_ source: WireBytes, to writer: inout FieldWriter) {
        // Up to where the source was copied, or left out.
        var copied = 0
        var changed = overlay.changed
        while changed != 0 {
            let index = changed.trailingZeroBitCount
            changed &= changed - 1
            let start = overlay.start(index)
            writer.copy(source, copied..<start)
            copied = fieldEnd(source, start)
            guard !overlay.isRemoved(index) else { continue }
            let content = overlay.content(index)
            writer.begin(overlay.number, content: content.count)
            writer.copy(content, 0..<content.count)
        }
        writer.copy(source, copied..<source.count)
    }

    /// Where the field ends that begins at an offset; the end of the source for its end.
    @inline(__always)
    private func fieldEnd(_ source: WireBytes, _ start: Int) -> Int {
        var fields = source.fields(start..<source.count)
        return fields.next()?.end ?? source.count
    }
}
