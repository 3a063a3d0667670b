/// Lines of a configuration as messages show them: without the values of keys that hold secrets.
enum SecretLines {
    /// Keys with one of these in their names hold secrets, unless a file is named.
    private static let words = [
        "password", "passwd", "secret", "token", "key_pem", "private_key", "api_key", "apikey", "credential",
        "authorization", "connection_string", "passphrase",
    ]
    /// Sections whose values may all be secrets.
    private static let sections = ["headers", "response_headers", "params", "endpoint_params"]

    /// Whether a key's value must not be shown, by the key's name.
    static func isSecret(_ key: String) -> Bool {
        let lower = key.lowercased()
        guard !lower.hasSuffix("_file"), !lower.hasSuffix("_path") else { return false }
        return words.contains { lower.contains($0) }
    }

    /// A line of the origin's text: of each value of a secret key only that it is there.
    static func masked(_ line: String, _ origin: ConfigOrigin) -> String {
        if isInsideSecret(origin) { return maskedWhole(line) }
        var out = ""
        var rest = Substring(line)
        while let colon = rest.firstIndex(of: ":") {
            let after = rest.index(after: colon)
            let isKey = after == rest.endIndex || rest[after] == " "
            let name = key(endingAt: rest[..<colon])
            out += rest[..<after]
            rest = rest[after...]
            guard isKey, isSecret(name) || sections.contains(name) else { continue }
            let end = valueEnd(rest, isSection: sections.contains(name))
            if !rest[..<end].allSatisfy({ $0 == " " }) { out += " " + Secret.placeholder }
            rest = rest[end...]
        }
        return withoutUserInformation(out + rest)
    }

    /// A line without what stands in front of an `@` in URLs: names and passwords.
    private static func withoutUserInformation(_ line: String) -> String {
        var out = ""
        var rest = Substring(line)
        while let scheme = rest.firstRange(of: "://") {
            out += rest[..<scheme.upperBound]
            rest = rest[scheme.upperBound...]
            // A password may hold what is special elsewhere: up to the last `@` before the path.
            let authority = rest.prefix { !"/?# \"'".contains($0) }
            guard let at = authority.lastIndex(of: "@") else { continue }
            out += Secret.placeholder
            rest = rest[at...]
        }
        return out + rest
    }

    /// A line below a key whose values are secrets: its own key stays.
    private static func maskedWhole(_ line: String) -> String {
        let indentation = line.prefix { $0 == " " || $0 == "\t" || $0 == "-" }
        let content = line.dropFirst(indentation.count)
        guard !content.isEmpty else { return line }
        if let colon = content.firstIndex(of: ":") {
            let after = content.index(after: colon)
            if after == content.endIndex { return line }
            if content[after] == " " { return indentation + content[...colon] + " " + Secret.placeholder }
        }
        return indentation + Secret.placeholder
    }

    /// The word that ends a text, without quotes.
    private static func key(endingAt text: Substring) -> String {
        let word = text.reversed().prefix { !" {,[".contains($0) }.reversed()
        return String(String(word).filter { $0 != "\"" && $0 != "'" }.split(separator: ":").last ?? "")
    }

    /// Where a value on this line ends: at the end of the line, or of the flow section that it stands in.
    private static func valueEnd(_ rest: Substring, isSection: Bool) -> Substring.Index {
        var quote: Character?
        var depth = 0
        var index = rest.startIndex
        while index < rest.endIndex {
            let character = rest[index]
            if let open = quote {
                if character == open { quote = nil }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "{" || character == "[" {
                depth += 1
            } else if character == "}" || character == "]" {
                if depth == 0 { return index }
                depth -= 1
            } else if character == ",", depth == 0 {
                return index
            }
            index = rest.index(after: index)
        }
        return rest.endIndex
    }

    /// Whether a line stands below a key whose value is a secret: a header, a line of a private key.
    private static func isInsideSecret(_ origin: ConfigOrigin) -> Bool {
        guard let line = origin.text.line(origin.line) else { return false }
        var least = indentation(line)
        var isItem = line.dropFirst(least).hasPrefix("-")
        var number = origin.line - 1
        while number >= 1, least > 0 || isItem, let above = origin.text.line(number) {
            defer { number -= 1 }
            let depth = indentation(above)
            let startsItem = above.dropFirst(depth).hasPrefix("-")
            // The key of a list may stand as far to the left as its items.
            guard depth < least || (depth == least && isItem && !startsItem) else { continue }
            guard !above.allSatisfy({ $0 == " " }) else { continue }
            least = depth
            isItem = startsItem
            let content = above.drop { $0 == " " || $0 == "-" }
            guard let colon = content.firstIndex(of: ":") else { continue }
            let name = key(endingAt: content[..<colon])
            if isSecret(name) || sections.contains(name) { return true }
        }
        return false
    }

    private static func indentation(_ line: String) -> Int {
        line.prefix { $0 == " " }.count
    }
}
