package import Configuration

/// A server through which connections go: requests of `http` are sent to it whole, all others go through a tunnel (RFC 9110
/// §9.3.6).
package struct HTTPProxy: Sendable, Hashable {
    package let host: String
    package let port: Int
    /// `Proxy-Authorization` from `user:password@`; nil when the URL has none.
    package let authorization: String?

    /// Reads the URL of a proxy; without a scheme it is `http`.
    package init(_ text: String) throws(HTTPURLProblem) {
        let url = try HTTPURL(text.contains("://") ? text : "http://" + text)
        guard url.origin.scheme == .http else { throw .otherScheme("https") }
        host = url.origin.host
        port = url.origin.port
        authorization = url.basicAuthorization
    }

    /// Why a text names no proxy, without the text, in which a password may be.
    fileprivate static func reason(_ problem: HTTPURLProblem) -> String {
        guard case .otherScheme(let scheme) = problem else { return problem.withoutText }
        return "is a proxy of the scheme \(scheme), which is not supported yet"
    }
}

/// The proxies that the environment names: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the same in small letters, with
/// the meaning that Go's programs give them.
package struct ProxyEnvironment: Sendable {
    private let http: HTTPProxy?
    private let https: HTTPProxy?
    private let exceptions: [Exception]
    /// Variables that name no proxy which can be used, and why, without their values: these may hold passwords. They count
    /// as not set.
    package let problems: [String]

    /// This process's.
    package static let process = ProxyEnvironment(ConfigEnvironment.process.variable)

    /// - Parameter variable: the value of a variable, nil when it is not set.
    package init(_ variable: (String) -> String?) {
        func value(_ name: String) -> String? {
            [name, name.lowercased()].lazy.compactMap(variable).first { !$0.isEmpty }
        }
        var problems: [String] = []
        func proxy(_ name: String) -> HTTPProxy? {
            guard let text = value(name) else { return nil }
            do throws(HTTPURLProblem) { return try HTTPProxy(text) } catch {
                problems.append("\(name) \(HTTPProxy.reason(error))")
                return nil
            }
        }
        http = proxy("HTTP_PROXY")
        https = proxy("HTTPS_PROXY")
        self.problems = problems
        exceptions = (value("NO_PROXY") ?? "").split(separator: ",").compactMap { Exception($0) }
    }

    /// The proxy for requests to a server; nil: it is asked directly. This host always is.
    package func proxy(host: String, port: Int, isTLS: Bool) -> HTTPProxy? {
        guard let proxy = isTLS ? https : http else { return nil }
        let name = host.lowercased()
        let address = IPNumber(name)
        if name == "localhost" || address?.isLoopback == true { return nil }
        return exceptions.contains { $0.covers(name, address, port) } ? nil : proxy
    }

    /// One entry of `NO_PROXY`.
    private struct Exception: Sendable {
        private enum Kind: Sendable {
            case all
            case network(IPNumber, bits: Int)
            /// Of a domain without a dot before it the name itself, too.
            case domain(String, withItself: Bool)
        }

        private let kind: Kind
        /// nil: every port.
        private let port: Int?

        init?(_ entry: Substring) {
            var text = entry.filter { $0 != " " && $0 != "\t" }.lowercased()
            guard !text.isEmpty else { return nil }
            var port: Int?
            if IPNumber(text) == nil, let colon = text.lastIndex(of: ":"),
                let number = Int(text[text.index(after: colon)...])
            {
                port = number
                text = String(text[..<colon])
            }
            if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
            self.port = port
            if text == "*" {
                kind = .all
            } else if let address = IPNumber(text) {
                kind = .network(address, bits: address.bytes.count * 8)
            } else if let slash = text.firstIndex(of: "/"), let network = IPNumber(String(text[..<slash])),
                let bits = Int(text[text.index(after: slash)...])
            {
                kind = .network(network, bits: bits)
            } else {
                if text.hasPrefix("*.") { text.removeFirst() }
                kind = .domain(text.hasPrefix(".") ? text : "." + text, withItself: !text.hasPrefix("."))
            }
        }

        func covers(_ name: String, _ address: IPNumber?, _ port: Int) -> Bool {
            if let own = self.port, own != port { return false }
            switch kind {
            case .all: return true
            case .network(let network, let bits): return address?.isIn(network, bits: bits) ?? false
            case .domain(let domain, let withItself):
                return name.hasSuffix(domain) || withItself && name == domain.dropFirst()
            }
        }
    }
}

extension ConfigSection {
    /// `proxy_url` of an exporter over HTTP; problems are reported. nil: none is written.
    package func proxyURL() -> HTTPProxy? {
        guard let text = optionalString("proxy_url"), !text.isEmpty else { return nil }
        do throws(HTTPURLProblem) {
            return try HTTPProxy(text)
        } catch {
            // A password may be in it.
            let isSecret = text.contains("@")
            var reason = HTTPProxy.reason(error)
            if !isSecret, reason == error.withoutText { reason = "\(error)" }
            report(
                "proxy_url", error: reason, help: "write proxy_url: http://host:port", showsLine: !isSecret)
            return nil
        }
    }
}
