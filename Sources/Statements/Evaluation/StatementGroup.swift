package import OTLP

/// Statements and conditions of one context, checked; immutable. Made once at the start; one pass at a time may use it
/// with a frame of its own.
package final class StatementGroup {
    struct Statement {
        let text: String
        let body: FunctionExpression.Body
        let condition: Condition?
    }

    /// What an error on an item means.
    package enum ErrorMode: String, Sendable, CaseIterable {
        case ignore, silent, propagate
    }

    /// A refusal, and which text of the group it is about.
    package struct Problem: Error, Sendable {
        package let error: StatementError
        package let isCondition: Bool
        package let index: Int
    }

    /// All that is wrong with a group.
    package struct Problems: Error, Sendable {
        package let all: [Problem]
    }

    package let context: ContextKind
    package let errorMode: ErrorMode
    let statements: [Statement]
    let conditions: [(text: String, condition: Condition)]

    /// Parses and checks. Without a context, it is inferred from the paths.
    package init(
        statements texts: [String], conditions conditionTexts: [String] = [], context: ContextKind?,
        signal: Signal,
        errorMode: ErrorMode, editors: Bool = true
    ) throws(Problems) {
        var problems: [Problem] = []
        var statementNodes: [StatementNode] = []
        var conditionNodes: [BoolNode] = []
        var inference = Inference()
        for (index, text) in texts.enumerated() {
            do {
                let node = try Parser.statement(text)
                inference.statement = index
                inference.add(node)
                statementNodes.append(node)
            } catch { problems.append(Problem(error: error, isCondition: false, index: index)) }
        }
        for (index, text) in conditionTexts.enumerated() {
            do {
                let node = try Parser.condition(text)
                inference.statement = texts.count + index
                inference.add(node)
                conditionNodes.append(node)
            } catch { problems.append(Problem(error: error, isCondition: true, index: index)) }
        }
        guard problems.isEmpty else { throw Problems(all: problems) }
        let table = editors ? FunctionTable.transform : FunctionTable.conditions
        let resolved: ContextKind
        if let context {
            resolved = context
        } else {
            do {
                resolved = try inference.context(among: ContextKind.of(signal), functions: table)
            } catch {
                let isCondition = error.statement >= texts.count
                let index = isCondition ? error.statement - texts.count : error.statement
                let text = isCondition ? conditionTexts[index] : texts[index]
                throw Problems(
                    all: [Problem(error: error.error.inside(text), isCondition: isCondition, index: index)])
            }
        }
        let checker = Checker(context: resolved, functions: table(resolved), addsContext: context != nil)
        var statements: [Statement] = []
        var conditions: [(text: String, condition: Condition)] = []
        for (index, node) in statementNodes.enumerated() {
            do {
                let (body, condition) = try checker.statement(node)
                statements.append(Statement(text: texts[index], body: body, condition: condition))
            } catch {
                problems.append(Problem(error: error.inside(texts[index]), isCondition: false, index: index))
            }
        }
        for (index, node) in conditionNodes.enumerated() {
            do {
                conditions.append((conditionTexts[index], try checker.condition(node)))
            } catch {
                problems.append(
                    Problem(error: error.inside(conditionTexts[index]), isCondition: true, index: index))
            }
        }
        guard problems.isEmpty else { throw Problems(all: problems) }
        self.context = resolved
        self.errorMode = errorMode
        self.statements = statements
        self.conditions = conditions
    }

    /// An error that an item raised, with the text that raised it.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
        let statement: String
    }

    /// Whether any condition holds. One that fails does not, unless errors propagate.
    func matches(_ frame: Frame, _ report: (Failure) -> Void) throws(Failure) -> Bool {
        var failures: [Failure] = []
        for (text, condition) in conditions {
            do {
                if try condition.holds(frame) { return true }
            } catch {
                failures.append(
                    Failure(description: "failed to eval condition: \(text), \(error)", statement: text))
            }
        }
        for failure in failures {
            if errorMode == .propagate { throw failure }
            if errorMode == .ignore { report(failure) }
        }
        return false
    }

    /// The statements on one item, if a condition holds or there is none.
    func run(_ frame: Frame, _ report: (Failure) -> Void) throws(Failure) {
        if !frame.cache.isEmpty { frame.cache = [] }
        if !conditions.isEmpty, try !matches(frame, report) { return }
        for statement in statements {
            do {
                if let condition = statement.condition, try !condition.holds(frame) { continue }
                _ = try statement.body(frame)
            } catch {
                let failure = Failure(
                    description: "failed to execute statement: \(statement.text), \(error)",
                    statement: statement.text)
                if errorMode == .propagate { throw failure }
                if errorMode == .ignore { report(failure) }
            }
        }
    }
}
