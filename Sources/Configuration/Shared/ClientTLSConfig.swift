/// `tls` of a client.
package struct ClientTLSConfig: Sendable, Equatable {
    /// Sends in plain text, unless a `ca_file` or `ca_pem` is given. Default false, as in the Collector. Key `insecure`.
    package var insecure = false
    /// Takes any certificate of the server. Default false. Key `insecure_skip_verify`.
    package var insecureSkipVerify = false
    /// The name that the server's certificate must have, and that it is asked for; nil = the endpoint's host. Key
    /// `server_name_override`.
    package var serverNameOverride: String?
    /// What clients and servers share.
    package var shared = TLSConfig()

    package init() {}

    /// Whether a client without a scheme of its own uses TLS.
    package var isOn: Bool { !insecure || shared.ca != nil }

    /// Reads `tls` of a client's section.
    ///
    /// - Parameters:
    ///   - parent: The section that may have the key `tls`.
    ///   - urls: the keys of URLs, whose schemes alone say whether TLS is used; empty: there is none.
    package init(of parent: ConfigSection, urls: [String] = []) {
        guard let section = parent.section("tls") else { return }
        insecure = section.bool("insecure", default: false)
        insecureSkipVerify = section.bool("insecure_skip_verify", default: false)
        serverNameOverride = section.optionalString("server_name_override").flatMap { $0.isEmpty ? nil : $0 }
        shared = TLSConfig(section)
        if let name = serverNameOverride, !name.utf8.allSatisfy(isHostByte) || name.utf8.count > 255 {
            section.report("server_name_override", error: "\(quoted(name)) is not a valid host name")
        }
        let isContradicted =
            insecure && urls.contains { parent.optionalString($0)?.lowercased().hasPrefix("https:") == true }
        if isContradicted, section.diagnostics.isFirst("tls::insecure") {
            section.report(
                "insecure", warning: "has no effect: the scheme of the endpoint decides",
                help: "write http:// instead of https:// for plain text")
        }
    }
}

/// `tls` of a server.
package struct ServerTLSConfig: Sendable, Equatable {
    /// Whose clients may connect: every client must have a certificate of theirs; nil = clients need none. Key
    /// `client_ca_file`.
    package var clientCAFile: String?
    /// Reads that file again when it is due. Default false. Key `client_ca_file_reload`.
    package var clientCAFileReload = false
    /// What clients and servers share.
    package var shared = TLSConfig()

    /// How old the files may be when `client_ca_file_reload` alone asks for reading them again.
    private static let clientCAReloadInterval = Duration.seconds(10)

    package init() {}

    /// Reads `tls` of a server's section; nil when it is not written: plain text.
    package init?(of parent: ConfigSection) {
        guard let section = parent.optionalSection("tls") else { return nil }
        clientCAFile = section.optionalString("client_ca_file").flatMap { $0.isEmpty ? nil : $0 }
        clientCAFileReload = section.bool("client_ca_file_reload", default: false)
        shared = TLSConfig(section)
        if clientCAFileReload, shared.reloadInterval == .zero {
            shared.reloadInterval = Self.clientCAReloadInterval
        }
        if shared.certificate == nil, shared.key == nil {
            section.report(
                nil, error: "a server needs a certificate",
                help: "add these lines below it\n  cert_file: …\n  key_file: …")
        }
    }
}

private func isHostByte(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || "-._".utf8.contains(byte)
}

extension ConfigSection {
    /// Keys that exporters of older Collectors had.
    package func formerlyOfExporters() {
        formerly([
            "batcher": "write sending_queue: {batch: {…}}", "tls_settings": "write tls",
            "per_rpc_auth": "write auth: {authenticator: …}",
        ])
    }
}
