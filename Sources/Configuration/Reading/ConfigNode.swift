/// One value of a configuration with the place it came from.
///
/// A value type: merging and expanding make new trees; each value keeps its origin through both.
package struct ConfigNode: Sendable {
    /// What a value can be.
    package enum Content: Sendable {
        /// Nothing was written, or `null`, or `~`.
        case null
        case bool(Bool)
        case int(Int)
        case double(Double)
        case string(String)
        case list([ConfigNode])
        case map(ConfigMap)
    }

    package var content: Content
    /// The characters that a scalar was written with; empty for lists and maps.
    package var original: String
    /// The scalar came out of an expansion (`${env:X}`): a text field takes `original` whatever its type.
    package var isExpanded: Bool
    /// A text without quotes that YAML takes for a date or a time.
    var isTime = false
    package var origin: ConfigOrigin

    package init(_ content: Content, original: String = "", isExpanded: Bool = false, origin: ConfigOrigin) {
        self.content = content
        self.original = original
        self.isExpanded = isExpanded
        self.origin = origin
    }

    /// True for `null`, which every reader treats as "not set".
    package var isNull: Bool {
        if case .null = content { return true }
        return false
    }

    /// True for a list.
    var isList: Bool {
        if case .list = content { return true }
        return false
    }

    /// True for what stands on its own in one place: everything but lists and maps.
    var isScalar: Bool {
        switch content {
        case .list, .map: false
        case .null, .bool, .int, .double, .string: true
        }
    }

    /// The value in words, for "…, found X". Long texts are cut.
    var inWords: String {
        switch content {
        case .null: "nothing"
        case .bool(let value): "the boolean \(value)"
        case .int, .double: "the number \(original)"
        case .string(let text): "the text \(quoted(text))"
        case .list: "a list"
        case .map: "a section"
        }
    }
}

/// The keys and values of a section in the order they were written. No key occurs twice.
package struct ConfigMap: Sendable {
    /// One key with its value.
    package struct Entry: Sendable {
        package let key: String
        package let keyOrigin: ConfigOrigin
        package var value: ConfigNode
    }

    package var entries: [Entry] = []

    package init() {}

    /// The entry of a key, or nil.
    package func entry(_ key: String) -> Entry? {
        entries.first { $0.key == key }
    }

    /// Puts a value at a key; one that is there already is replaced in its place.
    mutating func set(_ key: String, _ keyOrigin: ConfigOrigin, _ value: ConfigNode) {
        let entry = Entry(key: key, keyOrigin: keyOrigin, value: value)
        if let index = entries.firstIndex(where: { $0.key == key }) {
            entries[index] = entry
        } else {
            entries.append(entry)
        }
    }

    /// Puts all of another section over this one, whole values for whole values: what `<<` of YAML means.
    mutating func replace(with other: ConfigMap) {
        for entry in other.entries { set(entry.key, entry.keyOrigin, entry.value) }
    }

    /// Puts all of another section over this one: sections deeply, anything else by replacing.
    mutating func merge(_ other: ConfigMap) {
        for entry in other.entries {
            if case .map(let new) = entry.value.content,
                let index = entries.firstIndex(where: { $0.key == entry.key }),
                case .map(var old) = entries[index].value.content
            {
                old.merge(new)
                var value = entry.value
                value.content = .map(old)
                entries[index] = Entry(key: entry.key, keyOrigin: entry.keyOrigin, value: value)
            } else {
                set(entry.key, entry.keyOrigin, entry.value)
            }
        }
    }
}

/// A text in double quotes for a message: control characters escaped, cut after 80 characters.
func quoted(_ text: String) -> String {
    var out = "\""
    var count = 0
    for scalar in text.unicodeScalars {
        count += 1
        if count > 80 {
            out += "…"
            break
        }
        switch scalar {
        case "\n": out += "\\n"
        case "\t": out += "\\t"
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        default:
            if scalar.value < 0x20 || scalar.value == 0x7f {
                out += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
    }
    return out + "\""
}
