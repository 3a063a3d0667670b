import Configuration
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@testable import HTTP

/// TLS that can be had with the wrong certificate is as good as none.
@Suite struct TLSTests {
    private static let serverIdentity =
        "cert_pem: |\n\(indented(TestCertificates.server))\nkey_pem: |\n\(indented(TestCertificates.serverKey))\n"
    private static let clientIdentity =
        "cert_pem: |\n\(indented(TestCertificates.client))\nkey_pem: |\n\(indented(TestCertificates.clientKey))\n"
    private static let trust = "ca_pem: |\n\(indented(TestCertificates.authority))\n"
    private static let otherTrust = "ca_pem: |\n\(indented(TestCertificates.otherAuthority))\n"

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    }

    private static func section(_ yaml: String, _ diagnostics: Diagnostics) -> ConfigSection {
        let lines = yaml.split(separator: "\n", omittingEmptySubsequences: true).map { "  " + $0 + "\n" }
        return ConfigSection(yaml: "tls:\n" + lines.joined(), diagnostics: diagnostics)
    }

    private static func client(_ yaml: String, http2: Bool = false) throws -> ClientTLS {
        let diagnostics = Diagnostics()
        let config = section(yaml, diagnostics).clientTLS(urls: ["endpoint"])
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return try ClientTLS(
            config, protocols: HTTPClient.Options.protocols(http2: http2), logger: makeSilentLogger())
    }

    private static func server(
        _ yaml: String, _ identity: String = serverIdentity, _ protocols: [String],
        refused: @escaping ServerTLS.Refused = { _, _ in }
    ) throws -> ServerTLS {
        let diagnostics = Diagnostics()
        let config = section(identity + yaml, diagnostics).serverTLS()
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return try ServerTLS(
            try #require(config), protocols: protocols, logger: makeSilentLogger(), refused: refused)
    }

    /// One request over TLS; the server speaks HTTP/2 only.
    private static func ask(
        client clientYAML: String, server serverYAML: String = "", identity: String = serverIdentity,
        protocols: [String] = ["h2"], refused: @escaping ServerTLS.Refused = { _, _ in }
    ) async throws -> Result<String, HTTPClientError> {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let server = try await EchoServer.listen(
            group, tls: try server(serverYAML, identity, protocols, refused: refused))
        let tls = try client(clientYAML, http2: true)
        let client = ClientUnderTest(
            group, port: server.localAddress!.port!, scheme: .https,
            options {
                $0.tls = tls
                $0.http2 = true
            })
        let result: Result<String, HTTPClientError>
        do {
            result = .success(try await client.post([ByteBuffer(string: "!")]).text)
        } catch let error as HTTPClientError {
            result = .failure(error)
        }
        try await client.close()
        try await server.close().get()
        try await group.shutdownGracefully()
        return result
    }

    private static let trusted: [(String, String)] = [
        (trust, ""), ("insecure_skip_verify: true", ""), (trust + "server_name_override: localhost", ""),
        (trust + "min_version: \"1.3\"", ""), (trust + "max_version: \"1.2\"", ""),
        (trust + "max_version: \"1.2\"\ncipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", ""),
        (trust + "curve_preferences: [P256]", "curve_preferences: [P256]"),
        (trust + "include_system_ca_certs_pool: true", ""),
    ]

    /// A client and a server that know each other talk, by HTTP/2 where both can.
    @Test(arguments: trusted)
    func trustedServersAreAsked(client: String, server: String) async throws {
        let text = try await Self.ask(client: client, server: server)
        #expect(text == .success("/p!"))
    }

    /// Without it a server whose certificate is of Ed25519, as other clients take it, gets nothing from us.
    @Test(arguments: ["", "max_version: \"1.2\""])
    func edwardsCurvesAreAccepted(version: String) async throws {
        let certificate = Self.indented(TestCertificates.edwards)
        let identity =
            "cert_pem: |\n\(certificate)\nkey_pem: |\n\(Self.indented(TestCertificates.edwardsKey))\n"
        let text = try await Self.ask(
            client: "ca_pem: |\n\(certificate)\n" + version, identity: identity)
        #expect(text == .success("/p!"))
    }

    private static let untrusted: [(String, String, String)] = [
        (otherTrust, "", "CERTIFICATE_VERIFY_FAILED"), ("", "", "tls::ca_file"),
        (trust + "server_name_override: elsewhere", "", "elsewhere"),
        (trust + "max_version: \"1.2\"", "min_version: \"1.3\"", "TLS"),
    ]

    /// Others get not a byte of a request, and the operator reads why.
    @Test(arguments: untrusted)
    func otherServersAreRefused(client: String, server: String, words: String) async throws {
        let result = try await Self.ask(client: client, server: server)
        guard case .failure(let error) = result, case .tls = error else {
            Issue.record("\(result)")
            return
        }
        #expect("\(error)".contains(words), "\(error)")
        #expect(error.isRetryable)
    }

    /// With `client_ca_file` only clients with a certificate of that authority come in; who does not is told of, and nobody else.
    @Test func clientsAreAskedForTheirCertificates() async throws {
        let path = "/tmp/sluice-test-ca-\(getpid()).pem"
        let file = fopen(path, "w")!
        fputs(TestCertificates.authority, file)
        fclose(file)
        defer { unlink(path) }
        let server = "client_ca_file: \(path)"
        let told = Noted<[String]>([])
        func ask(_ client: String) async throws -> Result<String, HTTPClientError> {
            try await Self.ask(client: client, server: server) { reason, address in
                told.change { $0.append("\(reason) \(address ?? "?")") }
            }
        }
        #expect(try await ask(Self.trust + Self.clientIdentity) == .success("/p!"))
        let distrustful = try await ask(Self.clientIdentity)
        #expect(throws: HTTPClientError.self) { try distrustful.get() }
        #expect(told.value == [])
        let stranger = try await ask(Self.trust)
        #expect(throws: HTTPClientError.self) { try stranger.get() }
        #expect(told.value == ["no certificate 127.0.0.1"])
    }

    /// A context that kept sessions without a bound would take the memory of all; one that is replaced too often, while connections keep
    /// the old ones, would take more; and certificates that are renewed must be read when they are due all the same.
    @Test func contextsWithManySessionsAreReplaced() async throws {
        let cell = try ContextCell(every: .seconds(3600), logger: makeSilentLogger()) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates([])
            return configuration
        }
        let loaded = cell.loaded
        /// Whether another context comes after so many sessions.
        func isReplaced(after sessions: Int) async throws -> Bool {
            let old = cell.current
            for _ in 0..<sessions { cell.keepsSession() }
            for _ in 0..<200 where cell.current === old { try await Task.sleep(for: .milliseconds(5)) }
            return cell.current !== old
        }
        #expect(try await isReplaced(after: ContextCell.sessionsMax))
        for _ in 0..<10 { #expect(try await isReplaced(after: ContextCell.sessionsMax)) }
        var kept: [NIOSSLContext] = []
        for _ in 0..<4 {
            kept.append(cell.current)
            #expect(try await isReplaced(after: ContextCell.sessionsMax))
        }
        #expect(try await !isReplaced(after: 2 * ContextCell.sessionsMax))
        kept.removeAll()
        #expect(try await isReplaced(after: ContextCell.sessionsMax))
        #expect(cell.loaded == loaded)
    }

    /// HTTP/1.1 is spoken where the server does not offer HTTP/2.
    @Test func protocolsAreAgreedUpon() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let tls = try Self.server("", Self.serverIdentity, ["http/1.1"])
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try tls.addHandler(to: channel)
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(HelloHandler())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let clientTLS = try Self.client(Self.trust, http2: true)
        let client = ClientUnderTest(
            group, port: listener.localAddress!.port!, scheme: .https,
            options {
                $0.tls = clientTLS
                $0.http2 = true
            })
        try await withThrowingTaskGroup(of: String.self) { tasks in
            for _ in 0..<5 { tasks.addTask { try await client.get().text } }
            for try await text in tasks { #expect(text == "hello") }
        }
        try await client.close()
        try await listener.close().get()
        try await group.shutdownGracefully()
    }

    /// A server without TLS is named as such, not as a server that is down.
    @Test func plainServersAreNamed() async throws {
        let tls = try Self.client(Self.trust)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let server = try await ScriptedServer(
            group, [[.readBytes(1), .send("HTTP/1.1 400 Bad\r\n\r\n"), .close]])
        let client = ClientUnderTest(
            group, port: server.port, scheme: .https,
            options {
                $0.tls = tls
            })
        let error = try await client.failure(HTTPClientRequest(method: "GET", target: "/"))
        #expect("\(error!)".contains("does not speak TLS"), "\(error!)")
        try await client.close()
        try await server.stop()
        try await group.shutdownGracefully()
    }

    private static let mistakes: [(String, String)] = [
        (
            "ca_file: /nowhere/ca.pem",
            "tls::ca_file: cannot read \"/nowhere/ca.pem\": No such file or directory"
        ),
        ("ca_file: /etc/hostname", "tls::ca_file: \"/etc/hostname\" holds no certificate in PEM form"),
        ("ca_pem: x\nca_file: y", "tls::ca_pem: cannot be written together with ca_file"),
        ("cert_file: /x", "tls: has cert_file or cert_pem without key_file or key_pem"),
        ("min_version: \"1.4\"", "tls::min_version: unknown value \"1.4\""),
        ("max_version: \"1.1\"", "tls::max_version: must not be below min_version 1.2, found 1.1"),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", "is a suite of TLS 1.3, which are always on"),
        ("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]", "\"TLS_RSA_WITH_AES_128_CBC_SHA\" is insecure"),
        ("curve_preferences: [P255]", "did you mean \"P256\"?"),
        ("server_name_override: \"a b\"", "\"a b\" is not a valid host name"),
        ("insecur: true", "did you mean \"insecure\"?"),
        (
            "cert_pem: |\n\(indented(TestCertificates.server))\nkey_pem: |\n\(indented(TestCertificates.clientKey))\n",
            "the key does not belong to the certificate"
        ),
        ("cert_pem: x\nkey_pem: hush", "tls::cert_pem: the text holds no certificate in PEM form"),
    ]

    /// What cannot work is said when the configuration is read, at the key that is wrong.
    @Test(arguments: mistakes)
    func mistakesAreReported(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        let section = Self.section(yaml, diagnostics)
        _ = section.clientTLS(urls: ["endpoint"])
        section.finish()
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
        #expect(!diagnostics.render().contains("hush"))
    }

    /// A server without a certificate is a mistake, too.
    @Test func serversNeedACertificate() {
        let diagnostics = Diagnostics()
        _ = ConfigSection(yaml: "tls: {client_ca_file: /etc/hostname}", diagnostics: diagnostics).serverTLS()
        #expect(diagnostics.render().contains("a server needs a certificate"))
    }
}

/// Says hello to every request.
private final class HelloHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "5"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "hello")))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
