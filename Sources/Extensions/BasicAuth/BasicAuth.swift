package import Configuration
internal import HTTP
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline

/// The keys of the `basicauth` extension.
package struct BasicAuthConfig: ComponentConfig {
    /// The user, when no file names it. Default empty. Key `client_auth::username`.
    package var username = ""
    /// Default empty. Key `client_auth::password`.
    package var password = Secret("")
    /// Files whose texts win over the values, read again every second. Default none. Keys `client_auth::username_file` and
    /// `password_file`.
    package var usernameFile: String?
    package var passwordFile: String?

    /// Whom a receiver lets in; nil: this is for exporters. Key `htpasswd`.
    package var htpasswd: Htpasswd?

    /// Users and their passwords' hashes.
    package struct Htpasswd: Sendable, Equatable {
        /// Read again every second. Default none. Key `file`.
        package var file: String?
        /// Lines of the same form, which win over the file's. Default none. Key `inline`.
        package var inline = Secret("")
    }

    package var lacks: Set<ComponentType.Capability> {
        htpasswd == nil ? [.serverAuthentication] : [.clientAuthentication]
    }

    package init(_ section: ConfigSection) {
        let server = section.section("htpasswd")
        if let server { htpasswd = Htpasswd(server) }
        if server != nil, section.has("client_auth") {
            section.report("client_auth", error: "only one of `htpasswd` or `client_auth` can be specified")
        }
        if let client = section.section("client_auth") {
            client.notSupportedYet("aws_secrets_manager", "write the secret to a file: password_file")
            username = client.string("username", default: "")
            password = client.secret("password") ?? password
            usernameFile = client.readableFile("username_file")
            passwordFile = client.readableFile("password_file")
            if username.contains(":") {
                client.report("username", error: "must have no colon: what follows it would be the password")
            }
        } else if server == nil, !section.isBroken("client_auth"), !section.isBroken("htpasswd") {
            section.report(
                nil, error: "no credential source provided",
                help: "write client_auth: {username: …, password: ${env:…}} for exporters, or"
                    + " htpasswd: {file: …} for receivers")
        }
        section.finish()
    }
}

extension BasicAuthConfig.Htpasswd {
    fileprivate init(_ section: ConfigSection) {
        file = section.readableFile("file")
        inline = section.secret("inline") ?? inline
        if file == nil, inline.value.trimmed.isEmpty, !section.isBroken("file"), !section.isBroken("inline") {
            section.report(
                nil, error: "no credential source provided",
                help: "write file: and the path of what htpasswd -B has made, or its lines under inline: |")
        }
        func check(_ key: String, _ text: String) {
            var table = PasswordTable()
            table.add(text)
            for problem in table.problems {
                section.report(key, error: problem, help: "write user:hash, as htpasswd -nB user prints it")
            }
        }
        check("inline", inline.value)
        if let file, case .success(let text) = ConfigEnvironment.process.file(file) { check("file", text) }
    }
}

extension ComponentType {
    /// `basicauth`.
    package static let basicAuth = `extension`(
        "basicauth", aliases: ["basic_auth"], capabilities: [.clientAuthentication, .serverAuthentication],
        BasicAuthConfig.self
    ) { config, context in
        if config.htpasswd != nil { return BasicAuthServer(config, context) }
        return BasicAuth(config, context)
    }
}

/// Puts a user's name and password on what exporters send (RFC 7617): `basicauth`. Any thread.
package final class BasicAuth: ClientAuthenticator {
    private let config: BasicAuthConfig
    private let usernameFile: WatchedFile?
    private let passwordFile: WatchedFile?

    package init(_ config: BasicAuthConfig, _ context: ComponentContext) {
        self.config = config
        func file(_ path: String?, _ key: String) -> WatchedFile? {
            path.map {
                WatchedFile(
                    $0, key: "client_auth::\(key)", eventLoop: context.eventLoop, logger: context.logger)
            }
        }
        usernameFile = file(config.usernameFile, "username_file")
        passwordFile = file(config.passwordFile, "password_file")
    }

    package func start() async throws {
        try await usernameFile?.start()
        try await passwordFile?.start()
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        usernameFile?.stop()
        passwordFile?.stop()
        return Remainder()
    }

    package func edits(for batch: Batch) throws(ClientAuthenticationFault) -> [HeaderEdit] {
        let username = usernameFile?.text ?? config.username
        let password = passwordFile?.text ?? config.password.value
        let credentials = Base64.text(Array("\(username):\(password)".utf8))
        return [HeaderEdit(.upsert, "Authorization", "Basic \(credentials)")]
    }
}
