/// Reads statements, conditions and value expressions into nodes. Recursive descent; nesting is bounded.
struct Parser {
    /// Levels of parentheses, brackets and calls.
    static let depthMax = 64

    var tokens: [Token]
    var position = 0
    private var depth = 0
    /// The failure furthest in the text of those that were taken back.
    private var furthest: StatementError?

    private init(_ text: String) throws(StatementError) {
        tokens = try Lexer.tokens(text)
    }

    static func statement(_ text: String) throws(StatementError) -> StatementNode {
        try whole(text, "statement") { parser throws(StatementError) in
            let editor = try parser.editor()
            guard parser.take(word: "where") else { return StatementNode(editor: editor, condition: nil) }
            return StatementNode(editor: editor, condition: try parser.bool())
        }
    }

    static func condition(_ text: String) throws(StatementError) -> BoolNode {
        try whole(text, "condition") { parser throws(StatementError) in try parser.bool() }
    }

    static func value(_ text: String) throws(StatementError) -> ValueNode {
        try whole(text, "value expression") { parser throws(StatementError) in try parser.value() }
    }

    private static func whole<Node>(
        _ text: String, _ kind: String, _ body: (inout Parser) throws(StatementError) -> Node
    ) throws(StatementError) -> Node {
        do throws(StatementError) {
            var parser = try Parser(text)
            return try parser.toEnd(body)
        } catch {
            var error = error
            error.message = "\(kind) has invalid syntax: " + error.message
            throw error.inside(text)
        }
    }

    private mutating func toEnd<Node>(
        _ body: (inout Parser) throws(StatementError) -> Node
    ) throws(StatementError) -> Node {
        do throws(StatementError) {
            let node = try body(&self)
            guard token.kind == .end else { throw unexpected() }
            return node
        } catch {
            if let furthest, furthest.offset > error.offset { throw furthest }
            throw error
        }
    }

    // MARK: - Words

    var token: Token { tokens[position] }

    func peek(_ ahead: Int) -> Token { tokens[min(position + ahead, tokens.count - 1)] }

    mutating func advance() { if position < tokens.count - 1 { position += 1 } }

    mutating func take(symbol: String) -> Bool {
        guard token.isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func take(word: String) -> Bool {
        guard token.isWord(word) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws(StatementError) {
        guard take(symbol: symbol) else { throw unexpected("expected \"\(symbol)\"") }
    }

    func unexpected(_ expected: String? = nil, help: String? = nil) -> StatementError {
        StatementError(
            "unexpected token \"\(token.kind.shown)\"" + (expected.map { " (\($0))" } ?? ""), at: token.start,
            help: help)
    }

    mutating func nested<Node>(
        _ body: (inout Parser) throws(StatementError) -> Node
    ) throws(StatementError) -> Node {
        guard depth < Self.depthMax else {
            throw StatementError("nested deeper than \(Self.depthMax) levels", at: token.start)
        }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    /// Tries one reading; when it fails, takes it back.
    mutating func attempt<Node>(_ body: (inout Parser) throws(StatementError) -> Node) -> Node? {
        let before = position
        do {
            return try body(&self)
        } catch {
            if error.offset >= furthest?.offset ?? 0 { furthest = error }
            position = before
            return nil
        }
    }

    // MARK: - Conditions

    mutating func bool() throws(StatementError) -> BoolNode {
        var terms = [try conjunction()]
        while take(word: "or") { terms.append(try conjunction()) }
        return terms.count == 1 ? terms[0] : .or(terms)
    }

    private mutating func conjunction() throws(StatementError) -> BoolNode {
        var terms = [try factor()]
        while take(word: "and") { terms.append(try factor()) }
        return terms.count == 1 ? terms[0] : .and(terms)
    }

    private mutating func factor() throws(StatementError) -> BoolNode {
        if take(word: "not") { return .not(try operand()) }
        return try operand()
    }

    private mutating func operand() throws(StatementError) -> BoolNode {
        let before = position
        if let comparison = attempt({ parser throws(StatementError) in try parser.comparison() }) {
            return comparison
        }
        guard token.isSymbol("(") else {
            // The reading as a comparison says what is wrong.
            return try comparison()
        }
        position = before + 1
        return try nested { parser throws(StatementError) in
            let inner = try parser.bool()
            try parser.expect(")")
            return inner
        }
    }

    private mutating func comparison() throws(StatementError) -> BoolNode {
        let startsWithParenthesis = token.isSymbol("(")
        let left = try value()
        if case .symbol(let text) = token.kind, let comparison = ComparisonOperator(rawValue: text) {
            advance()
            return .comparison(left, comparison, try value())
        }
        if !startsWithParenthesis {
            if case .bool(let constant) = left.kind { return .constant(constant) }
            if case .call(let call) = left.kind { return .call(call) }
        }
        var help: String?
        if case .path = left.kind { help = "a path alone is no condition; compare it: … == true, … != nil" }
        if token.isSymbol("=") { help = "equality is written ==" }
        throw unexpected("expected <opcomparison> Value", help: help)
    }
}
