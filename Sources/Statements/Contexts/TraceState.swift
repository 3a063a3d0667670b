package import OTLP

/// The W3C header of that name, and `trace_state["key"]`, which is one member of it.
package enum TraceState {
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

    private static let membersMax = 32
    /// More than 32 members of the longest key and value, and blanks around them.
    private static let bytesMax = 32 * 1024

    /// The members of a header; nil when it breaks the rules for keys and values, names a key twice or has more than 32.
    package static func members(_ header: WireBytes) -> [(key: String, value: String)]? {
        guard header.count <= bytesMax else { return nil }
        var members: [(key: String, value: String)] = []
        for part in header.text.split(separator: ",") {
            guard let equals = part.firstIndex(of: "=") else { return nil }
            let key = String(part[..<equals].drop(while: isBlank))
            var text = part[part.index(after: equals)...]
            while let last = text.last, isBlank(last) { text.removeLast() }
            let value = String(text)
            guard members.count < membersMax, isKey(key), isValue(value),
                !members.contains(where: { $0.key == key })
            else { return nil }
            members.append((key, value))
        }
        return members
    }

    private static func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }

    /// `name`, or `tenant@system`.
    private static func isKey(_ key: String) -> Bool {
        let parts = key.utf8.split(
            separator: UInt8(ascii: "@"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.last, let first = name.first, first.isLower,
            name.count <= (parts.count == 1 ? 256 : 14), name.allSatisfy(isKeyByte)
        else { return false }
        guard parts.count == 2 else { return true }
        guard let start = parts[0].first, start.isLower || start.isDigit else { return false }
        return parts[0].count <= 241 && parts[0].allSatisfy(isKeyByte)
    }

    private static func isKeyByte(_ byte: UInt8) -> Bool {
        byte.isLower || byte.isDigit || "_-*/".utf8.contains(byte)
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
