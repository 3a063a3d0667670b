internal import OTLP

/// The editors of every context.
enum Editors {
    static var all: [Function] {
        basics + maps + lists + ReplacingEditors.all + [FlattenEditor.function]
    }

    private static var basics: [Function] {
        [
            Function("set", [.required("target", .path), .required("value", .any)]) { arguments in
                let (target, value) = (arguments.path(0), arguments.expression(1))
                if value.isPlain {
                    if let plain = (value as? ConstantExpression)?.plainValue,
                        let attribute = target.encoded(plain)
                    {
                        return { frame in
                            target.set(encoded: attribute, frame)
                            return .null
                        }
                    }
                    return { frame throws(EvaluationError) in
                        let new = value.plain(frame)
                        if case .empty = new { return .null }
                        try target.set(plain: new, frame)
                        return .null
                    }
                }
                return { frame throws(EvaluationError) in
                    let new = try value.evaluate(frame)
                    // As the Collector up to v0.160: nil changes nothing.
                    if !new.isNull { try target.set(new, frame) }
                    return .null
                }
            },
            Function("clear", [.required("target", .path)]) { arguments in
                let target = arguments.path(0)
                return { frame throws(EvaluationError) in
                    try target.set(zero(like: target.evaluate(frame)), frame)
                    return .null
                }
            },
            Function("delete_key", [.required("target", .path), .required("key", .string)]) { arguments in
                let (target, key) = (arguments.path(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    let key = try key.evaluate(frame).asString()
                    try target.remove(key, frame)
                    return .null
                }
            },
            matching("delete_matching_keys", keeps: false),
            matching("keep_matching_keys", keeps: true),
            Function("keep_keys", [.required("target", .path), .required("keys", .strings)]) { arguments in
                let (target, keys) = (arguments.path(0), arguments.expressions(1) ?? [])
                return { frame throws(EvaluationError) in
                    var kept: [Bytes] = []
                    for key in keys { kept.append(try key.evaluate(frame).asString()) }
                    try target.remove(frame) { key in !kept.contains { $0 == key } }
                    return .null
                }
            },
        ]
    }

    /// What a path is cleared to: nothing, of the kind that it holds.
    private static func zero(like value: Value) -> Value {
        switch value {
        case .null: .null
        case .bool: .bool(false)
        case .int: .int(0)
        case .double: .double(0)
        case .string: .text("")
        case .bytes: .bytes(.owned([]))
        case .list: .list(.items([]))
        case .map: .map(.entries([]))
        case .time: .time(Timestamp(unixNano: 0))
        case .duration: .duration(Nanoseconds(count: 0))
        case .traceID: .traceID(.owned(.init(repeating: 0, count: 16)))
        case .spanID: .spanID(.owned(.init(repeating: 0, count: 8)))
        case .object(let object): .object(RecordObject(kind: object.kind, count: 0, parts: [], numbers: []))
        }
    }

    private static func matching(_ name: String, keeps: Bool) -> Function {
        Function(name, [.required("target", .path), .required("pattern", .string)]) {
            arguments throws(FunctionError) in
            let target = arguments.path(0)
            let pattern = try Pattern(arguments.expression(1), of: name)
            return { frame throws(EvaluationError) in
                let expression = try pattern.resolved(frame)
                try target.remove(frame) { $0.occurs(expression) != keeps }
                return .null
            }
        }
    }

    private static var maps: [Function] {
        [
            Function(
                "limit",
                [
                    .required("target", .path), .required("limit", .literalInt),
                    .required("priority_keys", .literalStrings),
                ]
            ) { arguments throws(FunctionError) in
                let (target, limit) = (arguments.path(0), arguments.int(1) ?? 0)
                let priority = arguments.texts(2) ?? []
                guard limit >= 0 else {
                    throw FunctionError("invalid limit for limit function, \(limit) cannot be negative")
                }
                guard limit >= priority.count else {
                    throw FunctionError(
                        "invalid limit for limit function, \(limit) cannot be less than number of priority attributes "
                            + "\(priority.count)")
                }
                let priorityKeys = priority.map { Bytes($0) }
                return { frame throws(EvaluationError) in
                    let entries = try target.evaluate(frame).asMap().entries
                    guard entries.count > limit else { return .null }
                    var rest = Int(limit) - priorityKeys.count { key in entries.contains { $0.key == key } }
                    try target.remove(frame) { key in
                        if priorityKeys.contains(where: { $0 == key }) { return false }
                        rest -= 1
                        return rest < 0
                    }
                    return .null
                }
            },
            Function(
                "truncate_all",
                [
                    .required("target", .path), .required("limit", .literalInt),
                    .optional("utf8_safe", .literalBool), .optional("truncation_marker", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let (target, limit) = (arguments.path(0), Int(clamping: arguments.int(1) ?? 0))
                let (isSafe, marker) = (arguments.bool(2) ?? true, Bytes(arguments.text(3) ?? ""))
                guard limit >= 0 else {
                    throw FunctionError(
                        "invalid limit for truncate_all function, \(limit) cannot be negative")
                }
                guard marker.count <= limit else {
                    throw FunctionError(
                        "invalid truncation_marker for truncate_all function, its \(marker.count) bytes do not fit into "
                            + "the limit of \(limit)")
                }
                return { frame throws(EvaluationError) in
                    try target.change(frame) { entry throws(EvaluationError) in
                        guard case .string(let text) = entry.value, text.count > limit else { return nil }
                        var kept = text.prefix(limit - marker.count, wholeScalars: isSafe).array
                        kept.append(marker)
                        return .string(.owned(kept))
                    }
                    return .null
                }
            },
            Function(
                "merge_maps",
                [
                    .required("target", .path), .required("source", .map),
                    .required("strategy", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let (target, source, strategy) = (
                    arguments.path(0), arguments.expression(1), arguments.text(2) ?? ""
                )
                guard ["insert", "update", "upsert"].contains(strategy) else {
                    throw FunctionError(
                        "invalid value for strategy, \(strategy), must be 'insert', 'update' or 'upsert'")
                }
                return { frame throws(EvaluationError) in
                    var entries = MapBuilder(try target.evaluate(frame).asMap().entries)
                    for new in try source.evaluate(frame).asMap().entries {
                        let exists = entries.contains(new.key)
                        if exists ? strategy != "insert" : strategy != "update" {
                            entries.put(new.key, new.value)
                        }
                    }
                    try target.set(.map(.entries(entries.entries)), frame)
                    return .null
                }
            },
            Function("stringify_all", [.required("target", .path)]) { arguments in
                let target = arguments.path(0)
                return { frame throws(EvaluationError) in
                    try target.change(frame) { entry throws(EvaluationError) in
                        if case .string = entry.value { return nil }
                        return .string(TextForm.attributeText(entry.value))
                    }
                    return .null
                }
            },
        ]
    }

    private static var lists: [Function] {
        [
            Function(
                "append",
                [.required("target", .path), .optional("value", .any), .optional("values", .values)]
            ) {
                arguments throws(FunctionError) in
                let (target, value, values) = (
                    arguments.path(0), arguments.optionalExpression(1), arguments.expressions(2)
                )
                guard value != nil || values != nil else {
                    throw FunctionError(
                        "at least one of the optional arguments ('value' or 'values') must be provided")
                }
                return { frame throws(EvaluationError) in
                    var items: [Value]
                    switch try target.evaluate(frame) {
                    case .null: items = []
                    case .list(let list): items = list.items
                    case .map: throw EvaluationError("<Invalid value type pcommon.Map>")
                    case let scalar: items = [scalar]
                    }
                    if let value { items.append(try value.evaluate(frame)) }
                    for value in values ?? [] { items.append(try value.evaluate(frame)) }
                    guard items.allSatisfy(\.isAttributeValue) else {
                        let wrong = items.first { !$0.isAttributeValue } ?? .null
                        throw EvaluationError("<Invalid value type \(wrong.typeName)>")
                    }
                    try target.set(.list(.items(items)), frame)
                    return .null
                }
            },
            Function(
                "delete_index",
                [.required("target", .path), .required("start_index", .int), .optional("end_index", .int)]
            ) { arguments in
                let (target, first, last) = (
                    arguments.path(0), arguments.expression(1), arguments.optionalExpression(2)
                )
                return { frame throws(EvaluationError) in
                    var items = try target.evaluate(frame).asList()
                    let start = try first.evaluate(frame).asInt()
                    let end = try last?.evaluate(frame).asInt() ?? start &+ 1
                    let isAll = start == 0 && end == items.count
                    guard isAll || (start >= 0 && start < items.count) else {
                        throw EvaluationError(
                            "startIndex \(start) out of bounds for slice of length \(items.count)")
                    }
                    guard end >= start else {
                        throw EvaluationError("endIndex \(end) cannot be less than startIndex \(start)")
                    }
                    guard end <= items.count else {
                        throw EvaluationError(
                            "deletion range [\(start):\(end)] out of bounds for slice of length \(items.count)"
                        )
                    }
                    items.removeSubrange(Int(start)..<Int(end))
                    try target.set(.list(.items(items)), frame)
                    return .null
                }
            },
        ]
    }
}

extension Bytes {
    /// The first bytes, cut back to the end of a whole character if wanted.
    func prefix(_ count: Int, wholeScalars: Bool) -> Bytes {
        let bytes = array
        var end = min(count, bytes.count)
        if wholeScalars, end < bytes.count {
            while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        }
        return .owned(Array(bytes[..<end]))
    }
}
