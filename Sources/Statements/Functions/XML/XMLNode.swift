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
    private(set) weak var parent: XMLNode?
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

    func replaceChildren(_ new: [XMLNode]) {
        children = []
        new.forEach(append)
    }

    func copy() -> XMLNode {
        let copy = XMLNode(kind, name: name, text: text)
        copy.attributes = attributes
        for child in children { copy.append(child.copy()) }
        return copy
    }

    /// The text of the node and of all inside.
    var innerText: String {
        switch kind {
        case .text, .cdata, .attribute: text
        case .comment, .declaration: ""
        case .document, .element: children.map(\.innerText).joined()
        }
    }

    // MARK: - Writing

    var written: String {
        var output = ""
        write(to: &output)
        return output
    }

    private func write(to output: inout String) {
        if isRemoved { return }
        switch kind {
        case .document: for child in children { child.write(to: &output) }
        case .text: output += Self.escaped(text, inAttribute: false)
        case .cdata: output += "<![CDATA[" + text + "]]>"
        case .comment: output += "<!--" + text + "-->"
        case .attribute: output += text
        case .declaration:
            output += "<?" + name
            for attribute in attributes { output += " \(attribute.name)=\"\(attribute.value)\"" }
            if !text.isEmpty { output += " " + text }
            output += "?>"
        case .element:
            output += "<" + name
            for attribute in attributes {
                output += " \(attribute.name)=\"\(Self.escaped(attribute.value, inAttribute: true))\""
            }
            output += ">"
            for child in children { child.write(to: &output) }
            output += "</" + name + ">"
        }
    }

    private static func escaped(_ text: String, inAttribute: Bool) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": output += "&lt;"
            case ">": output += "&gt;"
            case "&": output += "&amp;"
            case "\"": output += "&#34;"
            case "'": output += "&#39;"
            case "\n" where inAttribute: output += "&#xA;"
            case "\t" where inAttribute: output += "&#x9;"
            case "\r": output += "&#xD;"
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }
}
