internal import OTLP

/// A record, taken apart: for the general way, which looks at fields more than once.
struct RecordParts {
    var own = RecordFields()
    var body = AttributeValue.empty
    /// Without the hints and what was taken out.
    private(set) var list = AttributeList()
    /// Those of the resource and the record.
    private(set) var hints: Hints

    /// Reads a record, which must outlive its parts.
    init(_ record: WireBytes, resourceHints: Hints) {
        hints = resourceHints
        for field in record.fields {
            switch field.number {
            case Field.LogRecord.body where field.isBytes: body = AttributeValue(field.bytes)
            case Field.LogRecord.attributes where field.isBytes:
                let attribute = Attribute(field.bytes)
                if !hints.take(attribute) { list.add(attribute) }
            default: own.take(field)
            }
        }
        list.removeRepeated()
    }

    var attributes: [Attribute] { list.all }

    /// The value of an attribute's name, which may lead through nested maps.
    func value(_ name: String) -> AttributeValue? { list.value(name) }

    /// Takes the attributes out that `isTaken` says.
    mutating func remove(where isTaken: (Attribute) -> Bool) { list.remove(where: isTaken) }

    /// Takes the attributes with these names out.
    mutating func remove(named names: [String]) { list.remove(named: names) }

    /// Whether the record has a severity that has a name.
    var hasLevel: Bool { (1...24).contains(own.severityNumber) }

    /// The severity's name: `INFO`, `WARN2`. Precondition: `hasLevel`.
    var level: [UInt8] {
        let names = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
        let index = Int(own.severityNumber) - 1
        return Array((names[index / 4] + (index % 4 == 0 ? "" : "\(index % 4 + 1)")).utf8)
    }
}
