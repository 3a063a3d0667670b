import OTLP

@testable import Statements

/// Statements on one log record, and what came of it.
struct Evaluated {
    /// The record's attributes, the values as OTLP JSON; `r` is what `value` set.
    let attributes: [String: String]
    let errors: [String]

    /// The record's attributes before.
    static let before = """
        {"key":"s","value":{"stringValue":"Hello World"}},{"key":"s500","value":{"stringValue":"500"}},
        {"key":"i","value":{"intValue":"7"}},{"key":"d","value":{"doubleValue":1.5}},
        {"key":"b","value":{"boolValue":true}},
        {"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"2"},{"intValue":"3"}]}}},
        {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}
        """

    /// Sets attribute `r` to a value expression.
    init(value: String) throws { try self.init(["set(attributes[\"r\"], \(value))"]) }

    init(_ statements: [String]) throws {
        let json = """
            {"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
            "scopeLogs":[{"logRecords":[{"timeUnixNano":"5","severityNumber":9,
            "body":{"stringValue":"the body"},"attributes":[\(Self.before)]}]}]}]}
            """
        let result = try Self.run(statements, json, .logs, .log)
        errors = result.errors
        var attributes: [String: String] = [:]
        let record = result.request.withUnsafeBytes { bytes in
            let editor = RequestEditor()
            editor.open(WireBytes(bytes))
            editor.forEachItem { place in
                for position in 0..<editor.fieldCount(place.item)
                where editor.number(place.item, at: position) == Field.LogRecord.attributes {
                    let attribute = Attribute(editor.content(place.item, at: position))
                    attributes[attribute.key.text] = Value(attribute.value).shown
                }
                return .keep
            }
            return 0
        }
        _ = record
        self.attributes = attributes
    }

    /// The request after the statements.
    static func run(
        _ statements: [String], _ json: String, _ signal: Signal, _ context: ContextKind?
    ) throws -> (request: [UInt8], json: String, errors: [String]) {
        let group = try StatementGroup(
            statements: statements, context: context, signal: signal, errorMode: .ignore)
        let text = Array(json.utf8)
        var request = [UInt8](repeating: 0, count: text.count * 4 + 64)
        let count = try text.withUnsafeBytes { text in
            try request.withUnsafeMutableBytes { try readOTLPJSON(text, as: signal, into: $0) }
        }
        var errors: [String] = []
        let editor = RequestEditor()
        let written = Array(request[..<count]).withUnsafeBytes { bytes in
            editor.open(WireBytes(bytes))
            try? group.run(on: Frame(editor)) { errors.append($0.error.description) }
            return [UInt8](unsafeUninitializedCapacity: editor.writtenCount) { room, count in
                count = editor.writtenCount
                editor.write(
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(room)[..<count]))
            }
        }
        let shown = written.withUnsafeBytes { String(decoding: otlpJSON($0, signal), as: UTF8.self) }
        return (written, shown, errors)
    }
}

extension Value {
    /// With its type: `int 5`, `"text"`, `[int 1]`.
    var shown: String {
        switch self {
        case .null: "nil"
        case .int(let value): "int \(value)"
        case .double(let value): "double \(TextForm.general(value))"
        case .string(let bytes): "\"\(bytes.text)\""
        case .bytes(let bytes): "bytes \(TextForm.hex(bytes.array))"
        case .list(let list): "[" + list.items.map(\.shown).joined(separator: ", ") + "]"
        case .map(let map):
            "{" + map.entries.map { "\($0.key.text): \($0.value.shown)" }.joined(separator: ", ") + "}"
        default: TextForm.text(self)
        }
    }
}
