internal import OTLP

/// What statements of the log context can do beside the editors of all contexts.
enum LogEditors {
    static var all: [Function] {
        [
            // Of a record with a list in a field: a record for each of the items, appended behind the others.
            Function("unroll", [.required("field", .path)]) { arguments in
                let field = arguments.path(0)
                return { frame throws(EvaluationError) in
                    guard case .list(let list) = try field.evaluate(frame) else { return .null }
                    let items = list.items
                    let whole = frame.editor.content(frame.item)
                    let made = max(0, items.count - 1)
                    try frame.addItems(made, bytes: made * whole.count)
                    let record = frame.item
                    for item in items.dropFirst() {
                        let position = frame.editor.fieldCount(frame.scopeGroup)
                        guard !frame.editor.isOutOfMemory else { return .null }
                        frame.editor.append(frame.scopeGroup, Field.ScopeEntry.entries, whole)
                        frame.show(item: frame.editor.child(frame.scopeGroup, at: position))
                        defer { frame.show(item: record) }
                        try field.set(item, frame)
                    }
                    if let first = items.first { try field.set(first, frame) }
                    return .null
                }
            }
        ]
    }
}
