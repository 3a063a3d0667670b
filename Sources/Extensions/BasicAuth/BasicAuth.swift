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

    package init(_ section: ConfigSection) {
        let isServer = section.has("htpasswd")
        if isServer, section.has("client_auth") {
            section.accept("htpasswd")
            section.report("client_auth", error: "only one of `htpasswd` or `client_auth` can be specified")
        } else {
            section.notSupportedYet(
                "htpasswd", "receivers ask for no passwords; put an authenticating proxy before the gateway")
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
        } else if !isServer, !section.isBroken("client_auth") {
            section.report(
                nil, error: "no credential source provided",
                help: "write client_auth: {username: …, password: ${env:…}}")
        }
        section.finish()
    }
}

extension ComponentType {
    /// `basicauth`.
    package static let basicAuth = `extension`(
        "basicauth", aliases: ["basic_auth"], capabilities: [.clientAuthentication], BasicAuthConfig.self
    ) { BasicAuth($0, $1) }
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
