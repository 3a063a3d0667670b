/// Why a path is none.
package struct RecordFieldProblem: Error, CustomStringConvertible {
    package let description: String
}

/// A field of a record: `attributes.a\.b`, `body.x.y`.
package struct RecordField: Sendable, Equatable {
    /// Whether it is in the body, not in the attributes.
    package let isInBody: Bool
    /// Keys of maps in maps; not empty.
    package let keys: [String]

    package init(_ text: String) throws(RecordFieldProblem) {
        var parts = [""]
        var isEscaped = false
        for character in text {
            if isEscaped {
                parts[parts.count - 1].append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "." {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        let root = parts.removeFirst()
        guard root == "body" || root == "attributes" else {
            throw RecordFieldProblem(description: "a field must start with body or attributes: \(text)")
        }
        guard !parts.isEmpty else {
            throw RecordFieldProblem(
                description: root == "body"
                    ? "cannot exclude the entire body" : "a field needs a key: \(text)")
        }
        guard !parts.contains("") else {
            throw RecordFieldProblem(description: "a field has an empty part: \(text)")
        }
        isInBody = root == "body"
        keys = parts
    }
}
