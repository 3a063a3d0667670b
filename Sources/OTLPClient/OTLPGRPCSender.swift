internal import Configuration
package import HTTP
package import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline

/// Sends batches of one signal to an OTLP/gRPC server: the last stage of `otlp_grpc`.
///
/// A batch goes out as it is: its slices, one behind the other, are the message; so are, compressed, the gzip members of
/// its slices. Event loop only.
package final class OTLPGRPCSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    private let signal: Signal
    private let fields: [(name: String, value: String)]
    /// The same as HTTP/2 sends them.
    private let head: HTTP2Fields
    private let auth: (any ClientAuthenticator)?
    private let balancer: GRPCBalancer
    private let encoder: BodyCompressor?
    private let eventLoop: any EventLoop
    private let calls: CallMetrics?

    /// Reads the certificates, which blocks.
    /// - Parameter version: of the gateway, for `user-agent`.
    package convenience init(
        _ config: OTLPExporterConfig, signal: Signal, version: String, eventLoop: any EventLoop,
        logger: Logger, auth: (any ClientAuthenticator)? = nil, calls: CallMetrics? = nil
    ) throws(TLSProblem) {
        let tls = config.usesTLS ? try ClientTLS(config.tls, protocols: ["h2"], logger: logger) : nil
        self.init(
            config, tls: tls, signal: signal, version: version, resolver: SystemResolver.shared,
            eventLoop: eventLoop, logger: logger, auth: auth, calls: calls)
    }

    /// - Parameters:
    ///   - tls: what several senders share; nil = plain text.
    ///   - calls: counts them; nil: nobody wants to know.
    package init(
        _ config: OTLPExporterConfig, tls: ClientTLS?, signal: Signal, version: String,
        resolver: any AddressResolver, eventLoop: any EventLoop, logger: Logger,
        auth: (any ClientAuthenticator)? = nil, calls: CallMetrics? = nil
    ) {
        self.auth = auth
        self.calls = calls
        self.signal = signal
        self.eventLoop = eventLoop
        encoder = config.bodyCompression.map { BodyCompressor($0) }
        fields = Self.fields(config, signal, version)
        head = HTTP2Fields(fields.map { ($0.name, $0.value) })
        let keepalive = config.keepalive.map {
            GRPCConnection.Keepalive(
                time: TimeAmount($0.time), timeout: TimeAmount($0.timeout),
                permitWithoutStream: $0.permitWithoutStream)
        }
        let settings = GRPCBalancer.Settings(
            channel: GRPCChannel.Settings(
                host: config.endpoint.host, port: config.endpoint.port, tls: tls,
                // As gRPC's clients do, which tunnel plain text, too.
                proxy: ProxyEnvironment.process.proxy(
                    host: config.endpoint.host, port: config.endpoint.port, isTLS: true),
                keepalive: keepalive),
            policy: config.balancerName, connections: config.connections,
            waitForReady: config.waitForReady)
        balancer = GRPCBalancer(settings, resolver: resolver, eventLoop: eventLoop, logger: logger)
    }

    private static func fields(
        _ config: OTLPExporterConfig, _ signal: Signal, _ version: String
    ) -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = [
            (":method", "POST"), (":scheme", config.usesTLS ? "https" : "http"), (":path", signal.grpcPath),
            (":authority", config.authority ?? config.endpoint.description), ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", config.userAgent ?? "sluice/\(version)"),
            ("grpc-accept-encoding", "identity"),
        ]
        if config.compression != .none { fields.append(("grpc-encoding", config.compression.rawValue)) }
        if config.timeout > .zero {
            fields.append(("grpc-timeout", timeoutText(TimeAmount(config.timeout))))
        }
        for header in config.headers { fields.append((header.name.lowercased(), header.value.value)) }
        return fields
    }

    /// A time as `grpc-timeout` writes it: at most eight digits and a unit, the finest that fits.
    static func timeoutText(_ timeout: TimeAmount) -> String {
        let units: [(nanoseconds: Int64, unit: String)] = [
            (1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S"), (60_000_000_000, "M"),
        ]
        for (nanoseconds, unit) in units {
            // Rounded up: the server must not give up before us.
            let count = timeout.nanoseconds / nanoseconds + (timeout.nanoseconds % nanoseconds > 0 ? 1 : 0)
            if count < 100_000_000 { return "\(count)\(unit)" }
        }
        return "99999999M"
    }

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        switch encoder?.plan(batch) ?? .plain {
        case .plain:
            var body: [ByteBuffer] = []
            body.reserveCapacity(batch.sliceCount + 1)
            body.append(Self.prefix(isCompressed: false, batch.bytes))
            for slice in batch.slices { body.append(slice.bytes) }
            call(batch, body, deadline, done)
        case .members(let members, let bytes):
            call(batch, [Self.prefix(isCompressed: true, bytes)] + members, deadline, done)
        case .compress:
            compress(batch, deadline, done)
        }
    }

    /// Compressing takes milliseconds: not on the loop.
    private func compress(_ batch: Batch, _ deadline: NIODeadline, _ done: @escaping (SendResult) -> Void) {
        guard let encoder else { return }
        let bound = NIOLoopBound((self, done), eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            encoder.compress(batch)
        }.whenComplete { result in
            let (sender, done) = bound.value
            switch result {
            case .success(let members):
                let bytes = members.reduce(0) { $0 + $1.readableBytes }
                sender.call(batch, [Self.prefix(isCompressed: true, bytes)] + members, deadline, done)
            case .failure(let error):
                done(.retryable("the batch could not be compressed: \(error)", after: nil))
            }
        }
    }

    package func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        return balancer.close()
    }

    private static func prefix(isCompressed: Bool, _ bytes: Int) -> ByteBuffer {
        var prefix = ByteBuffer()
        prefix.writeInteger(UInt8(isCompressed ? 1 : 0))
        prefix.writeInteger(UInt32(bytes))
        return prefix
    }

    private func call(
        _ batch: Batch, _ body: [ByteBuffer], _ deadline: NIODeadline,
        _ done: @escaping (SendResult) -> Void
    ) {
        var head = head
        if let auth {
            do throws(ClientAuthenticationFault) {
                var fields = fields
                try auth.edits(for: batch).apply(to: &fields)
                head = HTTP2Fields(fields.map { ($0.name.lowercased(), $0.value) })
            } catch {
                let bound = NIOLoopBound(done, eventLoop: eventLoop)
                return eventLoop.execute { bound.value(.permanent(error.message)) }
            }
        }
        let began = eventLoop.now
        let bytes = body.reduce(0) { $0 + $1.readableBytes }
        balancer.call(head, body: body, deadline: deadline) { [calls, eventLoop] result in
            calls?.observe(
                status: Int(result.code.rawValue), duration: eventLoop.now - began, requestBytes: bytes,
                responseBytes: result.response.count)
            done(GRPCAnswer.result(result))
        }
    }
}

/// What a gRPC status means for the batch (OTLP specification, "Failures").
enum GRPCAnswer {
    static func result(_ result: GRPCResult) -> SendResult {
        if result.code == .ok {
            guard let response = ExportResponse(decoding: result.response) else {
                return .sent(rejectedItems: 0, message: "")
            }
            return .sent(rejectedItems: Int(clamping: response.rejected), message: response.message)
        }
        let message = "rpc error: code = \(result.code) desc = \(result.message)"
        let delay = result.retryDelay.map { TimeAmount($0) }
        if let status = result.httpStatus {
            switch status {
            case 413: return .tooLarge(message)
            case 429: return .throttled(message, after: delay)
            default: break
            }
        } else if SizeWords.areIn(result.message) {
            return .tooLarge(message)
        }
        switch result.code {
        case .resourceExhausted where delay != nil, .outOfRange: return .throttled(message, after: delay)
        case let code where code.isRetryable(hasRetryInfo: false): return .retryable(message, after: delay)
        case let code where result.httpStatus == nil && code.isAboutData: return .refused(message, code: code)
        default: return .permanent(message, code: result.code)
        }
    }
}

extension GRPCCode {
    /// Whether a refusal for good may be for some of the data only.
    fileprivate var isAboutData: Bool {
        switch self {
        case .unknown, .invalidArgument, .alreadyExists, .failedPrecondition, .internal, .resourceExhausted:
            true
        default: false
        }
    }
}
