package import Configuration
internal import HTTP
package import Pipeline

/// The keys of the `otlp_grpc` exporter (`otlp`).
package struct OTLPExporterConfig: Sendable, Equatable {
    /// How requests are compressed.
    package enum Compression: String, Sendable, CaseIterable {
        case none
        case gzip
        case zstd
        /// Framed, as gRPC's servers want it.
        case snappy
    }

    /// What becomes of requests that came in gzipped, and of those that did not, with `compression: gzip`.
    package enum Recompress: String, Sendable, CaseIterable {
        /// The former leave as the gzip members that they came as, the latter as a member of their own.
        case auto
        /// Everything is compressed anew, as one member.
        case always
        /// Nothing is compressed: a batch leaves gzipped when all of it came so, else plain.
        case never
    }

    /// How several addresses of the destination's name are used.
    package enum Balancer: String, Sendable, CaseIterable {
        case roundRobin = "round_robin"
        case pickFirst = "pick_first"
    }

    /// `keepalive`: pings to the destination.
    package struct Keepalive: Sendable, Equatable {
        /// Silence after which a ping is sent. Default 10s, at least 1s. Key `time`.
        package var time: Duration = .seconds(10)
        /// Time for the answer before the connection is given up. Default 10s. Key `timeout`.
        package var timeout: Duration = .seconds(10)
        /// Pings without a request under way too. Default false. Key `permit_without_stream`.
        package var permitWithoutStream = false

        package init() {}
    }

    /// Where to send. Required, no default. Written `host:port`, `dns:///host:port`, `passthrough:///host:port`,
    /// `http://host:port` or `https://host:port`. Key `endpoint`.
    package var endpoint = EndpointConfig(host: "", port: 0)
    /// The endpoint as it was written, for messages.
    package var endpointText = ""
    /// Key `tls`.
    package var tls = ClientTLSConfig()
    /// Whether the endpoint begins with `https://`, which turns TLS on whatever `tls` says.
    package var schemeAsksForTLS = false
    /// Default gzip. Key `compression`.
    package var compression: Compression = .gzip
    /// Default auto. Key `recompress`, which the Collector does not have.
    package var recompress: Recompress = .auto
    /// Larger batches are sent as several requests; 0 = no limit. Default 64 KiB below 4 MiB, which is what gRPC servers
    /// take unless told otherwise. Key `max_request_bytes`, which the Collector does not have.
    package var maxRequestBytes = (4 << 20) - (64 << 10)
    /// Sent with every request. Default none. Key `headers`.
    package var headers: [SecretPair] = []
    /// nil = the gateway's name and version. Key `user_agent`.
    package var userAgent: String?
    /// Time for one attempt; 0 = unlimited. Default 5s. Key `timeout`.
    package var timeout: Duration = .seconds(5)
    /// nil = no pings, the default. Key `keepalive`.
    package var keepalive: Keepalive?
    /// A request waits for a connection instead of failing. Default false. Key `wait_for_ready`.
    package var waitForReady = false
    /// Default round_robin. Key `balancer_name`.
    package var balancerName: Balancer = .roundRobin
    /// `:authority` of requests; nil = the endpoint. Key `authority`.
    package var authority: String?
    /// Accepted for the Collector's sake. Default 524288. Key `read_buffer_size`.
    package var readBufferSize = 524_288
    /// Accepted for the Collector's sake. Default 524288. Key `write_buffer_size`.
    package var writeBufferSize = 524_288
    /// Connections to the destination. Default 1, 1…64. Key `connections`, which the Collector does not have.
    package var connections = 1
    /// Key `sending_queue`.
    package var sendingQueue = SendingQueueConfig()
    /// Key `retry_on_failure`.
    package var retryOnFailure = RetryConfig()
    /// Default none. Key `auth`.
    package var auth: ClientAuthenticationConfig?

    package init() {}

    /// The same for another destination.
    package func sending(to endpoint: EndpointConfig) -> OTLPExporterConfig {
        var copy = self
        copy.endpoint = endpoint
        copy.endpointText = "\(endpoint)"
        return copy
    }

    /// Whether connections use TLS.
    package var usesTLS: Bool { schemeAsksForTLS || tls.isOn }

    /// Reads and checks the section; problems go to its diagnostics.
    /// - Parameter endpoint: false: somebody else says where to send, and the key has no effect.
    package init(_ section: ConfigSection, endpoint hasEndpoint: Bool = true) {
        section.misplaced(
            ["insecure", "insecure_skip_verify", "ca_file", "cert_file", "key_file"], under: "tls")
        section.formerlyOfExporters()
        if hasEndpoint {
            readEndpoint(section)
        } else {
            section.ignored("endpoint", "the resolver names the backends")
        }
        tls = section.clientTLS()
        compression = Self.compression(section)
        recompress = section.choice("recompress", default: .auto)
        if compression != .gzip, section.has("recompress") {
            section.report("recompress", warning: "has no effect without compression: gzip")
        }
        maxRequestBytes = section.int("max_request_bytes", default: maxRequestBytes, in: 0...Int(Int32.max))
        headers = section.headers("headers")
        userAgent = section.optionalString("user_agent")
        timeout = section.duration("timeout", default: timeout)
        keepalive = section.optionalSection("keepalive").map { Keepalive($0) }
        waitForReady = section.bool("wait_for_ready", default: false)
        balancerName = section.choice("balancer_name", default: .roundRobin)
        authority = section.optionalString("authority")
        readBufferSize = section.bufferSize("read_buffer_size", default: readBufferSize)
        writeBufferSize = section.bufferSize("write_buffer_size", default: writeBufferSize)
        section.withoutEffect("read_buffer_size", "answers are a few bytes")
        section.withoutEffect("write_buffer_size", "a batch is written at once")
        connections = section.int("connections", default: connections, in: 1...64)
        sendingQueue = SendingQueueConfig(of: section)
        retryOnFailure = RetryConfig(of: section)
        auth = ClientAuthenticationConfig(of: section)
        if let type = auth?.authenticator.type, !usesTLS,
            ClientAuthenticationConfig.secretTypes.contains(type)
        {
            section.report(
                "auth", error: "\(type) needs TLS: gRPC sends no credentials over plain text",
                help: "remove tls::insecure, or write the header under \"headers\"")
        }
        section.notSupportedYet("middlewares")
        section.finish()
    }

    /// Whether gzip members of clients may be passed on as they came.
    package var keepsGzip: Bool { compression == .gzip && recompress != .always }

    /// How messages are compressed; nil = not.
    var bodyCompression: BodyCompression? {
        switch compression {
        case .none: nil
        case .gzip: .gzip(recompress: recompress)
        case .zstd: .zstd()
        case .snappy: .framedSnappy
        }
    }

    private static func compression(_ section: ConfigSection) -> Compression {
        let words = Compression.allCases.map(\.rawValue) + [""]
        let others = ["zlib", "deflate", "lz4", "x-snappy-framed"]
        let word = section.choice("compression", of: words, default: "gzip", notYet: others)
        guard let word else { return .gzip }
        return word.isEmpty ? .none : Compression(rawValue: word) ?? .gzip
    }

    private mutating func readEndpoint(_ section: ConfigSection) {
        guard let text = section.optionalString("endpoint"), !text.isEmpty else {
            guard !section.isBroken("endpoint") else { return }
            section.report(
                section.has("endpoint") ? "endpoint" : nil, error: "requires a non-empty \"endpoint\"",
                help: "write endpoint: host:4317")
            return
        }
        endpointText = text
        schemeAsksForTLS = text.hasPrefix("https://")
        if text.hasPrefix("unix:") {
            section.report("endpoint", error: "unix sockets are not supported yet; use host:port")
            return
        }
        if text.contains("@") {
            // A password may be in it.
            section.report(
                "endpoint", error: "must be host:port without a user",
                help: "write the credentials under \"headers\" (authorization)", showsLine: false)
            return
        }
        var address = Substring(text)
        // dns://server/name: which server is asked is the system's to say.
        if address.hasPrefix("dns://"), let slash = address.dropFirst(6).firstIndex(of: "/"),
            slash != address.dropFirst(6).startIndex
        {
            let server = address.dropFirst(6)[..<slash]
            section.report(
                "endpoint", warning: "the DNS server \"\(server)\" is not asked; the system's resolver is",
                help: "write dns:///\(address[address.index(after: slash)...])")
            address = "dns://" + address[slash...]
        }
        for prefix in ["http://", "https://", "dns:///", "passthrough:///"] where address.hasPrefix(prefix) {
            address = address.dropFirst(prefix.count)
            break
        }
        if address.last == "/" { address = address.dropLast() }
        do throws(EndpointProblem) {
            let read = try EndpointConfig(String(address))
            endpoint = address.first == ":" ? EndpointConfig(host: "localhost", port: read.port) : read
            if read.port == 0 { section.report("endpoint", error: "the port must not be 0") }
        } catch {
            let example = EndpointConfig(host: "localhost", port: 4317)
            section.report(
                "endpoint", error: "\"\(address)\" \(error.message)",
                help: section.endpointHelp(String(address), error, example))
        }
    }
}

extension OTLPExporterConfig.Keepalive {
    fileprivate init(_ section: ConfigSection) {
        time = section.duration("time", default: time, in: .seconds(1) ... .longest)
        timeout = section.duration("timeout", default: timeout, in: .nanoseconds(1) ... .longest)
        permitWithoutStream = section.bool("permit_without_stream", default: false)
    }
}
