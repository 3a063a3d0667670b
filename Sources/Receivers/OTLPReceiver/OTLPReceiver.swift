internal import Configuration
internal import HTTP
internal import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline
import Synchronization

/// Why a receiver could not start.
package struct OTLPReceiverError: Error, CustomStringConvertible {
    package let description: String
}

/// Receives OTLP: gRPC on one port, HTTP/1.1 and HTTP/2 on another (`otlp`).
///
/// A request is read, decompressed, checked and admitted on its connection's event loop, to completion. `start` and
/// `stop` from any thread, once each.
package final class OTLPReceiver: Component {
    private let config: OTLPReceiverConfig
    private let context: ComponentContext
    private let outputs: [Signal: PipelineOutput]
    private let connections: [Connections]
    private let memory: IncompleteMemory
    private let listeners = Mutex<[any Channel]>([])

    /// - Parameter outputs: where each signal goes; those that no pipeline takes are missing.
    package init(
        _ config: OTLPReceiverConfig, _ context: ComponentContext, outputs: [Signal: PipelineOutput]
    ) {
        self.config = config
        self.context = context
        self.outputs = outputs
        let intervals = [
            config.grpc.map { ConnectionKeeper.Limits($0).checkInterval },
            config.http.map { HTTP1Limits($0.server).checkInterval },
        ]
        let interval = intervals.compactMap { $0 }.min() ?? .seconds(15)
        let memory = IncompleteMemory(
            config.limits, requestBytes: outputs.values.map(\.input.limitBytes).min() ?? .max,
            ledger: context.ledger)
        self.memory = memory
        connections = context.gateway.group.makeIterator().map { loop in
            Connections(
                eventLoop: loop, tools: LoopTools(eventLoop: loop, ledger: context.ledger),
                checkInterval: interval, memory: memory)
        }
    }

    /// Listens, and logs where.
    /// - Throws: an address cannot be had; nothing listens then.
    package func start() async throws {
        for group in connections { group.eventLoop.execute { group.start() } }
        do {
            if let config = config.grpc { log("GRPC", try await listenGRPC(config)) }
            if let config = config.http { log("HTTP", try await listenHTTP(config)) }
        } catch {
            await stopListening()
            throw error
        }
    }

    private func log(_ transport: String, _ address: SocketAddress?) {
        guard let address else { return }
        context.logger.info(
            "Starting \(transport) server",
            metadata: ["endpoint": "\(address.ipAddress ?? ""):\(address.port ?? 0)"])
    }

    /// Stops to listen, lets the requests under way end, and closes the connections; at `deadline` without waiting for
    /// them.
    package func stop(until deadline: NIODeadline) async -> Remainder {
        await stopListening()
        var cut = 0
        // All at once: a slow client of one loop must not cost those of the others their time.
        let ends = connections.map { $0.end(at: deadline) }
        for end in ends { cut += (try? await end.get()) ?? 0 }
        return Remainder(connections: cut)
    }

    private func stopListening() async {
        let channels = listeners.withLock { channels in
            defer { channels = [] }
            return channels
        }
        // Fails only when the channel is closed already.
        for channel in channels { try? await channel.close().get() }
    }

    // MARK: - Listening

    private func service(
        _ transport: String, limits: RequestLimits, encodings: [String] = [], paths: [(Signal, String)],
        responseHeaders: [(name: String, value: String)] = []
    ) -> ProtocolService {
        let targets = paths.compactMap { signal, path -> (path: String, target: Target)? in
            guard let output = outputs[signal] else { return nil }
            let counters = RequestCounters(
                registry: context.registry, source: output.account, receiver: context.name,
                transport: transport, signal: signal, logger: context.logger)
            return (path, Target(signal: signal, input: output.input, counters: counters))
        }
        return ProtocolService(
            routes: Routes(limits: limits, encodings: encodings, targets),
            writer: AnswerWriter(responseHeaders: responseHeaders), logger: context.logger,
            resets: StreamResets(
                registry: context.registry, receiver: context.name, transport: transport,
                logger: context.logger),
            ends: ConnectionEnds(
                registry: context.registry, receiver: context.name, transport: transport,
                logger: context.logger),
            memory: memory)
    }

    private func listenGRPC(_ config: GRPCServerConfig) async throws(OTLPReceiverError) -> SocketAddress? {
        let limits = RequestLimits(
            isGRPC: true, bodyBytesMax: config.maxRecvMsgSizeBytes, keepsMetadata: config.includeMetadata)
        let service = service(
            "grpc", limits: limits, paths: Signal.allCases.map { ($0, $0.grpcPath) })
        let keeping = ConnectionKeeper.Limits(config)
        var settings = HTTP2Settings()
        if let streams = config.maxConcurrentStreams {
            settings.maxConcurrentStreams = UInt32(clamping: streams)
        }
        let http2 = settings
        return try await listen(
            config.endpoint, key: "receivers::\(context.name)::protocols::grpc",
            readBytes: config.readBufferSize, tls: try tls(config.tls, "grpc", ["h2"]), service
        ) { pipeline, connections, account, address in
            let connection = HTTP2Connection(
                service: service, tools: connections.tools, connections: connections, account: account,
                address: address, limits: keeping)
            try pipeline.addHandler(
                HTTP2Handler(role: .server, settings: http2, delegate: connection, account: account))
        }
    }

    private func listenHTTP(_ config: OTLPReceiverConfig.HTTP) async throws(OTLPReceiverError)
        -> SocketAddress?
    {
        let limits = RequestLimits(
            isGRPC: false, bodyBytesMax: config.server.maxRequestBodySize,
            keepsMetadata: config.server.includeMetadata)
        let paths: [(Signal, String)] = [
            (.traces, config.tracesUrlPath), (.metrics, config.metricsUrlPath), (.logs, config.logsUrlPath),
        ]
        let service = service(
            "http", limits: limits, encodings: config.server.compressionAlgorithms, paths: paths,
            responseHeaders: config.server.responseHeaders.map { (name: $0.name, value: $0.value.value) })
        let http1 = HTTP1Limits(config.server)
        let times = RequestTimes(read: http1.read, write: http1.write)
        let keeping = ConnectionKeeper.Limits(config.server)
        return try await listen(
            config.server.endpoint, key: "receivers::\(context.name)::protocols::http",
            readBytes: 262_144, tls: try tls(config.server.tls, "http", ["h2", "http/1.1"]), service
        ) { pipeline, connections, account, address in
            try pipeline.addHandler(
                ProtocolSniffer(connections: connections, timeout: http1.readHeader) { isHTTP2, pipeline in
                    if isHTTP2 {
                        let connection = HTTP2Connection(
                            service: service, tools: connections.tools, connections: connections,
                            account: account, address: address, limits: keeping, times: times)
                        try pipeline.addHandler(
                            HTTP2Handler(
                                role: .server, settings: HTTP2Settings(), delegate: connection,
                                account: account))
                    } else {
                        try pipeline.addHandler(
                            HTTP1Connection(
                                service: service, connections: connections, account: account,
                                address: address,
                                limits: http1))
                    }
                })
        }
    }

    /// Reads the certificates; nil for plain text.
    private func tls(_ config: ServerTLSConfig?, _ transport: String, _ protocols: [String])
        throws(OTLPReceiverError) -> ServerTLS?
    {
        guard let config else { return nil }
        do throws(TLSProblem) {
            return try ServerTLS(config, protocols: protocols, logger: context.logger)
        } catch {
            throw OTLPReceiverError(
                description: "receivers::\(context.name)::protocols::\(transport)::\(error)")
        }
    }

    private func listen(
        _ endpoint: EndpointConfig, key: String, readBytes: Int, tls: ServerTLS?, _ service: ProtocolService,
        _ addHandlers:
            @escaping @Sendable (
                ChannelPipeline.SynchronousOperations, Connections, ConnectionAccount, _ address: String?
            ) throws -> Void
    ) async throws(OTLPReceiverError) -> SocketAddress? {
        let connections = self.connections
        let loops = connections.map { connections in
            (
                connections: connections,
                paused: PausedReads(eventLoop: connections.eventLoop) { service.routes.shouldPause }
            )
        }
        let logger = context.logger
        let limits = config.limits
        let reserve = FreeDescriptors.reserve(of: FreeDescriptors.limit)
        let bootstrap = ServerBootstrap(group: context.gateway.group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try AcceptTrouble.install(on: channel, logger: logger)
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: ReadGate.allocator(readBytes))
            // Others have their turn after each read.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let here = loops.first(where: { $0.connections.eventLoop === channel.eventLoop })
                    else {
                        preconditionFailure("a connection runs on a loop of another group")
                    }
                    let now = channel.eventLoop.now
                    if FreeDescriptors.areShort(reserve: reserve), !here.connections.closeIdlest(now) {
                        service.ends.count(.descriptors)
                        channel.close(promise: nil)
                        return
                    }
                    let account = ConnectionAccount(work: limits.work, frames: limits.frames, now: now)
                    try channel.pipeline.syncOperations.addHandler(
                        ReadGate(
                            here.paused, account: account, readBytesMax: readBytes,
                            halfClosedLimit: TimeAmount(limits.halfClosedTimeout)))
                    try tls?.addHandler(to: channel)
                    let address =
                        limits.addressMemoryPercentage > 0 ? channel.remoteAddress?.ipAddress : nil
                    try addHandlers(channel.pipeline.syncOperations, here.connections, account, address)
                }
            }
        do {
            let channel = try await bootstrap.listen(host: endpoint.host, port: endpoint.port)
            listeners.withLock { $0.append(channel) }
            return channel.localAddress
        } catch {
            throw OTLPReceiverError(
                description: "cannot listen on \(endpoint): \(error); change \(key)::endpoint")
        }
    }
}

extension ConnectionKeeper.Limits {
    /// `keepalive` of a gRPC server.
    init(_ config: GRPCServerConfig) {
        self.init()
        idle = config.serverParameters.maxConnectionIdle.map { TimeAmount($0) }
        age = config.serverParameters.maxConnectionAge.map { TimeAmount($0) }
        ageGrace = config.serverParameters.maxConnectionAgeGrace.map { TimeAmount($0) }
        pingAfter = TimeAmount(config.serverParameters.time)
        pingTimeout = TimeAmount(config.serverParameters.timeout)
        pingMinTime = TimeAmount(config.enforcementPolicy.minTime)
        pingsWithoutStreams = config.enforcementPolicy.permitWithoutStream
    }

    /// An HTTP server's: it has no policy about pings.
    init(_ config: HTTPServerConfig) {
        self.init()
        idle = config.idleTimeout > .zero ? TimeAmount(config.idleTimeout) : nil
        age = config.maxConnectionAge.map { TimeAmount($0) }
        ageGrace = config.maxConnectionAgeGrace.map { TimeAmount($0) }
        if config.readHeaderTimeout > .zero { handshake = TimeAmount(config.readHeaderTimeout) }
        pingMinTime = .zero
        pingsWithoutStreams = true
    }
}
