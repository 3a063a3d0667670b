/// Reads XML into nodes: elements, attributes, texts, CDATA, comments; document types are passed over, external entities
/// do not exist. Depth is bounded.
struct XMLReader {
    static let depthMax = 128

    private let bytes: [UInt8]
    private var position = 0

    private init(_ text: [UInt8]) { bytes = text }

    static func document(_ text: [UInt8]) throws(EvaluationError) -> XMLNode {
        var reader = XMLReader(text)
        let document = XMLNode(.document)
        try reader.read(into: document)
        return document
    }

    private func failure(_ message: String) -> EvaluationError {
        let line = bytes[..<min(position, bytes.count)].count { $0 == 10 } + 1
        return EvaluationError("parse xml: XML syntax error on line \(line): \(message)")
    }

    private func starts(_ text: StaticString) -> Bool {
        guard position + text.utf8CodeUnitCount <= bytes.count else { return false }
        return text.withUTF8Buffer { other in
            // SAFETY: the index is below both counts.
            (0..<other.count).allSatisfy { unsafe bytes[position + $0] == other[$0] }
        }
    }

    /// The text up to an end, which is passed.
    private mutating func text(until end: String, _ what: String) throws(EvaluationError) -> String {
        guard let found = bytes.firstRange(of: Array(end.utf8), from: position) else {
            throw failure("unexpected EOF in \(what)")
        }
        defer { position = found + end.utf8.count }
        return String(decoding: bytes[position..<found], as: UTF8.self)
    }

    private mutating func read(into document: XMLNode) throws(EvaluationError) {
        var open = [document]
        while position < bytes.count {
            let parent = open[open.count - 1]
            if bytes[position] != UInt8(ascii: "<") {
                let start = position
                while position < bytes.count, bytes[position] != UInt8(ascii: "<") { position += 1 }
                let text = try resolved(bytes[start..<position])
                if open.count > 1 || !text.allSatisfy(\.isWhitespace) {
                    parent.append(XMLNode(.text, text: text))
                }
            } else if starts("<!--") {
                position += 4
                parent.append(XMLNode(.comment, text: try text(until: "-->", "comment")))
            } else if starts("<![CDATA[") {
                position += 9
                parent.append(XMLNode(.cdata, text: try text(until: "]]>", "CDATA section")))
            } else if starts("<?") {
                try declaration(parent)
            } else if starts("<!") {
                _ = try text(until: ">", "directive")
            } else if starts("</") {
                position += 2
                let name = try name()
                skipSpace()
                guard position < bytes.count, bytes[position] == UInt8(ascii: ">") else {
                    throw failure("invalid characters between </\(name) and >")
                }
                position += 1
                guard open.count > 1 else { throw failure("unexpected end element </\(name)>") }
                guard parent.name == name else {
                    throw failure("element <\(parent.name)> closed by </\(name)>")
                }
                open.removeLast()
            } else {
                position += 1
                let element = XMLNode(.element, name: try name())
                let isClosed = try attributes(of: element)
                parent.append(element)
                guard !isClosed else { continue }
                guard open.count < Self.depthMax else { throw failure("nested deeper than \(Self.depthMax)") }
                open.append(element)
            }
        }
        guard open.count == 1 else { throw failure("unexpected EOF") }
    }

    private mutating func declaration(_ parent: XMLNode) throws(EvaluationError) {
        position += 2
        let content = try text(until: "?>", "declaration")
        let parts = content.split(separator: " ", maxSplits: 1)
        let node = XMLNode(.declaration, name: parts.first.map(String.init) ?? "")
        if parts.count > 1 { node.text = String(parts[1]) }
        parent.append(node)
    }

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position] == 0x20 || (9...13).contains(bytes[position]) {
            position += 1
        }
    }

    private mutating func name() throws(EvaluationError) -> String {
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            guard byte.isWordByte || byte >= 0x80 || "-.:".utf8.contains(byte) else { break }
            position += 1
        }
        guard position > start, !bytes[start].isDigit else { throw failure("expected element name after <") }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// Whether the element is closed already.
    private mutating func attributes(of element: XMLNode) throws(EvaluationError) -> Bool {
        while true {
            skipSpace()
            guard position < bytes.count else { throw failure("unexpected EOF") }
            if bytes[position] == UInt8(ascii: ">") {
                position += 1
                return false
            }
            if starts("/>") {
                position += 2
                return true
            }
            let name = try name()
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "=") else {
                throw failure("attribute name without = in element")
            }
            position += 1
            skipSpace()
            guard position < bytes.count,
                bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'")
            else { throw failure("unquoted or missing attribute value in element") }
            let quote = bytes[position]
            position += 1
            let start = position
            while position < bytes.count, bytes[position] != quote { position += 1 }
            guard position < bytes.count else { throw failure("unexpected EOF") }
            element.attributes.append((name, try resolved(bytes[start..<position])))
            position += 1
        }
    }

    private static let entities: [String: String] = [
        "lt": "<", "gt": ">", "amp": "&", "quot": "\"", "apos": "'",
    ]

    /// Text with its references resolved.
    private func resolved(_ raw: ArraySlice<UInt8>) throws(EvaluationError) -> String {
        guard raw.contains(UInt8(ascii: "&")) else { return String(decoding: raw, as: UTF8.self) }
        var output = ""
        var rest = raw
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            output += String(decoding: rest[..<ampersand], as: UTF8.self)
            guard let end = rest[ampersand...].firstIndex(of: UInt8(ascii: ";")) else {
                throw failure("invalid character entity & (no semicolon)")
            }
            let name = String(decoding: rest[(ampersand + 1)..<end], as: UTF8.self)
            if let known = Self.entities[name] {
                output += known
            } else if name.hasPrefix("#") {
                let digits = name.dropFirst()
                let isHex = digits.hasPrefix("x")
                guard let code = UInt32(isHex ? digits.dropFirst() : digits, radix: isHex ? 16 : 10),
                    let scalar = Unicode.Scalar(code)
                else { throw failure("invalid character entity &\(name);") }
                output.unicodeScalars.append(scalar)
            } else {
                throw failure("invalid character entity &\(name);")
            }
            rest = rest[(end + 1)...]
        }
        return output + String(decoding: rest, as: UTF8.self)
    }
}
