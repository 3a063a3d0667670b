extension DetectorKind {
    /// `OTEL_RESOURCE_ATTRIBUTES`, or `OTEL_RESOURCE` as it was called: pairs with commas between them, of which
    /// empty ones are passed over, values with URL escapes, of 256 characters at most.
    func detectEnvironment(_ probe: Probe) throws -> [DetectedAttribute] {
        for name in ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_RESOURCE"] {
            let text = Self.trimmed((probe.variable(name) ?? "")[...])
            if !text.isEmpty { return try Self.pairs(text, of: name) }
        }
        return []
    }

    private static func pairs(_ text: String, of name: String) throws -> [DetectedAttribute] {
        var found: [DetectedAttribute] = []
        for pair in text.split(separator: ",") {
            guard let equals = pair.firstIndex(of: "=") else {
                throw DetectionError("\(name) has invalid format: \"\(text)\": \"\(pair)\" has no \"=\"")
            }
            let key = Self.trimmed(pair[..<equals])
            let value = Self.trimmed(pair[pair.index(after: equals)...])
            guard !key.isEmpty, key.utf8.count <= 256, value.utf8.count <= 256,
                pair.utf8.allSatisfy({ $0 < 0x80 })
            else {
                throw DetectionError(
                    "\(name) has invalid format: \"\(text)\": keys and values are ASCII of 256 characters at most"
                )
            }
            guard let decoded = Self.decoded(value) else {
                throw DetectionError("\(name) has invalid format in attribute \"\(key)\": \"\(value)\"")
            }
            found.append(DetectedAttribute(key, decoded))
        }
        return found
    }

    static func trimmed(_ text: Substring) -> String {
        var rest = text.drop(while: \.isWhitespace)
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }

    /// `%41` is A, `+` a space; nil for a broken escape.
    private static func decoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard rest.count >= 2,
                    let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
                else { return nil }
                rest = rest.dropFirst(2)
                bytes.append(value)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
