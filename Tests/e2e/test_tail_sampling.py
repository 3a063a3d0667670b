"""Decisions about whole traces are those of a plain model, trace by trace, and what is sampled is whole.

SLUICE_TRACES sets how many traces are made (4000; 200 000 take a minute).
"""

import collections
import os
import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import config, exporter, one_load_at_a_time
from gateway import wait_until

TRACES = int(os.environ.get("SLUICE_TRACES", "4000"))
WAIT_SECONDS = 6
SECOND = 1_000_000_000
SERVICES = ["frontend", "cart", "checkout", "payment", "stock"]
PERCENTAGE = 5

POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 2000}},
    {"name": "many", "type": "span_count", "span_count": {"min_spans": 15}},
    {
        "name": "gold",
        "type": "string_attribute",
        "string_attribute": {"key": "tenant", "values": ["gold"]},
    },
    {
        "name": "server faults",
        "type": "numeric_attribute",
        "numeric_attribute": {"key": "http.response.status_code", "min_value": 500, "max_value": 599},
    },
    {
        "name": "slow payments",
        "type": "and",
        "and": {
            "and_sub_policy": [
                {
                    "name": "payment",
                    "type": "string_attribute",
                    "string_attribute": {"key": "service.name", "values": ["payment"]},
                },
                {"name": "rather slow", "type": "latency", "latency": {"threshold_ms": 1500}},
            ]
        },
    },
    {"name": "retries", "type": "ottl_condition", "ottl_condition": {"span": ['attributes["retry"] == true']}},
    {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": PERCENTAGE}},
    {
        "name": "probes",
        "type": "drop",
        "drop": {
            "drop_sub_policy": [
                {
                    "name": "health",
                    "type": "string_attribute",
                    "string_attribute": {"key": "url.path", "values": ["/health"]},
                }
            ]
        },
    },
]


class Span:
    """What the model knows of a span."""

    def __init__(self, chance, trace, number, start):
        self.trace, self.id = trace, number.to_bytes(8, "big")
        self.service = chance.choices(SERVICES, [5, 4, 3, 1, 4])[0]
        self.start = start + int(chance.random() * 0.3 * SECOND)
        self.end = self.start + int(chance.expovariate(1 / 0.25) * SECOND)
        self.is_error = chance.random() < 0.01
        self.attributes = {"http.response.status_code": chance.choices([200, 404, 503], [96, 3, 1])[0]}
        if chance.random() < 0.01:
            self.attributes["tenant"] = chance.choice(["gold", "silver", "golden"])
        if chance.random() < 0.004:
            self.attributes["retry"] = True
        if chance.random() < 0.02:
            self.attributes["url.path"] = chance.choice(["/health", "/pay"])

    def write(self, scope):
        span = scope.spans.add(
            trace_id=self.trace,
            span_id=self.id,
            name="work",
            start_time_unix_nano=self.start,
            end_time_unix_nano=self.end,
        )
        if self.is_error:
            span.status.code = 2
        for key, value in self.attributes.items():
            slot = span.attributes.add(key=key).value
            if isinstance(value, bool):
                slot.bool_value = value
            elif isinstance(value, int):
                slot.int_value = value
            else:
                slot.string_value = value


def chosen_by_id(trace):
    """FNV-1a of the salt and the id, as the Collector's probabilistic policy has it."""
    value = 0xCBF29CE484222325
    for byte in b"default-hash-seed" + trace:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value <= int(PERCENTAGE / 100 * 2**64)


def model(spans):
    """Whether a trace is to be sampled."""
    milliseconds = (max(span.end for span in spans) - min(span.start for span in spans)) // 1_000_000
    if any(span.attributes.get("url.path") == "/health" for span in spans):
        return False
    return (
        any(span.is_error for span in spans)
        or milliseconds >= 2000
        or len(spans) >= 15
        or any(span.attributes.get("tenant") == "gold" for span in spans)
        or any(500 <= span.attributes["http.response.status_code"] <= 599 for span in spans)
        or (milliseconds >= 1500 and any(span.service == "payment" for span in spans))
        or any(span.attributes.get("retry") for span in spans)
        or chosen_by_id(spans[0].trace)
    )


def make_traces(chance, count, first=0):
    traces = []
    for number in range(first, first + count):
        trace = chance.randbytes(8) + (number + 1).to_bytes(8, "big")
        start = 1_764_000_000 * SECOND + int(chance.random() * 3600 * SECOND)
        size = min(20, 1 + int(chance.expovariate(1 / 4)))
        traces.append([Span(chance, trace, number * 32 + index + 1, start) for index in range(size)])
    return traces


def requests_of(spans, size=400):
    """Requests of so many spans, sorted by service as senders would have them."""
    for begin in range(0, len(spans), size):
        request = ExportTraceServiceRequest()
        by_service = collections.defaultdict(list)
        for span in spans[begin : begin + size]:
            by_service[span.service].append(span)
        for service, members in by_service.items():
            resource = request.resource_spans.add()
            resource.resource.attributes.add(key="service.name").value.string_value = service
            scope = resource.scope_spans.add()
            for span in members:
                span.write(scope)
        yield request


def received_ids(*backends):
    """Span ids of each trace that arrived, as often as they did."""
    found = collections.defaultdict(list)
    for backend in backends:
        for request in backend.received():
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found[span.trace_id].append(span.span_id)
    return found


def sampler(wait=WAIT_SECONDS, **keys):
    caches = {"sampled_cache_size": 500_000, "non_sampled_cache_size": 500_000}
    base = {"decision_wait": f"{wait}s", "num_traces": 500_000, "decision_cache": caches, "policies": POLICIES}
    return {"tail_sampling": {**base, **keys}}


@one_load_at_a_time
def test_decisions_are_those_of_the_model(gateway, backend, clients):
    """If it failed, traces that somebody needs would be missing, whole or in part, or others would be paid for."""
    chance = random.Random(20)
    behind = backend(options={"grpc.max_receive_message_length": 64 << 20})
    running = gateway(config({"otlp_grpc": exporter(behind)}, sampler(), signals=["traces"]))
    client = clients.grpc(running)
    expected = {}
    spans_sent = 0
    # The spans of 500 traces come mixed, each window within a part of the wait.
    for first in range(0, TRACES, 500):
        traces = make_traces(chance, min(500, TRACES - first), first)
        spans = [span for trace in traces for span in trace]
        chance.shuffle(spans)
        for request in requests_of(spans):
            client.export(request)
        spans_sent += len(spans)
        for trace in traces:
            expected[trace[0].trace] = sorted(span.id for span in trace) if model(trace) else None

    def decided():
        page = running.metrics()
        return page.sum("otelcol_processor_tail_sampling_global_count_traces_sampled") == TRACES

    wait_until(decided, "all traces are decided", WAIT_SECONDS + 20, 0.2)
    wanted = sum(len(spans) for spans in expected.values() if spans)
    wait_until(
        lambda: running.metrics().sum("otelcol_exporter_sent_spans") >= wanted,
        lambda: f"{wanted} sampled spans of {spans_sent}",
        30,
        0.2,
    )
    found = received_ids(behind)
    # Both kinds, many of each: else the comparison would say nothing.
    sampled = sum(1 for spans in expected.values() if spans)
    assert TRACES * 0.15 < sampled < TRACES * 0.6
    wrong = [trace.hex() for trace, spans in expected.items() if sorted(found.get(trace, [])) != (spans or [])]
    assert wrong == [], f"{len(wrong)} of {TRACES} traces differ"
    assert set(found) <= set(expected)
