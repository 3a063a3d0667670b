/// A node of an XML document as functions change it. Confined to one evaluation.
final class XMLNode {
    enum Kind: Equatable {
        case document
        case element
        case text
        case cdata
        case comment
        case declaration
        case attribute
    }

    let kind: Kind
    /// Of elements and attributes, with its prefix; of declarations the target.
    var name: String
    /// Of texts, comments and attributes.
    var text: String
    var attributes: [(name: String, value: String)] = []
    private(set) var children: [XMLNode] = []
    private(set) unowned var parent: XMLNode?
    /// Such a node, with what is in it, is not written.
    var isRemoved = false

    init(_ kind: Kind, name: String = "", text: String = "") {
        (self.kind, self.name, self.text) = (kind, name, text)
    }

    var isText: Bool { kind == .text || kind == .cdata }

    func append(_ child: XMLNode) {
        child.parent = self
        children.append(child)
    }

    /// Has the nodes of another document stand here, too: only to be written, as they know one parent.
    func append(sharing nodes: [XMLNode]) { children += nodes }

    func replaceChildren(_ new: [XMLNode]) {
        children = []
        new.forEach(append)
    }

    /// The text of the node and of all inside.
    var innerText: String {
        switch kind {
        case .text, .cdata, .attribute: text
        case .comment, .declaration: ""
        case .document, .element: children.map(\.innerText).joined()
        }
    }
}

// MARK: - Writing

/// Writes nodes as bytes, or counts what they would be: a path may find a node of each depth, with all that is in it, and what is
/// inserted stands at each place that is found.
struct XMLWriter {
    private let keeps: Bool
    private let limit: Int
    private(set) var bytes: [UInt8] = []
    private(set) var count = 0

    /// Counts only, and ends soon behind the limit.
    init(countingTo limit: Int) { (keeps, self.limit) = (false, limit) }

    /// Keeps what is written, which is as long as it was counted.
    init(capacity: Int) {
        (keeps, limit) = (true, .max)
        bytes.reserveCapacity(capacity)
    }

    mutating func put(_ text: String) {
        count += text.utf8.count
        if keeps { bytes.append(contentsOf: text.utf8) }
    }

    private mutating func put(escaped text: String, inAttribute: Bool = false) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "<"): put("&lt;")
            case UInt8(ascii: ">"): put("&gt;")
            case UInt8(ascii: "&"): put("&amp;")
            case UInt8(ascii: "\""): put("&#34;")
            case UInt8(ascii: "'"): put("&#39;")
            case 10 where inAttribute: put("&#xA;")
            case 9 where inAttribute: put("&#x9;")
            case 13: put("&#xD;")
            default:
                count += 1
                if keeps { bytes.append(byte) }
            }
        }
    }

    mutating func put(_ node: XMLNode) {
        if node.isRemoved || count > limit { return }
        switch node.kind {
        case .document: for child in node.children { put(child) }
        case .text: put(escaped: node.text)
        case .cdata:
            put("<![CDATA[")
            put(node.text)
            put("]]>")
        case .comment:
            put("<!--")
            put(node.text)
            put("-->")
        case .attribute: put(node.text)
        case .declaration:
            put("<?")
            put(node.name)
            for attribute in node.attributes {
                put(" ")
                put(attribute.name)
                put("=\"")
                put(attribute.value)
                put("\"")
            }
            if !node.text.isEmpty {
                put(" ")
                put(node.text)
            }
            put("?>")
        case .element:
            put("<")
            put(node.name)
            for attribute in node.attributes {
                put(" ")
                put(attribute.name)
                put("=\"")
                put(escaped: attribute.value, inAttribute: true)
                put("\"")
            }
            put(">")
            for child in node.children { put(child) }
            put("</")
            put(node.name)
            put(">")
        }
    }
}
