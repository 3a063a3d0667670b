/// `flatten(map, prefix, depth, resolveConflicts)`.
struct FlattenEditor {
    static var function: Function {
        Function(
            "flatten",
            [
                .required("target", .path), .optional("prefix", .literalString),
                .optional("depth", .literalInt),
                .optional("resolve_conflicts", .literalBool),
            ]
        ) { arguments throws(FunctionError) in
            let (target, prefix, depth) = (
                arguments.path(0), arguments.text(1) ?? "", arguments.int(2) ?? .max
            )
            let resolves = arguments.bool(3) ?? false
            guard depth >= 1 else {
                throw FunctionError("invalid depth for flatten function, \(depth) cannot be negative or zero")
            }
            return { frame throws(EvaluationError) in
                var flatten = FlattenEditor(depthMax: depth, resolvesConflicts: resolves)
                flatten.map(try target.evaluate(frame).asMap().entries, prefix, 0)
                try target.set(.map(.entries(flatten.result.entries)), frame)
                return .null
            }
        }
    }

    private let depthMax: Int64
    private let resolvesConflicts: Bool
    private var result = MapBuilder()
    private var conflicts: [String: Int] = [:]

    private init(depthMax: Int64, resolvesConflicts: Bool) {
        (self.depthMax, self.resolvesConflicts) = (depthMax, resolvesConflicts)
    }

    private mutating func map(_ entries: [MapEntry], _ prefix: String, _ depth: Int64) {
        for entry in entries {
            let key = (prefix.isEmpty ? "" : prefix + ".") + entry.key.text
            switch entry.value {
            case .map(let map) where depth < depthMax: self.map(map.entries, key, depth + 1)
            case .list(let list) where depth < depthMax: items(list.items, key, depth, separator: ".")
            default: put(key, entry.value)
            }
        }
    }

    /// The Collector writes no dot between the indexes of a list inside of a list: `c.10` is `c[1][0]`.
    private mutating func items(_ items: [Value], _ prefix: String, _ depth: Int64, separator: String) {
        for (index, item) in items.enumerated() {
            let key = prefix + separator + "\(index)"
            switch item {
            case .map(let map) where depth + 1 < depthMax: self.map(map.entries, key, depth + 2)
            case .list(let list) where depth + 1 < depthMax:
                self.items(list.items, key, depth + 2, separator: "")
            default:
                if resolvesConflicts, separator == "." { put(prefix, item) } else { result.put(key, item) }
            }
        }
    }

    private mutating func put(_ key: String, _ value: Value) {
        guard resolvesConflicts else { return result.put(key, value) }
        guard let count = conflicts[key] else {
            conflicts[key] = 0
            return result.put(key, value)
        }
        conflicts[key] = count + 1
        result.put("\(key).\(count)", value)
    }
}
