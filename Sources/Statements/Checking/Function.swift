/// What a parameter takes. Literals are checked at the start; other values when they are evaluated.
enum ParameterKind {
    // Any value, of one kind or ("like") of what can be made into it.
    case any, string, stringLike, int, intLike, double, doubleLike, bool, boolLike, bytesLike
    case map, list, time, duration
    /// Literals only.
    case literalString, literalInt, literalDouble, literalBool
    /// A path that is set.
    case path
    /// A list literal of values, each an expression.
    case values, strings, stringLikes
    /// A list literal of literals.
    case literalStrings, literalInts, literalDoubles
    /// The name of a converter, without parentheses.
    case function
}

struct Parameter {
    let name: String
    let kind: ParameterKind
    let isOptional: Bool

    static func required(_ name: String, _ kind: ParameterKind) -> Parameter {
        Parameter(name: name, kind: kind, isOptional: false)
    }

    static func optional(_ name: String, _ kind: ParameterKind) -> Parameter {
        Parameter(name: name, kind: kind, isOptional: true)
    }
}

/// An editor or converter.
struct Function {
    typealias Maker = (Arguments) throws(FunctionError) -> FunctionExpression.Body

    let name: String
    let parameters: [Parameter]
    /// Makes the evaluation of one call; checks what can be checked at the start.
    let make: Maker

    init(_ name: String, _ parameters: [Parameter], _ make: @escaping Maker) {
        (self.name, self.parameters, self.make) = (name, parameters, make)
    }

    var isEditor: Bool { name.utf8.first?.isLower == true }
}

/// Why a call is refused at the start.
struct FunctionError: Error {
    let message: String
    init(_ message: String) { self.message = message }
}

/// A converter as an argument: applied to texts.
struct FunctionArgument {
    let apply: (Frame, Bytes) throws(EvaluationError) -> Value
}

/// Checked arguments of one call, by the position of their parameter.
struct Arguments {
    enum Argument {
        case expression(Expression)
        case path(PathExpression)
        case literal(Value)
        case expressions([Expression])
        case function(FunctionArgument)
    }

    var values: [Argument?]

    func has(_ index: Int) -> Bool { values[index] != nil }

    func expression(_ index: Int) -> Expression {
        switch values[index] {
        case .expression(let expression): return expression
        case .path(let path): return path
        case .literal(let value): return ConstantExpression(value)
        default: preconditionFailure("the checker gives an expression for this kind of parameter")
        }
    }

    func optionalExpression(_ index: Int) -> Expression? { has(index) ? expression(index) : nil }

    func path(_ index: Int) -> PathExpression {
        guard case .path(let path) = values[index] else {
            preconditionFailure("the checker gives a path for this kind of parameter")
        }
        return path
    }

    func expressions(_ index: Int) -> [Expression]? {
        guard case .expressions(let expressions) = values[index] else { return nil }
        return expressions
    }

    func function(_ index: Int) -> FunctionArgument? {
        guard case .function(let function) = values[index] else { return nil }
        return function
    }

    func text(_ index: Int) -> String? {
        guard case .literal(.string(let bytes)) = values[index] else { return nil }
        return bytes.text
    }

    func int(_ index: Int) -> Int64? {
        guard case .literal(.int(let value)) = values[index] else { return nil }
        return value
    }

    func double(_ index: Int) -> Double? {
        guard case .literal(.double(let value)) = values[index] else { return nil }
        return value
    }

    func bool(_ index: Int) -> Bool? {
        guard case .literal(.bool(let value)) = values[index] else { return nil }
        return value
    }

    /// Literals of a list.
    func literals(_ index: Int) -> [Value]? {
        expressions(index)?.compactMap(\.constant)
    }

    func texts(_ index: Int) -> [String]? {
        literals(index)?.compactMap { if case .string(let bytes) = $0 { bytes.text } else { nil } }
    }
}
