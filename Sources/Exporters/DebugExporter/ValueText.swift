internal import OTLP

// Attribute values and bodies as text.

extension TextWriter: ValueText {
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
        appendText(value)
        put(")")
    }

    mutating func append(_ byte: UInt8) { put(byte: byte) }
    mutating func append(_ text: StaticString) { put("\(text)") }
    mutating func appendDecimal(_ value: Int64) { put(value) }
    mutating func appendPlain(_ bytes: WireBytes) { text(bytes) }
    mutating func appendJSONString(_ bytes: WireBytes) { json(bytes) }

    /// Keys in order, each once; of several values the last counts.
    mutating func appendJSONObject(_ list: WireBytes, _ depth: Int) {
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
            appendJSONString(entry.attribute.key)
            put(":")
            appendJSON(entry.attribute.value, depth: depth + 1)
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
            appendText(attribute.value)
        }
    }
}
