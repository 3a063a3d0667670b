import Configuration
import HTTP
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import OTLPClient

/// A key that is read wrongly sends data to the wrong place, or more often than it should.
@Suite struct OTLPHTTPConfigTests {
    private func read(_ yaml: String) -> (OTLPHTTPConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, path: "exporters::otlp_http", diagnostics: diagnostics)
        return (OTLPHTTPConfig(section), diagnostics)
    }

    @Test func theDefaultsAreTheCollectors() {
        let (config, diagnostics) = read("endpoint: http://loki:3100/otlp")
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        #expect(config.compression == .gzip && config.encoding == .proto && config.timeout == .seconds(30))
        #expect(config.maxIdleConns == 100 && config.maxConns == 0 && config.idleConnTimeout == .seconds(90))
        #expect(config.forceAttemptHTTP2 && !config.disableKeepAlives && config.headers.isEmpty)
        #expect(config.sendingQueue.numConsumers == 10 && config.retryOnFailure.enabled)
    }

    /// If it failed, batches that a destination takes as protobuf would be refused as JSON, which is twice as long.
    @Test(arguments: [
        ("", 20_905_984), ("encoding: json", 10_452_992), ("{encoding: json, max_request_bytes: 7}", 7),
    ])
    func requestsOfJSONAreSmaller(yaml: String, bytes: Int) {
        #expect(read(yaml).0.maxRequestBytes == bytes)
    }

    /// Paths are put together with one slash; a signal's own address is taken as it is.
    @Test(arguments: [
        ("endpoint: http://h:1", Signal.logs, "http://h:1/v1/logs"),
        ("endpoint: http://h:1/", .logs, "http://h:1/v1/logs"),
        ("endpoint: http://h:1/otlp/", .traces, "http://h:1/otlp/v1/traces"),
        ("{endpoint: http://h:1, logs_endpoint: \"https://g/push?x=1\"}", .logs, "https://g/push?x=1"),
        ("{endpoint: http://h:1, logs_endpoint: \"https://g/push\"}", .metrics, "http://h:1/v1/metrics"),
        ("metrics_endpoint: http://h", .metrics, "http://h/"),
    ])
    func addressesArePutTogether(yaml: String, signal: Signal, url: String) {
        let (config, diagnostics) = read(yaml)
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        #expect(config.urls[signal]?.description == url)
    }

    @Test func connectionsAreTheCollectors() {
        let (config, diagnostics) = read(
            """
            endpoint: https://h
            max_idle_conns: 50
            max_idle_conns_per_host: 7
            max_conns_per_host: 3
            idle_conn_timeout: 5s
            disable_keep_alives: true
            force_attempt_http2: false
            http2_read_idle_timeout: 10s
            http2_ping_timeout: 2s
            compression_params: {level: 6}
            read_buffer_size: 1
            write_buffer_size: 2
            headers: {Authorization: Bearer x}
            """)
        // The buffers' sizes.
        #expect(diagnostics.items.count == 2 && !diagnostics.hasErrors, "\(diagnostics.render())")
        #expect(config.maxIdleConns == 7 && config.maxConns == 3 && config.idleConnTimeout == .seconds(5))
        #expect(config.disableKeepAlives && !config.forceAttemptHTTP2 && config.compressionLevel == 6)
        #expect(config.http2ReadIdleTimeout == .seconds(10) && config.http2PingTimeout == .seconds(2))
    }

    /// A level that is read for the wrong algorithm costs many times the CPU time, or nothing is sent at all.
    @Test(arguments: [
        ("compression: zstd", BodyCompression.zstd(level: 1)),
        ("{compression: zstd, compression_params: {level: 19}}", .zstd(level: 19)),
        ("{compression: gzip, compression_params: {level: 12}}", .gzip(level: 12, recompress: .auto)),
        ("compression: snappy", .snappy), ("compression: x-snappy-framed", .framedSnappy),
        ("compression: none", nil), ("compression: \"\"", nil),
    ])
    func compressionIsRead(yaml: String, expected: BodyCompression?) {
        let keys = yaml.hasPrefix("{") ? String(yaml.dropFirst().dropLast()) : yaml
        let (config, diagnostics) = read("{endpoint: \"http://h\", \(keys)}")
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        #expect(config.bodyCompression == expected && config.keepsGzip == (config.compression == .gzip))
    }

    @Test(arguments: [
        (
            "compression: zlib",
            "\"zlib\" is not supported yet; use none, gzip, zstd, snappy or x-snappy-framed"
        ),
        ("compression_params: {level: 13}", "compression_params::level: must be between -1 and 12, found 13"),
        (
            "compression: zstd\ncompression_params: {level: 20}",
            "compression_params::level: must be between -1 and 19, found 20"
        ),
        (
            "compression: snappy\ncompression_params: {level: 3}",
            "compression_params::level: has no effect without compression: gzip or zstd"
        ),
        ("proxy_url: socks5://p", "proxy_url: is a proxy of the scheme socks5, which is not supported yet"),
        ("auth: {authenticator: \"\"}", "auth::authenticator: requires an \"authenticator\""),
        ("cookies: {enabled: true}", "cookies::enabled: is not supported yet"),
        ("encoding: xml", "encoding: unknown value \"xml\""), ("timeout: 5", "timeout: expected a duration"),
        (
            "logs_endpoint: https://h\ntls: {insecure: true}",
            "tls::insecure: has no effect: the scheme of the endpoint decides"
        ),
        ("max_idle_conn: 1", "did you mean \"max_idle_conns\"?"),
    ])
    func mistakesAreReported(yaml: String, message: String) {
        let diagnostics = read("endpoint: http://h\n" + yaml).1
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }

    /// Nearly all configurations that send over http:// say so twice.
    @Test func insecureBesideHTTPIsNoMistake() {
        let diagnostics = read("endpoint: http://h\ntls: {insecure: true}").1
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
    }

    /// A signal that has no address is not sent anywhere else.
    @Test func signalsWithoutAnAddressAreMissing() {
        let (config, diagnostics) = read("logs_endpoint: http://h/x")
        #expect(diagnostics.items.isEmpty)
        #expect(config.urls[.traces] == nil && config.urls[.logs] != nil)
    }
}
