/// The keys of a gRPC server.
package struct GRPCServerConfig: Sendable, Equatable {
    /// `keepalive::server_parameters`: when the server pings and closes connections.
    package struct ServerParameters: Sendable, Equatable {
        /// Closes a connection without streams after this; nil = never (0 or absent). Key `max_connection_idle`.
        package var maxConnectionIdle: Duration?
        /// Closes a connection gracefully at this age; nil = never (0 or absent). Key `max_connection_age`.
        package var maxConnectionAge: Duration?
        /// Time for streams to end after that; nil = unlimited (0 or absent). Key `max_connection_age_grace`.
        package var maxConnectionAgeGrace: Duration?
        /// Silence after which the server pings. Default 2h, at least 1s. Key `time`.
        package var time: Duration = .seconds(7200)
        /// Time for the answer to a ping before the connection is closed. Default 20s. Key `timeout`.
        package var timeout: Duration = .seconds(20)

        package init() {}
    }

    /// `keepalive::enforcement_policy`: which pings of clients are too many.
    package struct EnforcementPolicy: Sendable, Equatable {
        /// Least time between a client's pings. Default 5m. Key `min_time`.
        package var minTime: Duration = .seconds(300)
        /// Lets clients ping without streams. Default false. Key `permit_without_stream`.
        package var permitWithoutStream = false

        package init() {}
    }

    /// Where to listen. Default given by the component. Key `endpoint`.
    package var endpoint: EndpointConfig
    /// Largest message, in MiB, compressed and decompressed. Default 4 (also for 0), at most 2047. Key
    /// `max_recv_msg_size_mib`.
    package var maxRecvMsgSizeMib = 4
    /// Streams at once on one connection; nil = unlimited (0 or absent). Key `max_concurrent_streams`.
    package var maxConcurrentStreams: Int?
    /// Bytes read from a socket at once. Default 524288. Key `read_buffer_size`.
    package var readBufferSize = 524_288
    /// Accepted for the Collector's sake. Default 32768. Key `write_buffer_size`.
    package var writeBufferSize = 32_768
    /// Key `keepalive::server_parameters`.
    package var serverParameters = ServerParameters()
    /// Key `keepalive::enforcement_policy`.
    package var enforcementPolicy = EnforcementPolicy()
    /// Keeps the request's metadata with the data. Default false. Key `include_metadata`.
    package var includeMetadata = false
    /// nil = plain text, the default. Key `tls`.
    package var tls: ServerTLSConfig?
    /// The extension that lets requests in; nil = all may come, the default. Key `auth::authenticator`.
    package var authenticator: ComponentID?

    /// The largest message in bytes.
    package var maxRecvMsgSizeBytes: Int { maxRecvMsgSizeMib << 20 }

    package init(endpoint: EndpointConfig = EndpointConfig(host: "localhost", port: 4317)) {
        self.endpoint = endpoint
    }

    /// Reads the keys; the caller finishes the section.
    /// - Parameters:
    ///   - readTLS: reads and checks `tls`; nil for a server that has no TLS.
    ///   - hasAuth: whether the server can ask an extension who may come.
    package init(
        _ section: ConfigSection, endpoint: EndpointConfig,
        readTLS: ((ConfigSection) -> ServerTLSConfig?)? = nil, hasAuth: Bool = false
    ) {
        self.init(endpoint: section.endpoint("endpoint", default: endpoint))
        section.formerly(["tls_settings": "write tls", "tls_credentials": "write tls"])
        section.tcpOnly()
        let size = section.int("max_recv_msg_size_mib", default: maxRecvMsgSizeMib, in: 0...2047)
        maxRecvMsgSizeMib = size == 0 ? 4 : size
        let streams = section.optionalInt("max_concurrent_streams", in: 0...Int(UInt32.max))
        maxConcurrentStreams = streams == 0 ? nil : streams
        readBufferSize = section.bufferSize("read_buffer_size", default: readBufferSize)
        writeBufferSize = section.bufferSize("write_buffer_size", default: writeBufferSize)
        section.withoutEffect("write_buffer_size", "the answers of one read are written at once")
        includeMetadata = section.bool("include_metadata", default: false)
        if let keepalive = section.optionalSection("keepalive") {
            if let keys = keepalive.optionalSection("server_parameters") {
                serverParameters = ServerParameters(keys)
            }
            if let keys = keepalive.optionalSection("enforcement_policy") {
                enforcementPolicy = EnforcementPolicy(keys)
            }
        }
        tls = readTLS?(section)
        if hasAuth { authenticator = section.authenticator() }
        section.serverSecurityNotYet(exceptTLS: readTLS != nil, exceptAuth: hasAuth)
    }
}

extension GRPCServerConfig.ServerParameters {
    fileprivate init(_ section: ConfigSection) {
        maxConnectionIdle = section.durationOrNever("max_connection_idle")
        maxConnectionAge = section.durationOrNever("max_connection_age")
        maxConnectionAgeGrace = section.durationOrNever("max_connection_age_grace")
        time = section.durationOrNever("time", atLeast: .seconds(1)) ?? time
        timeout = section.durationOrNever("timeout") ?? timeout
    }
}

extension GRPCServerConfig.EnforcementPolicy {
    fileprivate init(_ section: ConfigSection) {
        minTime = section.durationOrNever("min_time") ?? minTime
        permitWithoutStream = section.bool("permit_without_stream", default: false)
    }
}

extension ConfigSection {
    /// A duration whose zero means "not set".
    func durationOrNever(_ key: String, atLeast least: Duration = .zero) -> Duration? {
        guard let found = optionalDuration(key), found != .zero else { return nil }
        guard found >= least else {
            report(key, error: "must be at least \(least.text), found \(found.text)")
            return nil
        }
        return found
    }

    /// A socket buffer in bytes; 0 is the default.
    package func bufferSize(_ key: String, default value: Int) -> Int {
        let size = int(key, default: value, in: 0...(64 << 20))
        return size == 0 ? value : size
    }

    /// `transport`: TCP only; and `dialer`, which a server that takes an address has in common with clients.
    package func tcpOnly() {
        if let dialer = section("dialer") {
            _ = dialer.duration("timeout", default: .zero)
            dialer.withoutEffect("timeout", "a server dials nobody")
        }
        // An endpoint that is a path has told of it.
        if isBroken("endpoint"), optionalString("transport")?.hasPrefix("unix") == true { return }
        let others = [
            "tcp4", "tcp6", "unix", "npipe", "udp", "udp4", "udp6", "ip", "ip4", "ip6", "unixgram",
            "unixpacket",
        ]
        _ = choice("transport", of: ["tcp"], default: "tcp", notYet: others)
    }

    /// The keys of a server that protect or intercept it and are not there yet.
    /// - Parameters:
    ///   - exceptTLS: whether the server has `tls`.
    ///   - exceptAuth: whether it has `auth`.
    package func serverSecurityNotYet(exceptTLS: Bool = false, exceptAuth: Bool = false) {
        if !exceptTLS { notSupportedYet("tls", "put a TLS proxy before it or listen on localhost") }
        if !exceptAuth {
            notSupportedYet("auth", "put an authenticating proxy before it or listen on localhost")
        }
        notSupportedYet(
            "middlewares", "use the memory_limiter processor, which refuses before a body is read")
    }
}
