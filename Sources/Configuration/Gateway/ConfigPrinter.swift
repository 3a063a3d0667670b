extension GatewayConfig {
    /// How a configuration is printed.
    package enum PrintFormat: String, Sendable, CaseIterable {
        case yaml
        case json
    }

    /// The configuration as it took effect: merged, overridden, expanded, without defaults; reading the text again
    /// gives the same configuration (`$` is written `$$`). Ends with a line feed.
    ///
    /// - Parameter redacted: Shows `[REDACTED]` for what components read as secrets (read all of them first) and
    ///   for whatever is called like a header, password, token or key.
    package func printed(_ format: PrintFormat, redacted: Bool) -> String {
        var printer = ConfigPrinter(paths: paths, redacted: redacted)
        switch format {
        case .yaml: printer.yaml(effective, path: "", indentation: 0)
        case .json: printer.json(effective, path: "", indentation: 0)
        }
        return printer.out + (format == .json ? "\n" : "")
    }
}

/// Writes values as YAML or JSON.
private struct ConfigPrinter {
    let paths: ReadPaths
    let redacted: Bool
    var out = ""

    init(paths: ReadPaths, redacted: Bool) {
        self.paths = paths
        self.redacted = redacted
    }

    private static let secretSections = ["headers", "response_headers"]

    private func isSecret(_ key: String, _ path: String) -> Bool {
        guard redacted else { return false }
        return paths.secrets.contains(path)
            || SecretLines.isSecret(key)
            || Self.secretSections.contains { path.hasSuffix("::\($0)::\(key)") }
    }

    /// Whether a value is an address with a user's name and password in it.
    private func holdsPassword(_ value: ConfigNode) -> Bool {
        guard redacted, value.isScalar, let scheme = value.original.firstRange(of: "://") else {
            return false
        }
        return value.original[scheme.upperBound...].contains("@")
    }

    private func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : path + "::" + key
    }

    // MARK: YAML

    mutating func yaml(_ map: ConfigMap, path: String, indentation: Int) {
        if map.entries.isEmpty, indentation == 0 { out += "{}\n" }
        for entry in map.entries {
            out += String(repeating: " ", count: indentation) + yamlText(entry.key, isKey: true) + ":"
            yamlValue(
                entry.value, join(path, entry.key),
                isSecret(entry.key, join(path, entry.key)) || holdsPassword(entry.value), indentation)
        }
    }

    /// What follows `key:` or `-`, with the line feed.
    private mutating func yamlValue(_ value: ConfigNode, _ path: String, _ secret: Bool, _ indentation: Int) {
        switch value.content {
        case .null where !secret && !paths.texts.contains(path): out += "\n"
        case _ where secret && !value.isNull: out += " \"\(Secret.placeholder)\"\n"
        case .map(let map) where !map.entries.isEmpty:
            out += "\n"
            yaml(map, path: path, indentation: indentation + 2)
        case .list(let items) where !items.isEmpty:
            out += "\n"
            for (index, item) in items.enumerated() {
                out += String(repeating: " ", count: indentation + 2) + "-"
                yamlValue(item, path + "::\(index)", holdsPassword(item), indentation + 2)
            }
        default: out += " " + scalar(value, path) { yamlText($0, isKey: false) } + "\n"
        }
    }

    private func yamlText(_ text: String, isKey: Bool) -> String {
        let escaped = isKey ? text : Self.dollars(text)
        if case .string = typedScalar(escaped), Self.isPlain(escaped) { return escaped }
        return Self.inQuotes(escaped)
    }

    /// True for texts that YAML reads back as they are without quotes, in any context.
    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) || isDigit(first) || "/_.$".utf8.contains(first),
            let last = text.utf8.last, last != UInt8(ascii: " "), last != UInt8(ascii: ":"), text != "<<",
            // At the start of a line it would end the document.
            !text.hasPrefix("...")
        else { return false }
        var previous: UInt8 = 0
        for byte in text.utf8 {
            let isSafe = isLetter(byte) || isDigit(byte) || " _./+-:$@=%".utf8.contains(byte)
            guard isSafe, !(previous == UInt8(ascii: ":") && byte == UInt8(ascii: " ")) else { return false }
            previous = byte
        }
        return true
    }

    // MARK: JSON

    mutating func json(_ map: ConfigMap, path: String, indentation: Int) {
        guard !map.entries.isEmpty else {
            out += "{}"
            return
        }
        out += "{"
        for (index, entry) in map.entries.enumerated() {
            out += index == 0 ? "\n" : ",\n"
            out += String(repeating: " ", count: indentation + 2) + Self.inQuotes(entry.key) + ": "
            let inner = join(path, entry.key)
            if isSecret(entry.key, inner) || holdsPassword(entry.value), !entry.value.isNull {
                out += "\"\(Secret.placeholder)\""
            } else {
                jsonValue(entry.value, inner, indentation + 2)
            }
        }
        out += "\n" + String(repeating: " ", count: indentation) + "}"
    }

    private mutating func jsonValue(_ value: ConfigNode, _ path: String, _ indentation: Int) {
        switch value.content {
        case .map(let map): json(map, path: path, indentation: indentation)
        case .list(let items) where !items.isEmpty:
            out += "["
            for (index, item) in items.enumerated() {
                out += index == 0 ? "\n" : ",\n"
                out += String(repeating: " ", count: indentation + 2)
                if holdsPassword(item) {
                    out += "\"\(Secret.placeholder)\""
                } else {
                    jsonValue(item, path + "::\(index)", indentation + 2)
                }
            }
            out += "\n" + String(repeating: " ", count: indentation) + "]"
        case .double(let number) where !number.isFinite: out += Self.inQuotes(value.original)
        default: out += scalar(value, path) { Self.inQuotes(Self.dollars($0)) }
        }
    }

    // MARK: Both

    private func scalar(_ value: ConfigNode, _ path: String, _ text: (String) -> String) -> String {
        if paths.texts.contains(path) { return text(value.original) }
        return switch value.content {
        case .null: "null"
        case .bool(let flag): String(flag)
        case .int(let number): String(number)
        case .double(let number) where number.isNaN: ".nan"
        case .double(let number) where number.isInfinite: number < 0 ? "-.inf" : ".inf"
        case .double(let number): String(number)
        case .string(let string): text(string)
        case .list: "[]"
        case .map: "{}"
        }
    }

    private static func dollars(_ text: String) -> String {
        text.split(separator: "$", omittingEmptySubsequences: false).joined(separator: "$$")
    }

    /// A double-quoted text that is the same in JSON and in YAML.
    private static func inQuotes(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default:
                let isControl = scalar.value < 0x20 || scalar.value >= 0x7f && scalar.value < 0xa0
                let isBreak = scalar.value == 0x2028 || scalar.value == 0x2029 || scalar.value == 0xfeff
                if isControl || isBreak {
                    let digits = String(scalar.value, radix: 16)
                    out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return out + "\""
    }
}
