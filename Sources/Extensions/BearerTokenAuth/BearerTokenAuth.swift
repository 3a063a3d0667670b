package import Configuration
internal import HTTP
internal import Hashing
internal import Logging
package import NIOCore
package import Pipeline

/// The keys of the `bearertokenauth` extension.
package struct BearerTokenAuthConfig: ComponentConfig {
    /// The field that holds the token. Default Authorization. Key `header`.
    package var header = "Authorization"
    /// What stands before the token; empty: nothing. Default Bearer. Key `scheme`.
    package var scheme = "Bearer"
    /// The tokens, when no file says them: clients send the first, servers take any. Keys `token`, `tokens`.
    package var tokens: [Secret] = []
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
        } else if !several.isEmpty {
            tokens = several
            if section.has("filename") { section.report("filename", warning: "has no effect beside tokens") }
            filename = nil
        } else if let one {
            tokens = [one]
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
        "bearertokenauth", aliases: ["bearer_token_auth"],
        capabilities: [.clientAuthentication, .serverAuthentication],
        BearerTokenAuthConfig.self
    ) { BearerTokenAuth($0, $1) }
}

/// Puts a token on what exporters send, and lets in who sends one to receivers (RFC 6750): `bearertokenauth`. Any thread.
package final class BearerTokenAuth: ClientAuthenticator, ServerAuthenticator {
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
        [HeaderEdit(.upsert, config.header, field(of: tokens.first ?? ""))]
    }

    /// A file has one in each line; what follows its first word is for people.
    private var tokens: [String] {
        guard let file else { return config.tokens.map(\.value) }
        return file.text.split(whereSeparator: \.isNewline).compactMap { line in
            line.split(whereSeparator: \.isWhitespace).first.map(String.init)
        }
    }

    private func field(of token: String) -> String {
        config.scheme.isEmpty ? token : "\(config.scheme) \(token)"
    }

    // MARK: - ServerAuthenticator

    package var challenge: String { config.scheme.isEmpty ? "Bearer" : config.scheme }

    package func admit(_ field: (_ name: String) -> String?) throws(AuthenticationRefusal) -> LongCheck? {
        guard let shown = field(config.header.lowercased()) else {
            throw AuthenticationRefusal("missing or empty authorization header: \(config.header)")
        }
        var isKnown = false
        // All of them, so that the time tells nothing.
        for token in tokens
        where areEqualSecrets(Array(self.field(of: token).utf8), Array(shown.utf8)) && !token.isEmpty {
            isKnown = true
        }
        guard isKnown else {
            throw AuthenticationRefusal("provided authorization does not match expected scheme or token")
        }
        return nil
    }
}
