package import Configuration
package import HTTP
package import OTLP
package import Pipeline

/// The keys of the `otlp_http` exporter (`otlphttp`).
package struct OTLPHTTPConfig: Sendable, Equatable {
    /// How requests are compressed.
    package enum Compression: String, Sendable, CaseIterable {
        case none
        case gzip
        case zstd
        /// One block.
        case snappy
        case framedSnappy = "x-snappy-framed"
    }

    /// How requests are written.
    package enum Encoding: String, Sendable, CaseIterable {
        case proto
        case json

        /// The `Content-Type` of requests and their answers.
        var contentType: String {
            switch self {
            case .proto: "application/x-protobuf"
            case .json: "application/json"
            }
        }
    }

    /// Where each signal goes; signals without a URL are missing. Keys `endpoint`, to which the signal's path is
    /// added, and `traces_endpoint`, `metrics_endpoint`, `logs_endpoint`, which are taken as they are.
    package var urls: [Signal: HTTPURL] = [:]
    /// Default proto. Key `encoding`.
    package var encoding: Encoding = .proto
    /// Default gzip. Key `compression`.
    package var compression: Compression = .gzip
    /// Of gzip 1…12, of zstd 1…19; default 1, which costs a fraction of the others and saves nearly as much. Key
    /// `compression_params::level`, where −1 and 0 stand for the default.
    package var compressionLevel = 1
    /// Default auto; JSON is always compressed anew. Key `recompress`, which the Collector does not have.
    package var recompress: OTLPExporterConfig.Recompress = .auto
    /// Larger batches, as protobuf before compression, are sent as several requests; 0 = no limit. Default 64 KiB below
    /// 20 MiB, which is what the Collector's receiver takes unless told otherwise, and half of it with JSON, which takes
    /// about twice as many bytes. Key `max_request_bytes`, which the Collector
    /// does not have.
    package var maxRequestBytes = (20 << 20) - (64 << 10)
    /// Sent with every request. Default none. Key `headers`.
    package var headers: [SecretPair] = []
    /// For `https` URLs. Key `tls`.
    package var tls = ClientTLSConfig()
    /// Time for one attempt; 0 = unlimited. Default 30s. Key `timeout`.
    package var timeout: Duration = .seconds(30)
    /// Connections kept without a request; 0 = all. Default 100. Keys `max_idle_conns`, `max_idle_conns_per_host`: the
    /// smaller one that is not 0.
    package var maxIdleConns = 100
    /// Connections at a time; 0 = as many as there are consumers. Default 0. Key `max_conns_per_host`.
    package var maxConns = 0
    /// Default 90s; 0 = for ever. Key `idle_conn_timeout`.
    package var idleConnTimeout: Duration = .seconds(90)
    /// A connection for every request. Default false. Key `disable_keep_alives`.
    package var disableKeepAlives = false
    /// Offers HTTP/2 to `https` servers. Default true. Key `force_attempt_http2`.
    package var forceAttemptHTTP2 = true
    /// Silence after which an HTTP/2 connection is pinged; 0 = never, the default. Key `http2_read_idle_timeout`.
    package var http2ReadIdleTimeout: Duration = .zero
    /// Time for the answer to a ping. Default 15s. Key `http2_ping_timeout`.
    package var http2PingTimeout: Duration = .seconds(15)
    /// Key `sending_queue`.
    package var sendingQueue = SendingQueueConfig()
    /// Key `retry_on_failure`.
    package var retryOnFailure = RetryConfig()
    /// Default what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say. Key `proxy_url`.
    package var proxy: HTTPProxy?
    /// Default none. Key `auth`.
    package var auth: ClientAuthenticationConfig?

    package init() {}

    /// How bodies are compressed; nil = not.
    var bodyCompression: BodyCompression? {
        switch compression {
        case .none: nil
        case .gzip: .gzip(level: compressionLevel, recompress: recompress)
        case .zstd: .zstd(level: compressionLevel)
        case .snappy: .snappy
        case .framedSnappy: .framedSnappy
        }
    }

    /// Whether gzip members of clients may be passed on as they came.
    package var keepsGzip: Bool { compression == .gzip && encoding == .proto && recompress != .always }

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        section.misplaced(
            ["insecure", "insecure_skip_verify", "ca_file", "cert_file", "key_file"], under: "tls")
        section.formerlyOfExporters()
        section.misplaced(["level"], under: "compression_params")
        readURLs(section)
        encoding = section.choice("encoding", default: .proto)
        readCompression(section)
        maxRequestBytes = section.int(
            "max_request_bytes", default: encoding == .json ? maxRequestBytes / 2 : maxRequestBytes,
            in: 0...Int(Int32.max))
        headers = section.headers("headers")
        tls = section.clientTLS(
            urls: ["endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint"])
        timeout = section.duration("timeout", default: timeout)
        readConnections(section)
        sendingQueue = SendingQueueConfig(of: section)
        retryOnFailure = RetryConfig(of: section)
        _ = section.bufferSize("read_buffer_size", default: 4096)
        _ = section.bufferSize("write_buffer_size", default: 524_288)
        section.withoutEffect("read_buffer_size", "answers are a few bytes")
        section.withoutEffect("write_buffer_size", "a batch is written at once")
        proxy = section.proxyURL()
        auth = ClientAuthenticationConfig(of: section)
        section.notSupportedYet("middlewares")
        section.ignored("profiles_endpoint", "profiles are not received")
        if let cookies = section.section("cookies") {
            cookies.notSupportedYet("enabled", "cookies of a load balancer are not kept")
        }
        section.finish()
    }

    private mutating func readURLs(_ section: ConfigSection) {
        var isBroken = false
        if let text = section.optionalString("endpoint"), !text.isEmpty {
            let base = Self.url(section, "endpoint", text)
            isBroken = base == nil
            if let base, base.target.contains("?") {
                let isSecret = text.contains("@")
                section.report(
                    "endpoint",
                    error:
                        "\(isSecret ? "the address" : quotedText(text)) has a query, behind which no path can be added",
                    help: "write the whole address under traces_endpoint, metrics_endpoint or logs_endpoint",
                    showsLine: !isSecret)
                isBroken = true
            } else if let base {
                for signal in Signal.allCases {
                    let path = base.target.hasSuffix("/") ? String(base.target.dropLast()) : base.target
                    urls[signal] = HTTPURL(
                        origin: base.origin, target: path + signal.httpPath,
                        basicAuthorization: base.basicAuthorization)
                }
            }
        }
        for signal in Signal.allCases {
            let key = "\(signal.name)_endpoint"
            guard let text = section.optionalString(key), !text.isEmpty else { continue }
            urls[signal] = Self.url(section, key, text)
            isBroken = isBroken || urls[signal] == nil
        }
        let keys = ["endpoint"] + Signal.allCases.map { "\($0.name)_endpoint" }
        if urls.isEmpty, !isBroken, !keys.contains(where: { section.isBroken($0) }) {
            section.report(
                section.has("endpoint") ? "endpoint" : nil,
                error: "either endpoint or traces_endpoint must be specified",
                help: "write endpoint: http://host:4318")
        }
    }

    private static func url(_ section: ConfigSection, _ key: String, _ text: String) -> HTTPURL? {
        do throws(HTTPURLProblem) {
            return try HTTPURL(text)
        } catch {
            // A password may be in it.
            let isSecret = text.contains("@")
            section.report(
                key, error: isSecret ? "the address \(error.withoutText)" : "\(quotedText(text)) \(error)",
                help: error == .noScheme && !isSecret
                    ? "write \(key): http://\(text) or https://\(text)"
                    : "write a URL with a name or an address, such as http://localhost:4318",
                showsLine: !isSecret)
            return nil
        }
    }

    private mutating func readCompression(_ section: ConfigSection) {
        let words = Compression.allCases.map(\.rawValue) + [""]
        let others = ["zlib", "deflate", "lz4"]
        let word = section.choice("compression", of: words, default: "gzip", notYet: others)
        compression = word == "" ? .none : word.flatMap { Compression(rawValue: $0) } ?? .gzip
        recompress = section.choice("recompress", default: .auto)
        if compression != .gzip, section.has("recompress") {
            section.report("recompress", warning: "has no effect without compression: gzip")
        }
        guard let params = section.section("compression_params") else { return }
        // -1 is the Collector's way to write the usual level, as is 0 in a section that is empty otherwise.
        let level = params.int("level", default: -1, in: -1...(compression == .zstd ? 19 : 12))
        if level > 0 { compressionLevel = level }
        if compression != .gzip, compression != .zstd, params.has("level") {
            params.report("level", warning: "has no effect without compression: gzip or zstd")
        }
    }

    private mutating func readConnections(_ section: ConfigSection) {
        let idle = section.int("max_idle_conns", default: maxIdleConns)
        let idlePerHost = section.int("max_idle_conns_per_host", default: 0)
        maxIdleConns = [idle, idlePerHost].filter { $0 > 0 }.min() ?? 0
        maxConns = section.int("max_conns_per_host", default: 0)
        idleConnTimeout = section.duration("idle_conn_timeout", default: idleConnTimeout)
        disableKeepAlives = section.bool("disable_keep_alives", default: false)
        forceAttemptHTTP2 = section.bool("force_attempt_http2", default: true)
        http2ReadIdleTimeout = section.duration("http2_read_idle_timeout", default: .zero)
        http2PingTimeout = section.duration("http2_ping_timeout", default: http2PingTimeout)
    }
}

private func quotedText(_ text: String) -> String { "\"\(text)\"" }
