internal import OTLP

/// A record with everything around it as one line: `loki.format`, and `mapping: legacy`.
struct FormattedLine {
    let parts: RecordParts
    /// The resource's attributes, without hints and what became labels.
    let resource: [Attribute]
    /// An `InstrumentationScope` message.
    let scope: WireBytes

    private var scopeName: WireBytes { text(of: scope, Field.Scope.name) }
    private var scopeVersion: WireBytes { text(of: scope, Field.Scope.version) }

    private func text(of message: WireBytes, _ number: UInt32) -> WireBytes {
        var found = WireBytes.none
        for field in message.fields where field.number == number { found = field.bytes }
        return found
    }

    // MARK: - JSON

    /// `{"body":…,"traceid":…,"attributes":{…},"resources":{…},…}`; what is empty is left out.
    func writeJSON(to draft: inout ByteDraft) {
        var object = JSONObject()
        object.add("name", parts.own.eventName, to: &draft)
        if case .empty = parts.body {
        } else {
            object.key("body", in: &draft)
            draft.appendJSON(parts.body)
        }
        object.addID("traceid", parts.own.traceID, to: &draft)
        object.addID("spanid", parts.own.spanID, to: &draft)
        object.add("severity", parts.own.severityText, to: &draft)
        if parts.own.flags != 0 {
            object.key("flags", in: &draft)
            draft.appendDecimal(UInt64(parts.own.flags))
        }
        object.add("attributes", parts.attributes, to: &draft)
        object.add("resources", resource, to: &draft)
        if scopeName.count > 0 {
            object.key("instrumentation_scope", in: &draft)
            var inner = JSONObject()
            inner.add("name", scopeName, to: &draft)
            inner.add("version", scopeVersion, to: &draft)
            inner.add("attributes", AttributeList(scope, Field.Scope.attributes).all, to: &draft)
            inner.end(in: &draft)
        }
        object.end(in: &draft)
    }

    // MARK: - logfmt

    /// `msg="…" traceID=… attribute_a=… resource_b=…`. A body that is a map, or logfmt, gives its own keys.
    func writeLogfmt(to draft: inout ByteDraft) {
        var line = Logfmt()
        switch parts.body {
        case .empty: break
        case .keyValueList: line.add([], parts.body, to: &draft)
        case .array: line.add(Array("body".utf8), parts.body, to: &draft)
        case .string(let text):
            if let pairs = unsafe LogfmtReader.pairs(text.unsafeBytes) {
                for (key, value) in pairs { line.add(key, value, to: &draft) }
            } else {
                line.add(Array("msg".utf8), parts.body, to: &draft)
            }
        default: line.add(Array("msg".utf8), parts.body, to: &draft)
        }
        line.addID("traceID", parts.own.traceID, to: &draft)
        line.addID("spanID", parts.own.spanID, to: &draft)
        line.add("severity", parts.own.severityText, to: &draft)
        if parts.own.flags != 0 {
            line.add(Array("flags".utf8), .int(Int64(parts.own.flags)), to: &draft)
        }
        for attribute in parts.attributes {
            line.add(Array("attribute_".utf8) + attribute.key.array, attribute.value, to: &draft)
        }
        for attribute in resource {
            line.add(Array("resource_".utf8) + attribute.key.array, attribute.value, to: &draft)
        }
        line.add("instrumentation_scope_name", scopeName, to: &draft)
        line.add("instrumentation_scope_version", scopeVersion, to: &draft)
        for attribute in AttributeList(scope, Field.Scope.attributes).all {
            let key = Array("instrumentation_scope_attribute_".utf8) + attribute.key.array
            line.add(key, attribute.value, to: &draft)
        }
    }
}

/// A JSON object while it is written.
private struct JSONObject {
    private var isEmpty = true

    /// Begins a member; its value follows.
    mutating func key(_ key: StaticString, in draft: inout ByteDraft) {
        draft.append(isEmpty ? "{\"" : ",\"")
        isEmpty = false
        draft.append(key)
        draft.append("\":")
    }

    mutating func end(in draft: inout ByteDraft) {
        draft.append(isEmpty ? "{}" : "}")
    }

    mutating func add(_ key: StaticString, _ text: WireBytes, to draft: inout ByteDraft) {
        guard text.count > 0 else { return }
        self.key(key, in: &draft)
        unsafe draft.appendJSONString(text.unsafeBytes)
    }

    mutating func addID(_ key: StaticString, _ id: WireBytes, to draft: inout ByteDraft) {
        guard !id.isZero else { return }
        self.key(key, in: &draft)
        draft.append(UInt8(ascii: "\""))
        draft.appendHex(id)
        draft.append(UInt8(ascii: "\""))
    }

    mutating func add(_ key: StaticString, _ attributes: [Attribute], to draft: inout ByteDraft) {
        guard !attributes.isEmpty else { return }
        self.key(key, in: &draft)
        draft.append(UInt8(ascii: "{"))
        for (index, attribute) in attributes.enumerated() {
            if index > 0 { draft.append(UInt8(ascii: ",")) }
            unsafe draft.appendJSONString(attribute.key.unsafeBytes)
            draft.append(UInt8(ascii: ":"))
            draft.appendJSON(attribute.value)
        }
        draft.append(UInt8(ascii: "}"))
    }
}

/// A logfmt line while it is written.
private struct Logfmt {
    /// Deeper maps, and keys that got longer, are written as JSON.
    private static let depthMax = 8
    private static let keyBytesMax = 1024
    private var isEmpty = true

    private mutating func key(_ key: [UInt8], in draft: inout ByteDraft) {
        if !isEmpty { draft.append(UInt8(ascii: " ")) }
        isEmpty = false
        for byte in key {
            let isBreaking = byte <= 0x20 || byte == 0x22 || byte == 0x3D || byte == 0x7F
            draft.append(isBreaking ? UInt8(ascii: "_") : byte)
        }
        if key.isEmpty { draft.append(UInt8(ascii: "_")) }
        draft.append(UInt8(ascii: "="))
    }

    private func value(_ text: borrowing ByteDraft, in draft: inout ByteDraft) {
        let bytes = unsafe text.unsafeBytes
        let needsQuotes = unsafe bytes.contains {
            $0 <= 0x20 || $0 == 0x22 || $0 == 0x3D || $0 == 0x5C || $0 == 0x7F
        }
        if needsQuotes {
            unsafe draft.appendJSONString(bytes)
        } else {
            unsafe draft.append(bytes)
        }
    }

    mutating func add(_ key: StaticString, _ text: WireBytes, to draft: inout ByteDraft) {
        guard text.count > 0 else { return }
        unsafe add(Array(key.bytes), .string(text), to: &draft)
    }

    mutating func addID(_ key: StaticString, _ id: WireBytes, to draft: inout ByteDraft) {
        guard !id.isZero else { return }
        unsafe self.key(Array(key.bytes), in: &draft)
        draft.appendHex(id)
    }

    /// Adds a text.
    mutating func add(_ key: [UInt8], _ text: [UInt8], to draft: inout ByteDraft) {
        unsafe text.withUnsafeBytes { unsafe add(key, .string(WireBytes($0)), to: &draft) }
    }

    /// Adds a value; of a map or a list each value, under keys joined by underscores.
    mutating func add(
        _ key: [UInt8], _ value: AttributeValue, to draft: inout ByteDraft, depth: Int = 0
    ) {
        if case .keyValueList(let list) = value, depth < Self.depthMax, key.count <= Self.keyBytesMax {
            for field in list.fields where field.number == Field.List.values {
                let inner = Attribute(field.bytes)
                let innerKey = key.isEmpty ? inner.key.array : key + [UInt8(ascii: "_")] + inner.key.array
                add(innerKey, inner.value, to: &draft, depth: depth + 1)
            }
            return
        }
        if case .array(let list) = value, depth < Self.depthMax, key.count <= Self.keyBytesMax {
            let elements = list.fields.lazy.filter { $0.number == Field.List.values }
            for (index, field) in elements.enumerated() {
                let prefix = key.isEmpty ? [] : key + [UInt8(ascii: "_")]
                add(
                    prefix + Array("\(index)".utf8), AttributeValue(field.bytes), to: &draft, depth: depth + 1
                )
            }
            return
        }
        self.key(key, in: &draft)
        var text = ByteDraft(capacity: 64)
        text.appendText(value)
        self.value(text, in: &draft)
    }
}
