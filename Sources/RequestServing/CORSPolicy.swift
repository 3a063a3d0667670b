internal import Configuration
internal import HTTP

/// What the HTTP server says to browsers (Fetch standard, "CORS protocol"): as the Collector's does, whatever is not allowed is
/// served all the same, without the fields that let a page read the answer. Immutable; any thread.
struct CORSPolicy: Sendable {
    typealias Fields = [(name: String, value: String)]

    private let config: CORSConfig
    private let allowsAnyOrigin: Bool
    private let allowsAnyHeader: Bool
    private let headers: Set<String>

    /// Request fields that need no leave.
    private static let simpleHeaders = [
        "accept", "accept-language", "content-language", "content-type", "origin",
    ]

    init(_ config: CORSConfig) {
        self.config = config
        allowsAnyOrigin = config.allowedOrigins.contains("*")
        allowsAnyHeader = config.allowedHeaders.contains("*")
        headers = Set(config.allowedHeaders + Self.simpleHeaders)
    }

    /// Whether a browser asks what a page may do.
    func isPreflight(_ head: HeaderBlock) -> Bool {
        head.field(":method", is: "OPTIONS") == true
            && head.field("access-control-request-method", is: "") == false
    }

    /// The fields of the answer to a request.
    func fields(for head: HeaderBlock) -> Fields {
        isPreflight(head) ? preflight(head) : actual(head)
    }

    private func preflight(_ head: HeaderBlock) -> Fields {
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        let asked = head["access-control-request-headers"] ?? ""
        let method = head["access-control-request-method"] ?? ""
        guard let origin = head["origin"], let allowed = allowed(origin), isServed(method), areAllowed(asked)
        else { return [("vary", vary)] }
        var fields = [
            ("vary", vary), ("access-control-allow-origin", allowed),
            ("access-control-allow-methods", method),
        ]
        if !asked.isEmpty { fields.append(("access-control-allow-headers", asked)) }
        fields.append(("access-control-allow-credentials", "true"))
        if config.maxAge != 0 {
            fields.append(("access-control-max-age", "\(max(config.maxAge, 0))"))
        }
        return fields
    }

    private func actual(_ head: HeaderBlock) -> Fields {
        guard let origin = head["origin"], let allowed = allowed(origin) else { return [("vary", "Origin")] }
        var fields = [("vary", "Origin"), ("access-control-allow-origin", allowed)]
        if !config.exposedHeaders.isEmpty {
            fields.append(("access-control-expose-headers", config.exposedHeaders.joined(separator: ", ")))
        }
        fields.append(("access-control-allow-credentials", "true"))
        return fields
    }

    /// What is said of an origin that is allowed.
    private func allowed(_ origin: String) -> String? {
        if allowsAnyOrigin { return "*" }
        let small = origin.lowercased()
        let isAllowed = config.allowedOrigins.contains { pattern in
            let parts = pattern.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return pattern == small }
            return small.utf8.count >= parts[0].utf8.count + parts[1].utf8.count
                && small.hasPrefix(parts[0]) && small.hasSuffix(parts[1])
        }
        return isAllowed && isPlain(origin) ? origin : nil
    }

    private func isServed(_ method: String) -> Bool { ["GET", "HEAD", "POST", "OPTIONS"].contains(method) }

    /// Whether a client's text may stand in a field of the answer.
    private func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    private func areAllowed(_ list: String) -> Bool {
        if allowsAnyHeader { return isPlain(list) }
        return list.split(separator: ",").allSatisfy { name in
            let name = name.drop { $0 == " " || $0 == "\t" }.lowercased()
            return headers.contains(String(name.prefix { $0 != " " && $0 != "\t" }))
        }
    }
}
