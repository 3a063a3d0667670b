internal import COTLP

/// The `KeyValue` fields of a message: its attributes. Of several with one key the first counts, as in the Collector's map.
public struct AttributeTable: Sendable {
    /// Whose they are.
    public let message: MessageID
    /// The number of the `KeyValue` fields.
    public let number: UInt32

    /// From its parts.
    @inlinable
    public init(_ message: MessageID, _ number: UInt32) {
        self.message = message
        self.number = number
    }
}

extension RequestEditor {
    /// The attributes of a message; nothing is read yet.
    @inlinable
    public func attributes(_ message: MessageID, _ number: UInt32) -> AttributeTable {
        AttributeTable(message, number)
    }

    /// How many there are, those of one key each for itself.
    public func attributeCount(_ table: AttributeTable) -> Int { count(table.message, table.number) }

    /// The position of the first attribute with a key.
    public func find(_ key: WireBytes, in table: AttributeTable) -> Int? {
        let found = lastFound[0]
        if found.message == table.message.index, found.number == table.number, found.key.isEqual(to: key) {
            return Int(found.position)
        }
        guard let position = find(key, in: table, from: 0) else { return nil }
        let entry = entries[entryIndex(table.message, position)]
        if entry.key_count != KeyValueParts.unusual {
            // SAFETY: the key stands behind two bytes of the content, and lives as long as the request.
            let content = content(of: entry, in: table.message)
            let stands = unsafe WireBytes(base: content.base + 2, count: key.count)
            lastFound[0] = Found(
                message: table.message.index, position: Int32(truncatingIfNeeded: position),
                number: table.number, key: stands)
        }
        return position
    }

    /// Where the first attribute with a key is.
    struct Found: BitwiseCopyable {
        /// -1: nowhere.
        var message: Int32 = -1
        var position: Int32 = 0
        var number: UInt32 = 0
        var key = WireBytes.none
    }

    /// Says that another attribute may be the first with its key, or another message may have the number.
    @inline(__always)
    func forgetFound() { lastFound[0].message = -1 }

    private func find(_ key: WireBytes, in table: AttributeTable, from start: Int) -> Int? {
        let row = row(table.message)
        if row.count > AttributeIndexes.fieldsMin,
            let known = findIndexed(key, in: table, from: start, row)
        {
            return known
        }
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(Int(row.first)..<Int(row.first + row.count))
        let wanted =
            key.count < KeyValueParts.unusual ? UInt8(truncatingIfNeeded: key.count) : KeyValueParts.unusual
        var position = start
        while position < fields.count {
            if unsafe fields[position].number == table.number {
                let keyCount = unsafe fields[position].key_count
                if keyCount == wanted || keyCount == KeyValueParts.unusual {
                    if isKey(key, of: unsafe fields[position], in: table.message, at: position) {
                        return position
                    }
                }
            }
            position &+= 1
        }
        return nil
    }

    /// Whether an attribute has a key, the number of whose bytes is its `key_count`, unless that is unusual.
    @inline(__always)
    func isKey(_ key: WireBytes, of entry: Entry, in message: MessageID, at position: Int) -> Bool {
        guard entry.key_count == KeyValueParts.unusual else {
            let content = content(of: entry, in: message)
            // SAFETY: the key lies behind two bytes of the content.
            return unsafe WireBytes(base: content.base + 2, count: key.count).isEqual(to: key)
        }
        return !entry.isVirtual && KeyValueParts.isKey(key, of: content(message, at: position))
    }

    /// The key of the attribute at a position.
    public func key(_ table: AttributeTable, at position: Int) -> WireBytes {
        KeyValueParts.key(of: content(table.message, at: position))
    }

    /// The value of the attribute at a position.
    public func value(_ table: AttributeTable, at position: Int) -> AttributeValue {
        AttributeValue(KeyValueParts.value(of: content(table.message, at: position)))
    }

    /// The value of a key.
    public func value(_ key: WireBytes, in table: AttributeTable) -> AttributeValue? {
        if let bytes = unread(table.message) {
            return bytes.attribute(key, in: table.number)
        }
        if isOverlaid(table) { return overlay.find(key).map { AttributeValue(overlay.value($0)) } }
        guard let position = find(key, in: table) else { return nil }
        return value(table, at: position)
    }

    /// Whether there is an attribute with a key. Behind it, setting and removing by key need no row.
    public func contains(_ key: WireBytes, in table: AttributeTable) -> Bool {
        isOverlaid(table) ? overlay.find(key) != nil : find(key, in: table) != nil
    }

    /// Sets the value of a key: of the first attribute that has it, or of a new one.
    public func set(_ key: WireBytes, to value: AttributeValue, in table: AttributeTable) {
        if isOverlaid(table) {
            let new = keyValue(KeyValueParts(key: key), value, insteadOf: .none)
            return set(key, borrowing: new, in: table)
        }
        guard let position = find(key, in: table) else { return append(key, value, to: table) }
        setValue(table, at: position, to: value)
    }

    /// The same with an attribute that is encoded already, a `KeyValue` message with this key, which lives as long as the request
    /// is open.
    public func set(_ key: WireBytes, borrowing keyValue: WireBytes, in table: AttributeTable) {
        if isOverlaid(table), let index = overlay.find(key) {
            if overlay.content(index).isEqual(to: keyValue) { return }
            if overlay.replace(index, with: keyValue) { return overlayChanged(keyValue.count) }
        } else if appendOverlaid(keyValue, to: table) {
            return
        }
        guard let position = find(key, in: table) else { return append(borrowing: keyValue, to: table) }
        set(table, at: position, borrowing: keyValue)
    }

    /// Adds an attribute to the overlay; false: these attributes are in a row, or must be.
    private func appendOverlaid(_ keyValue: WireBytes, to table: AttributeTable) -> Bool {
        guard isOverlaid(table),
            overlay.append(keyValue, behind: messages[Int(table.message.index)].source.count)
        else { return false }
        overlayChanged(keyValue.count)
        return true
    }

    /// Gives the attribute at a position the value of one that is encoded already and has its key.
    public func set(_ table: AttributeTable, at position: Int, borrowing keyValue: WireBytes) {
        let old = content(table.message, at: position)
        guard !old.isEqual(to: keyValue) else { return }
        let parts = KeyValueParts(keyAndOthersOf: old)
        guard parts.othersCount > 0 else { return setKept(table.message, at: position, keyValue) }
        let room = unsafe kept.take(keyValue.count + parts.othersCount)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        writer.copy(keyValue, 0..<keyValue.count)
        parts.writeOthers(of: old, to: &writer)
        setKept(table.message, at: position, unsafe WireBytes(UnsafeRawBufferPointer(room)))
    }

    /// Adds an attribute; the caller knows that there is none with the key.
    public func append(_ key: WireBytes, _ value: AttributeValue, to table: AttributeTable) {
        appendKept(table.message, table.number, keyValue(KeyValueParts(key: key), value, insteadOf: .none))
    }

    /// Adds an attribute that is encoded already, a `KeyValue` message, and lives as long as the request is open. The caller
    /// knows that there is none with its key.
    public func append(borrowing keyValue: WireBytes, to table: AttributeTable) {
        if appendOverlaid(keyValue, to: table) { return }
        appendKept(table.message, table.number, keyValue)
    }

    /// Sets the value of the attribute at a position.
    public func setValue(_ table: AttributeTable, at position: Int, to value: AttributeValue) {
        let old = content(table.message, at: position)
        let new = keyValue(KeyValueParts(keyAndOthersOf: old), value, insteadOf: old)
        if !old.isEqual(to: new) { setKept(table.message, at: position, new) }
    }

    /// Gives the attribute at a position another key; its value stays.
    public func rename(_ table: AttributeTable, at position: Int, to key: WireBytes) {
        let old = content(table.message, at: position)
        let parts = KeyValueParts(old)
        guard !parts.key.isEqual(to: key) else { return }
        let count =
            FieldWriter.count(Field.KeyValue.key, content: key.count)
            + FieldWriter.count(Field.KeyValue.value, content: parts.value.count) + parts.othersCount
        let room = unsafe kept.take(count)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        writer.begin(Field.KeyValue.key, content: key.count)
        writer.copy(key, 0..<key.count)
        writer.begin(Field.KeyValue.value, content: parts.value.count)
        writer.copy(parts.value, 0..<parts.value.count)
        parts.writeOthers(of: old, to: &writer)
        setKept(table.message, at: position, unsafe WireBytes(UnsafeRawBufferPointer(room)))
        forgetFound()
        if indexes.isUsed { indexes.forget(table.message.index) }
    }

    /// Removes all attributes with a key; whether there was one.
    @discardableResult
    public func remove(_ key: WireBytes, in table: AttributeTable) -> Bool {
        if isOverlaid(table) {
            guard var index = overlay.find(key) else { return false }
            while true {
                overlay.remove(index)
                overlayChanged(0)
                guard let next = overlay.find(key, from: index + 1) else { return true }
                index = next
            }
        }
        guard var position = find(key, in: table) else { return false }
        while true {
            remove(table.message, at: position)
            guard let next = find(key, in: table, from: position + 1) else { return true }
            position = next
        }
    }

    /// Removes the attribute at a position.
    public func removeAttribute(_ table: AttributeTable, at position: Int) {
        remove(table.message, at: position)
    }

    /// A `KeyValue` with another value, kept.
    private func keyValue(
        _ parts: KeyValueParts, _ value: AttributeValue, insteadOf old: WireBytes
    ) -> WireBytes {
        let valueCount = value.encodedCount
        let room = unsafe kept.take(
            AttributeValue.keyValueCount(parts.key, valueCount) + parts.othersCount)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        value.writeKeyValue(parts.key, valueCount, to: &writer)
        parts.writeOthers(of: old, to: &writer)
        return unsafe WireBytes(UnsafeRawBufferPointer(room))
    }
}

extension OwnedBytes {
    /// A `KeyValue` message.
    public convenience init(keyValue key: WireBytes, _ value: AttributeValue) {
        let valueCount = value.encodedCount
        let count = AttributeValue.keyValueCount(key, valueCount)
        self.init(
            unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                // SAFETY: the buffer has `count` bytes, all of which are written.
                var writer = unsafe FieldWriter(
                    UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
                value.writeKeyValue(key, valueCount, to: &writer)
                filled = count
            })
    }
}

extension AttributeValue {
    /// Bytes of the `AnyValue` message.
    var encodedCount: Int {
        switch self {
        case .empty: 0
        case .string(let bytes): FieldWriter.count(Field.AnyValue.string, content: bytes.count)
        case .bool: 2
        case .int(let value): 1 + FieldWriter.varintCount(UInt64(bitPattern: value))
        case .double: 9
        case .array(let bytes): FieldWriter.count(Field.AnyValue.array, content: bytes.count)
        case .keyValueList(let bytes): FieldWriter.count(Field.AnyValue.keyValueList, content: bytes.count)
        case .bytes(let bytes): FieldWriter.count(Field.AnyValue.bytes, content: bytes.count)
        }
    }

    /// Bytes of a `KeyValue` message whose value takes so many.
    static func keyValueCount(_ key: WireBytes, _ valueCount: Int) -> Int {
        FieldWriter.count(Field.KeyValue.key, content: key.count)
            + FieldWriter.count(Field.KeyValue.value, content: valueCount)
    }

    /// Writes a `KeyValue` message.
    func writeKeyValue(_ key: WireBytes, _ valueCount: Int, to writer: inout FieldWriter) {
        writer.begin(Field.KeyValue.key, content: key.count)
        writer.copy(key, 0..<key.count)
        writer.begin(Field.KeyValue.value, content: valueCount)
        write(to: &writer)
    }

    /// Writes the `AnyValue` message: `encodedCount` bytes.
    func write(to writer: inout FieldWriter) {
        switch self {
        case .empty: break
        case .string(let bytes): Self.write(Field.AnyValue.string, bytes, to: &writer)
        case .bool(let value): writer.number(Field.AnyValue.bool, .varint, value ? 1 : 0)
        case .int(let value): writer.number(Field.AnyValue.int, .varint, UInt64(bitPattern: value))
        case .double(let value): writer.number(Field.AnyValue.double, .fixed64, value.bitPattern)
        case .array(let bytes): Self.write(Field.AnyValue.array, bytes, to: &writer)
        case .keyValueList(let bytes): Self.write(Field.AnyValue.keyValueList, bytes, to: &writer)
        case .bytes(let bytes): Self.write(Field.AnyValue.bytes, bytes, to: &writer)
        }
    }

    private static func write(_ number: UInt32, _ bytes: WireBytes, to writer: inout FieldWriter) {
        writer.begin(number, content: bytes.count)
        writer.copy(bytes, 0..<bytes.count)
    }

    /// Appends the `AnyValue` message.
    public func encode(to output: inout [UInt8]) {
        let count = encodedCount
        output.append(
            contentsOf: unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                // SAFETY: the buffer has `count` bytes, all of which are written.
                var writer = unsafe FieldWriter(
                    UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
                write(to: &writer)
                filled = count
            })
    }
}
