package import Configuration
internal import HTTP
internal import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline
import Synchronization

/// Why a receiver could not start.
package struct RequestServerError: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// What a receiver serves at one path, or, with others, at paths that it chooses from.
package struct ServedRequests: Sendable {
    package let signal: Signal
    package let path: String
    package let output: PipelineOutput
    /// What bodies are made into OTLP with; nil: they are OTLP.
    package let translator: (any RequestTranslator)?

    package init(
        _ signal: Signal, path: String, to output: PipelineOutput,
        translator: (any RequestTranslator)? = nil
    ) {
        self.signal = signal
        self.path = path
        self.output = output
        self.translator = translator
    }
}

/// Serves the requests of a receiver: gRPC over HTTP/2, and HTTP/1.1 and HTTP/2 on another port.
///
/// A request is read, decompressed, translated, checked and admitted on its connection's event loop, to completion. `start` and
/// `stop` from any thread, once each; `listen…` in between.
package final class RequestServer: Sendable {
    private let limits: ConnectionLimits
    private let context: ComponentContext
    private let connections: [Connections]
    private let memory: IncompleteMemory
    private let listeners = Mutex<[any Channel]>([])

    /// - Parameters:
    ///   - outputs: where requests go.
    ///   - grpc: what will be served; with `http`, says how often connections are looked at.
    package init(
        _ context: ComponentContext, limits: ConnectionLimits = ConnectionLimits(), outputs: [PipelineOutput],
        grpc: GRPCServerConfig?, http: HTTPServerConfig?
    ) {
        self.context = context
        self.limits = limits
        let intervals = [
            grpc.map { ConnectionKeeper.Limits($0).checkInterval },
            http.map { HTTP1Limits($0).checkInterval },
        ]
        let interval = intervals.compactMap { $0 }.min() ?? .seconds(15)
        let requestBytes = outputs.map(\.input.limitBytes).min() ?? .max
        let memory = IncompleteMemory(limits, requestBytes: requestBytes, ledger: context.ledger)
        self.memory = memory
        connections = context.gateway.group.makeIterator().map { loop in
            Connections(
                eventLoop: loop,
                tools: LoopTools(
                    eventLoop: loop, ledger: context.ledger, tracer: context.gateway.tracer),
                checkInterval: interval, memory: memory)
        }
        HTTP2Session.limitAwake(
            toBytes: requestBytes == .max ? .max : requestBytes / 8, loops: connections.count)
    }

    /// Begins to look at connections.
    package func start() {
        for group in connections { group.eventLoop.execute { group.start() } }
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

    /// Stops to listen: a receiver that cannot start.
    package func stopListening() async {
        let channels = listeners.withLock { channels in
            defer { channels = [] }
            return channels
        }
        // Fails only when the channel is closed already.
        for channel in channels { try? await channel.close().get() }
    }

    // MARK: - Listening

    private func service(
        _ transport: String, limits: RequestLimits, encodings: [String] = [], _ served: [ServedRequests],
        choosing choice: RouteChoice? = nil, style: AnswerStyle = .otlp,
        responseHeaders: [(name: String, value: String)] = [], cors: CORSConfig? = nil,
        authenticator: ComponentID?, isTLS: Bool
    ) -> ProtocolService {
        let targets = served.map { served -> (path: String, target: Target) in
            (served.path, target(served, transport, style: style, isGRPC: limits.isGRPC))
        }
        return ProtocolService(
            routes: Routes(limits: limits, encodings: encodings, targets, choosing: choice),
            writer: AnswerWriter(responseHeaders: responseHeaders), cors: cors.map { CORSPolicy($0) },
            door: context.serverAuthenticator(authenticator).map {
                Door($0, context, transport: transport, style: style)
            },
            logger: context.logger,
            resets: StreamResets(
                registry: context.registry, receiver: context.name, transport: transport,
                logger: context.logger),
            ends: ConnectionEnds(
                registry: context.registry, receiver: context.name, transport: transport,
                logger: context.logger),
            memory: memory, isTLS: isTLS)
    }

    /// - Parameter isGRPC: nil for packets, which nobody answers.
    private func target(
        _ served: ServedRequests, _ transport: String, style: AnswerStyle, isGRPC: Bool? = nil
    ) -> Target {
        let calls =
            context.gateway.isDetailed
            ? isGRPC.map { ServedCalls(context.registry, isGRPC: $0, path: served.path) } : nil
        let counters = RequestCounters(
            registry: context.registry, source: served.output.account, receiver: context.name,
            transport: transport, signal: served.signal, calls: calls, logger: context.logger)
        return Target(
            signal: served.signal, input: served.output.input, counters: counters,
            translator: served.translator, style: style)
    }

    /// Listens for gRPC, and logs where.
    /// - Parameters:
    ///   - served: by the paths of their methods.
    ///   - key: the way to the configuration, below the receiver.
    package func listenGRPC(
        _ config: GRPCServerConfig, key: String, _ served: [ServedRequests]
    ) async throws(RequestServerError) {
        let limits = RequestLimits(
            isGRPC: true, bodyBytesMax: config.maxRecvMsgSizeBytes, keepsMetadata: config.includeMetadata)
        let service = service(
            "grpc", limits: limits, served, authenticator: config.authenticator, isTLS: config.tls != nil)
        let keeping = ConnectionKeeper.Limits(config)
        var settings = HTTP2Settings()
        if let streams = config.maxConcurrentStreams {
            settings.maxConcurrentStreams = UInt32(clamping: streams)
        }
        let http2 = settings
        let key = self.key(key)
        let address = try await listen(
            config.endpoint, key: key, readBytes: config.readBufferSize,
            tls: try tls(config.tls, key, ["h2"], "grpc"),
            service, firstBytes: keeping.handshake
        ) { _, pipeline, connections, account, address in
            let connection = HTTP2Connection(
                service: service, tools: connections.tools, connections: connections, account: account,
                address: address, limits: keeping)
            try pipeline.addHandler(
                HTTP2Handler(role: .server, settings: http2, delegate: connection, account: account))
        }
        log("GRPC", address)
    }

    /// Listens for HTTP, and logs where.
    /// - Parameters:
    ///   - served: by their paths, unless there is a `choice`.
    ///   - key: the way to the configuration, below the receiver; empty for the receiver itself.
    package func listenHTTP(
        _ config: HTTPServerConfig, key: String, _ served: [ServedRequests],
        choosing choice: RouteChoice? = nil, style: AnswerStyle = .otlp
    ) async throws(RequestServerError) {
        let limits = RequestLimits(
            isGRPC: false, bodyBytesMax: config.maxRequestBodySize, keepsMetadata: config.includeMetadata)
        let service = service(
            "http", limits: limits, encodings: config.compressionAlgorithms, served, choosing: choice,
            style: style,
            responseHeaders: config.responseHeaders.map { (name: $0.name, value: $0.value.value) },
            cors: config.cors, authenticator: config.authenticator, isTLS: config.tls != nil)
        let http1 = HTTP1Limits(config)
        let times = RequestTimes(read: http1.read, write: http1.write)
        let keeping = ConnectionKeeper.Limits(config)
        let key = self.key(key)
        let address = try await listen(
            config.endpoint, key: key, readBytes: 262_144,
            tls: try tls(config.tls, key, ["h2", "http/1.1"], "http"), service, firstBytes: http1.readHeader
        ) { isHTTP2, pipeline, connections, account, address in
            if isHTTP2 {
                let connection = HTTP2Connection(
                    service: service, tools: connections.tools, connections: connections,
                    account: account, address: address, limits: keeping, times: times)
                try pipeline.addHandler(
                    HTTP2Handler(
                        role: .server, settings: HTTP2Settings(), delegate: connection, account: account))
            } else {
                try pipeline.addHandler(
                    HTTP1Connection(
                        service: service, connections: connections, account: account, address: address,
                        limits: http1))
            }
        }
        log("HTTP", address)
    }

    /// Listens for packets, and logs where.
    /// - Parameters:
    ///   - key: the way to the configuration, below the receiver.
    ///   - packetBytesMax: what is more of a packet is cut off.
    ///   - socketBufferBytes: of packets that wait; 0: as the system says.
    package func listenUDP(
        _ endpoint: EndpointConfig, key: String, packetBytesMax: Int, socketBufferBytes: Int,
        _ served: ServedRequests
    ) async throws(RequestServerError) {
        let target = target(served, "udp", style: .plain)
        let connections = self.connections
        let (logger, registry, name) = (context.logger, context.registry, context.name)
        var bootstrap = DatagramBootstrap(group: context.gateway.group)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: packetBytesMax)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let here = connections.first(where: { $0.eventLoop === channel.eventLoop }) else {
                        preconditionFailure("a port is on a loop of another group")
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        PacketReceiver(
                            tools: here.tools, target: target,
                            dropped: DroppedPackets(registry: registry, receiver: name, logger: logger),
                            logger: logger))
                }
            }
        if socketBufferBytes > 0 {
            bootstrap = bootstrap.channelOption(
                .socketOption(.so_rcvbuf), value: SocketOptionValue(socketBufferBytes))
        }
        let key = self.key(key)
        do {
            let host = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host
            let channel = try await bootstrap.listen(host: host, port: endpoint.port)
            listeners.withLock { $0.append(channel) }
            log("UDP", channel.localAddress)
        } catch {
            throw RequestServerError(
                description: "cannot listen on \(endpoint) (UDP): \(error); change \(key)::endpoint")
        }
    }

    private func key(_ below: String) -> String {
        "receivers::\(context.name)" + (below.isEmpty ? "" : "::" + below)
    }

    /// Reads the certificates; nil for plain text.
    private func tls(
        _ config: ServerTLSConfig?, _ key: String, _ protocols: [String], _ transport: String
    ) throws(RequestServerError) -> ServerTLS? {
        guard let config else { return nil }
        do throws(TLSProblem) {
            return try ServerTLS(
                config, protocols: protocols, logger: context.logger,
                refused: context.refusedClients(transport: transport))
        } catch {
            throw RequestServerError(description: "\(key)::\(error)")
        }
    }

    private func listen(
        _ endpoint: EndpointConfig, key: String, readBytes: Int, tls: ServerTLS?, _ service: ProtocolService,
        firstBytes timeout: TimeAmount, _ addHandlers: @escaping AcceptingLoop.AddHandlers
    ) async throws(RequestServerError) -> SocketAddress? {
        let loops = connections.map {
            AcceptingLoop(
                connections: $0, service: service, limits: limits, readBytes: readBytes, tls: tls,
                firstBytesTimeout: timeout, addHandlers: addHandlers)
        }
        let logger = context.logger
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
            // Others have their turn after each read of a connection that has earned nothing (`ReadGate`).
            .childChannelOption(.maxMessagesPerRead, value: ReadGate.readsAtFirst)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let here = loops.first(where: { $0.connections.eventLoop === channel.eventLoop })
                    else {
                        preconditionFailure("a connection runs on a loop of another group")
                    }
                    try here.accept(channel)
                }
            }
        do {
            let channel = try await bootstrap.listen(host: endpoint.host, port: endpoint.port)
            listeners.withLock { $0.append(channel) }
            return channel.localAddress
        } catch {
            throw RequestServerError(
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
