/// A part of XPath 1.0: absolute paths of `/` and `//` steps (names, `*`, `@name`, `@*`, `text()`, `comment()`, `node()`,
/// `.`, `..`), predicates (`[2]`, `[last()]`, `[@a]`, `[@a='b']`, `[name='b']`, `[text()='b']`) and unions with `|`.
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

    private enum Condition {
        case position(Int)
        case last
        case present(Test)
        case equal(Test, String)
        case different(Test, String)
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
        for part in text.split(separator: "|", omittingEmptySubsequences: false) {
            paths.append(try Self.steps(part, text))
        }
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
                guard let end = rest.firstIndex(of: "]") else { throw failure(text) }
                conditions.append(
                    try condition(rest[rest.index(after: rest.startIndex)..<end].trimmingSpaces, text))
                rest = rest[rest.index(after: end)...]
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
        if let number = Int(inner) { return .position(number) }
        if inner == "last()" { return .last }
        guard let sign = inner.firstIndex(of: "=") else { return .present(try test(inner, text)) }
        let isDifferent = sign > inner.startIndex && inner[inner.index(before: sign)] == "!"
        let left = inner[..<(isDifferent ? inner.index(before: sign) : sign)].trimmingSpaces
        let right = inner[inner.index(after: sign)...].trimmingSpaces
        var value = String(right)
        if let quote = right.first, quote == "'" || quote == "\"" {
            guard right.count >= 2, right.last == quote else { throw failure(text) }
            value = String(right.dropFirst().dropLast())
        } else if Double(value) == nil {
            throw failure(text)
        }
        let name = try test(left, text)
        return isDifferent ? .different(name, value) : .equal(name, value)
    }

    // MARK: - Finding

    /// The nodes in document order, each once. A step looks at each node once, however often the one before has met it.
    func find(in document: XMLNode) -> [Found] {
        var found: [Found] = []
        for path in paths {
            var current = [Found(node: document)]
            for step in path { current = Self.follow(step, from: current) }
            found += current
        }
        return paths.count > 1 ? Self.distinct(found) : found
    }

    private static func distinct(_ found: [Found]) -> [Found] {
        var seen: Set<Key> = []
        return found.filter { seen.insert($0.key).inserted }
    }

    private static func follow(_ step: Step, from places: [Found]) -> [Found] {
        var found: [Found] = []
        var seen: Set<ObjectIdentifier> = []
        for place in places where place.attribute == nil {
            guard step.isDeep else {
                found += select(step, from: place.node)
                continue
            }
            var waiting = [place.node]
            while let node = waiting.popLast() {
                guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
                found += select(step, from: node)
                waiting += node.children.reversed()
            }
        }
        return distinct(found)
    }

    private static func select(_ step: Step, from node: XMLNode) -> [Found] {
        var found = matches(step.test, of: node)
        for condition in step.conditions {
            switch condition {
            case .position(let number):
                found = number >= 1 && number <= found.count ? [found[number - 1]] : []
            case .last: found = found.last.map { [$0] } ?? []
            case .present(let test): found = found.filter { !matches(test, of: $0.node).isEmpty }
            case .equal(let test, let value):
                found = found.filter { matches(test, of: $0.node).contains { Self.text($0) == value } }
            case .different(let test, let value):
                found = found.filter { matches(test, of: $0.node).contains { Self.text($0) != value } }
            }
        }
        return found
    }

    private static func text(_ found: Found) -> String {
        found.attribute == nil ? found.node.innerText : found.value
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
