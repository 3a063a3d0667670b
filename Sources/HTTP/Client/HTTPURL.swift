internal import OTLP

/// Who answers: scheme, host and port (RFC 9110 §4.3.2).
package struct HTTPOrigin: Sendable, Hashable, CustomStringConvertible {
    /// How the connection is made.
    package enum Scheme: String, Sendable {
        case http
        case https

        /// The port of a URL that names none.
        package var defaultPort: Int { self == .http ? 80 : 443 }
    }

    package let scheme: Scheme
    /// A name or an address, without brackets.
    package let host: String
    /// 1…65535.
    package let port: Int

    package init(scheme: Scheme, host: String, port: Int) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// What requests write in `Host` and `:authority`: the port is left out when it is the scheme's own.
    package var authority: String {
        let host = host.contains(":") ? "[\(host)]" : host
        return port == scheme.defaultPort ? host : "\(host):\(port)"
    }

    package var description: String { "\(scheme.rawValue)://\(authority)" }
}

/// An `http` or `https` URL, taken apart.
package struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    package let origin: HTTPOrigin
    /// Path and query as a request writes them: starts with a slash, all printable ASCII.
    package let target: String
    /// `Authorization` from `user:password@`; nil when the URL has none.
    package let basicAuthorization: String?

    package init(origin: HTTPOrigin, target: String, basicAuthorization: String? = nil) {
        self.origin = origin
        self.target = target
        self.basicAuthorization = basicAuthorization
    }

    /// Scheme, host, port and target; never the password.
    package var description: String { "\(origin)\(target)" }

    /// The path, without the query.
    package var path: Substring { target.prefix { $0 != "?" } }

    /// Reads a URL. A fragment is dropped; a path that is missing is `/`.
    package init(_ text: String) throws(HTTPURLProblem) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .badCharacter }
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { throw .noScheme }
        guard let scheme = HTTPOrigin.Scheme(rawValue: text[..<colon].lowercased()) else {
            throw .otherScheme(String(text[..<colon]))
        }
        let rest = text[colon...].dropFirst(3).prefix { $0 != "#" }
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<authorityEnd]
        var basic: String?
        if let at = authority.lastIndex(of: "@") {
            let user = HeaderEscapes.percentDecoded(authority[..<at])
            basic = "Basic " + Base64.text(user)
            authority = authority[authority.index(after: at)...]
        }
        let (host, port) = try Self.hostAndPort(authority)
        let target = rest[authorityEnd...]
        self.init(
            origin: HTTPOrigin(scheme: scheme, host: host, port: port ?? scheme.defaultPort),
            target: target.first == "/" ? String(target) : "/" + target, basicAuthorization: basic)
    }

    private static func hostAndPort(_ text: Substring) throws(HTTPURLProblem) -> (String, Int?) {
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { throw .badHost(String(text)) }
            host = text[text.index(after: text.startIndex)..<close]
            rest = text[text.index(after: close)...]
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                throw .badHost(String(text))
            }
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            host = text[..<colon]
            rest = text[colon...]
            let isName = host.utf8.allSatisfy {
                isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
                    || $0 == UInt8(ascii: "_")
            }
            guard isName else { throw .badHost(String(host)) }
        }
        guard !host.isEmpty else { throw .noHost }
        guard !rest.isEmpty else { return (String(host), nil) }
        let digits = rest.dropFirst()
        guard rest.first == ":", digits.utf8.allSatisfy(isDigit), let port = Int(digits),
            (1...65535).contains(port)
        else { throw .badPort(String(digits)) }
        return (String(host), port)
    }
}

/// Why a text is no URL that can be asked.
package enum HTTPURLProblem: Error, Sendable, Equatable, CustomStringConvertible {
    case noScheme
    case otherScheme(String)
    case noHost
    case badHost(String)
    case badPort(String)
    case badCharacter

    /// The problem in words, following the text itself.
    package var description: String {
        switch self {
        case .noScheme: "has no scheme; must start with http:// or https://"
        case .otherScheme(let scheme): "has the scheme \"\(scheme)\"; must be http or https"
        case .noHost: "has no host"
        case .badHost(let host) where host.contains("<") && host.contains(">"):
            "still has the placeholder \(host)"
        case .badHost(let host): "has the host \"\(host)\", which is not a name or an address"
        case .badPort(let port): "has the port \"\(port)\"; must be between 1 and 65535"
        case .badCharacter:
            "has a space, a control character or a character that is not ASCII; write it as %XX"
        }
    }

    /// The same without any of the text, in which a password may be.
    package var withoutText: String {
        switch self {
        case .badPort: "has the port outside of 1 to 65535"
        case .badHost: "has a host which is not a name or an address"
        case .otherScheme: "must start with http:// or https://"
        default: description
        }
    }
}

func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

/// Credentials, made a header.
enum HeaderEscapes {
    static func percentDecoded(_ text: some StringProtocol) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}
