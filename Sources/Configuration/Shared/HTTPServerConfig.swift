/// The keys of an HTTP server.
package struct HTTPServerConfig: Sendable, Equatable {
    /// All names that `compression_algorithms` may hold; the empty one is "not compressed".
    package static let allCompressionAlgorithms = [
        "", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed",
    ]

    /// Where to listen. Default given by the component. Key `endpoint`.
    package var endpoint: EndpointConfig
    /// Largest body in bytes, on the wire and decompressed. Default 20971520 (also for 0). Key
    /// `max_request_body_size`.
    package var maxRequestBodySize = 20_971_520
    /// What `Content-Encoding` may say; the empty one is a request without, `deflate` allows `zlib` too, and `gzip`
    /// allows `x-gzip`. Default: all. Key `compression_algorithms`.
    package var compressionAlgorithms = allCompressionAlgorithms
    /// Added to every answer. Default none. Key `response_headers`.
    package var responseHeaders: [SecretPair] = []
    /// Keeps the request's headers with the data. Default false. Key `include_metadata`.
    package var includeMetadata = false
    /// Time for a whole request; zero = unlimited, the default. Key `read_timeout`.
    package var readTimeout: Duration = .zero
    /// Time for the headers of a request; zero = unlimited, the default. Key `read_header_timeout`.
    package var readHeaderTimeout: Duration = .zero
    /// Time for an answer; zero = unlimited, the default. Key `write_timeout`.
    package var writeTimeout: Duration = .zero
    /// Silence after which a kept connection is closed; zero = never, the default. Key `idle_timeout`.
    package var idleTimeout: Duration = .zero
    /// Keeps connections for further requests. Default true. Key `keep_alives_enabled`.
    package var keepAlivesEnabled = true
    /// Ends a connection at this age, give or take a tenth: HTTP/1.1 with the next answer, HTTP/2 by GOAWAY; nil =
    /// never (0 or absent). Key `max_connection_age`, which the Collector has for gRPC only.
    package var maxConnectionAge: Duration?
    /// Time for requests to end after that; nil = unlimited (0 or absent). Key `max_connection_age_grace`.
    package var maxConnectionAgeGrace: Duration?
    /// What browsers are told; nil = nothing, the default. Key `cors`.
    package var cors: CORSConfig?
    /// nil = plain text, the default. Key `tls`.
    package var tls: ServerTLSConfig?
    /// The extension that lets requests in; nil = all may come, the default. Key `auth::authenticator`.
    package var authenticator: ComponentID?

    package init(endpoint: EndpointConfig = EndpointConfig(host: "localhost", port: 4318)) {
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
        section.formerly([
            "cors_allowed_origins": "write cors: {allowed_origins: […]}",
            "cors_allowed_headers": "write cors: {allowed_headers: […]}", "tls_settings": "write tls",
            "tls_credentials": "write tls",
        ])
        section.tcpOnly()
        let size = section.int("max_request_body_size", default: maxRequestBodySize, in: 0...Int(Int32.max))
        maxRequestBodySize = size == 0 ? 20_971_520 : size
        compressionAlgorithms = Self.algorithms(section)
        responseHeaders = section.headers("response_headers")
        includeMetadata = section.bool("include_metadata", default: false)
        readTimeout = section.duration("read_timeout", default: .zero)
        readHeaderTimeout = section.duration("read_header_timeout", default: .zero)
        writeTimeout = section.duration("write_timeout", default: .zero)
        idleTimeout = section.duration("idle_timeout", default: .zero)
        keepAlivesEnabled = section.bool("keep_alives_enabled", default: true)
        maxConnectionAge = section.durationOrNever("max_connection_age")
        maxConnectionAgeGrace = section.durationOrNever("max_connection_age_grace")
        cors = section.optionalSection("cors").flatMap { CORSConfig($0) }
        tls = readTLS?(section)
        if hasAuth { authenticator = section.authenticator() }
        section.serverSecurityNotYet(exceptTLS: readTLS != nil, exceptAuth: hasAuth)
    }

    private static func algorithms(_ section: ConfigSection) -> [String] {
        guard let listed = section.located("compression_algorithms") else { return allCompressionAlgorithms }
        let shown = alternatives(allCompressionAlgorithms.map { $0.isEmpty ? "\"\"" : $0 })
        for (name, origin) in listed where !allCompressionAlgorithms.contains(name) {
            section.diagnostics.error(
                "unknown value \(quoted(name)); must be \(shown)",
                path: section.path(of: "compression_algorithms"), at: origin,
                help: nearest(name, in: allCompressionAlgorithms).map { "did you mean \"\($0)\"?" })
        }
        if listed.isEmpty {
            section.report(
                "compression_algorithms", error: "must not be empty, which would refuse every request",
                help: "write compression_algorithms: [\"\"] to take requests that are not compressed")
        }
        return listed.map(\.text)
    }
}

extension ConfigSection {
    /// Headers with values that must not be shown; names and values are checked.
    package func headers(_ key: String) -> [SecretPair] {
        let pairs = secretMap(key)
        for pair in pairs {
            let isToken = !pair.name.isEmpty && pair.name.utf8.allSatisfy(isHeaderNameByte)
            if !isToken {
                report(
                    key, error: "\(quoted(pair.name)) is not a valid header name",
                    help: "use letters, digits and -")
            }
            let isPlain = pair.value.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }
            if !isPlain {
                report(
                    key, error: "the value of \(quoted(pair.name)) has a line feed or control character",
                    help: "write it on one line")
            }
        }
        return pairs
    }
}

extension ConfigSection {
    /// Where a small server of the gateway's own pages listens. It takes all keys of an HTTP server, most of them without
    /// effect.
    package func pageServer(default endpoint: EndpointConfig) -> EndpointConfig {
        let server = HTTPServerConfig(self, endpoint: endpoint)
        for key in [
            "read_timeout", "read_header_timeout", "write_timeout", "idle_timeout", "max_request_body_size",
            "compression_algorithms", "response_headers", "include_metadata", "keep_alives_enabled",
            "max_connection_age", "max_connection_age_grace", "cors",
        ] {
            withoutEffect(key, "the page has limits of its own")
        }
        return server.endpoint
    }
}

func isHeaderNameByte(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
}
