/// `URL`: the parts of an address by the names of the semantic conventions.
enum URLConverter {
    static var function: Function {
        Converters.unary("URL", .string, parameter: "uri") { value throws(EvaluationError) in
            try parse(value.asString().text)
        }
    }

    private struct Parts {
        var scheme = ""
        var userInfo: String?
        var host = ""
        var port = ""
        var path = ""
        var query = ""
        var fragment = ""
    }

    private static func parse(_ text: String) throws(EvaluationError) -> Value {
        if text.hasPrefix("?") { return try queryAlone(text) }
        let parts = try parts(text)
        var entries: [MapEntry] = []
        entries.put("url.original", .text(text))
        entries.put("url.domain", .text(parts.host))
        entries.put("url.scheme", .text(parts.scheme))
        entries.put("url.path", .text(parts.path))
        if !parts.query.isEmpty { entries.put("url.query", .text(parts.query)) }
        if !parts.fragment.isEmpty { entries.put("url.fragment", .text(parts.fragment)) }
        if let dot = parts.path.lastIndex(of: "."), parts.path.last != "." {
            entries.put("url.extension", .text(String(parts.path[parts.path.index(after: dot)...])))
        }
        if let info = parts.userInfo {
            entries.put("url.user_info", .text(info))
            let pieces = info.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if !pieces[0].isEmpty {
                entries.put("url.username", .text(try decoded(String(pieces[0]), text)))
            }
            if pieces.count > 1 { entries.put("url.password", .text(try decoded(String(pieces[1]), text))) }
        }
        if !parts.port.isEmpty, let port = Int64(parts.port) { entries.put("url.port", .int(port)) }
        return .map(.entries(entries))
    }

    /// `?a=1&a=2` is a map of its parameters, each with a list of its values.
    private static func queryAlone(_ text: String) throws(EvaluationError) -> Value {
        var names: [String] = []
        var values: [String: [Value]] = [:]
        for pair in text.dropFirst().split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func plain(_ part: Substring) throws(EvaluationError) -> String {
                try decoded(String(part.replacing("+", with: " ")), text)
            }
            let name = try plain(parts[0])
            let value = Value.text(parts.count > 1 ? try plain(parts[1]) : "")
            if values[name] == nil { names.append(name) }
            values[name, default: []].append(value)
        }
        guard !names.isEmpty else { return .map(.entries([])) }
        let parameters = names.map { MapEntry(key: Bytes($0), value: .list(.items(values[$0] ?? []))) }
        return .map(.entries([MapEntry(key: Bytes("query"), value: .map(.entries(parameters)))]))
    }

    private static func failure(_ text: String, _ why: String) -> EvaluationError {
        EvaluationError("parse \(GoFormat.quoted(text)): \(why)")
    }

    /// RFC 3986 as Go's `net/url` takes it.
    private static func parts(_ text: String) throws(EvaluationError) -> Parts {
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw failure(text, "net/url: invalid control character in URL")
        }
        var parts = Parts()
        var rest = Substring(text)
        if let hash = rest.firstIndex(of: "#") {
            parts.fragment = try decoded(String(rest[rest.index(after: hash)...]), text)
            rest = rest[..<hash]
        }
        try scheme(&rest, &parts, text)
        if let mark = rest.firstIndex(of: "?") {
            parts.query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            try authority(rest[..<end], &parts, text)
            rest = rest[end...]
        } else if !parts.scheme.isEmpty, !rest.isEmpty, !rest.hasPrefix("/") {
            // `mailto:someone`: nothing that has a path.
            return parts
        } else if parts.scheme.isEmpty, let colon = rest.firstIndex(of: ":"),
            rest.firstIndex(of: "/").map({ colon < $0 }) ?? true
        {
            throw failure(text, "first path segment in URL cannot contain colon")
        }
        parts.path = try decoded(String(rest), text)
        return parts
    }

    private static func scheme(_ rest: inout Substring, _ parts: inout Parts, _ text: String)
        throws(EvaluationError)
    {
        for (offset, byte) in rest.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: ":"):
                guard offset > 0 else { throw failure(text, "missing protocol scheme") }
                parts.scheme = rest.prefix(offset).lowercased()
                rest = rest.dropFirst(offset + 1)
                return
            case _ where byte.isUpper || byte.isLower: continue
            case _ where byte.isDigit, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
                if offset == 0 { return }
            default: return
            }
        }
    }

    private static func authority(_ whole: Substring, _ parts: inout Parts, _ text: String)
        throws(EvaluationError)
    {
        var host = whole
        if let at = whole.lastIndex(of: "@") {
            parts.userInfo = String(whole[..<at])
            host = whole[whole.index(after: at)...]
        }
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { throw failure(text, "missing ']' in host") }
            parts.host = String(host[host.index(after: host.startIndex)..<end])
            let after = host[host.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else {
                throw failure(text, "invalid port \(GoFormat.quoted(String(after))) after host")
            }
            parts.port = String(after.dropFirst())
        } else {
            let colon = host.lastIndex(of: ":")
            parts.host = try decoded(String(colon.map { host[..<$0] } ?? host), text)
            parts.port = colon.map { String(host[host.index(after: $0)...]) } ?? ""
        }
        guard parts.port.utf8.allSatisfy(\.isDigit) else {
            throw failure(text, "invalid port \(GoFormat.quoted(":" + parts.port)) after host")
        }
        guard !parts.host.contains(" ") else {
            throw failure(text, "invalid character \" \" in host name")
        }
    }

    private static func decoded(_ part: String, _ text: String) throws(EvaluationError) -> String {
        guard part.utf8.contains(UInt8(ascii: "%")) else { return part }
        let bytes = Array(part.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "%") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            guard index + 2 < bytes.count, let high = bytes[index + 1].hexDigit,
                let low = bytes[index + 2].hexDigit
            else {
                let shown = String(decoding: bytes[index...].prefix(3), as: UTF8.self)
                throw failure(text, "invalid URL escape \(GoFormat.quoted(shown))")
            }
            result.append(high << 4 | low)
            index += 3
        }
        return String(decoding: result, as: UTF8.self)
    }
}
