/// `ParseSeverity`: the level whose criteria a value meets.
enum SeverityConverter {
    static var function: Function {
        Function("ParseSeverity", [.required("target", .any), .required("severity_mapping", .map)]) {
            arguments in
            let (target, mapping) = (arguments.expression(0), arguments.expression(1))
            return { frame throws(EvaluationError) in
                let value = try target.evaluate(frame)
                switch value {
                case .int, .string: break
                default:
                    throw EvaluationError(
                        "could not map log level: log level must be either string or int64, but got "
                            + "\(value.isNull ? "<nil>" : value.typeName)")
                }
                for entry in try mapping.evaluate(frame).asMap().entries {
                    guard case .list(let criteria) = entry.value else {
                        throw EvaluationError(
                            "could not map log level: criteria for mapping log level must be []any")
                    }
                    for criterion in criteria.items where try meets(value, criterion) {
                        return .string(entry.key)
                    }
                }
                throw EvaluationError(
                    "could not map log level: no matching log level found for value '\(TextForm.text(value))'"
                )
            }
        }
    }

    private static func meets(_ value: Value, _ criterion: Value) throws(EvaluationError) -> Bool {
        guard case .map(let map) = criterion else {
            throw EvaluationError("could not map log level: log level criteria must be map[string]any")
        }
        for entry in map.entries {
            switch entry.key.text {
            case "equals":
                guard case .list(let list) = entry.value else {
                    throw EvaluationError("could not map log level: 'equals' must be a list")
                }
                if list.items.contains(where: { Comparison.holds($0, .equal, value) }) { return true }
            case "range":
                guard case .int(let number) = value else { continue }
                if try range(entry.value).contains(number) { return true }
            case let other:
                throw EvaluationError("could not map log level: unsupported criterion '\(other)'")
            }
        }
        return false
    }

    private static func range(_ value: Value) throws(EvaluationError) -> ClosedRange<Int64> {
        switch value {
        case .string(let text):
            switch text.text {
            case "2xx": return 200...299
            case "3xx": return 300...399
            case "4xx": return 400...499
            case "5xx": return 500...599
            case let other: throw EvaluationError("could not map log level: unknown range '\(other)'")
            }
        case .map(let map):
            guard case .int(let low) = map.value(Bytes("min")),
                case .int(let high) = map.value(Bytes("max"))
            else { throw EvaluationError("could not map log level: a range needs 'min' and 'max' as int64") }
            guard low <= high else { throw EvaluationError("could not map log level: 'min' is above 'max'") }
            return low...high
        default: throw EvaluationError("could not map log level: a range must be a map or a text such as 4xx")
        }
    }
}
