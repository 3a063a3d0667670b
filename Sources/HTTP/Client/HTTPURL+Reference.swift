extension HTTPURL {
    /// The address that a reference means when it is read at this one, such as `Location` of an answer (RFC 3986 §5.2).
    /// Credentials are not passed on. A fragment is dropped.
    ///
    /// - Returns: nil when it is no address of `http` or `https`.
    package func resolving(_ reference: String) -> HTTPURL? {
        let text = reference.prefix { $0 != "#" }
        if let scheme = Self.scheme(of: text) {
            guard HTTPOrigin.Scheme(rawValue: scheme.lowercased()) != nil else { return nil }
            return (try? HTTPURL(String(text)))?.withoutDots
        }
        if text.hasPrefix("//") {
            return (try? HTTPURL("\(origin.scheme.rawValue):\(text)"))?.withoutDots
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        if text.isEmpty { return HTTPURL(origin: origin, target: target) }
        if text.first == "?" { return HTTPURL(origin: origin, target: "\(path)\(text)") }
        if text.first == "/" { return HTTPURL(origin: origin, target: String(text)).withoutDots }
        let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        return HTTPURL(origin: origin, target: "\(folder)\(text)").withoutDots
    }

    /// The scheme that a reference begins with.
    private static func scheme(of text: Substring) -> Substring? {
        guard let colon = text.firstIndex(of: ":"), let first = text.utf8.first, isLetter(first) else {
            return nil
        }
        let scheme = text[..<colon]
        let isScheme = scheme.utf8.allSatisfy { isLetter($0) || isDigit($0) || "+-.".utf8.contains($0) }
        return isScheme ? scheme : nil
    }

    /// The same address without `.` and `..` in its path (RFC 3986 §5.2.4).
    private var withoutDots: HTTPURL {
        let query = target.dropFirst(path.count)
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        var kept: [Substring] = []
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment {
            case ".": if isLast { kept.append("") }
            case "..":
                _ = kept.popLast()
                if isLast { kept.append("") }
            default: kept.append(segment)
            }
        }
        return HTTPURL(
            origin: origin, target: "/" + kept.joined(separator: "/") + query,
            basicAuthorization: basicAuthorization)
    }
}
