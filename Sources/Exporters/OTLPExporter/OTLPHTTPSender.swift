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
/// A batch goes out as it is: its slices, one behind the other, are the body. Event loop only.
package final class OTLPHTTPSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    private let client: HTTPClient
    private let template: HTTPClientRequest
    private let encoder: GzipEncoder?
    private let eventLoop: any EventLoop

    /// Reading more of a response is of no use: an export response is a few bytes.
    private static let responseBytesMax = 64 << 10

    /// Reads the certificates, which blocks.
    /// - Parameter version: of the gateway, for `User-Agent`.
    /// - Throws: the configuration names no URL for the signal, or certificates cannot be used.
    package init(
        _ config: OTLPHTTPConfig, signal: Signal, version: String, eventLoop: any EventLoop, logger: Logger
    ) throws(OTLPHTTPSenderError) {
        guard let url = config.urls[signal] else {
            throw OTLPHTTPSenderError(
                description: "either endpoint or \(signal.name)_endpoint must be specified")
        }
        self.eventLoop = eventLoop
        encoder = config.compression == .gzip ? GzipEncoder(.always, level: config.compressionLevel) : nil
        template = Self.template(config, url, version)
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

    private static func template(_ config: OTLPHTTPConfig, _ url: HTTPURL, _ version: String)
        -> HTTPClientRequest
    {
        var headers = [(name: "Content-Type", value: "application/x-protobuf")]
        if config.compression == .gzip { headers.append(("Content-Encoding", "gzip")) }
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
        guard let encoder else {
            post(batch.slices.map { $0.bytes }, deadline, done)
            return
        }
        // Compressing takes milliseconds: not on the loop.
        let bound = NIOLoopBound((self, done), eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            encoder.compress(batch)
        }.whenComplete { result in
            let (sender, done) = bound.value
            switch result {
            case .success(let body): sender.post(body, deadline, done)
            case .failure(let error):
                done(.retryable("the batch could not be compressed: \(error)", after: nil))
            }
        }
    }

    package func close() -> EventLoopFuture<Void> {
        client.close()
    }

    private func post(_ body: [ByteBuffer], _ deadline: NIODeadline, _ done: @escaping (SendResult) -> Void) {
        var request = template
        request.body = body
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        client.send(request, deadline: deadline).whenComplete { result in
            switch result {
            case .success(let response): bound.value(HTTPAnswer.result(response))
            case .failure(let error as HTTPClientError) where !error.isRetryable:
                bound.value(.permanent("\(error)"))
            case .failure(let error): bound.value(.retryable("\(error)", after: nil))
            }
        }
    }
}

/// What an answer over HTTP means for the batch (OTLP specification, "OTLP/HTTP Response").
enum HTTPAnswer {
    /// More of a text that is no `Status` is not shown.
    private static let shownBytesMax = 300

    static func result(_ response: HTTPClientResponse) -> SendResult {
        guard !(200...299).contains(response.status) else {
            return sent(response)
        }
        let message = "HTTP status \(response.status)" + text(response)
        switch response.status {
        case 429, 503:
            return .retryable(message, after: response.headers.first("retry-after").flatMap(RetryAfter.delay))
        case 502, 504: return .retryable(message, after: nil)
        default: return .permanent(message + remedy(response.status))
        }
    }

    private static func sent(_ response: HTTPClientResponse) -> SendResult {
        guard isProtobuf(response), !response.bodyTruncated,
            let answer = ExportResponse(decoding: Array(response.body.readableBytesView))
        else { return .sent(rejectedItems: 0, message: "") }
        return .sent(rejectedItems: Int(clamping: answer.rejected), message: answer.message)
    }

    private static func isProtobuf(_ response: HTTPClientResponse) -> Bool {
        let type = response.headers.first("content-type")?.lowercased() ?? ""
        return type.hasPrefix("application/x-protobuf") || type.hasPrefix("application/protobuf")
    }

    /// The server's own words.
    private static func text(_ response: HTTPClientResponse) -> String {
        let body = Array(response.body.readableBytesView)
        if isProtobuf(response), let status = RPCStatus(decoding: body) {
            return status.message.isEmpty ? "" : ": " + status.message
        }
        let shown = body.prefix(shownBytesMax).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: " ") }
        let words = String(decoding: shown, as: UTF8.self).split(separator: " ").joined(separator: " ")
        return words.isEmpty ? "" : ": " + words
    }

    private static func remedy(_ status: Int) -> String {
        switch status {
        case 401, 403: "; check the credentials under \"headers\""
        case 404, 405: "; check the path of the endpoint"
        case 413: "; send smaller batches (send_batch_max_size)"
        default: ""
        }
    }
}
