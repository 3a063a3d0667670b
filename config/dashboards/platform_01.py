"""The dashboard of the applications and the pods."""

from panels import dashboard, graph, variable


def platform():
    """The guide's dashboard of an application, from the metrics that OpenTelemetry's SDKs send."""
    labels = 'job=~"$job"'
    count = "http_server_request_duration_seconds_count"
    errors = f'sum by (job) (rate({count}{{{labels}, http_response_status_code=~"5.."}}[$__rate_interval]))'
    requests = f"sum by (job) (rate({count}{{{labels}}}[$__rate_interval]))"
    bucket = f"http_server_request_duration_seconds_bucket{{{labels}}}"
    latency = [
        (f"histogram_quantile({share}, sum by (le) (rate({bucket}[$__rate_interval])))", name)
        for share, name in ((0.5, "P50"), (0.95, "P95"), (0.99, "P99"))
    ]
    traffic = [
        graph("Request rate", [(requests, "{{job}}")], "reqps"),
        graph(
            "Error rate",
            [(f"{errors} / {requests}", "{{job}}")],
            "percentunit",
            description="Share answered with 5xx.",
        ),
        graph(
            "Latency",
            latency,
            "s",
            description="Points are exemplars: each leads to its trace.",
            exemplars=True,
        ),
    ]
    pods = [
        graph(
            "CPU",
            [
                (
                    'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{namespace=~"platform-0[123]", '
                    'container!=""}[$__rate_interval]))',
                    "{{namespace}}/{{pod}}",
                )
            ],
        ),
        graph(
            "Memory",
            [
                (
                    'sum by (namespace, pod) (container_memory_working_set_bytes{namespace=~"platform-0[123]", '
                    'container!=""})',
                    "{{namespace}}/{{pod}}",
                )
            ],
            "bytes",
        ),
        graph(
            "Restarts",
            [
                (
                    'increase(kube_pod_container_status_restarts_total{namespace=~"platform-0[123]"}[1h])',
                    "{{pod}}",
                )
            ],
        ),
        graph("Backends that answer", [('sum by (app) (up{job="platform"})', "{{app}}")], width=12),
        graph(
            "Alerts that fire",
            [('sum by (alertname, severity) (ALERTS{alertstate="firing"})', "{{severity}} {{alertname}}")],
            width=12,
        ),
    ]
    variables = [variable("job", count, "job")]
    rows = [("Requests", traffic), ("Pods", pods)]
    return dashboard(
        "platform-01",
        "Platform-01",
        "Requests, errors, latency of the applications; the pods.",
        variables,
        rows,
    )
