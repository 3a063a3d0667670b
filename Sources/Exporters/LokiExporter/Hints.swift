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
    /// Names that were left out: no stream of Loki has as many labels.
    private(set) var leftOut = 0

    /// Names of one kind that are kept.
    private static let namesMax = 128

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
        case .attributeLabels: add(attribute.value, to: \.attributeLabels)
        case .resourceLabels: add(attribute.value, to: \.resourceLabels)
        case .tenant:
            if case .string(let text) = attribute.value { tenantAttribute = text.text }
        case .format:
            if case .string(let text) = attribute.value { format = Format(rawValue: text.text) }
        }
        return true
    }

    /// Adds the names of a text with commas, or of an array of texts.
    private mutating func add(_ value: AttributeValue, to list: WritableKeyPath<Hints, [String]>) {
        switch value {
        case .string(let text):
            var rest = text.array[...]
            while !rest.isEmpty {
                let name = rest.prefix { $0 != UInt8(ascii: ",") }
                rest = rest.dropFirst(name.count + 1)
                add(String(decoding: name, as: UTF8.self), to: list)
            }
        case .array(let values):
            for field in values.fields where field.number == Field.List.values {
                if case .string(let text) = AttributeValue(field.bytes) { add(text.text, to: list) }
            }
        default: break
        }
    }

    private mutating func add(_ text: String, to list: WritableKeyPath<Hints, [String]>) {
        guard self[keyPath: list].count < Self.namesMax else {
            leftOut += 1
            return
        }
        let name = Self.trimmed(text[...])
        if !name.isEmpty { self[keyPath: list].append(name) }
    }

    private static func trimmed(_ text: Substring) -> String {
        var rest = text
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
