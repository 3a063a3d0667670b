internal import Hashing
internal import OTLP

/// The platform's audit event: a JSON object in a record's body, as text or as a map, with `actor`, `resource` and `action`.
///
/// Its fields become the attributes of the OpenTelemetry draft, where the record has none of these itself. The body stays as it came.
struct PlatformEvent {
    private let event: JSONTree

    /// Nil: the body is no such event.
    /// - Throws: it begins like one and is no JSON.
    init?(_ body: AttributeValue) throws(EventProblem) {
        switch body {
        case .string(let text):
            guard text.array.first(where: { $0 > 32 }) == UInt8(ascii: "{") else { return nil }
            do throws(JSONError) {
                event = try JSONTree(text.array)
            } catch {
                throw EventProblem(description: "the audit event in the body is no JSON: \(error)")
            }
        case .keyValueList(let list): event = JSONTree(map: list)
        default: return nil
        }
        guard case .object = event["actor"], case .object = event["resource"] else { return nil }
    }

    /// Adds what the event says to its record.
    func complete(_ record: inout AuditRecord) throws(EventProblem) {
        let resourceType = try text("resource", "type")
        let action = try text("action")
        // The sender's own, which tells two events of one second apart.
        let sent = record.time
        if record.eventName.isEmpty { record.eventName = "\(resourceType).\(action)" }
        if let time = optionalText(event["timestamp"]) {
            guard let nanoseconds = RFC3339.nanoseconds(time) else {
                throw problem("timestamp is \"\(time.prefix(100))\"; must be a time of RFC 3339")
            }
            record.time = nanoseconds
        }
        var attributes = record.attributes
        attributes.add("audit.actor.type", try text("actor", "type"))
        attributes.add("audit.actor.id", try text("actor", "id"))
        attributes.add("audit.action", action.uppercased())
        attributes.add("audit.outcome", optionalText(event["outcome"]) ?? "unknown")
        add(&attributes, "user.email", event["actor"]["email"])
        addTarget(&attributes, resourceType)
        add(&attributes, "audit.decision", event["decision"])
        add(&attributes, "audit.policy.version", event["policyVersion"])
        add(&attributes, "audit.integrity.value", event["signature"])
        if event["complianceTags"] != .null {
            attributes.add("audit.compliance.tags", json: Self.value(event["complianceTags"]))
        }
        if event["details"] != .null { attributes.add("audit.details", json: Self.value(event["details"])) }
        try addTrace(&record, &attributes)
        record.attributes = attributes
        if !attributes.has("audit.record.id") {
            let id = optionalText(event["id"]) ?? optionalText(event["recordId"])
            // The same event sent again is the same record.
            let content = try record.canonical(place: "the event") + Array("\(sent)".utf8)
            let derived = RecordID(derivedFrom: Hash256(of: content))
            record.attributes.add("audit.record.id", id ?? "\(derived)")
        }
    }

    private func addTarget(_ attributes: inout Attributes, _ type: String) {
        let resource = event["resource"]
        let namespace = optionalText(resource["namespace"])
        attributes.add("audit.target.type", namespace == nil ? type : "k8s.\(type)")
        if let namespace { attributes.add("k8s.namespace.name", namespace) }
        if let name = optionalText(resource["name"]) ?? optionalText(resource["id"]) {
            attributes.add("audit.target.id", namespace.map { "\($0)/\(name)" } ?? name)
        }
        add(&attributes, "audit.target.version", resource["version"])
    }

    /// Ids are UUIDs here: a trace's 16 bytes are its trace id, of a span's OTLP has 8 only.
    private func addTrace(_ record: inout AuditRecord, _ attributes: inout Attributes) throws(EventProblem) {
        if let text = optionalText(event["traceId"]) {
            let digits = Array(text.lowercased().utf8).filter { $0 != UInt8(ascii: "-") }
            guard digits.count == 32, Hexadecimal.decode(digits) != nil else {
                throw problem("traceId is \"\(text.prefix(100))\"; must be 32 hexadecimal digits")
            }
            record.traceID = digits
        }
        guard let text = optionalText(event["spanId"]) else { return }
        let digits = Array(text.lowercased().utf8)
        if digits.count == 16, Hexadecimal.decode(digits) != nil {
            record.spanID = digits
        } else if RecordID(text: digits) != nil {
            attributes.add("audit.span.uuid", String(decoding: digits, as: UTF8.self))
        } else {
            throw problem("spanId is \"\(text.prefix(100))\"; must be 16 hexadecimal digits or a UUID")
        }
    }

    // MARK: - Values

    private func problem(_ text: String) -> EventProblem {
        EventProblem(description: "the audit event in the body is not complete: \(text)")
    }

    private func text(_ key: String, _ second: String? = nil) throws(EventProblem) -> String {
        let value = second.map { event[key][$0] } ?? event[key]
        guard let text = optionalText(value) else {
            throw problem("\(key)\(second.map { ".\($0)" } ?? "") is missing")
        }
        return text
    }

    private func optionalText(_ value: JSONTree) -> String? {
        guard case .string(let text) = value, !text.isEmpty else { return nil }
        return text
    }

    private func add(_ attributes: inout Attributes, _ key: String, _ value: JSONTree) {
        guard let text = optionalText(value) else { return }
        attributes.add(key, text)
    }

    /// A JSON value as an `AnyValue` in canonical JSON.
    private static func value(_ tree: JSONTree) -> [UInt8] {
        var json = CanonicalJSON()
        append(tree, &json)
        return json.bytes
    }

    private static func append(_ tree: JSONTree, _ json: inout CanonicalJSON) {
        switch tree {
        case .null: json.append("{}")
        case .bool(let value): json.append(.bool(value))
        case .number(let text):
            if let whole = Int64(text) {
                json.append(.int(whole))
            } else {
                json.append(.double(Double(text) ?? .nan))
            }
        case .string(let text):
            json.append("{\"stringValue\":")
            json.append(string: text)
            json.append("}")
        case .list(let items):
            json.append("{\"arrayValue\":{\"values\":[")
            for (index, item) in items.enumerated() {
                if index > 0 { json.append(",") }
                append(item, &json)
            }
            json.append("]}}")
        case .object(let entries):
            json.append("{\"kvlistValue\":{\"values\":[")
            for (index, entry) in entries.enumerated() {
                if index > 0 { json.append(",") }
                json.append("{\"key\":")
                json.append(string: entry.key)
                json.append(",\"value\":")
                append(entry.value, &json)
                json.append("}")
            }
            json.append("]}}")
        }
    }
}

extension JSONTree {
    /// A map of OTLP; bytes are base 64.
    fileprivate init(map list: WireBytes) {
        var entries: [Entry] = []
        for field in list.fields where field.number == Field.List.values {
            let attribute = Attribute(field.bytes)
            entries.append(Entry(key: attribute.key.text, value: JSONTree(attribute.value)))
        }
        self = .object(entries)
    }

    private init(_ value: AttributeValue) {
        switch value {
        case .empty: self = .null
        case .string(let bytes): self = .string(bytes.text)
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .number("\(value)")
        case .double(let value): self = .number("\(value)")
        case .bytes(let bytes): self = .string(Base64.text(bytes.array))
        case .array(let list):
            var items: [JSONTree] = []
            for field in list.fields where field.number == Field.List.values {
                items.append(JSONTree(AttributeValue(field.bytes)))
            }
            self = .list(items)
        case .keyValueList(let list): self = JSONTree(map: list)
        }
    }
}
