internal import Configuration
internal import HTTP
package import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline

/// Why an `otlp_http` exporter cannot be made.
package struct OTLPHTTPSenderError: Error, CustomStringConvertible {
    package let description: String
}

/// Sends batches of one signal to an OTLP/HTTP server: the last stage of `otlp_http`.
///
/// A batch goes out as it is: its slices, one behind the other, are the body; unless JSON or compression is asked for.
/// Event loop only.
package final class OTLPHTTPSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    private let client: HTTPClient
    private let plain: HTTPClientRequest
    private let compressed: HTTPClientRequest
    private let encoder: HTTPBodyEncoder
    private let eventLoop: any EventLoop
    private let auth: (any ClientAuthenticator)?
    private let calls: CallMetrics?

    /// Reading more of a response is of no use: an export response is a few bytes.
    private static let responseBytesMax = 64 << 10

    /// Reads the certificates, which blocks.
    /// - Parameters:
    ///   - version: of the gateway, for `User-Agent`.
    ///   - calls: counts them; nil: nobody wants to know.
    /// - Throws: the configuration names no URL for the signal, or certificates cannot be used.
    package init(
        _ config: OTLPHTTPConfig, signal: Signal, version: String, eventLoop: any EventLoop, logger: Logger,
        auth: (any ClientAuthenticator)? = nil, calls: CallMetrics? = nil
    ) throws(OTLPHTTPSenderError) {
        guard let url = config.urls[signal] else {
            throw OTLPHTTPSenderError(
                description: "either endpoint or \(signal.name)_endpoint must be specified")
        }
        self.eventLoop = eventLoop
        self.auth = auth
        self.calls = calls
        encoder = HTTPBodyEncoder(config)
        plain = Self.template(config, url, version, encoding: nil)
        compressed = Self.template(config, url, version, encoding: config.compression.rawValue)
        client = HTTPClient(
            origin: url.origin, options: try Self.options(config, url, logger), eventLoop: eventLoop,
            logger: logger)
    }

    private static func options(_ config: OTLPHTTPConfig, _ url: HTTPURL, _ logger: Logger)
        throws(OTLPHTTPSenderError) -> HTTPClient.Options
    {
        var options = HTTPClient.Options()
        options.http2 = url.origin.scheme == .https && config.forceAttemptHTTP2
        options.connectionsMax = config.maxConns > 0 ? config.maxConns : config.sendingQueue.numConsumers
        options.idleMax = config.maxIdleConns > 0 ? config.maxIdleConns : .max
        options.idleTimeout =
            config.idleConnTimeout > .zero ? TimeAmount(config.idleConnTimeout) : .hours(24 * 365)
        options.keepsAlive = !config.disableKeepAlives
        options.responseBytesMax = responseBytesMax
        options.proxy =
            config.proxy
            ?? ProxyEnvironment.process.proxy(
                host: url.origin.host, port: url.origin.port, isTLS: url.origin.scheme == .https)
        options.pingAfter =
            config.http2ReadIdleTimeout > .zero ? TimeAmount(config.http2ReadIdleTimeout) : nil
        options.pingTimeout = TimeAmount(config.http2PingTimeout)
        guard url.origin.scheme == .https else { return options }
        do throws(TLSProblem) {
            options.tls = try ClientTLS(
                config.tls, protocols: HTTPClient.Options.protocols(http2: options.http2), logger: logger)
        } catch {
            throw OTLPHTTPSenderError(description: "\(error)")
        }
        return options
    }

    private static func template(
        _ config: OTLPHTTPConfig, _ url: HTTPURL, _ version: String, encoding: String?
    ) -> HTTPClientRequest {
        var headers = [(name: "Content-Type", value: config.encoding.contentType)]
        if let encoding { headers.append(("Content-Encoding", encoding)) }
        let own = config.headers.map { (name: $0.name, value: $0.value.value) }
        func isWritten(_ name: String) -> Bool { own.contains { $0.name.lowercased() == name } }
        if !isWritten("user-agent") { headers.append(("User-Agent", userAgent(version))) }
        if let basic = url.basicAuthorization, !isWritten("authorization") {
            headers.append(("Authorization", basic))
        }
        // What the body is cannot be said otherwise.
        headers += own.filter { !["content-type", "content-encoding"].contains($0.name.lowercased()) }
        return HTTPClientRequest(method: "POST", target: url.target, headers: headers)
    }

    private static func userAgent(_ version: String) -> String {
        #if arch(arm64)
            let architecture = "arm64"
        #else
            let architecture = "amd64"
        #endif
        return "sluice/\(version) (linux/\(architecture))"
    }

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        switch encoder.plan(batch) {
        case .plain(let body): post(batch, plain, body, deadline, done)
        case .gzip(let body): post(batch, compressed, body, deadline, done)
        case .encode: encode(batch, deadline, done)
        }
    }

    /// That takes milliseconds: not on the loop.
    private func encode(_ batch: Batch, _ deadline: NIODeadline, _ done: @escaping (SendResult) -> Void) {
        let bound = NIOLoopBound((self, done), eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { [encoder] in
            encoder.encode(batch)
        }.whenComplete { result in
            let (sender, done) = bound.value
            switch result {
            case .success(let body):
                sender.post(
                    batch, sender.encoder.compresses ? sender.compressed : sender.plain, body, deadline, done)
            case .failure(let error):
                done(.retryable("the batch could not be encoded: \(error)", after: nil))
            }
        }
    }

    package func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        return client.close()
    }

    private func post(
        _ batch: Batch, _ template: HTTPClientRequest, _ body: [ByteBuffer], _ deadline: NIODeadline,
        _ done: @escaping (SendResult) -> Void
    ) {
        var request = template
        do throws(ClientAuthenticationFault) {
            try auth?.edits(for: batch).apply(to: &request.headers)
        } catch {
            let bound = NIOLoopBound(done, eventLoop: eventLoop)
            return eventLoop.execute { bound.value(.permanent(error.message)) }
        }
        request.body = body
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        let began = eventLoop.now
        let bytes = body.reduce(0) { $0 + $1.readableBytes }
        client.send(request, deadline: deadline).whenComplete { [calls, eventLoop] result in
            if let calls {
                let response = try? result.get()
                calls.observe(
                    status: response?.status ?? 0, duration: eventLoop.now - began, requestBytes: bytes,
                    responseBytes: response?.body.readableBytes ?? 0)
            }
            switch result {
            case .success(let response): bound.value(HTTPAnswer.result(response))
            case .failure(let error as HTTPClientError) where !error.isRetryable:
                bound.value(.permanent("\(error)"))
            case .failure(let error): bound.value(.retryable("\(error)", after: nil))
            }
        }
    }
}
