internal import COTLP

/// Everything given is copied; ids of other messages, and positions, stay valid.
extension RequestEditor {
    /// Sets a varint or fixed field: replaces the last one, or appends.
    public func setBits(_ message: MessageID, _ number: UInt32, _ kind: WireKind, _ bits: UInt64) {
        guard let position = lastPosition(message, number) else {
            return appendBits(message, number, kind, bits)
        }
        let index = entryIndex(message, position)
        if entries[index].kind == kind, self.bits(of: entries[index], in: message) == bits { return }
        entries[index].kind = kind
        make(index, message.index, Made(bits: bits))
        entries[index].key_count = KeyValueParts.unusual
        replaced(index, in: message)
    }

    /// Sets a text, bytes or message field, which is no attribute: replaces the last one, or appends.
    public func setContent(_ message: MessageID, _ number: UInt32, _ content: WireBytes) {
        guard let position = lastPosition(message, number) else { return append(message, number, content) }
        setContent(message, at: position, content)
    }

    /// Replaces the field at a position by a text, bytes or message field.
    public func setContent(_ message: MessageID, at position: Int, _ content: WireBytes) {
        let index = entryIndex(message, position)
        let entry = entries[index]
        if entry.kind == .bytes, entry.child < 0, self.content(of: entry, in: message).isEqual(to: content) {
            return
        }
        entries[index].kind = .bytes
        // SAFETY: borrowed for the call.
        make(index, message.index, Made(content: unsafe WireBytes(kept.keep(content.unsafeBytes))))
        entries[index].key_count = KeyValueParts.unusual
        replaced(index, in: message)
        forgetFound()
        if indexes.isUsed { indexes.forget(message.index) }
    }

    /// Appends a text, bytes or message field.
    public func append(_ message: MessageID, _ number: UInt32, _ content: WireBytes) {
        // SAFETY: borrowed for the call.
        let copy = unsafe WireBytes(kept.keep(content.unsafeBytes))
        appendKept(message, number, copy)
    }

    /// Appends what `kept` holds already.
    func appendKept(_ message: MessageID, _ number: UInt32, _ content: WireBytes) {
        append(
            message,
            Entry(
                number: number, keyCount: KeyValueParts.usualKeyCount(of: content), kind: .bytes,
                made: append(Made(content: content), to: message.index)))
    }

    /// Replaces the content at a position by what `kept` holds already; an attribute keeps its key.
    func setKept(_ message: MessageID, at position: Int, _ content: WireBytes) {
        let index = entryIndex(message, position)
        entries[index].kind = .bytes
        make(index, message.index, Made(content: content))
        entries[index].key_count = KeyValueParts.usualKeyCount(of: content)
        replaced(index, in: message)
    }

    /// Appends a varint or fixed field.
    public func appendBits(_ message: MessageID, _ number: UInt32, _ kind: WireKind, _ bits: UInt64) {
        append(message, Entry(number: number, kind: kind, made: append(Made(bits: bits), to: message.index)))
    }

    private func append(_ message: MessageID, _ entry: Entry) {
        _ = appendEntry(message, entry)
        markChanged(message)
    }

    /// Removes all fields of a number.
    public func remove(_ message: MessageID, _ number: UInt32) {
        for position in 0..<fieldCount(message) where self.number(message, at: position) == number {
            remove(message, at: position)
        }
    }

    /// Removes the field at a position.
    public func remove(_ message: MessageID, at position: Int) {
        let index = entryIndex(message, position)
        entries[index].number = 0
        replaced(index, in: message)
        if indexes.isUsed { indexes.removed(message.index, position) }
        let found = lastFound[0]
        if found.message == message.index, Int(found.position) == position { forgetFound() }
    }

    /// Removes every field, unknown ones too.
    public func removeAll(_ message: MessageID) {
        for position in 0..<fieldCount(message) where number(message, at: position) != 0 {
            remove(message, at: position)
        }
    }

    private func replaced(_ index: Int, in message: MessageID) {
        if entries[index].made < 0 { entries[index].made = Entry.empty }
        entries[index].child = -1
        let row = messages[Int(message.index)]
        messages[Int(message.index)].growth += newCountMax(entries[index])
        touch(Int(message.index), Int32(truncatingIfNeeded: index) - row.first)
        if !row.isChanged { markChanged(message) }
        if indexes.isUsed { indexes.changed(message.index) }
    }

    // MARK: - Memory of the editor

    /// Copies bytes into the editor's memory: valid until the next request is opened.
    public func keep(_ bytes: [UInt8]) -> WireBytes {
        unsafe bytes.withUnsafeBytes { buffer in
            // SAFETY: borrowed for the call.
            unsafe WireBytes(kept.keep(buffer))
        }
    }

    /// Copies UTF-8 text into the editor's memory: valid until the next request is opened.
    public func keep(_ text: String) -> WireBytes {
        var text = text
        return text.withUTF8 { buffer in
            // SAFETY: borrowed for the call.
            unsafe WireBytes(kept.keep(UnsafeRawBufferPointer(buffer)))
        }
    }

    /// Copies bytes into the editor's memory: valid until the next request is opened.
    public func keep(_ bytes: WireBytes) -> WireBytes {
        // SAFETY: borrowed for the call.
        unsafe WireBytes(kept.keep(bytes.unsafeBytes))
    }
}
