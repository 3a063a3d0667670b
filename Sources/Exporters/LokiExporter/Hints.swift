internal import OTLP

/// What an application asks for in attributes, on the resource or the record. They are removed afterwards.
struct Hints: Equatable, Sendable {
    /// How a line is written.
    enum Format: String, Sendable {
        case json
        case logfmt
        case raw
    }

    /// `loki.attribute.labels`: attributes of the record that become labels.
    var attributeLabels: [String] = []
    /// `loki.resource.labels`: attributes of the resource that become labels.
    var resourceLabels: [String] = []
    /// `loki.tenant`: the name of the attribute with the tenant.
    var tenantAttribute: String?
    /// `loki.format`; what is none of the three counts as not written.
    var format: Format?

    init() {}

    static func isHint(_ key: String) -> Bool { Name(rawValue: key) != nil }

    private enum Name: String {
        case attributeLabels = "loki.attribute.labels"
        case resourceLabels = "loki.resource.labels"
        case tenant = "loki.tenant"
        case format = "loki.format"
    }

    /// Takes an attribute if it is a hint.
    /// - Returns: whether it is one.
    mutating func take(_ attribute: Attribute) -> Bool {
        // The shortest and the longest.
        guard (11...21).contains(attribute.key.count), attribute.key[0] == UInt8(ascii: "l"),
            let name = Name(rawValue: attribute.key.text)
        else { return false }
        switch name {
        case .attributeLabels: attributeLabels += Self.list(attribute.value)
        case .resourceLabels: resourceLabels += Self.list(attribute.value)
        case .tenant:
            if case .string(let text) = attribute.value { tenantAttribute = text.text }
        case .format:
            if case .string(let text) = attribute.value { format = Format(rawValue: text.text) }
        }
        return true
    }

    /// A text with commas, or an array of texts.
    private static func list(_ value: AttributeValue) -> [String] {
        switch value {
        case .string(let text):
            return text.text.split(separator: ",").map { trimmed($0) }.filter { !$0.isEmpty }
        case .array(let list):
            var names: [String] = []
            for field in list.fields where field.number == Field.List.values {
                if case .string(let text) = AttributeValue(field.bytes) {
                    names.append(trimmed(Substring(text.text)))
                }
            }
            return names.filter { !$0.isEmpty }
        default: return []
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var rest = text
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}

/// The attributes of one message, as far as they are looked at by name.
struct AttributeList {
    private(set) var all: [Attribute] = []

    /// Reads the attributes of a message, which must outlive the list.
    init(_ message: WireBytes, _ number: UInt32) {
        for field in message.fields where field.number == number && field.isBytes {
            all.append(Attribute(field.bytes))
        }
    }

    /// The value of a key, of several the last; with dots also a way through nested maps.
    func value(_ name: String) -> AttributeValue? { Self.find(name, in: all) }

    /// The same in attributes that were read before.
    static func find(_ name: String, in list: [Attribute]) -> AttributeValue? {
        let key = Array(name.utf8)
        return find(key[...], in: list)
    }

    /// Whether an attribute's key is this name.
    static func isNamed(_ attribute: Attribute, _ name: String) -> Bool {
        guard attribute.key.count == name.utf8.count else { return false }
        return unsafe attribute.key.unsafeBytes.elementsEqual(name.utf8)
    }

    private static func find(_ key: ArraySlice<UInt8>, in list: [Attribute]) -> AttributeValue? {
        if let found = list.last(where: { unsafe $0.key.unsafeBytes.elementsEqual(key) }) {
            return found.value
        }
        guard let dot = key.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        let outer = key[..<dot]
        guard let map = list.last(where: { unsafe $0.key.unsafeBytes.elementsEqual(outer) }),
            case .keyValueList(let inner) = map.value
        else { return nil }
        return find(key[(dot + 1)...], in: AttributeList(inner, Field.List.values).all)
    }
}
