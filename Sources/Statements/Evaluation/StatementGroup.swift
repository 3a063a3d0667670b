package import OTLP

/// Statements of one context with the conditions in front of them, checked; immutable. Any thread runs it with a frame of
/// its own.
package final class StatementGroup: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything is constant once made.

    /// What an error on an item means.
    package enum ErrorMode: String, Sendable, CaseIterable {
        /// It is logged, the next statement runs.
        case ignore
        /// The next statement runs.
        case silent
        /// The request is refused.
        case propagate
    }

    /// Which text of a group.
    package enum Place: Sendable, Hashable {
        case statement(Int)
        case condition(Int)
    }

    /// Why a text of the group is refused.
    package struct Problem: Error, Sendable {
        package let error: StatementError
        package let place: Place
    }

    /// All that is wrong with a group.
    package struct Problems: Error, Sendable {
        package let all: [Problem]
    }

    /// An error that an item raised, and the text that raised it.
    package struct Failure: Error, Sendable {
        package let error: EvaluationError
        package let place: Place
    }

    /// How many bytes of data statements, or conditions, may take for more than ten milliseconds.
    package static func largeBytes(_ texts: [String]) -> Int {
        func call(_ functions: [String]) -> Bool {
            texts.contains { text in functions.contains { text.contains($0) } }
        }
        // 80 ns a byte of JSON, 320 of XML.
        if call(["XML", "ParseJSON", "ParseCSV", "ParseKeyValue", "Grok", "flatten"]) { return 32 << 10 }
        // Up to 50 ns, by the pattern.
        return call(["Pattern", "pattern", "IsMatch", "match", "Split"]) ? 128 << 10 : .max
    }

    package let context: ContextKind
    package let errorMode: ErrorMode
    /// As written.
    package let statementTexts: [String]
    package let conditionTexts: [String]
    private let statements: StatementList
    /// Nil: the statements run on everything.
    private let conditions: ConditionList?

    /// Parses and checks. Without a context, it is inferred from the paths.
    package init(
        statements statementTexts: [String], conditions conditionTexts: [String] = [], context: ContextKind?,
        signal: Signal, errorMode: ErrorMode
    ) throws(Problems) {
        let texts = Texts(statementTexts, conditionTexts)
        let nodes = try texts.parsed()
        if let context {
            self.context = context
        } else {
            self.context = try texts.inferred(nodes, signal)
        }
        let checker = Checker(
            context: self.context, functions: .transform(self.context), addsContext: context != nil)
        let (statements, conditions) = try texts.checked(nodes, checker)
        self.statements = StatementList.of(statements[...])
        self.conditions = conditions.isEmpty ? nil : ConditionList.of(conditions[...])
        self.errorMode = errorMode
        self.statementTexts = statementTexts
        self.conditionTexts = conditionTexts
    }

    /// The statements on what the frame shows, if a condition holds or there is none.
    func run(_ frame: Frame, _ report: (Failure) -> Void) throws(Failure) {
        if !frame.cache.isEmpty { frame.cache = [] }
        if let conditions, try !matches(conditions, frame, report) { return }
        var failure: Failure?
        statements.run(frame) { index, error in
            failed(Failure(error: error, place: .statement(index)), report, &failure)
        }
        if let failure { throw failure }
    }

    /// Whether any condition holds. One that fails does not, unless errors propagate.
    private func matches(
        _ conditions: ConditionList, _ frame: Frame, _ report: (Failure) -> Void
    ) throws(Failure) -> Bool {
        var failure: Failure?
        let index = conditions.search(frame) { index, error in
            failed(Failure(error: error, place: .condition(index)), report, &failure)
        }
        if let failure { throw failure }
        return index != nil
    }

    /// Whether nothing more is run.
    private func failed(
        _ failure: Failure, _ report: (Failure) -> Void, _ propagated: inout Failure?
    ) -> Bool {
        if errorMode == .propagate {
            propagated = failure
            return true
        }
        report(failure)
        return false
    }
}

/// The texts of a group on their way to what is run.
private struct Texts {
    struct Nodes {
        var statements: [StatementNode] = []
        var conditions: [BoolNode] = []
    }

    private let statements: [String]
    private let conditions: [String]

    init(_ statements: [String], _ conditions: [String]) {
        (self.statements, self.conditions) = (statements, conditions)
    }

    func parsed() throws(StatementGroup.Problems) -> Nodes {
        var nodes = Nodes()
        var problems: [StatementGroup.Problem] = []
        for (index, text) in statements.enumerated() {
            do throws(StatementError) {
                nodes.statements.append(try Parser.statement(text))
            } catch {
                problems.append(.init(error: error, place: .statement(index)))
            }
        }
        for (index, text) in conditions.enumerated() {
            do throws(StatementError) {
                nodes.conditions.append(try Parser.condition(text))
            } catch {
                problems.append(.init(error: error, place: .condition(index)))
            }
        }
        guard problems.isEmpty else { throw StatementGroup.Problems(all: problems) }
        return nodes
    }

    func inferred(_ nodes: Nodes, _ signal: Signal) throws(StatementGroup.Problems) -> ContextKind {
        var inference = Inference()
        for node in nodes.statements {
            inference.add(node)
            inference.statement += 1
        }
        for node in nodes.conditions {
            inference.add(node)
            inference.statement += 1
        }
        do throws(Inference.Failure) {
            return try inference.context(among: ContextKind.of(signal), functions: FunctionTable.transform)
        } catch {
            let index = error.statement
            let isStatement = index < statements.count
            let text = isStatement ? statements[index] : conditions[index - statements.count]
            throw StatementGroup.Problems(all: [
                .init(
                    error: error.error.inside(text),
                    place: isStatement ? .statement(index) : .condition(index - statements.count))
            ])
        }
    }

    func checked(
        _ nodes: Nodes, _ checker: Checker
    ) throws(StatementGroup.Problems) -> ([StatementList.Statement], [Predicate]) {
        var made: [StatementList.Statement] = []
        var predicates: [Predicate] = []
        var problems: [StatementGroup.Problem] = []
        for (index, node) in nodes.statements.enumerated() {
            do throws(StatementError) {
                let (body, condition) = try checker.statement(node)
                made.append(.init(body: body, condition: condition))
            } catch {
                problems.append(.init(error: error.inside(statements[index]), place: .statement(index)))
            }
        }
        for (index, node) in nodes.conditions.enumerated() {
            do throws(StatementError) {
                predicates.append(try checker.condition(node))
            } catch {
                problems.append(.init(error: error.inside(conditions[index]), place: .condition(index)))
            }
        }
        guard problems.isEmpty else { throw StatementGroup.Problems(all: problems) }
        return (made, predicates)
    }
}

extension StatementGroup: Equatable {
    /// Whether both do the same: the same texts in the same context.
    package static func == (left: StatementGroup, right: StatementGroup) -> Bool {
        left.context == right.context && left.errorMode == right.errorMode
            && left.statementTexts == right.statementTexts && left.conditionTexts == right.conditionTexts
    }
}
