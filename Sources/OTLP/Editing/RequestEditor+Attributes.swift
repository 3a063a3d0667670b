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
        if hasPlaces(table.message) { return place(of: key, in: table).map { Int($0.position) } }
        if let position = found(in: table.message), number(table.message, at: position) == table.number,
            self.key(table, at: position).isEqual(to: key)
        {
            return position
        }
        guard let position = find(key, in: table, from: 0) else { return nil }
        remember(found: position, in: table.message)
        return position
    }

    private func find(_ key: WireBytes, in table: AttributeTable, from start: Int) -> Int? {
        let row = row(table.message)
        // SAFETY: nothing is added meanwhile, and positions are below the count.
        let fields = unsafe entries.elements(Int(row.first)..<Int(row.first + row.count))
        var position = start
        while position < fields.count {
            let entry = unsafe fields[position]
            if entry.number == table.number, !entry.isVirtual {
                let content = entry.child < 0 ? entry.content : self.content(table.message, at: position)
                if KeyValueParts.isKey(key, of: content) { return position }
            }
            position &+= 1
        }
        return nil
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
        guard hasPlaces(table.message) else { return find(key, in: table).map { value(table, at: $0) } }
        return place(of: key, in: table).map { AttributeValue(KeyValueParts.value(of: $0.entry.content)) }
    }

    /// Sets the value of a key: of the first attribute that has it, or of a new one.
    public func set(_ key: WireBytes, to value: AttributeValue, in table: AttributeTable) {
        if let position = find(key, in: table) { return setValue(table, at: position, to: value) }
        append(key, value, to: table)
    }

    /// Adds an attribute; the caller knows that there is none with the key.
    public func append(_ key: WireBytes, _ value: AttributeValue, to table: AttributeTable) {
        appendKept(table.message, table.number, keyValue(key, value))
    }

    /// Sets the value of the attribute at a position.
    public func setValue(_ table: AttributeTable, at position: Int, to value: AttributeValue) {
        let old = content(table.message, at: position)
        let new = keyValue(KeyValueParts(old).key, value)
        if !old.isEqual(to: new) { setKept(table.message, at: position, new) }
    }

    /// Gives the attribute at a position another key; its value stays.
    public func rename(_ table: AttributeTable, at position: Int, to key: WireBytes) {
        // Places are found by the keys that came.
        _ = row(table.message)
        let parts = KeyValueParts(content(table.message, at: position))
        guard !parts.key.isEqual(to: key) else { return }
        let count =
            FieldWriter.count(Field.KeyValue.key, content: key.count)
            + FieldWriter.count(Field.KeyValue.value, content: parts.value.count)
        let room = unsafe kept.take(count)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        writer.begin(Field.KeyValue.key, content: key.count)
        writer.copy(key, 0..<key.count)
        writer.begin(Field.KeyValue.value, content: parts.value.count)
        writer.copy(parts.value, 0..<parts.value.count)
        setKept(table.message, at: position, unsafe WireBytes(UnsafeRawBufferPointer(room)))
        forgetFound()
    }

    /// Removes all attributes with a key; whether there was one.
    @discardableResult
    public func remove(_ key: WireBytes, in table: AttributeTable) -> Bool {
        guard var position = find(key, in: table) else { return false }
        while true {
            let place = place(table.message, at: position)
            remove(table.message, at: position)
            let next: Int?
            if let place, hasPlaces(table.message) {
                next = self.place(of: key, in: table, behind: place).map { Int($0.position) }
            } else {
                next = find(key, in: table, from: position + 1)
            }
            guard let next else { return true }
            position = next
        }
    }

    /// Removes the attribute at a position.
    public func removeAttribute(_ table: AttributeTable, at position: Int) {
        remove(table.message, at: position)
    }

    /// A `KeyValue`, kept.
    private func keyValue(_ key: WireBytes, _ value: AttributeValue) -> WireBytes {
        let valueCount = value.encodedCount
        let count =
            FieldWriter.count(Field.KeyValue.key, content: key.count)
            + FieldWriter.count(Field.KeyValue.value, content: valueCount)
        let room = unsafe kept.take(count)
        // SAFETY: the room is ours until the next request.
        var writer = unsafe FieldWriter(room)
        writer.begin(Field.KeyValue.key, content: key.count)
        writer.copy(key, 0..<key.count)
        writer.begin(Field.KeyValue.value, content: valueCount)
        value.write(to: &writer)
        return unsafe WireBytes(UnsafeRawBufferPointer(room))
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
