/// A host with a port, as servers bind and clients dial it.
package struct EndpointConfig: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address without brackets. For a server, `0.0.0.0` is every interface; an endpoint without a
    /// host (`:4317`) means that.
    package let host: String
    /// 0…65535; for a server, 0 lets the system choose.
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, an IPv6 address in brackets.
    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Reads `host:port`, `[v6]:port` or `:port`.
    package init(_ text: String) throws(EndpointProblem) {
        guard !text.isEmpty else { throw .noPort }
        if let open = text.firstIndex(of: "<"), let close = text[open...].firstIndex(of: ">") {
            throw .placeholder(String(text[open...close]))
        }
        if let variable = text.firstIndex(of: "$") {
            let name = text[text.index(after: variable)...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            throw .variable(String(name))
        }
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { throw .openBracket }
            host = text[text.index(after: text.startIndex)..<close]
            rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.first == ":" else { throw .badHost(String(text)) }
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            host = text[..<colon]
            rest = text[colon...]
            if rest.dropFirst().contains(":") { throw .manyColons }
        }
        guard rest.first == ":" else { throw .noPort }
        let digits = rest.dropFirst()
        guard !digits.isEmpty, digits.utf8.allSatisfy(isDigit), let port = Int(digits), port <= 65535 else {
            throw .badPort(String(digits))
        }
        let isClean = host.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0 != "/" && $0 != "@" && $0 != "["
        }
        guard isClean else { throw .badHost(String(host)) }
        self.init(host: host.isEmpty ? "0.0.0.0" : String(host), port: port)
    }
}

/// Why a text is no `host:port`.
package enum EndpointProblem: Error, Equatable {
    case noPort
    case badPort(String)
    case badHost(String)
    case manyColons
    case openBracket
    /// Something such as `<host>`, which was meant to be replaced.
    case placeholder(String)
    /// `$NAME`, which the Collector expanded once.
    case variable(String)

    /// The problem in words, following the text itself.
    package var message: String {
        switch self {
        case .noPort: "has no port"
        case .badPort(let port): "has the port \(quoted(port)); must be between 0 and 65535"
        case .badHost(let host): "has the host \(quoted(host)), which is not a name or an address"
        case .manyColons: "has too many colons"
        case .placeholder(let text): "still has the placeholder \(text)"
        case .variable(let name): "has \(quoted("$" + name)), which is not expanded"
        case .openBracket: "has a \"[\" without \"]\""
        }
    }
}

extension ConfigSection {
    /// The address of a server: `host:port`.
    package func endpoint(_ key: String, default value: EndpointConfig) -> EndpointConfig {
        guard let text = optionalString(key) else { return value }
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            report(
                key, error: "unix sockets are not supported yet; use host:port",
                help: "write \(value)" + (has("transport") ? ", and remove transport" : ""))
            return value
        }
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
            report(key, error: "\(quoted(text)) must be host:port without a scheme", help: "write \(value)")
            return value
        }
        do throws(EndpointProblem) {
            return try EndpointConfig(text)
        } catch {
            report(key, error: "\(quoted(text)) \(error.message)", help: endpointHelp(text, error, value))
            return value
        }
    }

    /// What to write instead of an endpoint that cannot be read.
    package func endpointHelp(_ text: String, _ problem: EndpointProblem, _ example: EndpointConfig) -> String
    {
        switch problem {
        case .noPort where !text.isEmpty: "write \(text):\(example.port)"
        case .placeholder(let text): "write a name or an address instead of \(text), such as \(example)"
        case .variable(let name) where !name.isEmpty: "write ${env:\(name)}"
        case .manyColons: "put an IPv6 address in brackets, such as [::1]:\(example.port)"
        default: "write host:port, such as \(example)"
        }
    }
}
