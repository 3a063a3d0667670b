internal import OTLP

/// OTTL's comparison: never an error. Values of different kinds are unequal and in no order; integers and floats
/// compare as floats.
enum Comparison {
    static func holds(_ left: Value, _ operation: ComparisonOperator, _ right: Value) -> Bool {
        if case (.string(let one), .string(let two)) = (left, right),
            operation == .equal || operation == .notEqual
        {
            return (one == two) == (operation == .equal)
        }
        if let order = order(left, right) { return holds(order, operation) }
        switch operation {
        case .equal: return equal(left, right)
        case .notEqual: return !equal(left, right)
        default: return false
        }
    }

    /// The same of values that need no reference counted.
    static func holds(
        _ left: AttributeValue, _ operation: ComparisonOperator, _ right: AttributeValue
    ) -> Bool {
        switch (left, right) {
        case (.string(let one), .string(let two)):
            switch operation {
            case .equal: return one.isEqual(to: two)
            case .notEqual: return !one.isEqual(to: two)
            default: return holds(Bytes.borrowed(one).order(.borrowed(two)), operation)
            }
        case (.int(let one), .int(let two)):
            return holds(one == two ? 0 : one < two ? -1 : 1, operation)
        case (.empty, .empty): return holds(0, operation)
        case (.empty, _), (_, .empty): return operation == .notEqual
        default: return holds(Value(left), operation, Value(right))
        }
    }

    @inline(__always)
    private static func holds(_ order: Int, _ operation: ComparisonOperator) -> Bool {
        switch operation {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }

    /// Negative, zero or positive; nil for values without an order among each other.
    private static func order(_ left: Value, _ right: Value) -> Int? {
        switch (left, right) {
        case (.null, .null): 0
        case (.bool(let one), .bool(let two)): (one ? 1 : 0) - (two ? 1 : 0)
        case (.int(let one), .int(let two)): one == two ? 0 : one < two ? -1 : 1
        case (.int(let one), .double(let two)): order(Double(one), two)
        case (.double(let one), .int(let two)): order(one, Double(two))
        case (.double(let one), .double(let two)): order(one, two)
        case (.string(let one), .string(let two)), (.bytes(let one), .bytes(let two)): one.order(two)
        case (.time(let one), .time(let two)): one.order(two)
        case (.duration(let one), .duration(let two)):
            one.count == two.count ? 0 : one.count < two.count ? -1 : 1
        default: nil
        }
    }

    private static func order(_ left: Double, _ right: Double) -> Int? {
        // Not a number: in no order and equal to nothing.
        left == right ? 0 : left < right ? -1 : left > right ? 1 : nil
    }

    /// Deep for lists and maps; maps are equal whatever the order of their keys.
    static func equal(_ left: Value, _ right: Value) -> Bool {
        switch (left, right) {
        case (.list(let one), .list(let two)):
            let (one, two) = (one.items, two.items)
            return one.count == two.count && zip(one, two).allSatisfy { holds($0, .equal, $1) }
        case (.map(let one), .map(let two)):
            let (one, two) = (one.entries, two.entries)
            guard one.count == two.count else { return false }
            var places = MapBuilder(two)
            return one.allSatisfy { entry in
                places.value(of: entry.key).map { holds($0, .equal, entry.value) } ?? false
            }
        case (.traceID(let one), .traceID(let two)), (.spanID(let one), .spanID(let two)): return one == two
        case (.object(let one), .object(let two)):
            return one.kind == two.kind && one.parts.map(\.array) == two.parts.map(\.array)
                && one.numbers.count == two.numbers.count
                && zip(one.numbers, two.numbers).allSatisfy { holds($0, .equal, $1) }
        case (.list(let list), .object(let object)), (.object(let object), .list(let list)):
            let items = list.items
            return !object.numbers.isEmpty && items.count == object.numbers.count
                && zip(items, object.numbers).allSatisfy { holds($0, .equal, $1) }
        default: return order(left, right) == 0
        }
    }
}
