package import Configuration
package import Logging
package import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import NIOTLS
internal import Synchronization

/// A TLS context that is made anew when its files are due to be read again, or when it keeps as many sessions as it may. Any
/// thread.
final class ContextCell: Sendable {
    private struct State: Sendable {
        var configuration: TLSConfiguration
        var context: NIOSSLContext
        var loaded: NIODeadline
        var isLoading = false
        /// Sessions that the context keeps, at most.
        var sessions = 0
        /// Contexts that were replaced for their sessions: a connection keeps its own.
        var replaced: [Replaced] = []
    }

    private struct Replaced: Sendable {
        weak let context: NIOSSLContext?
    }

    /// A context keeps 20 480 sessions without being told otherwise, of 6 KB, and of 55 with a client's certificate of 12.
    static let sessionsMax = 1_024
    /// So many that were replaced are kept by connections at most; then the last one goes on, whatever it keeps.
    private static let replacedMax = 4

    private let interval: TimeAmount
    private let load: @Sendable () throws(TLSProblem) -> TLSConfiguration
    private let logger: Logger
    private let state: Mutex<State>

    /// Loads it. Blocks.
    init(
        every interval: Duration, logger: Logger,
        load: @escaping @Sendable () throws(TLSProblem) -> TLSConfiguration
    ) throws(TLSProblem) {
        self.interval = TimeAmount(interval)
        self.logger = logger
        self.load = load
        let configuration = try load()
        let context = try makeTLSContext(configuration)
        state = Mutex(State(configuration: configuration, context: context, loaded: .now()))
    }

    /// The context for a handshake. One that is older than the interval is used once more while its files are read on
    /// another thread.
    var current: NIOSSLContext {
        let (context, isDue) = state.withLock { state in
            let isDue = interval > .zero && !state.isLoading && .now() - state.loaded >= interval
            if isDue { state.isLoading = true }
            return (state.context, isDue)
        }
        if isDue { NIOThreadPool.singleton.submit { _ in self.reload() } }
        return context
    }

    /// A handshake is done after which the context keeps the session. When those are many another context takes its place.
    func keepsSession() {
        let isFull = state.withLock { state in
            state.sessions += 1
            guard state.sessions >= Self.sessionsMax, !state.isLoading else { return false }
            state.sessions = 0
            state.replaced.removeAll { $0.context == nil }
            guard state.replaced.count < Self.replacedMax else { return false }
            state.isLoading = true
            return true
        }
        if isFull { NIOThreadPool.singleton.submit { _ in self.replace() } }
    }

    /// Makes another context of what was read before: when the files are read again is not put off.
    private func replace() {
        let configuration = state.withLock { $0.configuration }
        let fresh = try? makeTLSContext(configuration)
        state.withLock { state in
            state.isLoading = false
            guard let fresh else { return }
            state.replaced.append(Replaced(context: state.context))
            state.context = fresh
        }
    }

    private func reload() {
        do throws(TLSProblem) {
            let configuration = try load()
            let fresh = try makeTLSContext(configuration)
            state.withLock {
                $0 = State(
                    configuration: configuration, context: fresh, loaded: .now(), replaced: $0.replaced)
            }
        } catch {
            logger.warning(
                "Certificates cannot be read again; the old ones are used on.",
                metadata: ["error": "\(error)"])
            state.withLock {
                $0.loaded = .now()
                $0.isLoading = false
            }
        }
    }

    /// When the files were read last.
    var loaded: NIODeadline { state.withLock { $0.loaded } }
}

/// TLS of a client's connections. Any thread.
package final class ClientTLS: Sendable {
    private let cell: ContextCell
    private let serverName: String?
    private let verifies: Bool

    /// Reads the files. Blocks, for tens of milliseconds where the system's authorities are read.
    ///
    /// - Parameters:
    ///   - protocols: what the client speaks, best first (ALPN).
    ///   - logger: hears of files that cannot be read again.
    package init(_ config: ClientTLSConfig, protocols: [String], logger: Logger) throws(TLSProblem) {
        serverName = config.serverNameOverride
        verifies = !config.insecureSkipVerify
        cell = try ContextCell(every: config.shared.reloadInterval, logger: logger) { () throws(TLSProblem) in
            try Self.configuration(config, protocols)
        }
    }

    /// Those that BoringSSL takes when nothing is said, and Ed25519, which OpenSSL and Go take as well.
    private static let acceptedSignatures: [SignatureAlgorithm] = [
        .ecdsaSecp256R1Sha256, .rsaPssRsaeSha256, .rsaPkcs1Sha256, .ed25519,
        .ecdsaSecp384R1Sha384, .rsaPssRsaeSha384, .rsaPkcs1Sha384,
        .ecdsaSecp521R1Sha512, .rsaPssRsaeSha512, .rsaPkcs1Sha512,
        .rsaPkcs1Sha1,
    ]

    /// Whether the files can be used. Blocks.
    package static func check(_ config: ClientTLSConfig) throws(TLSProblem) {
        // The system's authorities take tens of milliseconds to read, and are not the configuration's fault.
        guard config.shared.ca != nil || config.shared.certificate != nil else { return }
        _ = try makeTLSContext(try configuration(config, []))
    }

    private static func configuration(_ config: ClientTLSConfig, _ protocols: [String]) throws(TLSProblem)
        -> TLSConfiguration
    {
        var tls = TLSConfiguration.makeClientConfiguration()
        config.shared.apply(to: &tls)
        if let identity = try config.shared.identity() {
            tls.certificateChain = identity.chain
            tls.privateKey = identity.key
        }
        tls.applicationProtocols = protocols
        tls.verifySignatureAlgorithms = Self.acceptedSignatures
        // Names are checked by `ServerName`.
        tls.certificateVerification = config.insecureSkipVerify ? .none : .noHostnameVerification
        if let ca = config.shared.ca {
            let authorities = try TLSFiles.certificates(ca, "ca")
            if config.shared.includeSystemCACertsPool {
                tls.trustRoots = .default
                tls.additionalTrustRoots = [.certificates(authorities)]
            } else {
                tls.trustRoots = .certificates(authorities)
            }
        }
        return tls
    }

    /// Adds TLS to a connection that is being made. The connection's loop.
    /// - Parameter host: the server's name, or its address, which its certificate must then name.
    package func addHandler(to channel: any Channel, host: String) throws {
        let name = ServerName(serverName ?? host)
        guard verifies else {
            let handler = try NIOSSLClientHandler(context: cell.current, serverHostname: name.announced)
            return try channel.pipeline.syncOperations.addHandler(handler)
        }
        let handler = try NIOSSLClientHandler._makeSSLClientHandler(
            context: cell.current, serverHostname: name.announced,
            additionalPeerCertificateVerificationCallback: { certificate, channel in
                channel.eventLoop.makeCompletedFuture { try name.check(certificate) }
            })
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}

/// TLS of a server's connections. Any thread.
package final class ServerTLS: Sendable {
    /// Hears why a client was turned away, and of its address. On the connection's loop; must not block.
    package typealias Refused = @Sendable (_ reason: String, _ address: String?) -> Void

    private let cell: ContextCell
    /// Nil when clients need no certificates.
    private let refused: Refused?
    private let logger: Logger
    private let hasToldOfPlainText = Atomic<Bool>(false)

    /// Reads the files. Blocks.
    /// - Parameters:
    ///   - protocols: what the server speaks, best first (ALPN).
    ///   - logger: hears of files that cannot be read again.
    ///   - refused: hears of clients without a certificate of `client_ca_file`.
    package init(
        _ config: ServerTLSConfig, protocols: [String], logger: Logger, refused: @escaping Refused
    ) throws(TLSProblem) {
        self.refused = config.clientCAFile == nil ? nil : refused
        self.logger = logger
        cell = try ContextCell(every: config.shared.reloadInterval, logger: logger) { () throws(TLSProblem) in
            try Self.configuration(config, protocols)
        }
    }

    /// Whether the files can be used. Blocks.
    package static func check(_ config: ServerTLSConfig) throws(TLSProblem) {
        _ = try makeTLSContext(try configuration(config, []))
    }

    private static func configuration(_ config: ServerTLSConfig, _ protocols: [String]) throws(TLSProblem)
        -> TLSConfiguration
    {
        guard let identity = try config.shared.identity() else {
            throw TLSProblem(nil, "a server needs a certificate")
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: identity.chain, privateKey: identity.key)
        config.shared.apply(to: &tls)
        tls.applicationProtocols = protocols
        if let path = config.clientCAFile {
            tls.certificateVerification = .noHostnameVerification
            tls.trustRoots = .certificates(try TLSFiles.certificates(.file(path), "client_ca_file"))
            tls.sendCANameList = true
        }
        return tls
    }

    /// Adds TLS to a connection that was accepted. The connection's loop.
    package func addHandler(to channel: any Channel) throws {
        let handler = NIOSSLServerHandler(context: cell.current)
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.pipeline.syncOperations.addHandler(
            FailedHandshakes(
                handler, refused: refused, plainText: tellOfPlainText, keepsSession: cell.keepsSession))
    }

    /// Says once that clients do not speak TLS.
    private func tellOfPlainText() {
        guard !hasToldOfPlainText.exchange(true, ordering: .relaxed) else { return }
        logger.warning(
            "A client without TLS came to a server with tls, and was turned away. Not told again.",
            metadata: ["help": "write https:// at the client, or tls::insecure: false; or remove tls here"])
    }
}

extension ConfigSection {
    /// Reads `tls` of a client and checks its files; problems are reported at their keys.
    /// - Parameter urls: the keys of URLs, whose schemes alone say whether TLS is used; empty: there is none.
    package func clientTLS(urls: [String] = []) -> ClientTLSConfig {
        let config = ClientTLSConfig(of: self, urls: urls)
        if let section = section("tls"), config.isOn || !urls.isEmpty {
            do throws(TLSProblem) {
                try ClientTLS.check(config)
            } catch {
                section.report(error)
            }
        }
        return config
    }

    /// Reads `tls` of a server and checks its files; nil: plain text.
    package func serverTLS() -> ServerTLSConfig? {
        guard let config = ServerTLSConfig(of: self), let section = optionalSection("tls") else { return nil }
        // Reported already.
        guard config.shared.certificate != nil, config.shared.key != nil else { return config }
        do throws(TLSProblem) {
            try ServerTLS.check(config)
        } catch {
            section.report(error)
        }
        return config
    }

    /// Reports a problem at its key; a file that is missing stops only a gateway that starts.
    package func report(_ problem: TLSProblem) {
        let key = problem.key.flatMap { isWritten($0) ? $0 : nil }
        if problem.isMissingFile, diagnostics.toleratesMissingFiles {
            report(key, warning: problem.message, help: "it must be there when the gateway starts")
        } else {
            report(key, error: problem.message, help: problem.isMissingFile ? "put the file there" : nil)
        }
    }
}

/// Waits for the end of a client's handshake, last in its pipeline. On its channel's event loop, as NIO calls it.
final class HandshakeWaiter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private var promise: EventLoopPromise<String?>?
    private var timer: Scheduled<Void>?

    /// The protocol that was agreed upon (ALPN), when the handshake is done.
    func wait(_ channel: any Channel, until deadline: NIODeadline) -> EventLoopFuture<String?> {
        let promise = channel.eventLoop.makePromise(of: String?.self)
        if let outcome {
            promise.completeWith(outcome)
            return promise.futureResult
        }
        self.promise = promise
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        timer = channel.eventLoop.scheduleTask(deadline: deadline) {
            bound.value.end(.failure(HandshakeTimeout()))
        }
        return promise.futureResult
    }

    /// What came before anybody waited.
    private var outcome: Result<String?, any Error>?

    private func end(_ result: Result<String?, any Error>) {
        guard outcome == nil else { return }
        outcome = result
        timer?.cancel()
        timer = nil
        promise?.completeWith(result)
        promise = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted(let negotiated)? = event as? TLSUserEvent {
            end(.success(negotiated))
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.failure(error))
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.failure(ChannelError.eof))
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(.failure(ChannelError.eof))
    }
}

/// The server did not finish the handshake in time.
struct HandshakeTimeout: Error, CustomStringConvertible {
    var description: String { "the server did not finish the handshake in time; does it speak TLS?" }
}
