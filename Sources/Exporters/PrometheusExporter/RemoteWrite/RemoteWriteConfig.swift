package import Configuration
package import HTTP
package import Pipeline

/// The keys of the `prometheusremotewrite` exporter. Those of its HTTP client are below `http`, or beside the others as older
/// configurations have them.
package struct RemoteWriteConfig: Sendable, Equatable {
    /// Where to send. Required. Key `endpoint`.
    package private(set) var url = HTTPURL(
        origin: HTTPOrigin(scheme: .http, host: "localhost", port: 9090), target: "/api/v1/write")
    /// Key `tls`, for `https` endpoints.
    package private(set) var tls = ClientTLSConfig()
    /// Sent with every request. Default none. Key `headers`.
    package private(set) var headers: [SecretPair] = []
    /// Time for one request; 0 = unlimited. Default 5s. Key `timeout`.
    package private(set) var timeout = Duration.seconds(5)
    /// From `remote_write_queue`, with one consumer, so that the samples of a series stay in order.
    package private(set) var queue = SendingQueueConfig()
    /// Default: 50ms first, 200ms at most, for 1m. Key `retry_on_failure`.
    package private(set) var retryOnFailure = RetryConfig()
    /// Default what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say. Key `proxy_url`.
    package private(set) var proxy: HTTPProxy?
    /// Default none. Key `auth`.
    package private(set) var auth: ClientAuthenticationConfig?
    /// Whether the keys of the client are those of a section `http`.
    private(set) var hasClientSection = false
    /// Bytes of a request before compression. Default 3000000. Key `max_batch_size_bytes`.
    package private(set) var batchBytesMax = 3_000_000
    /// How metrics become series.
    var encoding = RemoteWriteSettings()

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        let client = section.section("http") ?? section
        hasClientSection = section.has("http")
        readClient(client)
        readQueue(section)
        batchBytesMax = section.int(
            "max_batch_size_bytes", default: batchBytesMax, in: Int.min...Int(UInt32.max) / 2)
        if batchBytesMax <= 0 {
            section.report("max_batch_size_bytes", error: "max_batch_size_bytes must be greater than 0")
        }
        _ = section.int("max_batch_request_parallelism", default: 5, in: 1...Int.max)
        section.withoutEffect(
            "max_batch_request_parallelism", "the requests of a batch are sent one after the other")
        encoding = RemoteWriteSettings(section)
        section.notSupportedYet("wal", "sending_queue::storage keeps the queue on disk")
        section.notSupportedYet("convert_explicit_histograms_to_nhcb")
        for key in ["export_created_metric", "create_metric"] {
            section.ignored(key, "it was removed from the Collector, and no _created series are sent")
        }
        section.notSupportedYet("include_metadata_keys")
        section.accept("keep_classic_histograms")
        let message = section.string("protobuf_message", default: "prometheus.WriteRequest")
        if !["", "prometheus.WriteRequest"].contains(message) {
            section.report(
                "protobuf_message", error: "\"\(message)\" is not supported yet",
                help: "write prometheus.WriteRequest, or remove it")
        }
        section.finish()
    }

    private mutating func readClient(_ section: ConfigSection) {
        section.misplaced(
            ["insecure", "insecure_skip_verify", "ca_file", "cert_file", "key_file"], under: "tls")
        section.formerlyOfExporters()
        let example = "http://localhost:9090/api/v1/write"
        let text = section.optionalString("endpoint") ?? ""
        if text.isEmpty, !section.isBroken("endpoint") {
            section.report(
                section.has("endpoint") ? "endpoint" : nil, error: "requires a non-empty \"endpoint\"",
                help: "write endpoint: \(example)")
        } else if !text.isEmpty {
            do throws(HTTPURLProblem) {
                url = try HTTPURL(text)
            } catch {
                // A password may be in it.
                let isSecret = text.contains("@")
                section.report(
                    "endpoint", error: isSecret ? error.withoutText : "\(error)",
                    help: "write endpoint: \(example)", showsLine: !isSecret)
            }
        }
        tls = section.clientTLS(urls: ["endpoint"])
        headers = section.headers("headers")
        timeout = section.duration("timeout", default: timeout)
        if section.string("compression", default: "snappy") != "snappy" {
            section.report("compression", error: "compression type must be snappy", help: "remove it")
        }
        for key in [
            "read_buffer_size", "write_buffer_size", "max_idle_conns", "max_idle_conns_per_host",
            "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives", "http2_read_idle_timeout",
            "http2_ping_timeout", "force_attempt_http2",
        ] {
            section.ignored(key, "there is one connection, over HTTP/1.1")
        }
        proxy = section.proxyURL()
        for key in ["cookies", "middlewares"] { section.notSupportedYet(key) }
        auth = ClientAuthenticationConfig(of: section)
    }

    private mutating func readQueue(_ section: ConfigSection) {
        queue = SendingQueueConfig(of: section)
        if let remote = section.section("remote_write_queue") {
            queue.enabled = remote.bool("enabled", default: true)
            queue.queueSize = remote.int("queue_size", default: 10_000, in: Int.min...Int.max)
            let consumers = remote.int("num_consumers", default: 5, in: Int.min...Int.max)
            if consumers < 0 {
                remote.report("num_consumers", error: "remote write consumer number can't be negative")
            }
            if queue.queueSize < 0 {
                remote.report("queue_size", error: "remote write queue size can't be negative")
            } else if queue.queueSize == 0, queue.enabled {
                remote.report("queue_size", error: "a 0 size queue will drop all the data")
            }
            queue.queueSize = max(1, queue.queueSize)
            remote.withoutEffect(
                "num_consumers", "requests are sent one after the other, which keeps series in order")
        } else if !section.has("sending_queue") {
            queue.queueSize = 10_000
        }
        queue.numConsumers = 1
        retryOnFailure = RetryConfig(of: section)
        let retry = section.section("retry_on_failure")
        if retry?.has("initial_interval") != true { retryOnFailure.initialInterval = .milliseconds(50) }
        if retry?.has("max_interval") != true { retryOnFailure.maxInterval = .milliseconds(200) }
        if retry?.has("max_elapsed_time") != true { retryOnFailure.maxElapsedTime = .seconds(60) }
    }
}

/// How metrics become series.
struct RemoteWriteSettings: Sendable, Equatable {
    /// Put before every name with an underscore. Default empty. Key `namespace`.
    var namespace = ""
    /// Labels of every series that does not have them, in written order. Default none. Key `external_labels`.
    var externalLabels: [ConfigPair] = []
    /// Default UnderscoreEscapingWithSuffixes. Keys `translation_strategy` and, older, `add_metric_suffixes`.
    var strategy = TranslationStrategy.underscoreEscapingWithSuffixes
    /// Keys `resource_to_telemetry_conversion` and `resource_constant_labels`.
    var resourceLabels = ResourceLabels()
    /// A series `target_info` for each resource. Default true. Key `target_info::enabled`.
    var hasTargetInfo = true
    /// Leaves out the labels of the instrumentation scope. Default false. Key `disable_scope_info`.
    var withoutScopeInfo = false
    /// Sends type, help and unit of metrics. Default false. Key `send_metadata`.
    var sendsMetadata = false

    init() {}

    init(_ section: ConfigSection) {
        namespace = section.string("namespace", default: "")
        externalLabels = section.stringMap("external_labels")
        if externalLabels.contains(where: { $0.name.isEmpty || $0.value.isEmpty }) {
            section.report("external_labels", error: "a label must have a name and a value")
        }
        let words = TranslationStrategy.allCases.map(\.rawValue)
        let word = section.string("translation_strategy", default: "UnderscoreEscapingWithSuffixes")
        if let known = TranslationStrategy(rawValue: word) {
            strategy = known
            if known.allowsUTF8 {
                section.report(
                    "translation_strategy",
                    error:
                        "translation strategy \(word) requires Prometheus Remote Write 2.0 (UTF-8 support)",
                    help: "write UnderscoreEscapingWithSuffixes")
            }
        } else if !word.isEmpty {
            section.report(
                "translation_strategy", error: "invalid translation_strategy: \(word)",
                help: "write " + words.prefix(2).joined(separator: " or "))
        }
        if section.optionalBool("add_metric_suffixes") == false, !section.has("translation_strategy") {
            strategy = .underscoreEscapingWithoutSuffixes
        }
        resourceLabels = ResourceLabels(of: section)
        if let target = section.section("target_info") {
            hasTargetInfo = target.bool("enabled", default: true)
        }
        withoutScopeInfo = section.bool("disable_scope_info", default: false)
        sendsMetadata = section.bool("send_metadata", default: false)
    }
}
