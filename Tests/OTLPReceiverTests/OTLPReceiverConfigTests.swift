import Configuration
import OTLPReceiver
import RequestServing
import Testing

@Suite("Keys of the otlp receiver")
struct OTLPReceiverConfigTests {
    private func read(_ yaml: String) -> (OTLPReceiverConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = OTLPReceiverConfig(ConfigSection(yaml: yaml, path: "otlp", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("protocols without keys listen as in the Collector")
    func defaults() throws {
        let (config, problems) = read("protocols: {grpc: , http: }")
        #expect(problems.isEmpty)
        #expect(config == OTLPReceiverConfig())
        let grpc = try #require(config.grpc)
        #expect(grpc.endpoint.description == "localhost:4317")
        #expect(grpc.maxRecvMsgSizeMib == 4 && grpc.maxRecvMsgSizeBytes == 4_194_304)
        #expect(grpc.maxConcurrentStreams == nil && !grpc.includeMetadata)
        #expect(grpc.readBufferSize == 524_288 && grpc.writeBufferSize == 32_768)
        #expect(
            grpc.serverParameters.maxConnectionIdle == nil && grpc.serverParameters.maxConnectionAge == nil)
        #expect(grpc.serverParameters.maxConnectionAgeGrace == nil)
        #expect(grpc.serverParameters.time == .seconds(7200) && grpc.serverParameters.timeout == .seconds(20))
        #expect(
            grpc.enforcementPolicy.minTime == .seconds(300) && !grpc.enforcementPolicy.permitWithoutStream)
        let http = try #require(config.http)
        #expect(http.server.endpoint.description == "localhost:4318")
        #expect(http.tracesUrlPath == "/v1/traces" && http.metricsUrlPath == "/v1/metrics")
        #expect(http.logsUrlPath == "/v1/logs")
        #expect(http.server.maxRequestBodySize == 20_971_520 && http.server.keepAlivesEnabled)
        #expect(http.server.compressionAlgorithms == HTTPServerConfig.allCompressionAlgorithms)
        #expect(http.server.responseHeaders.isEmpty && !http.server.includeMetadata)
        #expect(http.server.readTimeout == .zero && http.server.readHeaderTimeout == .zero)
        #expect(http.server.writeTimeout == .zero && http.server.idleTimeout == .zero)
    }

    @Test("every key arrives")
    func keys() throws {
        let (config, problems) = read(
            """
            protocols:
              grpc:
                endpoint: 0.0.0.0:0
                transport: tcp
                max_recv_msg_size_mib: 64
                max_concurrent_streams: 100
                read_buffer_size: 1
                write_buffer_size: 0
                include_metadata: true
                keepalive:
                  server_parameters:
                    max_connection_idle: 1s
                    max_connection_age: 2s
                    max_connection_age_grace: 3s
                    time: 4s
                    timeout: 5s
                  enforcement_policy: {min_time: 6s, permit_without_stream: true}
              http:
                endpoint: "[::1]:4318"
                traces_url_path: t
                metrics_url_path: /m
                logs_url_path: /l
                max_request_body_size: 5
                compression_algorithms: ["", gzip]
                response_headers: {X-A: b}
                include_metadata: true
                read_timeout: 1s
                read_header_timeout: 2s
                write_timeout: 3s
                idle_timeout: 4s
                keep_alives_enabled: false
            limits:
              incomplete_memory_percentage: 1
              connection_memory_percentage: 2
              address_memory_percentage: 3
              empty_frames_per_second: 4
              empty_frames_burst: 5
              wasted_time_percentage: 6
              half_closed_timeout: 7s
            """)
        #expect(problems.count == 1)
        #expect(
            problems[0].hasSuffix(
                "write_buffer_size: has no effect: the answers of one read are written at once"))
        let grpc = try #require(config.grpc)
        #expect(grpc.endpoint == EndpointConfig(host: "0.0.0.0", port: 0))
        #expect(grpc.maxRecvMsgSizeMib == 64 && grpc.maxConcurrentStreams == 100 && grpc.includeMetadata)
        #expect(grpc.readBufferSize == 1 && grpc.writeBufferSize == 32_768)
        #expect(grpc.serverParameters.maxConnectionIdle == .seconds(1))
        #expect(grpc.serverParameters.maxConnectionAge == .seconds(2))
        #expect(grpc.serverParameters.maxConnectionAgeGrace == .seconds(3))
        #expect(grpc.serverParameters.time == .seconds(4) && grpc.serverParameters.timeout == .seconds(5))
        #expect(grpc.enforcementPolicy.minTime == .seconds(6) && grpc.enforcementPolicy.permitWithoutStream)
        let http = try #require(config.http)
        #expect(http.server.endpoint.host == "::1" && http.tracesUrlPath == "/t")
        #expect(http.server.maxRequestBodySize == 5 && http.server.compressionAlgorithms == ["", "gzip"])
        #expect(http.server.responseHeaders == [SecretPair("X-A", "b")] && http.server.includeMetadata)
        #expect(http.server.readTimeout == .seconds(1) && http.server.readHeaderTimeout == .seconds(2))
        #expect(http.server.writeTimeout == .seconds(3) && http.server.idleTimeout == .seconds(4))
        #expect(!http.server.keepAlivesEnabled)
        let limits = config.limits
        #expect(limits.incompleteMemoryPercentage == 1 && limits.connectionMemoryPercentage == 2)
        #expect(limits.addressMemoryPercentage == 3 && limits.halfClosedTimeout == .seconds(7))
        #expect(limits.emptyFramesPerSecond == 4 && limits.emptyFramesBurst == 5)
        #expect(limits.wastedTimePercentage == 6)
    }

    @Test("one protocol alone, and one turned off, leave the other off")
    func oneProtocol() {
        #expect(read("protocols: {grpc: }").0.http == nil)
        #expect(read("protocols: {http: }").0.grpc == nil)
        let (config, problems) = read("protocols: {grpc: {enabled: false, endpoint: a:1}, http: }")
        #expect(problems.isEmpty && config.grpc == nil && config.http != nil)
    }

    @Test(
        "a protocol at the wrong place or of the wrong form is one error, not one about its absence, too",
        arguments: [
            "grpc: {endpoint: 'a:1'}", "protocols: [grpc]", "protocol: {grpc: }", "protocols: {gprc: }",
            "protocols: {grpc: 5}",
        ])
    func oneErrorForOneMistake(yaml: String) {
        let problems = read(yaml).1
        #expect(problems.count == 1, "\(problems)")
    }

    @Test(
        "a receiver that could not listen is refused",
        arguments: [
            ("", "otlp: must specify at least one protocol when using the OTLP receiver"),
            (
                "protocols:",
                "otlp::protocols: must specify at least one protocol when using the OTLP receiver"
            ),
            (
                "protocols: {grpc: {endpoint: localhost}}",
                "otlp::protocols::grpc::endpoint: \"localhost\" has no port"
            ),
            (
                "protocols: {grpc: {endpoint: \"unix:///x\"}}",
                "otlp::protocols::grpc::endpoint: unix sockets are not supported yet; use host:port"
            ),
            (
                "protocols: {http: {endpoint: \"http://a:1\"}}",
                "otlp::protocols::http::endpoint: \"http://a:1\" must be host:port without a scheme"
            ),
            (
                "protocols: {grpc: {transport: unix}}",
                "otlp::protocols::grpc::transport: \"unix\" is not supported yet; use tcp"
            ),
            (
                "protocols: {grpc: {tls: {cert_file: /x, key_file: /y}}}",
                "otlp::protocols::grpc::tls::cert_file: cannot read \"/x\": No such file or directory"
            ),
            (
                "protocols: {http: {cors: {allowed_origins: [\"https://*.a.*\"]}}}",
                "otlp::protocols::http::cors::allowed_origins: \"https://*.a.*\" has more than one \"*\""
            ),
            (
                "protocols: {http: {compression_algorithms: [gzp]}}",
                "otlp::protocols::http::compression_algorithms: unknown value \"gzp\"; must be \"\", gzip, zstd, zlib, "
                    + "snappy, deflate, lz4 or x-snappy-framed"
            ),
            (
                "protocols: {http: {compression_algorithms: []}}",
                "otlp::protocols::http::compression_algorithms: must not be empty, which would refuse every request"
            ),
            (
                "protocols: {http: {logs_url_path: /v1/traces}}",
                "otlp::protocols::http::logs_url_path: is the same path as traces_url_path, /v1/traces"
            ),
            (
                "protocols: {http: {logs_url_path: \"/a b\"}}",
                "otlp::protocols::http::logs_url_path: \"/a b\" is not a valid path: spaces, \"?\" and \"#\" are not allowed"
            ),
            (
                "protocols: {http: {response_headers: {\"a b\": c}}}",
                "otlp::protocols::http::response_headers: \"a b\" is not a valid header name"
            ),
            (
                "protocols: {http: {response_headers: {a: \"b\\nc\"}}}",
                "otlp::protocols::http::response_headers: the value of \"a\" has a line feed or control character"
            ),
            (
                "protocols: {grpc: {max_recv_msg_size_mib: 4096}}",
                "otlp::protocols::grpc::max_recv_msg_size_mib: must be between 0 and 2047, found 4096"
            ),
            (
                "protocols: {grpc: {keepalive: {server_parameters: {time: 10ms}}}}",
                "otlp::protocols::grpc::keepalive::server_parameters::time: must be at least 1s, found 10ms"
            ),
        ])
    func broken(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }

    @Test("protocols written without \"protocols:\" are told where to go")
    func misplaced() {
        let diagnostics = Diagnostics()
        _ = OTLPReceiverConfig(
            ConfigSection(yaml: "grpc:\n  endpoint: a:1\n", path: "receivers::otlp", diagnostics: diagnostics)
        )
        #expect(diagnostics.items.contains { $0.help == "write it under \"protocols:\"" })
    }
}
