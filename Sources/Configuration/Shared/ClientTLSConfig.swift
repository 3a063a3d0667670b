/// `tls` of a client. Only plain text is there yet: `insecure: true`.
package struct ClientTLSConfig: Sendable, Equatable {
    /// Sends in plain text. Default false, as in the Collector. Key `insecure`.
    package var insecure = false

    package init() {}

    /// Reads `tls` of a client's section and reports everything that would need TLS.
    ///
    /// - Parameters:
    ///   - parent: The section that may have the key `tls`.
    ///   - name: What the help calls that section, such as `otlp`.
    package init(of parent: ConfigSection, named name: String) {
        guard let section = parent.section("tls") else {
            Self.needsInsecure(parent, nil, name)
            return
        }
        insecure = section.bool("insecure", default: false)
        for key in Self.identityKeys { section.notSupportedYet(key, "a given certificate turns TLS on") }
        for key in Self.otherKeys {
            if insecure {
                section.ignored(key, "TLS is off")
            } else {
                section.accept(key)
            }
        }
        if !insecure { Self.needsInsecure(parent, section, name) }
    }

    private static let identityKeys = [
        "ca_file", "ca_pem", "cert_file", "cert_pem", "key_file", "key_pem", "tpm",
    ]
    private static let otherKeys = [
        "insecure_skip_verify", "server_name_override", "min_version", "max_version", "cipher_suites",
        "include_insecure_cipher_suites", "curve_preferences", "include_system_ca_certs_pool",
        "reload_interval",
    ]

    private static func needsInsecure(_ parent: ConfigSection, _ section: ConfigSection?, _ name: String) {
        let message = "TLS is not supported yet; sending in plain text must be asked for"
        guard let section else {
            parent.report(
                nil, error: message, help: "add these lines under \"\(name):\"\n  tls:\n    insecure: true")
            return
        }
        let key = section.isWritten("insecure") ? "insecure" : nil
        section.report(key, error: message, help: "write this line under \"tls:\"\n  insecure: true")
    }
}
