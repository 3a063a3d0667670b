internal import COTLP

/// Of several fields of a number the last one counts. A field read as what it is not is empty or 0.
extension RequestEditor {
    /// The bytes of a message of which nobody has asked anything yet: one search of them is faster than a row, a second one is
    /// not.
    @inline(__always)
    func unread(_ message: MessageID) -> WireBytes? {
        let row = messages[Int(message.index)]
        guard row.first < 0, !row.isRead else { return nil }
        messages[Int(message.index)].isRead = true
        return row.source
    }

    /// Whether there is a field of the number.
    public func has(_ message: MessageID, _ number: UInt32) -> Bool {
        if let bytes = unread(message) { return bytes.fields.contains { $0.number == number } }
        return lastPosition(message, number) != nil
    }

    /// The bits of a varint or fixed field; 0 when there is none. Those of a double are its bit pattern.
    public func bits(_ message: MessageID, _ number: UInt32) -> UInt64 {
        if let bytes = unread(message) {
            var bits: UInt64 = 0
            for field in bytes.fields where field.number == number { bits = field.bits }
            return bits
        }
        guard let position = lastPosition(message, number) else { return 0 }
        return bits(message, at: position)
    }

    /// The content of a text, bytes or message field as it is now; none when there is none.
    public func content(_ message: MessageID, _ number: UInt32) -> WireBytes {
        if let bytes = unread(message) {
            var content = WireBytes.none
            for field in bytes.fields where field.number == number { content = field.bytes }
            return content
        }
        guard let position = lastPosition(message, number) else { return .none }
        return content(message, at: position)
    }

    /// How many fields of the number there are.
    public func count(_ message: MessageID, _ number: UInt32) -> Int {
        var count = 0
        if let bytes = unread(message) {
            for field in bytes.fields where field.number == number { count += 1 }
            return count
        }
        let row = row(message)
        for index in Int(row.first)..<Int(row.first + row.count)
        where entries[index].number == number && !entries[index].isVirtual {
            count += 1
        }
        return count
    }

    /// Positions of fields run from 0 to this; they stay as they are when fields are added or removed.
    public func fieldCount(_ message: MessageID) -> Int { Int(row(message).count) }

    /// The number of the field at a position; 0 for one that was removed.
    public func number(_ message: MessageID, at position: Int) -> UInt32 {
        let entry = entries[entryIndex(message, position)]
        return entry.isVirtual ? 0 : entry.number
    }

    /// How the field at a position is encoded.
    public func kind(_ message: MessageID, at position: Int) -> WireKind {
        entries[entryIndex(message, position)].kind
    }

    /// The bits of the varint or fixed field at a position.
    public func bits(_ message: MessageID, at position: Int) -> UInt64 {
        bits(of: entries[entryIndex(message, position)], in: message)
    }

    /// The content of the text, bytes or message field at a position, as it is now.
    public func content(_ message: MessageID, at position: Int) -> WireBytes {
        let entry = entries[entryIndex(message, position)]
        guard entry.child >= 0, messages[Int(entry.child)].isChanged else {
            return content(of: entry, in: message)
        }
        return folded(entry.child)
    }

    /// The message as it is now.
    public func content(_ message: MessageID) -> WireBytes {
        let opened = messages[Int(message.index)]
        return opened.isChanged ? folded(message.index) : opened.source
    }
}
