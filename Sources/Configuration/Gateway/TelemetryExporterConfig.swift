/// Where telemetry about the gateway itself goes: `exporter` of a reader or a processor under `service::telemetry`.
package struct TelemetryExporterConfig: Sendable, Equatable {
    /// How it is sent.
    package enum Transport: Sendable, Equatable {
        case grpc
        case httpProtobuf
        case httpJSON
    }

    /// Keys `otlp::protocol`, or `otlp_grpc`, `otlp_http` and its `encoding`.
    package var transport = Transport.httpProtobuf
    /// Host and port. Default localhost:4318, with gRPC 4317. Key `endpoint`, a URL.
    package var endpoint = EndpointConfig(host: "localhost", port: 4318)
    /// Behind the host; empty for the usual path of the signal.
    package var path = ""
    /// Whether TLS is used: `https://`, or gRPC without `http://` and without `insecure: true`.
    package var usesTLS = false
    /// Default none. Keys `headers` and `headers_list`.
    package var headers: [SecretPair] = []
    /// Default false. Key `compression`: gzip or none.
    package var compresses = false
    /// Of one request. Default 10s. Key `timeout`, in milliseconds.
    package var timeout: Duration = .seconds(10)
    /// Paths of PEM files; nil = the system's authorities, no certificate. Keys `certificate`, `client_certificate`,
    /// `client_key`, or `tls::ca_file`, `tls::cert_file`, `tls::key_file`.
    package var caFile: String?
    package var certificateFile: String?
    package var keyFile: String?

    /// Whether counters and histograms say what came since they were last sent; gauges are as they are. Default false. Key
    /// `temporality_preference`: cumulative or delta. Of metrics only.
    package var sendsDeltas = false

    package init() {}

    /// Reads `exporter` of a section; nil when there is none that can be used, which is reported.
    init?(of parent: ConfigSection) {
        self.init()
        guard let section = parent.section("exporter") else {
            parent.report(nil, error: "has no \"exporter\"", help: Self.example)
            return nil
        }
        let isConsole = section.isWritten("console")
        section.accept("console")
        if isConsole {
            section.report(
                "console", warning: "has no effect: the log and the page of metrics are there already")
        }
        for key in ["otlp_file/development", "otlp_file", "prometheus", "prometheus/development"] {
            section.notSupportedYet(key, "send OTLP")
        }
        if let keys = section.section("otlp") {
            let words = ["grpc", "grpc/protobuf", "http/protobuf", "http/json"]
            transport = Self.transport(keys.choice("protocol", of: words, default: "http/protobuf"))
            self.read(keys)
        } else if let keys = section.section("otlp_grpc") {
            transport = .grpc
            self.read(keys)
        } else if let keys = section.section("otlp_http") {
            let encoding = keys.choice("encoding", of: ["protobuf", "json"], default: "protobuf")
            transport = encoding == "json" ? .httpJSON : .httpProtobuf
            self.read(keys)
        } else {
            if !isConsole, !section.keys.contains(where: section.has) {
                section.report(nil, error: "names no exporter", help: Self.example)
            }
            return nil
        }
    }

    private static let example = "write exporter: {otlp: {protocol: grpc, endpoint: http://host:4317}}"

    private static func transport(_ word: String?) -> Transport {
        switch word {
        case "grpc", "grpc/protobuf": .grpc
        case "http/json": .httpJSON
        default: .httpProtobuf
        }
    }

    private mutating func read(_ section: ConfigSection) {
        let tls = section.section("tls")
        let isInsecure = [section, tls].compactMap { $0 }.contains { $0.bool("insecure", default: false) }
        endpoint = EndpointConfig(host: "localhost", port: transport == .grpc ? 4317 : 4318)
        readEndpoint(section, isInsecure: isInsecure)
        headers = section.headers("headers")
        for pair in section.optionalStringList("headers_list") ?? [] {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { headers.append(SecretPair(parts[0], parts[1])) }
        }
        section.hideValue(of: "headers_list")
        compresses = section.choice("compression", of: ["none", "gzip", ""], default: "none") == "gzip"
        timeout = section.milliseconds("timeout", default: timeout)
        caFile = section.optionalString("certificate") ?? tls?.optionalString("ca_file")
        certificateFile = section.optionalString("client_certificate") ?? tls?.optionalString("cert_file")
        keyFile = section.optionalString("client_key") ?? tls?.optionalString("key_file")
        if (certificateFile == nil) != (keyFile == nil) {
            section.report(
                nil, error: "has a client certificate without its key, or a key without its certificate",
                help: "write both, or neither")
        }
        sendsDeltas =
            section.choice(
                "temporality_preference", of: ["cumulative", "delta"], default: "cumulative",
                notYet: ["low_memory", "lowmemory"]) == "delta"
        _ = section.choice(
            "default_histogram_aggregation", of: ["explicit_bucket_histogram"],
            default: "explicit_bucket_histogram", notYet: ["base2_exponential_bucket_histogram"])
    }

    private mutating func readEndpoint(_ section: ConfigSection, isInsecure: Bool) {
        guard let text = section.optionalString("endpoint"), !text.isEmpty else {
            usesTLS = false
            return
        }
        var rest = Substring(text)
        usesTLS = transport == .grpc && !isInsecure
        for (scheme, isTLS) in [("http://", false), ("https://", true)] where rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            usesTLS = isTLS
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        path = rest[slash...] == "/" ? "" : String(rest[slash...])
        var address = String(rest[..<slash])
        if !address.isEmpty, !address.hasSuffix("]"), !address.contains(":") {
            address += ":\(endpoint.port)"
        }
        do throws(EndpointProblem) {
            endpoint = try EndpointConfig(address)
        } catch {
            section.report(
                "endpoint", error: "\(quoted(text)) \(error.message)",
                help: section.endpointHelp(address, error, endpoint))
        }
        if transport == .grpc, !path.isEmpty {
            section.report(
                "endpoint", error: "\(quoted(text)) has a path, which gRPC has not",
                help: "write http://\(endpoint), or protocol: http/protobuf")
        }
    }
}

/// `processors[]` of own spans and log records.
package struct TelemetryProcessorConfig: Sendable, Equatable {
    package var exporter: TelemetryExporterConfig
    /// After so long what there is leaves; zero: at once (`simple`). Key `batch::schedule_delay`, in milliseconds.
    package var delay: Duration
    /// What waits at most; more is dropped and counted. Default 2048. Key `batch::max_queue_size`.
    package var queueSize = 2048
    /// What leaves at a time. Default 512. Key `batch::max_export_batch_size`.
    package var batchSize = 512

    /// Reads `processors` of a section.
    static func list(_ section: ConfigSection, delay: Duration) -> [TelemetryProcessorConfig] {
        (section.sectionList("processors") ?? []).compactMap { entry in
            if let keys = entry.section("batch") { return Self(batch: keys, delay: delay) }
            guard let keys = entry.section("simple") else {
                entry.report(
                    nil, error: "a processor must have \"batch\" or \"simple\"",
                    help: "write batch: {exporter: {otlp: {protocol: grpc, endpoint: http://host:4317}}}")
                return nil
            }
            return TelemetryExporterConfig(of: keys).map { Self(exporter: $0, delay: .zero) }
        }
    }

    private init(exporter: TelemetryExporterConfig, delay: Duration) {
        self.exporter = exporter
        self.delay = delay
    }

    private init?(batch section: ConfigSection, delay: Duration) {
        let delay = section.milliseconds("schedule_delay", default: delay)
        let queueSize = section.int("max_queue_size", default: 2048, in: 1...1_000_000)
        let batchSize = section.int("max_export_batch_size", default: min(512, queueSize), in: 1...1_000_000)
        _ = section.milliseconds("export_timeout", default: .seconds(30))
        section.withoutEffect("export_timeout", "the exporter's timeout bounds a request")
        if batchSize > queueSize {
            section.report(
                "max_export_batch_size", error: "is \(batchSize), more than max_queue_size, \(queueSize)",
                help: "raise max_queue_size or lower max_export_batch_size")
        }
        guard let exporter = TelemetryExporterConfig(of: section) else { return nil }
        self.init(exporter: exporter, delay: delay)
        self.queueSize = queueSize
        self.batchSize = batchSize
    }
}

/// `metrics::readers[]::periodic`.
package struct PeriodicReaderConfig: Sendable, Equatable {
    package var exporter: TelemetryExporterConfig
    /// Default 60s. Key `interval`, in milliseconds.
    package var interval: Duration

    init?(_ section: ConfigSection) {
        interval = section.milliseconds("interval", default: .seconds(60), atLeast: 1)
        _ = section.milliseconds("timeout", default: .seconds(30))
        section.withoutEffect("timeout", "the exporter's timeout bounds a request")
        section.accept("producers")
        section.accept("cardinality_limits")
        guard let exporter = TelemetryExporterConfig(of: section) else { return nil }
        self.exporter = exporter
    }
}

extension ConfigSection {
    /// A whole number of milliseconds, as OpenTelemetry's own configuration writes durations; texts such as `5s`, too.
    fileprivate func milliseconds(_ key: String, default value: Duration, atLeast least: Int = 0) -> Duration
    {
        if let entry = map.entry(key), case .string = entry.value.content {
            return duration(key, default: value, in: .milliseconds(least) ... .longest)
        }
        note(key, default: value)
        return optionalInt(key, in: least...Int(Int32.max)).map { .milliseconds($0) } ?? value
    }

    /// Has printing and messages leave out a value that is a secret.
    fileprivate func hideValue(of key: String) { paths.secrets.insert(path(of: key)) }
}
