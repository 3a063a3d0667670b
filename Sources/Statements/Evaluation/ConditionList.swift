/// Conditions in the order in which they are asked, until one holds. Immutable; any thread asks them with a frame of its own.
///
/// A tree of halves: constants of an object are called without counting references, the elements of an array are not. A filter of
/// three conditions counted 13 a span for that.
package class ConditionList: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything is constant once made.

    /// - Parameter conditions: in the order in which they are asked.
    package static func of(_ conditions: [Condition]) -> ConditionList {
        of(conditions.map(\.predicate)[...])
    }

    static func of(_ predicates: ArraySlice<Predicate>) -> ConditionList {
        guard let first = predicates.first else { return ConditionList() }
        guard predicates.count > 1 else { return OneCondition(first, predicates.startIndex) }
        let middle = predicates.startIndex + predicates.count / 2
        return ConditionPair(of(predicates[..<middle]), of(predicates[middle...]))
    }

    fileprivate init() {}

    /// The index of the first that holds, or that fails and ends the search; nil: there is none.
    /// - Parameter failed: told of a condition that cannot be answered; whether it ends the search.
    package func search(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Int? { nil }
}

private final class OneCondition: ConditionList, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): as its parent.
    private let predicate: Predicate
    private let index: Int

    init(_ predicate: Predicate, _ index: Int) { (self.predicate, self.index) = (predicate, index) }

    override func search(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Int? {
        do throws(EvaluationError) {
            return try predicate.holds(frame) ? index : nil
        } catch {
            return failed(index, error) ? index : nil
        }
    }
}

private final class ConditionPair: ConditionList, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): as its parent.
    private let first: ConditionList
    private let second: ConditionList

    init(_ first: ConditionList, _ second: ConditionList) { (self.first, self.second) = (first, second) }

    override func search(_ frame: Frame, failed: (Int, EvaluationError) -> Bool) -> Int? {
        first.search(frame, failed: failed) ?? second.search(frame, failed: failed)
    }
}
