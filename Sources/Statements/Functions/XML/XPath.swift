/// A part of XPath 1.0: paths of `/` and `//` steps (names, `*`, `@name`, `@*`, `text()`, `comment()`, `node()`, `.`, `..`),
/// predicates (`[2]`, `[last()]`, `[a/@b]`, `[a/@b='c']`, `!=`, `contains`, `starts-with`, `not`, `and`, `or`) and unions
/// with `|`.
struct XPath {
    private enum Test {
        case element(String)
        case anyElement
        case attribute(String)
        case anyAttribute
        case text
        case comment
        case node
        case itself
        case parent
    }

    private indirect enum Condition {
        case position(Int)
        case last
        case present([Step])
        case equal([Step], String)
        case different([Step], String)
        /// Of the first that the path finds.
        case contains([Step], String)
        case startsWith([Step], String)
        case not(Condition)
        case all([Condition])
        case any([Condition])
    }

    private struct Step {
        let isDeep: Bool
        let test: Test
        let conditions: [Condition]
    }

    /// One of the nodes found: an attribute has no node of its own in its element.
    struct Found {
        let node: XMLNode
        /// The name of the attribute of the node, if it is one that was found.
        var attribute: String?
        /// Its value.
        var value = ""

        fileprivate var key: Key { Key(node: ObjectIdentifier(node), attribute: attribute) }
    }

    fileprivate struct Key: Hashable {
        let node: ObjectIdentifier
        let attribute: String?
    }

    private let paths: [[Step]]
    private let text: String

    init(_ text: String) throws(FunctionError) {
        self.text = text
        var paths: [[Step]] = []
        for part in Self.split(text[...], by: "|") { paths.append(try Self.steps(part, text)) }
        self.paths = paths
    }

    private static func failure(_ text: String) -> FunctionError {
        FunctionError(
            "invalid xpath: expression \(GoFormat.quoted(text)) is not valid, or uses what is not supported")
    }

    // MARK: - Reading

    private static func steps(_ part: Substring, _ text: String) throws(FunctionError) -> [Step] {
        var rest = part.trimmingSpaces
        guard !rest.isEmpty else { throw failure(text) }
        if rest == "/" { return [] }
        var steps: [Step] = []
        var isFirst = true
        while !rest.isEmpty {
            var isDeep = false
            if rest.hasPrefix("//") {
                isDeep = true
                rest = rest.dropFirst(2)
            } else if rest.hasPrefix("/") {
                rest = rest.dropFirst()
            } else if !isFirst {
                throw failure(text)
            }
            isFirst = false
            let name = rest.prefix { $0 != "/" && $0 != "[" }
            rest = rest[name.endIndex...]
            var conditions: [Condition] = []
            while rest.hasPrefix("[") {
                let inner = Self.split(rest.dropFirst(), by: "]")[0]
                rest = rest[inner.endIndex...]
                guard rest.hasPrefix("]") else { throw failure(text) }
                rest = rest.dropFirst()
                conditions.append(try condition(inner.trimmingSpaces, text))
            }
            steps.append(
                Step(isDeep: isDeep, test: try test(name.trimmingSpaces, text), conditions: conditions))
        }
        return steps
    }

    private static func test(_ name: Substring, _ text: String) throws(FunctionError) -> Test {
        func isName(_ name: Substring) -> Bool {
            !name.isEmpty
                && name.unicodeScalars.allSatisfy {
                    $0.properties.isAlphabetic || $0.properties.numericType != nil
                        || "_-.:".unicodeScalars.contains($0)
                }
        }
        switch name {
        case "*": return .anyElement
        case "@*": return .anyAttribute
        case "text()": return .text
        case "comment()": return .comment
        case "node()": return .node
        case ".": return .itself
        case "..": return .parent
        case _ where name.hasPrefix("@") && isName(name.dropFirst()):
            return .attribute(String(name.dropFirst()))
        case _ where isName(name): return .element(String(name))
        default: throw failure(text)
        }
    }

    private static func condition(_ inner: Substring, _ text: String) throws(FunctionError) -> Condition {
        let choices = split(inner, by: " or ")
        if choices.count > 1 { return .any(try conditions(choices, text)) }
        let parts = split(inner, by: " and ")
        if parts.count > 1 { return .all(try conditions(parts, text)) }
        if let number = Int(inner) { return .position(number) }
        if inner == "last()" { return .last }
        if inner.hasPrefix("("), inner.hasSuffix(")") {
            return try condition(inner.dropFirst().dropLast().trimmingSpaces, text)
        }
        if let only = call("not", inner) { return .not(try condition(only.trimmingSpaces, text)) }
        for name in ["contains", "starts-with"] {
            guard let inside = call(name, inner) else { continue }
            let arguments = split(inside, by: ",")
            guard arguments.count == 2 else { throw failure(text) }
            let (path, value) = (try steps(arguments[0], text), try literal(arguments[1], text))
            return name == "contains" ? .contains(path, value) : .startsWith(path, value)
        }
        let sides = split(inner, by: "=")
        guard sides.count == 2 else {
            guard sides.count == 1 else { throw failure(text) }
            return .present(try steps(inner, text))
        }
        let isDifferent = sides[0].last == "!"
        let left = try steps(isDifferent ? sides[0].dropLast() : sides[0], text)
        let value = try literal(sides[1], text)
        return isDifferent ? .different(left, value) : .equal(left, value)
    }

    private static func conditions(_ parts: [Substring], _ text: String) throws(FunctionError) -> [Condition]
    {
        var conditions: [Condition] = []
        for part in parts { conditions.append(try condition(part.trimmingSpaces, text)) }
        return conditions
    }

    /// What is between the parentheses of `name(…)`.
    private static func call(_ name: String, _ inner: Substring) -> Substring? {
        guard inner.hasPrefix(name + "("), inner.hasSuffix(")") else { return nil }
        return inner.dropFirst(name.count + 1).dropLast()
    }

    /// A text in quotes, or a number.
    private static func literal(_ part: Substring, _ text: String) throws(FunctionError) -> String {
        let value = part.trimmingSpaces
        if let quote = value.first, quote == "'" || quote == "\"" {
            guard value.count >= 2, value.last == quote else { throw failure(text) }
            return String(value.dropFirst().dropLast())
        }
        guard Double(value) != nil else { throw failure(text) }
        return String(value)
    }

    /// At every place outside of quotes, parentheses and brackets where a separator stands.
    private static func split(_ text: Substring, by separator: String) -> [Substring] {
        var parts: [Substring] = []
        var (start, place, depth) = (text.startIndex, text.startIndex, 0)
        var quote: Character?
        while place < text.endIndex {
            let character = text[place]
            if let open = quote {
                if character == open { quote = nil }
            } else if depth == 0, text[place...].hasPrefix(separator) {
                parts.append(text[start..<place])
                place = text.index(place, offsetBy: separator.count)
                start = place
                continue
            } else {
                switch character {
                case "'", "\"": quote = character
                case "(", "[": depth += 1
                case ")", "]": depth -= 1
                default: break
                }
            }
            place = text.index(after: place)
        }
        return parts + [text[start...]]
    }

    // MARK: - Finding

    /// The nodes in document order, each once. A step looks at each node once, however often the one before has met it.
    /// - Throws: its conditions look at the nodes too often, as they can where many elements have many others in them.
    func find(in document: XMLNode) throws(EvaluationError) -> [Found] {
        let effort = XPathEffort(document)
        var found: [Found] = []
        for path in paths { found += try Self.follow(path, from: Found(node: document), effort) }
        return paths.count > 1 ? Self.distinct(found) : found
    }

    private static func follow(
        _ path: [Step], from place: Found, _ effort: XPathEffort
    ) throws(EvaluationError) -> [Found] {
        var found = [place]
        for step in path { found = try follow(step, from: found, effort) }
        return found
    }

    private static func distinct(_ found: [Found]) -> [Found] {
        var seen: Set<Key> = []
        return found.filter { seen.insert($0.key).inserted }
    }

    private static func follow(
        _ step: Step, from places: [Found], _ effort: XPathEffort
    ) throws(EvaluationError) -> [Found] {
        var found: [Found] = []
        var seen: Set<ObjectIdentifier> = []
        for place in places where place.attribute == nil {
            guard step.isDeep else {
                found += try select(step, from: place.node, effort)
                continue
            }
            var waiting = [place.node]
            while let node = waiting.popLast() {
                guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
                found += try select(step, from: node, effort)
                waiting += node.children.reversed()
            }
        }
        // Each node is looked at once, and has what is found to itself.
        if case .parent = step.test { return distinct(found) }
        return found
    }

    private static func select(
        _ step: Step, from node: XMLNode, _ effort: XPathEffort
    ) throws(EvaluationError) -> [Found] {
        try effort.spend(1 + node.children.count + node.attributes.count)
        var found = matches(step.test, of: node)
        for condition in step.conditions {
            switch condition {
            case .position(let number):
                found = number >= 1 && number <= found.count ? [found[number - 1]] : []
            case .last: found = found.last.map { [$0] } ?? []
            default:
                var kept: [Found] = []
                for one in found where try holds(condition, one, effort) { kept.append(one) }
                found = kept
            }
        }
        return found
    }

    private static func holds(
        _ condition: Condition, _ place: Found, _ effort: XPathEffort
    ) throws(EvaluationError) -> Bool {
        /// Whether a text that a path finds is as wanted: any, or the first.
        func finds(
            _ path: [Step], first: Bool = false, _ isWanted: (String) -> Bool
        ) throws(EvaluationError) -> Bool {
            for one in try follow(path, from: place, effort) {
                let text = one.attribute == nil ? one.node.innerText : one.value
                try effort.spend(text.utf8.count / XPathEffort.bytesOfNode)
                if isWanted(text) { return true }
                if first { return false }
            }
            return false
        }
        switch condition {
        case .present(let path): return try !follow(path, from: place, effort).isEmpty
        case .equal(let path, let value): return try finds(path) { $0 == value }
        case .different(let path, let value): return try finds(path) { $0 != value }
        case .contains(let path, let part): return try finds(path, first: true) { $0.contains(part) }
        case .startsWith(let path, let start): return try finds(path, first: true) { $0.hasPrefix(start) }
        case .not(let condition): return try !holds(condition, place, effort)
        case .all(let conditions):
            for one in conditions where try !holds(one, place, effort) { return false }
            return true
        case .any(let conditions):
            for one in conditions where try holds(one, place, effort) { return true }
            return false
        // Numbers count only on their own, where they are looked at before.
        case .position, .last: return false
        }
    }

    private static func matches(_ test: Test, of node: XMLNode) -> [Found] {
        func children(_ isWanted: (XMLNode) -> Bool) -> [Found] {
            node.children.filter(isWanted).map { Found(node: $0) }
        }
        switch test {
        case .element(let name): return children { $0.kind == .element && $0.name == name }
        case .anyElement: return children { $0.kind == .element }
        case .text: return children(\.isText)
        case .comment: return children { $0.kind == .comment }
        case .node: return children { _ in true }
        case .itself: return [Found(node: node)]
        case .parent: return node.parent.map { [Found(node: $0)] } ?? []
        case .attribute(let name):
            return node.attributes.first { $0.name == name }
                .map { [Found(node: node, attribute: name, value: $0.value)] } ?? []
        case .anyAttribute:
            return node.attributes.map { Found(node: node, attribute: $0.name, value: $0.value) }
        }
    }
}

/// How many nodes a path may still look at: many times as many as there are, so that only what grows with their square, or
/// faster, comes to an end. Confined to one evaluation.
private final class XPathEffort {
    /// So many bytes of text cost as much as a node.
    static let bytesOfNode = 32
    private static let nodesMin = 100_000
    private static let looksPerNode = 64

    private var left: Int

    init(_ document: XMLNode) {
        left = Self.nodesMin + Self.looksPerNode * Self.size(document)
    }

    private static func size(_ node: XMLNode) -> Int {
        node.children.reduce(1 + node.attributes.count + node.text.utf8.count / bytesOfNode) {
            $0 + size($1)
        }
    }

    func spend(_ nodes: Int) throws(EvaluationError) {
        left -= nodes
        guard left >= 0 else {
            throw EvaluationError("the xpath looks at the nodes of the document too often")
        }
    }
}
