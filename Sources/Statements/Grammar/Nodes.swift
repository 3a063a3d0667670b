/// A parsed editor with its condition: `set(…) where …`.
struct StatementNode {
    let editor: CallNode
    let condition: BoolNode?
}

/// `context.field["key"].field`, the context still among the fields.
struct PathNode {
    var fields: [FieldNode]
    /// The field before the first dot, when it is the name of a context.
    var context: FieldNode?
    let start: Int

    /// As written, keys without quotes, as messages show it.
    var shown: String {
        ((context.map { [$0] } ?? []) + fields).map { field in
            field.name + field.keys.map { "[\($0.shown)]" }.joined()
        }.joined(separator: ".")
    }
}

struct FieldNode {
    let name: String
    let keys: [KeyNode]
    let start: Int
}

/// What stands between brackets behind a path or a converter.
struct KeyNode {
    enum Kind {
        case string([UInt8])
        case int(Int64)
        case value(ValueNode)
    }

    let kind: Kind
    let start: Int

    var shown: String {
        switch kind {
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .int(let value): "\(value)"
        case .value: "…"
        }
    }
}

struct CallNode {
    let name: String
    let arguments: [ArgumentNode]
    let keys: [KeyNode]
    let start: Int
}

struct ArgumentNode {
    let name: String?
    let value: ValueNode
}

enum ArithmeticOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
}

struct ValueNode {
    indirect enum Kind {
        case null
        case bool(Bool)
        case int(Int64)
        case float(Double)
        case string([UInt8])
        case bytes([UInt8])
        /// An upper-case word: an enum's symbol, or the name of a function as an argument.
        case symbol(String)
        /// A word of mixed case without parentheses: the name of a function as an argument.
        case functionName(String)
        case path(PathNode)
        case call(CallNode)
        case list([ValueNode])
        case map([(key: [UInt8], value: ValueNode)])
        case arithmetic(ValueNode, ArithmeticOperator, ValueNode)
        case negated(ValueNode)
    }

    let kind: Kind
    let start: Int
}

indirect enum BoolNode {
    case constant(Bool)
    case call(CallNode)
    case comparison(ValueNode, ComparisonOperator, ValueNode)
    case not(BoolNode)
    case and([BoolNode])
    case or([BoolNode])
}
