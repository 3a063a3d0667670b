enum CollectionConverters {
    static var all: [Function] {
        [
            Function("Len", [.required("target", .any)]) { arguments in
                let target = arguments.expression(0)
                if let attributes = target as? AttributesPath {
                    return { frame throws(EvaluationError) in .int(Int64(try attributes.count(frame))) }
                }
                return { frame throws(EvaluationError) in try length(target.evaluate(frame)) }
            },
            Converters.unary("Keys", .map) { value throws(EvaluationError) in
                .list(.items(try value.asMap().entries.map { .string($0.key) }))
            },
            Converters.unary("Values", .map) { value throws(EvaluationError) in
                .list(.items(try value.asMap().entries.map(\.value)))
            },
            Function("ContainsValue", [.required("target", .list), .required("item", .any)]) { arguments in
                let (target, item) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    let items = try target.evaluate(frame).asList()
                    let wanted = try item.evaluate(frame)
                    return .bool(items.contains { Comparison.holds($0, .equal, wanted) })
                }
            },
            Function("Index", [.required("target", .any), .required("value", .any)]) { arguments in
                let (target, item) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    switch try target.evaluate(frame) {
                    case .string(let text):
                        let wanted = try item.evaluate(frame).asString().array
                        let found = wanted.isEmpty ? 0 : text.array.firstRange(of: wanted, from: 0) ?? -1
                        return .int(Int64(found))
                    case let list:
                        let wanted = try item.evaluate(frame)
                        let items = try list.asList()
                        return .int(Int64(items.firstIndex { Comparison.holds($0, .equal, wanted) } ?? -1))
                    }
                }
            },
            Function("Sort", [.required("target", .list), .optional("order", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, order) = (arguments.expression(0), arguments.text(1) ?? "asc")
                guard order == "asc" || order == "desc" else {
                    throw FunctionError(
                        "invalid arguments: \(order). Order should be either \"asc\" or \"desc\"")
                }
                return { frame throws(EvaluationError) in
                    .list(.items(sorted(try target.evaluate(frame).asList(), descending: order == "desc")))
                }
            },
            Function(
                "SliceToMap",
                [
                    .required("target", .list), .optional("key_path", .literalStrings),
                    .optional("value_path", .literalStrings),
                ]
            ) { arguments throws(FunctionError) in
                let (target, keyPath, valuePath) = (
                    arguments.expression(0), arguments.texts(1), arguments.texts(2)
                )
                return { frame throws(EvaluationError) in
                    try sliceToMap(target.evaluate(frame).asList(), keyPath, valuePath ?? [])
                }
            },
            Function(
                "ToKeyValueString",
                [
                    .required("target", .map), .optional("delimiter", .literalString),
                    .optional("pair_delimiter", .literalString), .optional("sort_output", .literalBool),
                ]
            ) { arguments throws(FunctionError) in
                let target = arguments.expression(0)
                let (delimiter, pair) = (arguments.text(1) ?? "=", arguments.text(2) ?? " ")
                let isSorted = arguments.bool(3) ?? false
                guard !delimiter.isEmpty, !pair.isEmpty else {
                    throw FunctionError("delimiter cannot be set to an empty string")
                }
                guard delimiter != pair else {
                    throw FunctionError(
                        "pair delimiter \"\(pair)\" cannot be equal to delimiter \"\(delimiter)\"")
                }
                return { frame throws(EvaluationError) in
                    var entries = try target.evaluate(frame).asMap().entries
                    if isSorted { entries.sort { $0.key.order($1.key) < 0 } }
                    func shown(_ text: String) -> String {
                        let escaped = text.replacing("\"", with: "\\\"")
                        return escaped.contains(delimiter) || escaped.contains(pair)
                            ? "\"\(escaped)\"" : escaped
                    }
                    return .text(
                        entries.map {
                            shown($0.key.text) + delimiter + shown(TextForm.attributeText($0.value).text)
                        }.joined(separator: pair))
                }
            },
        ]
    }

    private static func length(_ value: Value) throws(EvaluationError) -> Value {
        switch value {
        case .string(let bytes): return .int(Int64(bytes.count))
        case .list(let list): return .int(Int64(list.count))
        case .map(let map): return .int(Int64(map.count))
        case .object(let object) where object.kind != .status && object.kind != .buckets:
            return .int(Int64(object.count))
        default:
            throw EvaluationError(
                "Len: unsupported target type \(value.isNull ? "<nil>" : value.typeName). target arg must be of type string, "
                    + "[]any, map[string]any, pcommon.Map, pcommon.Slice, pcommon.Value (of type String, Map, "
                    + "Slice) or a supported slice type from the plog, pmetric or ptrace packages")
        }
    }

    /// Numbers by value, bools with bools, other scalars as text; what holds lists, maps or bytes stays as it is.
    private static func sorted(_ items: [Value], descending: Bool) -> [Value] {
        let isSortable = items.allSatisfy { value in
            switch value {
            case .list, .map, .bytes: false
            default: true
            }
        }
        guard isSortable else { return items }
        let areNumbers = items.allSatisfy { value in
            switch value {
            case .int, .double: true
            default: false
            }
        }
        let areBools = items.allSatisfy { if case .bool = $0 { true } else { false } }
        func isBefore(_ one: Value, _ two: Value) -> Bool {
            if areNumbers || areBools { return Comparison.holds(one, .less, two) }
            return TextForm.attributeText(one).order(TextForm.attributeText(two)) < 0
        }
        return items.sorted { descending ? isBefore($1, $0) : isBefore($0, $1) }
    }

    private static func sliceToMap(
        _ items: [Value], _ keyPath: [String]?, _ valuePath: [String]
    ) throws(EvaluationError) -> Value {
        var result = MapBuilder()
        for (index, item) in items.enumerated() {
            var key = Bytes("\(index)")
            if let keyPath, !keyPath.isEmpty {
                let found: Value
                do { found = try value(item, keyPath) } catch {
                    throw EvaluationError("could not extract key from element \(index): \(error)")
                }
                guard case .string(let text) = found else {
                    throw EvaluationError("extracted key attribute of element \(index) is not of type string")
                }
                key = text
            }
            do {
                result.put(key, valuePath.isEmpty ? item : try value(item, valuePath))
            } catch {
                throw EvaluationError("could not extract value from element \(index): \(error)")
            }
        }
        return .map(.entries(result.entries))
    }

    private static func value(_ item: Value, _ path: [String]) throws(EvaluationError) -> Value {
        var value = item
        for name in path {
            guard case .map(let map) = value else {
                throw EvaluationError(
                    "provided object does not contain the path [\(path.joined(separator: " "))]")
            }
            guard let found = map.value(Bytes(name)) else {
                throw EvaluationError(
                    "provided object does not contain the path [\(path.joined(separator: " "))]")
            }
            value = found
        }
        return value
    }
}
