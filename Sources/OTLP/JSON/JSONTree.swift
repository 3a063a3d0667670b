/// A JSON value whole: what small answers of other servers are read as. Large ones are read with `JSONReader` alone.
package indirect enum JSONTree: Sendable, Equatable {
    case null
    case bool(Bool)
    /// As it is written.
    case number(String)
    case string(String)
    case list([JSONTree])
    /// In the order in which they came.
    case object([Entry])

    /// One key with its value.
    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: JSONTree

        package init(key: String, value: JSONTree) {
            self.key = key
            self.value = value
        }
    }

    /// Reads a JSON text.
    package init(_ text: [UInt8]) throws(JSONError) {
        let result = unsafe text.withUnsafeBytes { bytes in
            Result { () throws(JSONError) in
                // SAFETY: borrowed for the call.
                var reader = try unsafe JSONReader(bytes)
                let tree = try JSONTree(&reader)
                try reader.finish()
                return tree
            }
        }
        self = try result.get()
    }

    /// Reads the value that a reader stands before.
    package init(_ reader: inout JSONReader) throws(JSONError) {
        switch try reader.peek() {
        case .null:
            _ = try reader.readNull()
            self = .null
        case .boolean: self = .bool(try reader.readBool())
        case .number: self = .number(try reader.readNumber().bytes.text)
        case .string: self = .string(try reader.readString().text)
        case .list:
            var items: [JSONTree] = []
            try reader.beginList()
            while try reader.nextElement() { items.append(try JSONTree(&reader)) }
            self = .list(items)
        case .object:
            var entries: [Entry] = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                entries.append(Entry(key: key.text, value: try JSONTree(&reader)))
            }
            self = .object(entries)
        }
    }

    /// The value of a key; `null` where there is none.
    package subscript(_ key: String) -> JSONTree {
        guard case .object(let entries) = self else { return .null }
        return entries.first { $0.key == key }?.value ?? .null
    }

    /// A text that is not empty.
    package var text: String? {
        guard case .string(let text) = self, !text.isEmpty else { return nil }
        return text
    }

    /// The elements of a list; none of anything else.
    package var items: [JSONTree] {
        guard case .list(let items) = self else { return [] }
        return items
    }

    /// The texts of an object.
    package var texts: [(key: String, value: String)] {
        guard case .object(let entries) = self else { return [] }
        return entries.compactMap { entry in
            guard case .string(let text) = entry.value else { return nil }
            return (entry.key, text)
        }
    }
}
