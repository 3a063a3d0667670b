internal import Configuration
internal import HTTP

/// How requests identify themselves: keys that jobs and discovery have in common.
struct ScrapeClientConfig: Sendable, Equatable {
    /// A secret that is written in the configuration, or in a file that is read anew each time.
    enum Source: Sendable, Equatable {
        case text(Secret)
        case file(String)
    }

    /// `Authorization` of requests.
    enum Authorization: Sendable, Equatable {
        /// Key `basic_auth`.
        case basic(user: Source, password: Source)
        /// Keys `authorization`, `bearer_token`, `bearer_token_file`: a word such as `Bearer`, and what follows it.
        case token(type: String, Source)
    }

    var authorization: Authorization?
    /// Key `tls_config`.
    var tls = ClientTLSConfig()
    /// Key `follow_redirects`.
    var followsRedirects = true
    /// With TLS only. Key `enable_http2`.
    var usesHTTP2 = true
    /// Key `http_headers`.
    var headers: [SecretPair] = []

    init() {}

    /// Reads the keys; the caller finishes the section.
    init(_ section: ConfigSection) {
        readAuthorization(section)
        if let tls = section.section("tls_config") { self.tls = Self.tls(tls) }
        followsRedirects = section.bool("follow_redirects", default: true)
        usesHTTP2 = section.bool("enable_http2", default: true)
        readHeaders(section)
        section.notSupportedYet("oauth2", "write the token to a file and name it under authorization")
        for key in ["proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"] {
            section.notSupportedYet(key)
        }
    }

    private mutating func readAuthorization(_ section: ConfigSection) {
        var written: [String] = []
        if let basic = section.section("basic_auth") {
            written.append("basic_auth")
            let user = basic.source("username", "username_file") ?? .text(Secret(""))
            let password = basic.source("password", "password_file") ?? .text(Secret(""))
            authorization = .basic(user: user, password: password)
        }
        if let token = section.section("authorization") {
            written.append("authorization")
            let type = token.scalar("type") ?? "Bearer"
            if type.lowercased() == "basic" {
                token.report("type", error: "must not be \"\(type)\"", help: "write basic_auth: instead")
            }
            if let source = token.source("credentials", "credentials_file") {
                authorization = .token(type: type, source)
            }
        }
        if let source = section.source("bearer_token", "bearer_token_file") {
            written.append("bearer_token")
            authorization = .token(type: "Bearer", source)
        }
        if written.count > 1 {
            section.report(
                nil, error: "has \(written.joined(separator: " and ")), of which only one can be used")
        }
    }

    private static func tls(_ section: ConfigSection) -> ClientTLSConfig {
        var config = ClientTLSConfig()
        config.shared.ca = section.tlsMaterial("ca_file", "ca")
        config.shared.certificate = section.tlsMaterial("cert_file", "cert")
        config.shared.key = section.tlsMaterial("key_file", "key")
        if (config.shared.certificate == nil) != (config.shared.key == nil) {
            section.report(nil, error: "needs both a certificate and its key, or neither")
        }
        config.serverNameOverride = section.scalar("server_name")
        config.insecureSkipVerify = section.bool("insecure_skip_verify", default: false)
        config.shared.minVersion = section.tlsVersion("min_version") ?? config.shared.minVersion
        config.shared.maxVersion = section.tlsVersion("max_version")
        do throws(TLSProblem) {
            try ClientTLS.check(config)
        } catch {
            section.report(error)
        }
        return config
    }

    private mutating func readHeaders(_ section: ConfigSection) {
        guard let names = section.section("http_headers") else { return }
        for name in names.keys {
            guard let header = names.section(name) else { continue }
            for value in header.scalarList("values") ?? [] { headers.append(SecretPair(name, value)) }
            for value in header.scalarList("secrets") ?? [] { headers.append(SecretPair(name, value)) }
            header.notSupportedYet("files", "write the value under secrets, from ${file:PATH}")
        }
    }
}

extension ConfigSection {
    /// A secret, or the name of a file that holds it; nil when neither is written.
    func source(_ key: String, _ fileKey: String) -> ScrapeClientConfig.Source? {
        let text = secret(key)
        let file = scalar(fileKey)
        if text != nil, file != nil {
            report(fileKey, error: "cannot be written together with \(key)", help: "keep one of the two")
        }
        return text.map { .text($0) } ?? file.map { .file($0) }
    }

    fileprivate func tlsMaterial(_ fileKey: String, _ textKey: String) -> TLSMaterial? {
        let file = scalar(fileKey)
        let text = secret(textKey)
        if text != nil, file != nil {
            report(fileKey, error: "cannot be written together with \(textKey)", help: "keep one of the two")
        }
        return file.map { .file($0) } ?? text.map { .pem($0) }
    }

    fileprivate func tlsVersion(_ key: String) -> TLSVersionName? {
        guard let word = choice(key, of: ["TLS10", "TLS11", "TLS12", "TLS13", ""], default: "") else {
            return nil
        }
        switch word {
        case "TLS10": return .v10
        case "TLS11": return .v11
        case "TLS12": return .v12
        case "TLS13": return .v13
        default: return nil
        }
    }
}
