extension Checker {
    /// Checks a call: its function, the number, names and kinds of its arguments.
    func call(_ node: CallNode) throws(StatementError) -> FunctionExpression.Body {
        guard let function = functions[node.name] else {
            throw StatementError(
                "undefined function \"\(node.name)\"", at: node.start,
                help: suggestion(for: node.name, among: functions.names))
        }
        let arguments: Arguments
        do {
            arguments = try self.arguments(of: function, node)
        } catch {
            var error = error
            error.message = "error while parsing arguments for call to \"\(node.name)\": " + error.message
            throw error
        }
        do {
            return try function.make(arguments)
        } catch {
            throw StatementError("couldn't create function: \(error.message)", at: node.start)
        }
    }

    private func arguments(of function: Function, _ node: CallNode) throws(StatementError) -> Arguments {
        let parameters = function.parameters
        let required = parameters.count { !$0.isOptional }
        guard (required...parameters.count).contains(node.arguments.count) else {
            throw StatementError(
                "incorrect number of arguments. Expected: "
                    + "\(node.arguments.count < required ? required : parameters.count) Received: \(node.arguments.count)",
                at: node.start, help: "\(function.name)(\(parameters.map(\.name).joined(separator: ", ")))")
        }
        var values = [Arguments.Argument?](repeating: nil, count: parameters.count)
        var wasNamed = false
        for (position, argument) in node.arguments.enumerated() {
            var index = position
            if let name = argument.name {
                wasNamed = true
                guard let found = parameters.firstIndex(where: { folded($0.name) == folded(name) }) else {
                    throw StatementError(
                        "no such parameter: \(name)", at: argument.value.start,
                        help: suggestion(for: name, among: parameters.map(\.name)))
                }
                index = found
            } else if wasNamed {
                throw StatementError("unnamed argument used after named argument", at: argument.value.start)
            }
            do {
                values[index] = try self.argument(parameters[index].kind, argument.value)
            } catch {
                var error = error
                if case .function = parameters[index].kind {
                } else {
                    error.message = "invalid argument at position \(position): " + error.message
                }
                throw error
            }
        }
        for (parameter, value) in zip(parameters, values) where value == nil && !parameter.isOptional {
            throw StatementError("the parameter \(parameter.name) is missing", at: node.start)
        }
        return Arguments(values: values)
    }

    /// `utf8_safe` and `utf8Safe` are one name.
    private func folded(_ name: String) -> String { name.filter { $0 != "_" }.lowercased() }

    private func argument(_ kind: ParameterKind, _ node: ValueNode) throws(StatementError)
        -> Arguments.Argument
    {
        switch kind {
        case .path:
            guard case .path(let path) = node.kind else {
                throw StatementError("must be a path", at: node.start)
            }
            return .path(try self.path(path))
        case .literalString:
            guard case .string(let bytes) = node.kind else {
                throw StatementError("must be a string", at: node.start)
            }
            return .literal(.string(.owned(bytes)))
        case .literalInt:
            if case .symbol = node.kind, let value = try value(node).constant { return .literal(value) }
            guard case .int(let value) = node.kind else {
                throw StatementError("must be an int", at: node.start)
            }
            return .literal(.int(value))
        case .literalDouble:
            guard case .float(let value) = node.kind else {
                throw StatementError("must be a float", at: node.start)
            }
            return .literal(.double(value))
        case .literalBool:
            guard case .bool(let value) = node.kind else {
                throw StatementError("must be a bool", at: node.start)
            }
            return .literal(.bool(value))
        case .values, .strings, .stringLikes, .literalStrings, .literalInts, .literalDoubles:
            return .expressions(try list(kind, node))
        case .function: return .function(try functionArgument(node))
        default:
            let expression = try value(node)
            if let constant = expression.constant { try check(constant, kind, node.start) }
            if case .list = kind, case .list(let items) = node.kind {
                for item in items {
                    guard case .map = item.kind else { continue }
                    throw StatementError("<Invalid value type pcommon.Map>", at: item.start)
                }
            }
            return .expression(expression)
        }
    }

    private func list(_ kind: ParameterKind, _ node: ValueNode) throws(StatementError) -> [Expression] {
        guard case .list(let nodes) = node.kind else {
            throw StatementError("must be a list", at: node.start)
        }
        var expressions: [Expression] = []
        for item in nodes {
            switch kind {
            case .literalStrings:
                guard case .literal(let literal) = try argument(.literalString, item) else { continue }
                expressions.append(ConstantExpression(literal))
            case .literalInts:
                guard case .literal(let literal) = try argument(.literalInt, item) else { continue }
                expressions.append(ConstantExpression(literal))
            case .literalDoubles:
                guard case .literal(let literal) = try argument(.literalDouble, item) else { continue }
                expressions.append(ConstantExpression(literal))
            default:
                let expression = try value(item)
                if let constant = expression.constant, case .strings = kind {
                    try check(constant, .string, item.start)
                }
                expressions.append(expression)
            }
        }
        return expressions
    }

    /// Literals are checked at the start.
    private func check(_ value: Value, _ kind: ParameterKind, _ start: Int) throws(StatementError) {
        do {
            switch kind {
            case .string: _ = try value.asString()
            case .int: _ = try value.asInt()
            case .double: _ = try value.asDouble()
            case .bool: _ = try value.asBool()
            case .intLike: _ = try value.intLike()
            case .doubleLike: _ = try value.doubleLike()
            case .boolLike: _ = try value.boolLike()
            case .bytesLike: _ = try value.bytesLike()
            case .map: _ = try value.asMap()
            case .list: _ = try value.asList()
            case .time: _ = try value.asTime()
            case .duration: _ = try value.asDuration()
            default: break
            }
        } catch {
            throw StatementError(error.description, at: start)
        }
    }

    /// A converter whose first parameter takes texts. What else it requires is missing at every evaluation.
    private func functionArgument(_ node: ValueNode) throws(StatementError) -> FunctionArgument {
        let name: String
        switch node.kind {
        case .symbol(let text), .functionName(let text): name = text
        default:
            throw StatementError(
                "invalid function name given", at: node.start, help: "write its name alone: SHA256")
        }
        guard let function = functions[name], !function.isEditor else {
            throw StatementError(
                "undefined function \(name)", at: node.start,
                help: suggestion(for: name, among: functions.names))
        }
        switch function.parameters.first?.kind {
        case .string, .stringLike, .any, .bytesLike: break
        default: throw StatementError("the function \(name) takes no text", at: node.start)
        }
        if let missing = function.parameters.dropFirst().first(where: { !$0.isOptional }) {
            let error = EvaluationError("incorrect number of arguments: \(name) needs \(missing.name), too")
            return FunctionArgument { (_, _) throws(EvaluationError) in throw error }
        }
        var values = [Arguments.Argument?](repeating: nil, count: function.parameters.count)
        values[0] = .expression(SlotExpression())
        do {
            let body = try function.make(Arguments(values: values))
            return FunctionArgument { (frame, text) throws(EvaluationError) in
                let outer = frame.slot
                frame.slot = .string(text)
                defer { frame.slot = outer }
                return try body(frame)
            }
        } catch {
            throw StatementError("couldn't create function: \(error.message)", at: node.start)
        }
    }
}
