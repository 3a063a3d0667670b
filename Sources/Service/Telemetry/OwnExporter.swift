internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP
internal import OTLPClient
internal import Pipeline

/// Sends telemetry about the gateway itself, of one signal, to one place, over the client and the queue of the `otlp`
/// exporters. Any thread.
///
/// Nothing that it does makes telemetry of its own: its metrics are in a registry that nobody reads, but for what it sent
/// and dropped; its log lines are written and not sent; it makes no spans.
final class OwnExporter: Component {
    /// Requests that wait.
    private static let queueSize = 64

    private let queue: SendingQueue
    private let signal: Signal
    private let ledger: MemoryLedger

    /// - Parameters:
    ///   - name: of this exporter, for messages and its counters.
    ///   - instance: names the gateway to itself.
    ///   - quiet: its log lines are not sent.
    /// - Throws: the certificates cannot be used.
    init(
        _ config: TelemetryExporterConfig, _ signal: Signal, name: String, instance: String,
        _ gateway: GatewayContext, quiet: Logger
    ) throws {
        self.signal = signal
        ledger = gateway.ledger
        let own = GatewayContext(
            version: gateway.version, group: gateway.group, ledger: gateway.ledger,
            residentSize: gateway.residentSize, logger: quiet)
        let context = ComponentContext(
            id: ComponentID(type: "telemetry", name: name), kind: .exporter, signal: signal, gateway: own)
        let headers = config.headers + [SecretPair("\(Tracer.instanceHeader)", instance)]
        queue = try Self.queue(config, signal, headers, context)
        let account = context.account
        let labels: MetricLabels = ["exporter": name, "data_type": signal.name]
        gateway.registry.observeCounter(
            "sluice_telemetry_sent_items", help: "Items about the gateway itself that were sent.",
            labels: labels
        ) { Double(account.read().left) }
        gateway.registry.observeCounter(
            "sluice_telemetry_dropped_items", help: "Items about the gateway itself that were given up.",
            labels: labels
        ) { Double(account.read().droppedInAll) }
    }

    private static func queue(
        _ config: TelemetryExporterConfig, _ signal: Signal, _ headers: [SecretPair],
        _ context: ComponentContext
    ) throws -> SendingQueue {
        var settings = SendingQueueConfig()
        settings.queueSize = queueSize
        settings.numConsumers = 1
        let timeout = TimeAmount(config.timeout)
        var retry = RetryConfig()
        retry.initialInterval = .seconds(1)
        retry.maxElapsedTime = .seconds(60)
        func queue(_ sender: any BatchSender, _ maxRequestBytes: Int) -> SendingQueue {
            SendingQueue(
                settings, retry: retry, timeout: timeout, sender: sender, maxRequestBytes: maxRequestBytes,
                context)
        }
        guard config.transport == .grpc else {
            let http = Self.http(config, signal, headers)
            let sender = try OTLPHTTPSender(
                http, signal: signal, version: context.gateway.version, eventLoop: context.eventLoop,
                logger: context.logger)
            return queue(sender, http.maxRequestBytes)
        }
        var grpc = OTLPExporterConfig().sending(to: config.endpoint)
        grpc.tls = tls(config)
        grpc.tls.insecure = !config.usesTLS
        grpc.schemeAsksForTLS = config.usesTLS
        grpc.compression = config.compresses ? .gzip : .none
        grpc.headers = headers
        grpc.timeout = config.timeout
        let sender = try OTLPGRPCSender(
            grpc, signal: signal, version: context.gateway.version, eventLoop: context.eventLoop,
            logger: context.logger)
        return queue(sender, grpc.maxRequestBytes)
    }

    private static func http(
        _ config: TelemetryExporterConfig, _ signal: Signal, _ headers: [SecretPair]
    ) -> OTLPHTTPConfig {
        var http = OTLPHTTPConfig()
        http.urls[signal] = HTTPURL(
            origin: HTTPOrigin(
                scheme: config.usesTLS ? .https : .http, host: config.endpoint.host,
                port: config.endpoint.port),
            target: config.path.isEmpty ? signal.httpPath : config.path, basicAuthorization: nil)
        http.encoding = config.transport == .httpJSON ? .json : .proto
        http.compression = config.compresses ? .gzip : .none
        http.headers = headers
        http.tls = tls(config)
        http.timeout = config.timeout
        return http
    }

    private static func tls(_ config: TelemetryExporterConfig) -> ClientTLSConfig {
        var tls = ClientTLSConfig()
        tls.shared.ca = config.usesTLS ? config.caFile.map { .file($0) } : nil
        tls.shared.certificate = config.certificateFile.map { .file($0) }
        tls.shared.key = config.keyFile.map { .file($0) }
        return tls
    }

    /// Sends a request; what the queue does not take is counted as dropped.
    func send(_ request: [UInt8], items: Int) {
        guard items > 0 else { return }
        let batch = Batch(signal, payload: Payload(ByteBuffer(bytes: request), ledger: ledger), items: items)
        if let refusal = queue.consume(batch) { queue.drop(batch, because: refusal) }
    }

    func start() async throws { try await queue.start() }

    /// What is left here is no data of anybody's: it is not reported as lost.
    func stop(until deadline: NIODeadline) async -> Remainder {
        _ = await queue.stop(until: deadline)
        return Remainder()
    }
}
