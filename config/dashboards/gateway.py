"""The dashboard of the gateways' own metrics."""

from panels import NOUNS, POD, dashboard, each_signal, graph, rate, variable


def gateway():
    """The gateway's own metrics, in the order of the data's way."""
    exporter = POD + ', exporter=~"$exporter"'
    receiver = POD + ', receiver=~"$receiver"'
    sent, failed, dropped = (
        " + ".join(
            f'sum({{__name__=~"otelcol_exporter_{what}_{noun}(_total)?", {POD}}})' for noun in NOUNS.values()
        )
        for what in ("sent", "send_failed", "enqueue_failed")
    )
    accepted = " + ".join(
        f'sum({{__name__=~"(otelcol_receiver_accepted|sluice_exporter_recovered)_{noun}(_total)?", {POD}}})'
        for noun in NOUNS.values()
    )
    overview = [
        graph("Gateways that answer", [(f"sum(up{{{POD}}})", "up")], kind="stat", width=4),
        graph(
            "Version",
            [('count by (service_version) (target_info{job="sluice"})', "{{service_version}}")],
            kind="stat",
            width=4,
        ),
        graph(
            "Uptime", [(f"min by (pod) (otelcol_process_uptime{{{POD}}})", "{{pod}}")], "s", 8, kind="stat"
        ),
        graph(
            "Accepted − sent − failed − dropped = pending",
            [
                (f"({accepted}) - ({sent}) - ({failed}) - ({dropped})", "unaccounted for"),
                (f"sum(sluice_exporter_pending_items{{{POD}}})", "pending"),
            ],
            description="Both lines are one where every signal has one exporter. What is not flat piles up.",
        ),
    ]
    inward = [
        graph("Accepted", each_signal("otelcol_receiver_accepted", "transport", receiver), "cps", stack=True),
        graph("Refused after reading", each_signal("otelcol_receiver_refused", "transport", receiver), "cps"),
        graph(
            "Requests not taken",
            [
                (rate(f"sluice_receiver_{what}_requests", receiver, "signal"), f"{label} {{{{signal}}}}")
                for what, label in (
                    ("refused", "load"),
                    ("too_large", "too large"),
                    ("undecodable", "undecodable"),
                )
            ],
            "reqps",
            description="Nobody knows the items in them: they are in no other count.",
        ),
    ]
    outward = [
        graph("Sent", each_signal("otelcol_exporter_sent", "exporter", exporter), "cps", stack=True),
        graph("Failed for good", each_signal("otelcol_exporter_send_failed", "exporter", exporter), "cps"),
        graph(
            "Dropped at a full queue",
            each_signal("otelcol_exporter_enqueue_failed", "exporter", exporter),
            "cps",
        ),
        graph(
            "Share that is delivered",
            [
                (
                    "sum by (exporter) (sluice:exporter_sent:rate5m) / (sum by (exporter) (sluice:exporter_sent:rate5m)"
                    " + sum by (exporter) (sluice:exporter_send_failed:rate5m))",
                    "{{exporter}}",
                )
            ],
            "percentunit",
        ),
        graph(
            "Requests under way",
            [(f"sum by (exporter) (otelcol_exporter_in_flight_requests{{{exporter}}})", "{{exporter}}")],
        ),
        graph("Dead letters", each_signal("sluice_exporter_dead_letter", "exporter", exporter), "cps"),
        graph(
            "Batch size",
            [
                (
                    f"sum by (le) (increase(otelcol_exporter_queue_batch_send_size_bucket{{{exporter}}}"
                    "[$__rate_interval]))",
                    "{{le}}",
                )
            ],
            kind="heatmap",
            width=12,
            description="Items a request, as they leave.",
        ),
        graph(
            "Pages and pushes",
            [
                (rate("sluice_exporter_loki_pushes", POD, "outcome"), "loki {{outcome}}"),
                (rate("sluice_exporter_loki_limited", POD, "reason"), "loki shortened: {{reason}}"),
                (
                    rate("sluice_exporter_prometheus_dropped_points", POD, "reason"),
                    "points dropped: {{reason}}",
                ),
            ],
            "cps",
            width=12,
        ),
    ]
    queues = [
        graph("Fill", [("sluice:queue_fill:ratio", "{{pod}} {{exporter}} {{data_type}}")], "percentunit"),
        graph(
            "Time to full",
            [
                (
                    f"(otelcol_exporter_queue_capacity{{{exporter}}} - otelcol_exporter_queue_size{{{exporter}}})"
                    f" / (deriv(otelcol_exporter_queue_size{{{exporter}}}[15m]) > 0)",
                    "{{pod}} {{exporter}}",
                )
            ],
            "s",
            description="At the growth of the last quarter of an hour; empty while the queue does not grow.",
        ),
        graph(
            "Pending items",
            [
                (
                    f"sum by (exporter, data_type) (sluice_exporter_pending_items{{{exporter}}})",
                    "{{exporter}} {{data_type}}",
                )
            ],
        ),
        graph(
            "Recovered after a restart",
            [
                (
                    f'sum by (exporter) ({{__name__=~"sluice_exporter_recovered_{noun}(_total)?", {exporter}}})',
                    f"{signal} {{{{exporter}}}}",
                )
                for signal, noun in NOUNS.items()
            ],
            width=12,
        ),
        graph(
            "Size in its own unit",
            [(f"otelcol_exporter_queue_size{{{exporter}}}", "{{pod}} {{exporter}} {{data_type}}")],
            width=12,
        ),
    ]
    limit = 'kube_pod_container_resource_limits{container="sluice", namespace=~"$namespace", pod=~"$pod", resource="%s"}'
    resources = [
        graph(
            "Resident memory",
            [(f"otelcol_process_memory_rss{{{POD}}}", "{{pod}}"), (f"max({limit % 'memory'})", "limit")],
            "bytes",
        ),
        graph(
            "Bodies and heap",
            [
                (f"sluice_memory_ledger_bytes{{{POD}}}", "admitted bodies {{pod}}"),
                (f"otelcol_process_runtime_heap_alloc_bytes{{{POD}}}", "heap in use {{pod}}"),
                (f"otelcol_process_runtime_total_sys_memory_bytes{{{POD}}}", "heap from the system {{pod}}"),
            ],
            "bytes",
        ),
        graph(
            "Series held for the page",
            [
                (f"sluice_exporter_prometheus_series{{{POD}}}", "series {{pod}}"),
                (f"sluice_exporter_prometheus_memory_bytes{{{POD}}}", "bytes {{pod}}"),
            ],
        ),
        graph(
            "CPU",
            [(rate("otelcol_process_cpu_seconds"), "{{pod}}"), (f"max({limit % 'cpu'})", "limit")],
            "none",
            description="Cores.",
        ),
        graph(
            "CPU seconds a million items",
            [
                (
                    f'1e6 * {rate("otelcol_process_cpu_seconds")} / sum by (pod) (sluice:receiver_accepted:rate5m)',
                    "{{pod}}",
                )
            ],
            "s",
        ),
        graph(
            "Event loops away from their sockets",
            [
                (
                    f"histogram_quantile({share}, sum by (le) (rate(sluice_event_loop_busy_seconds_bucket{{{POD}}}"
                    "[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "P50"), (0.99, "P99"))
            ],
            "s",
            description="Processor time between two looks: every client of a loop waits that long.",
        ),
    ]
    batches = [
        graph(
            "Items by processor",
            [
                (rate("otelcol_processor_incoming_items", POD, "processor"), "in {{processor}}"),
                (rate("otelcol_processor_outgoing_items", POD, "processor"), "out {{processor}}"),
            ],
            "cps",
            width=12,
        ),
        graph(
            "Limiter",
            [
                (rate("sluice_processor_memory_limiter_refused_requests"), "refused requests {{pod}}"),
                *each_signal("otelcol_processor_memory_limiter_accepted", "pod"),
            ],
            "cps",
            width=12,
        ),
    ]
    batch = "otelcol_processor_batch"
    batches += [
        graph(
            "Batches by what sent them",
            [
                (rate(f"{batch}_batch_size_trigger_send", POD, "processor"), "full {{processor}}"),
                (rate(f"{batch}_timeout_trigger_send", POD, "processor"), "time over {{processor}}"),
            ],
            "ops",
            width=12,
            description="Of the batch processor; empty where exporters batch (sending_queue::batch).",
        ),
        graph(
            "Groups of a batch processor",
            [(f"sum by (pod, processor) ({batch}_metadata_cardinality{{{POD}}})", "{{pod}} {{processor}}")],
            width=12,
            description="Combinations of metadata_keys; at metadata_cardinality_limit new ones are refused.",
        ),
    ]
    audit = [
        graph(
            "Entries",
            [
                (f"sluice_audit_tree_size{{{exporter}}}", "in the log {{pod}}"),
                (f"sluice_audit_checkpoint_size{{{exporter}}}", "under a checkpoint {{pod}}"),
            ],
            description="Of an audit log; empty where no gateway keeps one.",
        ),
        graph(
            "Commit time",
            [
                (
                    f"histogram_quantile({share}, sum by (le) (rate(sluice_audit_commit_seconds_bucket{{{exporter}}}"
                    "[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "P50"), (0.99, "P99"))
            ],
            "s",
        ),
        graph(
            "Age of the oldest entry without a checkpoint",
            [(f"max by (pod, exporter) (sluice_audit_checkpoint_age_seconds{{{exporter}}})", "{{pod}}")],
            "s",
            description="Until it has a signed checkpoint, an entry can be changed unseen.",
        ),
        graph(
            "Records",
            [
                (rate("sluice_audit_appended_records", exporter), "appended {{pod}}"),
                (rate("sluice_audit_duplicate_records", exporter), "known already {{pod}}"),
                (rate("sluice_audit_rejected_records", exporter, "reason"), "rejected: {{reason}}"),
            ],
            "cps",
            width=12,
        ),
        graph(
            "Failures",
            [
                (rate("sluice_audit_failed_commits", exporter), "commits {{pod}}"),
                (
                    f'sum by (pod) ({{__name__=~"sluice_audit_verify_failures(_total)?", {exporter}}})',
                    "not what was written {{pod}}",
                ),
                (rate("sluice_audit_timestamps", exporter), "timestamps {{pod}}"),
                (rate("sluice_audit_failed_timestamps", exporter), "failed timestamps {{pod}}"),
            ],
            width=12,
        ),
    ]
    cluster = [
        graph(
            "Restarts",
            [
                (
                    'increase(kube_pod_container_status_restarts_total{container="sluice", namespace=~"$namespace"}[1h])',
                    "{{pod}}",
                )
            ],
        ),
        graph(
            "Share of the time throttled",
            [
                (
                    'sum by (pod) (rate(container_cpu_cfs_throttled_periods_total{container="sluice", '
                    'namespace=~"$namespace"}[$__rate_interval])) / sum by (pod) (rate(container_cpu_cfs_periods_total'
                    '{container="sluice", namespace=~"$namespace"}[$__rate_interval]))',
                    "{{pod}}",
                )
            ],
            "percentunit",
        ),
        graph(
            "Share of the load",
            [
                (
                    "sum by (pod) (sluice:receiver_accepted:rate5m) / on () group_left ()"
                    " sum(sluice:receiver_accepted:rate5m)",
                    "{{pod}}",
                )
            ],
            "percentunit",
        ),
    ]
    variables = [
        variable("namespace", "up", "namespace", '{job="sluice"}'),
        variable("pod", "up", "pod", '{job="sluice", namespace=~"$namespace"}'),
        variable("receiver", "sluice_receiver_refused_requests", "receiver"),
        variable(
            "exporter", '{__name__=~"(otelcol_exporter_queue_size|sluice_audit_tree_size)"}', "exporter"
        ),
    ]
    rows = [
        ("Overview", overview),
        ("In", inward),
        ("Out", outward),
        ("Queues", queues),
        ("Memory, CPU", resources),
        ("Processors", batches),
        ("Audit", audit),
        ("Kubernetes", cluster),
    ]
    return dashboard(
        "sluice-gateway", "Sluice gateways", "What comes in, what goes out, what waits.", variables, rows
    )
