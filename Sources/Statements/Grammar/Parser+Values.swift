extension Parser {
    private enum Case { case upper, lower, mixedUpper, mixedLower }

    private static func wordCase(_ word: String) -> Case {
        let bytes = word.utf8
        if bytes.first?.isUpper == true { return bytes.contains(where: \.isLower) ? .mixedUpper : .upper }
        return bytes.contains(where: \.isUpper) ? .mixedLower : .lower
    }

    /// `lowerName(arguments)`.
    mutating func editor() throws(StatementError) -> CallNode {
        guard case .word(let name) = token.kind, !isKeyword(name) else {
            throw unexpected("expected an editor")
        }
        guard name.utf8.first?.isLower == true else {
            throw StatementError(
                "editor names must start with a lowercase letter but got '\(name)'", at: token.start)
        }
        let call = try call()
        guard call.keys.isEmpty else {
            throw StatementError(
                "only paths and converters may be indexed, not editors, but got "
                    + "\(name)\(call.keys.map { "[\($0.shown)]" }.joined())", at: call.keys[0].start)
        }
        return call
    }

    private func isKeyword(_ word: String) -> Bool {
        ["true", "false", "nil", "not", "or", "and"].contains(word)
    }

    private mutating func call() throws(StatementError) -> CallNode {
        guard case .word(let name) = token.kind else { throw unexpected() }
        let start = token.start
        advance()
        try expect("(")
        let arguments = try nested { parser throws(StatementError) in try parser.arguments() }
        return CallNode(name: name, arguments: arguments, keys: try keys(), start: start)
    }

    private mutating func arguments() throws(StatementError) -> [ArgumentNode] {
        var arguments: [ArgumentNode] = []
        if take(symbol: ")") { return [] }
        repeat {
            var name: String?
            if case .word(let word) = token.kind, peek(1).isSymbol("="), word.utf8.first?.isLower == true {
                name = word
                advance()
                advance()
            }
            arguments.append(ArgumentNode(name: name, value: try value()))
        } while take(symbol: ",")
        try expect(")")
        return arguments
    }

    mutating func keys() throws(StatementError) -> [KeyNode] {
        var keys: [KeyNode] = []
        while take(symbol: "[") {
            let start = token.start
            let kind: KeyNode.Kind
            switch token.kind {
            case .string(let bytes):
                advance()
                kind = .string(bytes)
            case .int(let value):
                advance()
                kind = .int(value)
            default:
                kind = try nested { parser throws(StatementError) in .value(try parser.sum()) }
            }
            try expect("]")
            keys.append(KeyNode(kind: kind, start: start))
        }
        return keys
    }

    mutating func value() throws(StatementError) -> ValueNode {
        let start = token.start
        switch token.kind {
        case .string(let bytes): return literal(.string(bytes), start)
        case .bytes(let bytes): return literal(.bytes(bytes), start)
        case .word("nil"): return literal(.null, start)
        case .word("true"): return literal(.bool(true), start)
        case .word("false"): return literal(.bool(false), start)
        case .word(let word) where !peek(1).isSymbol("("):
            switch Self.wordCase(word) {
            case .upper: return literal(.symbol(word), start)
            case .mixedUpper: return literal(.functionName(word), start)
            default: break
            }
        case .symbol("["):
            advance()
            return try nested { parser throws(StatementError) in try parser.list(start) }
        case .symbol("{"):
            advance()
            return try nested { parser throws(StatementError) in try parser.map(start) }
        default: break
        }
        return try sum()
    }

    private mutating func literal(_ kind: ValueNode.Kind, _ start: Int) -> ValueNode {
        advance()
        return ValueNode(kind: kind, start: start)
    }

    private mutating func list(_ start: Int) throws(StatementError) -> ValueNode {
        var items: [ValueNode] = []
        if take(symbol: "]") { return ValueNode(kind: .list([]), start: start) }
        repeat { items.append(try value()) } while take(symbol: ",")
        try expect("]")
        return ValueNode(kind: .list(items), start: start)
    }

    /// Commas between entries may be missing, and may follow the last one.
    private mutating func map(_ start: Int) throws(StatementError) -> ValueNode {
        var entries: [(key: [UInt8], value: ValueNode)] = []
        while !take(symbol: "}") {
            guard case .string(let key) = token.kind else { throw unexpected("expected \"}\"") }
            advance()
            try expect(":")
            entries.append((key, try value()))
            _ = take(symbol: ",")
        }
        return ValueNode(kind: .map(entries), start: start)
    }

    // MARK: - Arithmetic

    mutating func sum() throws(StatementError) -> ValueNode {
        var left = try product()
        while let sign = operatorHere(["+", "-"]) {
            left = ValueNode(kind: .arithmetic(left, sign, try product()), start: left.start)
        }
        return left
    }

    private mutating func product() throws(StatementError) -> ValueNode {
        var left = try unary()
        while let sign = operatorHere(["*", "/"]) {
            left = ValueNode(kind: .arithmetic(left, sign, try unary()), start: left.start)
        }
        return left
    }

    private mutating func operatorHere(_ symbols: Set<String>) -> ArithmeticOperator? {
        guard case .symbol(let text) = token.kind, symbols.contains(text) else { return nil }
        advance()
        return ArithmeticOperator(rawValue: text)
    }

    private mutating func unary() throws(StatementError) -> ValueNode {
        let start = token.start
        if take(symbol: "-") { return ValueNode(kind: .negated(try primary()), start: start) }
        _ = take(symbol: "+")
        return try primary()
    }

    private mutating func primary() throws(StatementError) -> ValueNode {
        let start = token.start
        switch token.kind {
        case .int(let value): return literal(.int(value), start)
        case .float(let value): return literal(.float(value), start)
        case .symbol("("):
            advance()
            return try nested { parser throws(StatementError) in
                let inner = try parser.sum()
                try parser.expect(")")
                return inner
            }
        case .word(let word) where !isKeyword(word):
            guard peek(1).isSymbol("(") else { return ValueNode(kind: .path(try path()), start: start) }
            guard word.utf8.first?.isUpper == true else {
                throw StatementError(
                    "converter names must start with an uppercase letter but got '\(word)'", at: start)
            }
            return ValueNode(kind: .call(try call()), start: start)
        default:
            throw unexpected("expected a value")
        }
    }

    private mutating func path() throws(StatementError) -> PathNode {
        let start = token.start
        var fields: [FieldNode] = []
        repeat {
            guard case .word(let word) = token.kind, word != "_" else { throw unexpected("expected a field") }
            guard Self.wordCase(word) == .lower else {
                throw unexpected(
                    "expected a field in lower case",
                    help: "keys of other characters stand in brackets: attributes[\"\(word)\"]")
            }
            let fieldStart = token.start
            advance()
            fields.append(FieldNode(name: word, keys: try keys(), start: fieldStart))
        } while take(symbol: ".")
        var path = PathNode(fields: fields, context: nil, start: start)
        if fields.count > 1, fields[0].keys.isEmpty { path.context = path.fields.removeFirst() }
        return path
    }
}
