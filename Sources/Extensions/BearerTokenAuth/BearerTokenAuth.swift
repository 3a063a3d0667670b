package import Configuration
internal import HTTP
internal import Logging
package import NIOCore
package import Pipeline

/// The keys of the `bearertokenauth` extension.
package struct BearerTokenAuthConfig: ComponentConfig {
    /// The field that holds the token. Default Authorization. Key `header`.
    package var header = "Authorization"
    /// What stands before the token; empty: nothing. Default Bearer. Key `scheme`.
    package var scheme = "Bearer"
    /// The token, when no file says it. Keys `token`, or `tokens`, whose first one clients send.
    package var token = Secret("")
    /// Read again every second. Default none. Key `filename`.
    package var filename: String?

    package init(_ section: ConfigSection) {
        header = section.string("header", default: header)
        if header.isEmpty { header = "Authorization" }
        scheme = section.string("scheme", default: scheme)
        let one = section.secret("token")
        let several = section.secretList("tokens")
        filename = section.readableFile("filename")
        if one != nil, !several.isEmpty {
            section.report("tokens", error: "either tokens or token should be provided, not both")
        } else if let first = several.first {
            token = first
            if section.has("filename") { section.report("filename", warning: "has no effect beside tokens") }
            filename = nil
        } else if let one {
            token = one
        } else if filename == nil, !["token", "tokens", "filename"].contains(where: section.isBroken) {
            section.report(
                nil, error: "no bearer token provided",
                help: "write token: ${env:TOKEN}, or filename: and the path of a file that holds it")
        }
        if let retry = section.optionalSection("file_retry") {
            retry.accept("max_retries")
            retry.accept("retry_interval")
            section.report("file_retry", warning: "has no effect: the file is read every second")
        }
        section.finish()
    }
}

extension ComponentType {
    /// `bearertokenauth`.
    package static let bearerTokenAuth = `extension`(
        "bearertokenauth", aliases: ["bearer_token_auth"], capabilities: [.clientAuthentication],
        BearerTokenAuthConfig.self
    ) { BearerTokenAuth($0, $1) }
}

/// Puts a token on what exporters send (RFC 6750): `bearertokenauth`. Any thread.
package final class BearerTokenAuth: ClientAuthenticator {
    private let config: BearerTokenAuthConfig
    private let file: WatchedFile?

    package init(_ config: BearerTokenAuthConfig, _ context: ComponentContext) {
        self.config = config
        file = config.filename.map {
            WatchedFile($0, key: "filename", eventLoop: context.eventLoop, logger: context.logger)
        }
    }

    package func start() async throws { try await file?.start() }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        file?.stop()
        return Remainder()
    }

    package func edits(for batch: Batch) throws(ClientAuthenticationFault) -> [HeaderEdit] {
        // The first word of the first line; the rest is for people.
        let word = file.map { $0.text.prefix { !$0.isWhitespace } }
        let token = word.map(String.init) ?? config.token.value
        let value = config.scheme.isEmpty ? token : "\(config.scheme) \(token)"
        return [HeaderEdit(.upsert, config.header, value)]
    }
}
