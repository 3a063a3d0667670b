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
                var flatten = FlattenEditor(frame, depthMax: depth, resolvesConflicts: resolves)
                try flatten.map(try target.evaluate(frame).asMap().entries, prefix, 0)
                try target.set(.map(.entries(flatten.result.entries)), frame)
                return .null
            }
        }
    }

    private let depthMax: Int64
    private let resolvesConflicts: Bool
    private var result = MapBuilder()
    private var conflicts: [String: Int] = [:]

    private let frame: Frame
    /// What the entries take, and for how much the memory limit was asked.
    private var (bytes, askedBytes) = (0, 0)

    private init(_ frame: Frame, depthMax: Int64, resolvesConflicts: Bool) {
        self.frame = frame
        (self.depthMax, self.resolvesConflicts) = (depthMax, resolvesConflicts)
    }

    private mutating func map(_ entries: [MapEntry], _ prefix: String, _ depth: Int64) throws(EvaluationError)
    {
        for entry in entries {
            let key = (prefix.isEmpty ? "" : prefix + ".") + entry.key.text
            switch entry.value {
            case .map(let map) where depth < depthMax: try self.map(map.entries, key, depth + 1)
            case .list(let list) where depth < depthMax: try items(list.items, key, depth, separator: ".")
            default: try put(key, entry.value)
            }
        }
    }

    /// The Collector writes no dot between the indexes of a list inside of a list: `c.10` is `c[1][0]`.
    private mutating func items(_ items: [Value], _ prefix: String, _ depth: Int64, separator: String)
        throws(EvaluationError)
    {
        for (index, item) in items.enumerated() {
            let key = prefix + separator + "\(index)"
            switch item {
            case .map(let map) where depth + 1 < depthMax: try self.map(map.entries, key, depth + 2)
            case .list(let list) where depth + 1 < depthMax:
                try self.items(list.items, key, depth + 2, separator: "")
            default:
                if resolvesConflicts, separator == "." { try put(prefix, item) } else { try add(key, item) }
            }
        }
    }

    private mutating func put(_ key: String, _ value: Value) throws(EvaluationError) {
        guard resolvesConflicts else { return try add(key, value) }
        guard let count = conflicts[key] else {
            conflicts[key] = 0
            return try add(key, value)
        }
        conflicts[key] = count + 1
        try add("\(key).\(count)", value)
    }

    /// A list of millions of empty values becomes as many keys.
    private mutating func add(_ key: String, _ value: Value) throws(EvaluationError) {
        bytes += MapBuilder.bytesOfEntry + 2 * (key.utf8.count + 32)
        if bytes > askedBytes {
            askedBytes = max(2 * bytes, Frame.unaskedBytes)
            if askedBytes > Frame.unaskedBytes { try frame.ask(askedBytes) }
        }
        result.put(Bytes(key), value)
    }
}
