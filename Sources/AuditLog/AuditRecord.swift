internal import Hashing
internal import OTLP

/// Attributes of a record or resource on their way into canonical JSON.
struct Attributes {
    /// By key in UTF-8; values are `AnyValue`s in canonical JSON.
    private(set) var entries: [(key: [UInt8], value: [UInt8])] = []
    /// Those that are text, of keys that begin with `audit.` or `event.`. Few: looked through one by one.
    private var texts: [(key: [UInt8], text: String)] = []
    /// Whether a key begins with `audit.`.
    private(set) var hasAuditKeys = false

    private static let audit = Array("audit.".utf8)
    private static let event = Array("event.".utf8)

    /// Adds an attribute of the wire.
    mutating func add(_ attribute: Attribute) {
        let key = attribute.key.array
        var json = CanonicalJSON()
        if case .string(let text) = attribute.value {
            json = CanonicalJSON(capacity: text.count + 24)
        }
        json.append(attribute.value)
        entries.append((key, json.bytes))
        let isAudit = key.starts(with: Self.audit)
        hasAuditKeys = hasAuditKeys || isAudit
        if isAudit || key.starts(with: Self.event), case .string(let text) = attribute.value {
            texts.append((key, text.text))
        }
    }

    /// The text of a key that begins with `audit.` or `event.`; nil when there is none.
    func text(_ key: StaticString) -> String? {
        // SAFETY: the literal lives for ever.
        let key = unsafe UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        return texts.last { unsafe $0.key.count == key.count && $0.key.elementsEqual(key) }?.text
    }

    /// Adds a text, unless there is an attribute of this key.
    mutating func add(_ key: String, _ text: String) {
        guard !has(key) else { return }
        var json = CanonicalJSON()
        json.append("{\"stringValue\":")
        json.append(string: text)
        json.append("}")
        entries.append((Array(key.utf8), json.bytes))
        texts.append((Array(key.utf8), text))
    }

    /// Adds a value that is an `AnyValue` in canonical JSON, unless there is an attribute of this key.
    mutating func add(_ key: String, json: [UInt8]) {
        guard !has(key) else { return }
        entries.append((Array(key.utf8), json))
    }

    /// Whether there is an attribute of this key.
    func has(_ key: String) -> Bool {
        let key = Array(key.utf8)
        return entries.contains { $0.key == key }
    }

    /// The object.
    /// - Throws: a key occurs twice, for which JSON has no form.
    func canonical(place: @autoclosure () -> String) throws(EventProblem) -> [UInt8] {
        let sorted = entries.sorted { CanonicalJSON.precedes($0.key, $1.key) }
        for (one, other) in zip(sorted, sorted.dropFirst()) where one.key == other.key {
            let key = String(decoding: one.key.prefix(100), as: UTF8.self)
            throw EventProblem(description: "\(place()): the attribute \"\(key)\" occurs twice")
        }
        var json = CanonicalJSON()
        json.append(sorted: sorted)
        return json.bytes
    }

    /// A resource of these attributes.
    func resource() throws(EventProblem) -> [UInt8] {
        var json = CanonicalJSON()
        json.append("{\"attributes\":")
        json.append(json: try canonical(place: "the resource"))
        json.append("}")
        return json.bytes
    }
}

/// A log record as an entry has it.
struct AuditRecord {
    var attributes = Attributes()
    var body = AttributeValue.empty
    var eventName = ""
    var time: UInt64 = 0
    /// Lower-case hexadecimal, empty for none.
    var traceID: [UInt8] = []
    var spanID: [UInt8] = []
    private var flags: UInt64 = 0
    private var observedTime: UInt64 = 0
    private var severityNumber: UInt64 = 0
    private var severityText: [UInt8] = []

    /// Reads a `LogRecord`; borrows its body.
    init(_ message: WireBytes) {
        for field in message.fields {
            switch field.number {
            case Field.LogRecord.time: time = field.bits
            case Field.LogRecord.observedTime: observedTime = field.bits
            case Field.LogRecord.severityNumber: severityNumber = field.bits
            case Field.LogRecord.severityText: severityText = field.bytes.array
            case Field.LogRecord.body: body = AttributeValue(field.bytes)
            case Field.LogRecord.attributes: attributes.add(Attribute(field.bytes))
            case Field.LogRecord.flags: flags = field.bits
            case Field.LogRecord.traceID: traceID = Self.id(field.bytes)
            case Field.LogRecord.spanID: spanID = Self.id(field.bytes)
            case Field.LogRecord.eventName: eventName = field.bytes.text
            default: break
            }
        }
    }

    /// An id that is not all zeros, which means none.
    private static func id(_ bytes: WireBytes) -> [UInt8] {
        let bytes = bytes.array
        return bytes.contains { $0 != 0 } ? Digest.hexadecimal(bytes) : []
    }

    /// The record in canonical JSON; README.md has the keys.
    func canonical(place: @autoclosure () -> String) throws(EventProblem) -> [UInt8] {
        let attributes = try attributes.canonical(place: place())
        var json = CanonicalJSON(capacity: attributes.count + 512)
        json.append("{\"attributes\":")
        json.append(json: attributes)
        if case .empty = body {
        } else {
            json.append(",\"body\":")
            json.append(body)
        }
        json.append(",\"event_name\":")
        json.append(string: eventName)
        if flags != 0 { json.append(json: Array(",\"flags\":\(flags)".utf8)) }
        if observedTime != 0 { json.append(json: Array(",\"observed_timestamp\":\"\(observedTime)\"".utf8)) }
        if severityNumber != 0 { json.append(json: Array(",\"severity_number\":\(severityNumber)".utf8)) }
        append(&json, ",\"severity_text\":", severityText)
        append(&json, ",\"span_id\":", spanID)
        json.append(json: Array(",\"timestamp\":\"\(time)\"".utf8))
        append(&json, ",\"trace_id\":", traceID)
        json.append("}")
        return json.bytes
    }

    private func append(_ json: inout CanonicalJSON, _ key: StaticString, _ text: [UInt8]) {
        guard !text.isEmpty else { return }
        json.append(key)
        json.append(string: text)
    }
}

extension CanonicalJSON {
    /// Appends an `AnyValue` as OTLP JSON writes it; not deeper than a receiver lets in.
    mutating func append(_ value: AttributeValue) {
        switch value {
        case .empty: append("{}")
        case .string(let bytes):
            append("{\"stringValue\":")
            append(string: bytes)
            append("}")
        case .bool(let value): append(value ? "{\"boolValue\":true}" : "{\"boolValue\":false}")
        case .int(let value): append(json: Array("{\"intValue\":\"\(value)\"}".utf8))
        case .double(let value):
            append("{\"doubleValue\":")
            if value.isFinite {
                append(value)
            } else {
                append(value.isNaN ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"")
            }
            append("}")
        case .bytes(let bytes):
            append("{\"bytesValue\":")
            append(string: Base64.text(bytes.array))
            append("}")
        case .array(let list):
            append("{\"arrayValue\":{\"values\":[")
            var isFirst = true
            for field in list.fields where field.number == Field.List.values {
                if !isFirst { append(",") }
                isFirst = false
                append(AttributeValue(field.bytes))
            }
            append("]}}")
        case .keyValueList(let list): append(keyValues: list)
        }
    }

    private mutating func append(keyValues list: WireBytes) {
        append("{\"kvlistValue\":{\"values\":[")
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { append(",") }
            isFirst = false
            let attribute = Attribute(field.bytes)
            append("{\"key\":")
            append(string: attribute.key)
            append(",\"value\":")
            append(attribute.value)
            append("}")
        }
        append("]}}")
    }
}
