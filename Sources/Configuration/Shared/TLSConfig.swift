/// A certificate, a chain or a key in PEM form.
package enum TLSMaterial: Sendable, Equatable {
    /// A path.
    case file(String)
    /// The text itself.
    case pem(Secret)
}

/// A version of TLS, as `min_version` and `max_version` write it.
package enum TLSVersionName: String, Sendable, CaseIterable {
    case v10 = "1.0"
    case v11 = "1.1"
    case v12 = "1.2"
    case v13 = "1.3"
}

/// The keys of `tls` that clients and servers share. The files themselves are checked by whoever opens them.
package struct TLSConfig: Sendable, Equatable {
    /// Whom to trust; nil = the system's authorities. Keys `ca_file`, `ca_pem`.
    package var ca: TLSMaterial?
    /// Own certificate with the chain up to a known authority; nil = none. Keys `cert_file`, `cert_pem`.
    package var certificate: TLSMaterial?
    /// Its key. Keys `key_file`, `key_pem`.
    package var key: TLSMaterial?
    /// Default 1.2. Key `min_version`.
    package var minVersion: TLSVersionName = .v12
    /// nil = the newest. Key `max_version`.
    package var maxVersion: TLSVersionName?
    /// Names of TLS 1.2 suites, all known; empty = the usual ones. Key `cipher_suites`.
    package var cipherSuites: [String] = []
    /// Names of key agreements, all known; empty = the usual ones. Key `curve_preferences`.
    package var curvePreferences: [String] = []
    /// Trusts the system's authorities beside `ca`. Default false. Key `include_system_ca_certs_pool`.
    package var includeSystemCACertsPool = false
    /// Age at which files are read again, at the next handshake; zero = never, the default. Key `reload_interval`.
    package var reloadInterval: Duration = .zero

    package init() {}

    /// Suites that may be named: those with forward secrecy, and the weaker ones that need
    /// `include_insecure_cipher_suites`.
    package static let secureSuites = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    ]
    package static let insecureSuites = [
        "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
    ]
    /// Go's second spelling of two of them, and TLS 1.3's suites, which cannot be chosen.
    private static let suiteAliases = [
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ]
    private static let suitesOf13 = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]
    package static let curves = ["X25519", "P256", "P384", "P521", "X25519MLKEM768"]

    /// Reads the shared keys; the caller reads its own and finishes the section.
    init(_ section: ConfigSection) {
        ca = section.material("ca_file", "ca_pem")
        certificate = section.material("cert_file", "cert_pem")
        key = section.material("key_file", "key_pem")
        if (certificate == nil) != (key == nil), !section.isBroken("cert_file"), !section.isBroken("key_file")
        {
            let present = certificate == nil ? "key" : "cert"
            let missing = certificate == nil ? "cert" : "key"
            section.report(
                nil, error: "has \(present)_file or \(present)_pem without \(missing)_file or \(missing)_pem",
                help: "write both, or neither")
        }
        readVersions(section)
        readSuites(section)
        curvePreferences = (section.located("curve_preferences") ?? []).compactMap { name, origin in
            if Self.curves.contains(name) { return name }
            section.diagnostics.error(
                "unknown value \(quoted(name)); must be \(alternatives(Self.curves))",
                path: section.path(of: "curve_preferences"), at: origin,
                help: nearest(name, in: Self.curves).map { "did you mean \"\($0)\"?" })
            return nil
        }
        includeSystemCACertsPool = section.bool("include_system_ca_certs_pool", default: false)
        reloadInterval = section.duration("reload_interval", default: .zero)
        section.notSupportedYet("tpm")
    }

    private mutating func readVersions(_ section: ConfigSection) {
        minVersion = section.choice("min_version", default: .v12)
        if let text = section.optionalString("max_version"), !text.isEmpty {
            maxVersion = TLSVersionName(rawValue: text)
            if maxVersion == nil {
                section.report(
                    "max_version",
                    error: "unknown value \(quoted(text)); must be "
                        + alternatives(TLSVersionName.allCases.map(\.rawValue)))
            }
        }
        if let maxVersion, maxVersion.rawValue < minVersion.rawValue {
            section.report(
                "max_version",
                error: "must not be below min_version \(minVersion.rawValue), found \(maxVersion.rawValue)")
        }
    }

    private mutating func readSuites(_ section: ConfigSection) {
        let allowsInsecure = section.bool("include_insecure_cipher_suites", default: false)
        let known = Self.secureSuites + (allowsInsecure ? Self.insecureSuites : [])
        for (written, origin) in section.located("cipher_suites") ?? [] {
            let name = Self.suiteAliases[written] ?? written
            if known.contains(name) {
                cipherSuites.append(name)
                continue
            }
            var help = nearest(name, in: known).map { "did you mean \"\($0)\"?" }
            var message = "unknown or unsupported cipher suite \(quoted(written))"
            if Self.suitesOf13.contains(name) {
                message = "\(quoted(written)) is a suite of TLS 1.3, which are always on"
                help = "remove it"
            } else if Self.insecureSuites.contains(name) {
                message = "\(quoted(written)) is insecure"
                help = "remove it, or write include_insecure_cipher_suites: true"
            }
            section.diagnostics.error(
                message, path: section.path(of: "cipher_suites"), at: origin, help: help)
        }
    }
}

extension ConfigSection {
    /// A file or a text; both together are an error.
    func material(_ fileKey: String, _ pemKey: String) -> TLSMaterial? {
        let file = optionalString(fileKey).flatMap { $0.isEmpty ? nil : $0 }
        let pem = secret(pemKey).flatMap { $0.value.isEmpty ? nil : $0 }
        if file != nil, pem != nil {
            report(pemKey, error: "cannot be written together with \(fileKey)", help: "keep one of the two")
        }
        if let file { return .file(file) }
        return pem.map { .pem($0) }
    }
}
