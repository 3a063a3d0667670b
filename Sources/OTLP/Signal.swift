/// One of the three kinds of telemetry that OTLP carries here.
package enum Signal: UInt8, CaseIterable, Sendable {
    case traces
    case metrics
    case logs
}

extension Signal {
    /// The signal with this name; nil when there is none.
    package init?(name: String) {
        guard let signal = Signal.allCases.first(where: { $0.name == name }) else { return nil }
        self = signal
    }

    /// The name in configuration, log lines and pipelines: `traces`, `metrics`, `logs`.
    package var name: String {
        switch self {
        case .traces: "traces"
        case .metrics: "metrics"
        case .logs: "logs"
        }
    }

    /// The `:path` of the gRPC call that exports this signal.
    package var grpcPath: String {
        switch self {
        case .traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        case .metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        case .logs: "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        }
    }

    /// The default path of the HTTP request that exports this signal.
    package var httpPath: String {
        switch self {
        case .traces: "/v1/traces"
        case .metrics: "/v1/metrics"
        case .logs: "/v1/logs"
        }
    }

    /// The noun for this signal's items in names of our own metrics, as in `otelcol_receiver_accepted_spans`.
    package var itemNoun: String {
        switch self {
        case .traces: "spans"
        case .metrics: "metric_points"
        case .logs: "log_records"
        }
    }
}
