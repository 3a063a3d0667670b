/// What reads and changes XML.
enum XMLConverters {
    static var all: [Function] {
        [
            parsing("ParseXML") { document throws(EvaluationError) in
                guard let root = document.children.first(where: { $0.kind == .element }) else {
                    throw EvaluationError("unmarshal xml: EOF")
                }
                return parsed(root)
            },
            parsing("ParseSimplifiedXML") { .map(simplified($0)) },
            Function("RemoveXML", [.required("target", .string), .required("xpath", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, path) = (arguments.expression(0), try XPath(arguments.text(1) ?? ""))
                return { frame throws(EvaluationError) in
                    let (document, bytes) = try read(target, frame)
                    remove(try path.find(in: document))
                    return try text(of: "RemoveXML", from: bytes, frame) { $0.put(document) }
                }
            },
            Function("GetXML", [.required("target", .string), .required("xpath", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, path) = (arguments.expression(0), try XPath(arguments.text(1) ?? ""))
                return { frame throws(EvaluationError) in
                    let (document, bytes) = try read(target, frame)
                    let found = try path.find(in: document)
                    return try text(of: "GetXML", from: bytes, frame) { writer in
                        for one in found { put(one, to: &writer) }
                    }
                }
            },
            insert,
            Function(
                "ConvertAttributesToElementsXML",
                [.required("target", .string), .optional("xpath", .literalString)]
            ) { arguments throws(FunctionError) in
                let (target, path) = (arguments.expression(0), try XPath(arguments.text(1) ?? "//@*"))
                return { frame throws(EvaluationError) in
                    let (document, bytes) = try read(target, frame)
                    raise(try path.find(in: document))
                    return try text(of: "ConvertAttributesToElementsXML", from: bytes, frame) {
                        $0.put(document)
                    }
                }
            },
            Function(
                "ConvertTextToElementsXML",
                [
                    .required("target", .string), .optional("xpath", .literalString),
                    .optional("element_name", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let (target, path) = (arguments.expression(0), try XPath(arguments.text(1) ?? "/"))
                let name = arguments.text(2) ?? "value"
                return { frame throws(EvaluationError) in
                    let (document, bytes) = try read(target, frame)
                    for one in try path.find(in: document) where one.attribute == nil {
                        wrapTexts(one.node, name)
                    }
                    return try text(of: "ConvertTextToElementsXML", from: bytes, frame) {
                        $0.put(document)
                    }
                }
            },
        ]
    }

    /// What a node takes, with what finding it takes; with what it becomes in a map; and an attribute.
    private static let (bytesOfNode, bytesOfParsedNode, bytesOfAttribute) = (256, 384, 192)

    /// - Returns: the document and the bytes of its text.
    private static func read(
        _ text: Expression, _ frame: Frame, bytesOfNode: Int = bytesOfNode
    ) throws(EvaluationError) -> (XMLNode, bytes: Int) {
        let text = try text.evaluate(frame).asString()
        // An element and a text stand for each bracket at most.
        let (brackets, equals) = unsafe text.read { bytes in
            unsafe (bytes.count(UInt8(ascii: "<")), bytes.count(UInt8(ascii: "=")))
        }
        try frame.ask(
            making: 2 * brackets + 1, bytesOfEach: bytesOfNode,
            copying: equals * bytesOfAttribute + 2 * text.count)
        return (try XMLReader.document(text.array), text.count)
    }

    private static func parsing(
        _ name: String, _ body: @escaping (XMLNode) throws(EvaluationError) -> Value
    ) -> Function {
        Function(name, [.required("target", .string)]) { arguments in
            let target = arguments.expression(0)
            return { frame throws(EvaluationError) in
                try body(read(target, frame, bytesOfNode: bytesOfParsedNode).0)
            }
        }
    }

    /// A text is no longer than this, or than `growthMax` times the texts that it is made of.
    private static let textBytesMin = 2 << 20
    private static let growthMax = 8

    private static func textBytesMax(_ bytes: Int) -> Int { max(textBytesMin, growthMax * bytes) }

    private static func check(
        _ count: Int, of function: String, from bytes: Int
    ) throws(EvaluationError) {
        let most = textBytesMax(bytes)
        guard count > most else { return }
        throw EvaluationError(
            "\(function) would make a text of \(count) bytes or more of \(bytes), more than \(most); its xpath finds too much",
            isLimit: true)
    }

    /// The text that a function makes, which is counted before it is made.
    /// - Parameter bytes: of the texts that it is made of.
    private static func text(
        of function: String, from bytes: Int, _ frame: Frame, _ write: (inout XMLWriter) -> Void
    ) throws(EvaluationError) -> Value {
        var counter = XMLWriter(countingTo: textBytesMax(bytes))
        write(&counter)
        try check(counter.count, of: function, from: bytes)
        try frame.ask(making: 1, bytesOfEach: counter.count)
        var writer = XMLWriter(capacity: counter.count)
        write(&writer)
        return .string(.owned(writer.bytes))
    }

    private static func put(_ found: XPath.Found, to writer: inout XMLWriter) {
        if found.attribute != nil {
            writer.put(found.value)
        } else if found.node.isText {
            writer.put(found.node.text)
        } else {
            writer.put(found.node)
        }
    }

    /// The attributes found, by their elements.
    private static func attributes(_ found: [XPath.Found]) -> [(node: XMLNode, found: [XPath.Found])] {
        var places: [ObjectIdentifier: Int] = [:]
        var groups: [(node: XMLNode, found: [XPath.Found])] = []
        for one in found where one.attribute != nil {
            let node = ObjectIdentifier(one.node)
            if let place = places[node] {
                groups[place].found.append(one)
            } else {
                places[node] = groups.count
                groups.append((one.node, [one]))
            }
        }
        return groups
    }

    private static func remove(_ found: [XPath.Found]) {
        // The document itself stays.
        for one in found where one.attribute == nil && one.node.parent != nil { one.node.isRemoved = true }
        for (node, found) in attributes(found) {
            let names = Set(found.compactMap(\.attribute))
            node.attributes.removeAll { names.contains($0.name) }
        }
    }

    private static var insert: Function {
        Function(
            "InsertXML",
            [
                .required("target", .string), .required("xpath", .literalString),
                .required("sub_document", .string),
            ]
        ) { arguments throws(FunctionError) in
            let (target, path) = (arguments.expression(0), try XPath(arguments.text(1) ?? ""))
            let inserted = arguments.expression(2)
            return { frame throws(EvaluationError) in
                let (document, bytes) = try read(target, frame)
                let (new, newBytes) = try read(inserted, frame)
                let found = try path.find(in: document)
                for one in found {
                    guard one.attribute == nil, one.node.kind == .element || one.node.kind == .document else {
                        throw EvaluationError(
                            "InsertXML XPath selected non-element: only elements take children")
                    }
                }
                // Each child is written as a byte at least.
                try check(found.count * new.children.count, of: "InsertXML", from: bytes + newBytes)
                try frame.ask(making: found.count * new.children.count, bytesOfEach: 16)
                for one in found { one.node.append(sharing: new.children) }
                return try text(of: "InsertXML", from: bytes + newBytes, frame) { $0.put(document) }
            }
        }
    }

    /// Attributes as children of their elements.
    private static func raise(_ found: [XPath.Found]) {
        for (node, found) in attributes(found) {
            for one in found {
                let element = XMLNode(.element, name: one.attribute ?? "")
                element.append(XMLNode(.text, text: one.value))
                node.append(element)
            }
            // The first of each name.
            var names = Set(found.compactMap(\.attribute))
            node.attributes.removeAll { names.remove($0.name) != nil }
        }
    }

    /// Texts beside elements, or beside other texts, as elements.
    private static func wrapTexts(_ node: XMLNode, _ name: String) {
        guard node.kind == .element || node.kind == .document else { return }
        var (texts, elements) = (0, 0)
        for child in node.children {
            wrapTexts(child, name)
            if child.kind == .element { elements += 1 }
            if child.isText, !child.text.allSatisfy(\.isWhitespace) { texts += 1 }
        }
        guard texts > 0, elements > 0 || texts > 1 else { return }
        node.replaceChildren(
            node.children.map { child in
                guard child.isText, !child.text.allSatisfy(\.isWhitespace) else { return child }
                let element = XMLNode(.element, name: name)
                element.append(child)
                return element
            })
    }

    // MARK: - As maps

    /// `tag`, and `attributes`, `children` and `content` where there are any.
    private static func parsed(_ element: XMLNode) -> Value {
        var entries: [MapEntry] = []
        entries.put("tag", .text(element.name))
        let content = element.children.filter(\.isText).map(\.text).joined()
        let trimmed = Substring(content).drop { $0.isWhitespace }
        let text = String(trimmed.reversed().drop { $0.isWhitespace }.reversed())
        if !text.isEmpty { entries.put("content", .text(text)) }
        if !element.attributes.isEmpty {
            var attributes = MapBuilder()
            for attribute in element.attributes { attributes.put(attribute.name, .text(attribute.value)) }
            entries.put("attributes", .map(.entries(attributes.entries)))
        }
        let children = element.children.filter { $0.kind == .element }
        if !children.isEmpty { entries.put("children", .list(.items(children.map(parsed)))) }
        return .map(.entries(entries))
    }

    /// Elements by name: text, a map of what is inside, or a list of those where a name repeats. Attributes and empty
    /// elements are left out; of the texts of an element the first counts.
    private static func simplified(_ node: XMLNode) -> Value.Map {
        let elements = node.children.filter { $0.kind == .element }
        var counts: [String: Int] = [:]
        for element in elements { counts[element.name, default: 0] += 1 }
        var entries: [MapEntry] = []
        var places: [String: Int] = [:]
        var lists: [[Value]] = []
        for element in elements where !element.children.isEmpty {
            let value = content(of: element)
            if counts[element.name] == 1 {
                if let value { entries.append(MapEntry(key: Bytes(element.name), value: value)) }
                continue
            }
            let place = places[element.name] ?? entries.count
            if places[element.name] == nil {
                places[element.name] = place
                entries.append(MapEntry(key: Bytes(element.name), value: .list(.items([]))))
                lists += [[Value]](repeating: [], count: entries.count - lists.count)
            }
            if let value { lists[place].append(value) }
        }
        for place in places.values { entries[place].value = .list(.items(lists[place])) }
        return .entries(entries)
    }

    /// Nil: nothing is in it.
    private static func content(of element: XMLNode) -> Value? {
        if element.children.contains(where: { $0.kind == .element }) {
            let map = simplified(element)
            return map.count == 0 ? nil : Value.map(map)
        }
        guard let text = element.children.first(where: \.isText)?.text, !text.isEmpty else { return nil }
        return Value.text(text)
    }
}
