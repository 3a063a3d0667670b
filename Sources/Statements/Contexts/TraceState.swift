internal import OTLP

/// `trace_state["key"]`: one member of the W3C header of that name.
enum TraceState {
    static func path(_ keys: [Key], _ shown: String, _ node: PathNode) throws(StatementError)
        -> PathExpression
    {
        guard keys.count == 1 else {
            throw StatementError("must provide exactly 1 key when accessing trace_state", at: node.start)
        }
        let key = keys[0]
        return FieldPath(shown) { (frame) throws(EvaluationError) in
            guard case .string(let name) = try key.resolved(frame) else {
                throw EvaluationError("trace_state indexing type must be a string")
            }
            let wanted = name.text
            guard let members = members(frame.editor.content(frame.item, Field.Span.traceState)) else {
                return .null
            }
            return .text(members.first { $0.key == wanted }?.value ?? "")
        } set: { (value, frame) throws(EvaluationError) in
            guard case .string(let name) = try key.resolved(frame) else {
                throw EvaluationError("trace_state indexing type must be a string")
            }
            let text = try value.expectedText()
            let wanted = name.text
            // A header that cannot be read is left as it is.
            guard var members = members(frame.editor.content(frame.item, Field.Span.traceState)),
                isKey(wanted), isValue(text)
            else { return }
            members.removeAll { $0.key == wanted }
            members.insert((wanted, text), at: 0)
            let header = members.map { $0.key + "=" + $0.value }.joined(separator: ",")
            frame.editor.setContent(frame.item, Field.Span.traceState, Bytes(header))
        }
    }

    static func members(_ header: WireBytes) -> [(key: String, value: String)]? {
        var members: [(key: String, value: String)] = []
        for part in header.text.split(separator: ",") {
            let trimmed = part.trimmingSpaces
            if trimmed.isEmpty { continue }
            guard let equals = trimmed.firstIndex(of: "=") else { return nil }
            let key = String(trimmed[..<equals])
            let value = String(trimmed[trimmed.index(after: equals)...])
            guard isKey(key), isValue(value), !members.contains(where: { $0.key == key }) else { return nil }
            members.append((key, value))
        }
        return members.count <= 32 ? members : nil
    }

    private static func isKey(_ key: String) -> Bool {
        !key.isEmpty && key.utf8.count <= 256
            && key.utf8.allSatisfy { $0.isLower || $0.isDigit || "_-*/@".utf8.contains($0) }
    }

    private static func isValue(_ value: String) -> Bool {
        !value.isEmpty && value.utf8.count <= 256 && value.last != " "
            && value.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x2C && $0 != 0x3D }
    }
}

extension Substring {
    var trimmingSpaces: Substring {
        var rest = self
        while rest.first == " " || rest.first == "\t" { rest = rest.dropFirst() }
        while rest.last == " " || rest.last == "\t" { rest = rest.dropLast() }
        return rest
    }
}
