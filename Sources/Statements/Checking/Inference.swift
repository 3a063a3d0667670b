/// Finds the one context in which all statements and conditions of a group can run.
struct Inference {
    /// The narrowest first.
    private static let priority = [
        "log", "exemplar", "datapoint", "metric", "spanevent", "span", "profile", "scope",
        "instrumentation_scope",
        "resource",
    ]

    /// First segments of paths, and where the first one stands.
    private(set) var contexts: Set<String> = []
    private(set) var functions: [(name: String, start: Int, statement: Int)] = []
    private(set) var symbols: [(name: String, start: Int, statement: Int)] = []
    /// Which of the group's texts is being looked at.
    var statement = 0

    mutating func add(_ statement: StatementNode) {
        add(statement.editor)
        if let condition = statement.condition { add(condition) }
    }

    mutating func add(_ condition: BoolNode) {
        switch condition {
        case .constant: break
        case .call(let call): add(call)
        case .comparison(let left, _, let right):
            add(left)
            add(right)
        case .not(let operand): add(operand)
        case .and(let operands), .or(let operands): operands.forEach { add($0) }
        }
    }

    private mutating func add(_ call: CallNode) {
        functions.append((call.name, call.start, statement))
        for argument in call.arguments { add(argument.value) }
        call.keys.forEach { add($0) }
    }

    private mutating func add(_ key: KeyNode) {
        if case .value(let value) = key.kind { add(value) }
    }

    private mutating func add(_ value: ValueNode) {
        switch value.kind {
        case .path(let path):
            if let name = path.context?.name, ContextKind.allNames.contains(name) { contexts.insert(name) }
            for field in path.fields { field.keys.forEach { add($0) } }
        case .call(let call): add(call)
        case .symbol(let name): symbols.append((name, value.start, statement))
        case .list(let items): items.forEach { add($0) }
        case .map(let entries): entries.forEach { add($0.value) }
        case .arithmetic(let left, _, let right):
            add(left)
            add(right)
        case .negated(let operand): add(operand)
        case .null, .bool, .int, .float, .string, .bytes, .functionName: break
        }
    }

    /// A refusal, and the text of the group that it is about.
    struct Failure: Error {
        let error: StatementError
        let statement: Int
    }

    /// The context; one of `supported`, with the functions and symbols used.
    func context(
        among supported: [ContextKind], functions table: (ContextKind) -> FunctionTable
    ) throws(Failure) -> ContextKind {
        let names = supported.map(\.rawValue)
        guard let name = Self.priority.first(where: contexts.contains) else {
            throw Failure(
                error: StatementError(
                    "unable to infer context: a path's first segment must be a valid context name \(names)",
                    at: 0,
                    help: "write for example \(names.last ?? "span").attributes[\"key\"], or give context:"),
                statement: 0)
        }
        guard let inferred = ContextKind(rawValue: name), supported.contains(inferred) else {
            throw Failure(
                error: StatementError(
                    "context \"\(name)\" inferred is not a supported context: \(names)", at: 0),
                statement: 0)
        }
        guard let problem = unsupported(by: inferred, table) else { return inferred }
        for candidate in supported.reversed()
        where candidate != inferred && candidate.visible.contains(inferred) {
            if unsupported(by: candidate, table) == nil { return candidate }
        }
        throw problem
    }

    private func unsupported(by context: ContextKind, _ table: (ContextKind) -> FunctionTable) -> Failure? {
        let table = table(context)
        for (name, start, statement) in functions where table[name] == nil {
            return Failure(
                error: StatementError(
                    "inferred context \"\(context.rawValue)\" does not support the function \"\(name)\"",
                    at: start,
                    help: suggestion(for: name, among: table.names)), statement: statement)
        }
        for (name, start, statement) in symbols where context.symbols[name] == nil && table[name] == nil {
            return Failure(
                error: StatementError(
                    "inferred context \"\(context.rawValue)\" does not support the enum symbol \"\(name)\"",
                    at: start, help: suggestion(for: name, among: context.symbols.keys)), statement: statement
            )
        }
        return nil
    }
}
