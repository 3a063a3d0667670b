internal import OTLP

// Attribute values and bodies as text.

extension TextWriter {
    /// Deeper values are left out. What a receiver let in is never deeper.
    private static let depthMax = 64

    /// Appends a value with its type: `Str(GET)`, `Int(200)`, `Map({"a":1})`, `Empty()`.
    mutating func typedValue(_ value: AttributeValue) {
        switch value {
        case .empty: put("Empty(")
        case .string: put("Str(")
        case .bool: put("Bool(")
        case .int: put("Int(")
        case .double: put("Double(")
        case .array: put("Slice(")
        case .keyValueList: put("Map(")
        case .bytes: put("Bytes(")
        }
        plainValue(value)
        put(")")
    }

    /// Appends a value: text as it is, bytes in base 64, lists and maps as JSON.
    mutating func plainValue(_ value: AttributeValue) {
        switch value {
        case .empty: break
        case .string(let bytes): text(bytes)
        case .bool(let value): put(value ? "true" : "false")
        case .int(let value): put(value)
        case .double(let value): put(NumberText.json(value))
        case .array, .keyValueList: jsonValue(value, depth: 0)
        case .bytes(let bytes): base64(bytes)
        }
    }

    private mutating func jsonValue(_ value: AttributeValue, depth: Int) {
        switch value {
        case .empty: put("null")
        case .string(let bytes): json(bytes)
        case .bool, .int: plainValue(value)
        case .double(let number):
            // JSON has no such numbers.
            put(number.isFinite ? NumberText.json(number) : "\"\(NumberText.json(number))\"")
        case .bytes(let bytes):
            put("\"")
            base64(bytes)
            put("\"")
        case .array, .keyValueList:
            guard depth < Self.depthMax else {
                put("\"<nested too deeply>\"")
                return
            }
            if case .array(let list) = value { jsonArray(list, depth) }
            if case .keyValueList(let list) = value { jsonObject(list, depth) }
        }
    }

    private mutating func jsonArray(_ list: WireBytes, _ depth: Int) {
        put("[")
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { put(",") }
            isFirst = false
            jsonValue(AttributeValue(field.bytes), depth: depth + 1)
        }
        put("]")
    }

    /// Keys in order, each once; of several values the last counts.
    private mutating func jsonObject(_ list: WireBytes, _ depth: Int) {
        var entries: [(key: [UInt8], position: Int, attribute: Attribute)] = []
        for field in list.fields where field.number == Field.List.values {
            let attribute = Attribute(field.bytes)
            entries.append((attribute.key.array, entries.count, attribute))
        }
        entries.sort { a, b in
            a.key == b.key ? a.position < b.position : a.key.lexicographicallyPrecedes(b.key)
        }
        put("{")
        var isFirst = true
        for (index, entry) in entries.enumerated() {
            if index + 1 < entries.count, entries[index + 1].key == entry.key { continue }
            if !isFirst { put(",") }
            isFirst = false
            json(entry.attribute.key)
            put(":")
            jsonValue(entry.attribute.value, depth: depth + 1)
        }
        put("}")
    }
}

// MARK: - Attributes

extension TextWriter {
    /// Appends the attributes of a message, one a line, under a title; nothing when there are none.
    mutating func attributeLines(
        _ title: String, _ message: WireBytes, _ number: UInt32, indent: String = "     "
    ) {
        var isFirst = true
        for field in message.fields where field.number == number {
            if isFirst { line(title + ":") }
            isFirst = false
            let attribute = Attribute(field.bytes)
            put(indent)
            put("-> ")
            text(attribute.key)
            put(": ")
            typedValue(attribute.value)
            endLine()
        }
    }

    /// Appends the attributes of a message as `key=value`, with `before` in front of the first and `separator`
    /// between two.
    mutating func attributePairs(
        _ message: WireBytes, _ number: UInt32, before: String = " ", separator: String = " "
    ) {
        var isFirst = true
        for field in message.fields where field.number == number {
            put(isFirst ? before : separator)
            isFirst = false
            let attribute = Attribute(field.bytes)
            text(attribute.key)
            put("=")
            plainValue(attribute.value)
        }
    }
}
