/// Where one part of the configuration comes from: one `--config` argument.
package enum ConfigSource: Sendable, Equatable {
    /// A file: a bare path or `file:path`.
    case file(String)
    /// A variable that holds YAML: `env:NAME`.
    case environment(String)
    /// YAML in the argument itself: `yaml:processors::batch::timeout: 2s`.
    case yaml(String)
    /// A server that answers with YAML: `http://…` or `https://…`.
    case url(String)
    /// A scheme that cannot be read.
    case unsupported(scheme: String, argument: String)

    /// Reads a `--config` argument.
    package init(_ argument: String) {
        guard let (scheme, rest) = schemeAndRest(argument) else {
            self = .file(argument)
            return
        }
        switch scheme {
        case "file": self = .file(rest)
        case "env": self = .environment(rest)
        case "yaml": self = .yaml(rest)
        case "http", "https": self = .url(argument)
        default: self = .unsupported(scheme: scheme, argument: argument)
        }
    }
}

/// Splits `scheme:rest` by the rule of the Collector: a letter, then at least one letter, digit, `+`, `.` or `-`.
/// One letter alone is no scheme.
func schemeAndRest(_ text: String) -> (scheme: String, rest: String)? {
    guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    let scheme = text[..<colon]
    guard scheme.utf8.count >= 2, let first = scheme.utf8.first, isLetter(first) else { return nil }
    let allowed = scheme.utf8.allSatisfy { byte in
        isLetter(byte) || isDigit(byte) || "+.-".utf8.contains(byte)
    }
    return allowed ? (String(scheme), String(text[text.utf8.index(after: colon)...])) : nil
}

/// A URL as messages show it: without a user and a password.
func withoutUser(_ url: String) -> String {
    guard let at = url.firstIndex(of: "@"), let start = url.range(of: "://")?.upperBound, start < at,
        !url[start..<at].contains("/")
    else { return url }
    return String(url[..<start]) + url[url.index(after: at)...]
}

extension StringProtocol {
    /// Where a text first stands in this one. Small texts only.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            start = index(after: start)
        }
        return nil
    }
}

func isLetter(_ byte: UInt8) -> Bool {
    let lower = byte | 0x20
    return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
func isVariableName(_ text: String) -> Bool {
    guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "_") else { return false }
    return text.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
}
