/// What an operator can do about a component that is not built: the nearest thing that is.
func insteadOf(_ type: String, _ kind: ComponentKind) -> String {
    if let instead = nearestBuilt[type] { return instead }
    switch kind {
    case .receiver:
        return "let a Collector with this receiver send OTLP here, or remove it from the pipelines"
    case .processor:
        return "remove it from the pipelines, or do this in the SDKs or Collectors that send here"
    case .exporter: return "send OTLP to a Collector that has this exporter: otlp_grpc or otlp_http"
    case .extension: return "remove it here and from service::extensions"
    case .connector: return "remove it, and name the exporters in each pipeline"
    }
}

private let nearestBuilt = [
    "jaeger": "Jaeger's backend takes OTLP: use otlp_grpc with its port 4317, or otlp_http with 4318",
    "zipkin":
        "send OTLP with otlp_grpc or otlp_http: to the backend, or to a Collector that has this exporter",
    "opencensus": "OpenCensus has ended; use OTLP in the clients",
    "prometheusremotewrite": "scrape the targets themselves, with the prometheus receiver",
    "simpleprometheus": "write the target under the prometheus receiver's scrape_configs",
    "prometheus_simple": "write the target under the prometheus receiver's scrape_configs",
    "otelarrow": "use otlp, which the other side understands, too",
    "queued_retry": "the exporters have it: write sending_queue and retry_on_failure there",
    "queuebatch": "write sending_queue::batch in the exporters, or use the batch processor",
    "oauth2client": "let a proxy beside the gateway add the token",
    "sigv4auth": "let a proxy beside the gateway sign the requests (aws-sigv4-proxy)",
    "oidc": "put an authenticating proxy before the gateway, and remove it here and from service::extensions",
    "memory_limiter": "use the memory_limiter processor, which refuses before a body is read",
    "jaegerremotesampling": "let the SDKs ask a Collector or Jaeger for their sampling strategies",
    "k8s_observer": "use the prometheus receiver's kubernetes_sd_configs",
    "routing": "use the routing connector",
    "servicegraph": "use the service_graph connector",
    "spanmetrics": "use the span_metrics connector",
    "healthcheck": "use health_check",
    "db_storage": "use file_storage",
    "redis_storage": "use file_storage",
]
