/// Turns nodes into expressions: resolves paths, functions and symbols, checks literals.
struct Checker {
    let context: ContextKind
    let functions: FunctionTable
    /// Whether paths without a context belong to `context`.
    let addsContext: Bool

    func statement(_ node: StatementNode) throws(StatementError) -> (FunctionExpression.Body, Predicate?) {
        let editor = try call(node.editor)
        guard let condition = node.condition else { return (editor, nil) }
        return (editor, try self.condition(condition))
    }

    func condition(_ node: BoolNode) throws(StatementError) -> Predicate {
        switch node {
        case .constant(let value): return ConstantPredicate(value)
        case .call(let call): return ConverterPredicate(try converter(call))
        case .comparison(let left, let operation, let right):
            let (left, right) = (try value(left), try value(right))
            return left.isPlain && right.isPlain
                ? PlainComparison(left, operation, right) : ComparisonPredicate(left, operation, right)
        case .not(let operand): return NotPredicate(try condition(operand))
        case .and(let operands): return try joined(operands[...]) { AndPredicate($0, $1) }
        case .or(let operands): return try joined(operands[...]) { OrPredicate($0, $1) }
        }
    }

    /// Two or more conditions in their order; by halves, so that thousands lie in each other a dozen deep.
    private func joined(
        _ nodes: ArraySlice<BoolNode>, _ join: (Predicate, Predicate) -> Predicate
    ) throws(StatementError) -> Predicate {
        guard nodes.count > 1 else { return try condition(nodes[nodes.startIndex]) }
        let middle = nodes.startIndex + nodes.count / 2
        return join(try joined(nodes[..<middle], join), try joined(nodes[middle...], join))
    }

    // MARK: - Values

    func value(_ node: ValueNode) throws(StatementError) -> Expression {
        switch node.kind {
        case .null: return ConstantExpression(.null)
        case .bool(let value): return ConstantExpression(.bool(value))
        case .int(let value): return ConstantExpression(.int(value))
        case .float(let value): return ConstantExpression(.double(value))
        case .string(let bytes): return ConstantExpression(.string(.owned(bytes)))
        case .bytes(let bytes): return ConstantExpression(.bytes(.owned(bytes)))
        case .symbol(let name):
            guard let number = context.symbols[name] else {
                throw StatementError(
                    "enum symbol not found: \(name)", at: node.start,
                    help: suggestion(for: name, among: context.symbols.keys))
            }
            return ConstantExpression(.int(number))
        case .functionName(let name):
            throw StatementError(
                "unexpected token \"\(name)\"", at: node.start, help: "a converter is called with (")
        case .path(let node): return try path(node)
        case .call(let call): return try converter(call)
        case .list(let nodes): return try list(nodes)
        case .map(let nodes): return try map(nodes)
        case .arithmetic(let left, let operation, let right):
            let (left, right) = (try value(left), try value(right))
            let expression = ArithmeticExpression(left, operation, right)
            guard let one = left.constant, let two = right.constant,
                let result = try? Arithmetic.apply(one, operation, two)
            else { return expression }
            return ConstantExpression(result)
        case .negated(let operand):
            let operand = try value(operand)
            guard let constant = operand.constant, let result = try? Arithmetic.negate(constant) else {
                return NegatedExpression(operand)
            }
            return ConstantExpression(result)
        }
    }

    private func list(_ nodes: [ValueNode]) throws(StatementError) -> Expression {
        var items: [Expression] = []
        for node in nodes { items.append(try value(node)) }
        let constants = items.compactMap(\.constant)
        if constants.count == items.count { return ConstantExpression(.list(.items(constants))) }
        return ListExpression(items)
    }

    private func map(_ nodes: [(key: [UInt8], value: ValueNode)]) throws(StatementError) -> Expression {
        var entries: [(key: Bytes, value: Expression)] = []
        var constants: [MapEntry] = []
        for node in nodes {
            let expression = try value(node.value)
            entries.append((.owned(node.key), expression))
            if let constant = expression.constant { constants.put(.owned(node.key), constant) }
        }
        if entries.allSatisfy({ $0.value.constant != nil }) {
            return ConstantExpression(.map(.entries(constants)))
        }
        return MapExpression(entries)
    }

    private func converter(_ node: CallNode) throws(StatementError) -> Expression {
        let expression = FunctionExpression(try call(node))
        return node.keys.isEmpty ? expression : IndexedResult(expression, try keys(node.keys))
    }

    func keys(_ nodes: [KeyNode]) throws(StatementError) -> [Key] {
        var keys: [Key] = []
        for node in nodes {
            switch node.kind {
            case .string(let bytes): keys.append(Key(bytes))
            case .int(let index): keys.append(.int(index))
            case .value(let node):
                let expression = try value(node)
                switch expression.constant {
                case .int(let index): keys.append(.int(index))
                case .string(let bytes): keys.append(Key(bytes.array))
                default: keys.append(.expression(expression))
                }
            }
        }
        return keys
    }

    // MARK: - Paths

    func path(_ node: PathNode) throws(StatementError) -> PathExpression {
        var node = node
        var name = context.rawValue
        if let first = node.context {
            if context.pathNames.contains(first.name) {
                name = first.name
            } else if ContextKind.allNames.contains(first.name), !addsContext || first.name != "scope" {
                throw StatementError(
                    "context \"\(first.name)\" from path \"\(node.shown)\" is not valid, it must be replaced by one of: "
                        + context.pathNames.map { "\"\($0)\"" }.joined(separator: ", "), at: node.start)
            } else {
                node.fields.insert(first, at: 0)
                node.context = nil
            }
        }
        if node.context == nil, !addsContext {
            throw StatementError(
                "missing context name for path \"\(node.shown)\", possibly valid options are: "
                    + context.pathNames.map { "\"\($0).\(node.shown)\"" }.joined(separator: ", "),
                at: node.start)
        }
        return try Paths.resolve(node, contextName: name, self)
    }
}
