/// Statements in the order in which they run: a tree of halves, as `ConditionList`. Immutable; any thread.
class StatementList {
    struct Statement {
        let body: FunctionExpression.Body
        let condition: Predicate?
    }

    static func of(_ statements: ArraySlice<Statement>) -> StatementList {
        guard let first = statements.first else { return StatementList() }
        guard statements.count > 1 else { return OneStatement(first, statements.startIndex) }
        let middle = statements.startIndex + statements.count / 2
        return StatementPair(of(statements[..<middle]), of(statements[middle...]))
    }

    fileprivate init() {}

    /// Runs those whose conditions hold.
    /// - Parameter failed: told of a statement that cannot be run; whether it is the last.
    /// - Returns: whether one was the last.
    @discardableResult
    func run(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Bool { false }
}

private final class OneStatement: StatementList {
    private let body: FunctionExpression.Body
    private let condition: Predicate
    private let index: Int

    init(_ statement: Statement, _ index: Int) {
        body = statement.body
        condition = statement.condition ?? ConstantPredicate(true)
        self.index = index
    }

    override func run(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Bool {
        do throws(EvaluationError) {
            guard try condition.holds(frame) else { return false }
            // Editors give nothing, of which nothing is released.
            if case .null = try body(frame) { return false }
            return false
        } catch {
            return failed(index, error)
        }
    }
}

private final class StatementPair: StatementList {
    private let first: StatementList
    private let second: StatementList

    init(_ first: StatementList, _ second: StatementList) { (self.first, self.second) = (first, second) }

    override func run(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Bool {
        first.run(frame, failed: failed) || second.run(frame, failed: failed)
    }
}
