package import OTLP

/// The component types that a configuration may name.
///
/// The service brings what it can build; the types that the Collector's users know are beside it, so that a message can
/// tell "not built yet" from "never heard of".
package struct ComponentCatalogue: Sendable {
    /// Whether a type can be used.
    package enum Status: Sendable, Equatable {
        case built
        /// Known from the Collector; this version has no such component.
        case notBuilt
    }

    /// One type of one kind.
    package struct Entry: Sendable {
        package let kind: ComponentKind
        /// The type as it is written before the `/` of an id.
        package let type: String
        /// The type that builds it: differs from `type` for an alias.
        package let canonicalType: String
        /// What a pipeline may carry to use it; empty for extensions and connectors.
        package let signals: Set<Signal>
        /// What a connector can do; empty for all others.
        package let pairs: Set<SignalPair>
        package let status: Status
        /// For a name that should no longer be written: what to write instead.
        package let deprecation: String?
    }

    private var entries: [ComponentKind: [Entry]] = [:]

    package init() {}

    /// Adds a type that the service builds.
    package mutating func add(
        _ kind: ComponentKind, _ type: String, signals: Set<Signal> = Set(Signal.allCases),
        pairs: Set<SignalPair> = []
    ) {
        put(
            Entry(
                kind: kind, type: type, canonicalType: type, signals: kind == .extension ? [] : signals,
                pairs: pairs, status: .built, deprecation: nil))
    }

    /// Adds another name of a type that was added before.
    ///
    /// - Parameter deprecation: What the warning says to write instead; nil for no warning.
    package mutating func addAlias(
        _ kind: ComponentKind, _ type: String, of canonicalType: String, deprecation: String? = nil
    ) {
        guard let original = entry(kind, canonicalType) else {
            preconditionFailure("alias \(type) of \(canonicalType), which was not added")
        }
        put(
            Entry(
                kind: kind, type: type, canonicalType: canonicalType, signals: original.signals,
                pairs: original.pairs, status: original.status, deprecation: deprecation))
    }

    /// The entry of a type, nil when it is unknown. Types that are not built are known with and without their underscores:
    /// `filelog` became `file_log`, as most did.
    package func entry(_ kind: ComponentKind, _ type: String) -> Entry? {
        if let built = entries[kind]?.first(where: { $0.type == type }) { return built }
        let name = Self.joined(type)
        guard let known = notBuilt(kind).first(where: { Self.joined($0) == name }) else { return nil }
        return Entry(
            kind: kind, type: known, canonicalType: known, signals: Set(Signal.allCases), pairs: [],
            status: .notBuilt, deprecation: nil)
    }

    private static func joined(_ type: String) -> String { type.filter { $0 != "_" } }

    /// All entries of a kind that are built, in the order they were added.
    package func built(_ kind: ComponentKind) -> [Entry] { entries[kind] ?? [] }

    /// The types of the Collector and its contrib distribution that are met most and that the service does not bring. Looked for only
    /// when a configuration names what is not built: to list them all took a third of the time of a start.
    package func notBuilt(_ kind: ComponentKind) -> [String] {
        let built = Set(built(kind).map(\.type))
        let types = Self.upstream.first { $0.0 == kind }?.1.split(separator: " ").map(String.init) ?? []
        return types.filter { !built.contains($0) }
    }

    private mutating func put(_ entry: Entry) {
        var list = entries[entry.kind] ?? []
        if let index = list.firstIndex(where: { $0.type == entry.type }) {
            list[index] = entry
        } else {
            list.append(entry)
        }
        entries[entry.kind] = list
    }

    private static let upstream: [(ComponentKind, String)] = [
        (
            .connector,
            """
            forward routing failover roundrobin count sum exceptions signaltometrics spanmetrics servicegraph \
            datadog grafanacloud otlpjson slowsql metricsaslogs
            """
        ),
        (
            .receiver,
            """
            otlp nop prometheus jaeger zipkin hostmetrics kafka filelog fluentforward statsd syslog tcplog \
            udplog k8s_cluster k8s_events k8sobjects kubeletstats docker_stats redis postgresql mysql mongodb \
            nginx apache elasticsearch rabbitmq httpcheck journald loki influxdb opencensus otlpjsonfile \
            otelarrow awsxray datadog splunk_hec carbon collectd sqlquery snmp windowseventlog \
            windowsperfcounters windowsservice simpleprometheus prometheus_simple prometheusremotewrite \
            receiver_creator webhookevent awsfirehose awscontainerinsightreceiver awsecscontainermetrics \
            awslambda awss3 awscloudwatch azureblob azureeventhub azuremonitor googlecloudpubsub \
            googlecloudpubsubpush googlecloudmonitoring googlecloudspanner pulsar solace sqlserver oracledb \
            memcached zookeeper haproxy iis jmx vcenter couchdb aerospike expvar chrony netflow podman_stats \
            sshcheck tcpcheck tlscheck icmpcheck kafkametrics skywalking wavefront signalfx sapm namedpipe \
            github gitlab faro libhoney cloudfoundry cloudflare bigip filestats mongodbatlas osquery \
            splunkenterprise stef systemd active_directory_ds apachespark ciscoos envoyals flinkmetrics \
            huaweicloudces k8slog nsxt ntp pprof purefa purefb redfish riak saphana snowflake yanggrpc
            """
        ),
        (
            .processor,
            """
            batch memory_limiter attributes resource resourcedetection filter transform probabilistic_sampler \
            tail_sampling k8sattributes groupbyattrs groupbytrace metricstransform cumulativetodelta \
            deltatocumulative deltatorate span redaction routing interval isolationforest logdedup logstransform \
            metricsgeneration remotetap schema sumologic coralogix experimental_metricsgeneration queuebatch \
            geoip unroll dnslookup lookup spanmetrics servicegraph metricstarttime queued_retry drain \
            dynamicsampling genainormalizer spanpruning
            """
        ),
        (
            .exporter,
            """
            otlp_grpc otlp otlp_http otlphttp debug logging nop prometheus prometheusremotewrite loki jaeger \
            jaeger_thrift zipkin kafka file elasticsearch opensearch clickhouse datadog splunk_hec awsxray \
            awsemf awscloudwatchlogs googlecloud azuremonitor loadbalancing otelarrow influxdb honeycombmarker \
            sentry signalfx syslog carbon cassandra coralogix mezmo pulsar rabbitmq sumologic \
            googlemanagedprometheus googlecloudpubsub googlecloudstorage awss3 awskinesis azureblob \
            azuredataexplorer alertmanager alibabacloud_logservice tencentcloud_logservice dataset doris \
            dynatrace f5cloud instana logicmonitor logzio opencensus parquet sapm sematext skywalking stef \
            tanzuobservability tinybird faro bmchelix
            """
        ),
        (
            .extension,
            """
            health_check pprof zpages file_storage db_storage redis_storage memory_limiter basicauth \
            bearertokenauth oidc oauth2client headers_setter sigv4auth asapclient host_observer docker_observer \
            k8s_observer ecs_observer kafkatopics_observer cfgarden_observer http_forwarder jaegerremotesampling \
            opamp remotetap healthcheckv2 healthcheck memory_ballast cgroup_runtime k8s_leader_elector \
            googleclientauth azureauth awsproxy ack text_encoding json_log_encoding otlp_encoding \
            jaeger_encoding zipkin_encoding avro_log_encoding aws_logs_encoding azure_encoding \
            googlecloudlogentry_encoding skywalking_encoding solarwindsapmsettings sumologic datadog
            """
        ),
    ]
}
