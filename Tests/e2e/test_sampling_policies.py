"""Each policy of `tail_sampling`, and what may be combined of them, against a plain model of the Collector's.

One gateway has a pipeline for each case, and all of them get the same traces.
"""

import re

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import otlp
from gateway import wait_until
from otlp_json import decode
from test_tail_sampling import chosen_by_id

START = 1_700_000_000_000_000_000
MILLISECOND = 1_000_000
WIDE = 100_000
# Of policies.
LISTS = ("and", "drop")
CODES = {"UNSET": 0, "OK": 1, "ERROR": 2}


class Span:
    """A span, in a resource with these attributes."""

    def __init__(self, begin=0, end=10, status=0, state="", flags=0, event="", resource=None, **attributes):
        self.start, self.end = START + begin * MILLISECOND, START + end * MILLISECOND
        self.status, self.state, self.flags, self.event = status, state, flags, event
        self.resource, self.attributes = resource or {"service.name": "checkout"}, attributes


TRACES = [
    [Span(env="prod", n=1, status=1)],
    [Span(end=900, env="dev")],
    [Span(end=20, status=1), Span(status=2)],
    [Span(end=500)],
    [Span(n=50, env="prod")],
    [Span(n=50.0)],
    [Span(env="prod-eu", n="50")],
    [Span(flag=True), Span(flag=False)],
    [Span(end=10 + more) for more in range(5)],
    [Span(url="/health"), Span(flag=False)],
    [Span(state="vendor=a,tier=gold")],
    [Span(state="tier = gold")],
    [Span(state="Bad=1,tier=gold")],
    [Span(flags=1)],
    [Span(event="exception")],
    [Span(n=-5)],
    [Span(end=100), Span(begin=2900, end=3000)],
    [Span(flag="true", n=True)],
    [Span(end=10), Span(end=1000)],
    [Span(end=1000), Span(end=10)],
    [Span(begin=10, end=0)],
    [Span(n=100)],
    [Span(n=float("nan"))],
    [Span(n=10, env="")],
    [Span(env="PROD")],
    [Span(resource={"service.name": "cart", "env": "prod", "n": 50, "flag": True}, status=2)],
    [
        Span(resource={"service.name": "a"}, end=5),
        Span(resource={"service.name": "b", "env": ""}, end=700, n=50),
    ],
]


def identifier(number):
    return b"policies" + number.to_bytes(8, "big")


def anywhere(spans, key, matches):
    """Whether an attribute of a span or of its resource matches."""
    return any(
        key in attributes and matches(attributes[key], is_span)
        for span in spans
        for attributes, is_span in ((span.resource, False), (span.attributes, True))
    )


def state_of(header):
    """The members of a tracestate; nothing when it breaks W3C's rules anywhere."""
    members = {}
    for member in filter(None, header.split(",")):
        match = re.fullmatch(r"[ \t]*([a-z][a-z0-9_*/-]*)=([ -+\--<>-~]*[!-+\--<>-~])[ \t]*", member)
        if not match or match[1] in members:
            return {}
        members[match[1]] = match[2]
    return members


def is_slow(keys, spans):
    """Looked at span after span: with an upper bound an early span inside of it is enough."""
    least, most = keys.get("threshold_ms", 0), keys.get("upper_threshold_ms", 0)
    for count in range(1, len(spans) + 1):
        seen = spans[:count]
        taken = max(span.end for span in seen) - min(span.start for span in seen)
        taken = abs(taken) // MILLISECOND * (1 if taken >= 0 else -1)
        if taken >= least if most == 0 else least < taken <= most:
            return True
    return False


def number_matches(keys):
    least, most = keys.get("min_value", 0), keys.get("max_value", 0)

    def matches(value, _):
        whole = value if type(value) is int else 0
        return (least == 0 or whole >= least) and (most == 0 or whole <= most)

    return matches


def text_matches(keys):
    values = keys["values"]

    def matches(value, is_span):
        text = value if type(value) is str else ""
        if is_span and not text:
            return False
        if keys.get("enabled_regex_matching"):
            return any(re.search(value, text) for value in values)
        return text in values and text != ""

    return matches


def says(policy, number, spans):
    """What a policy says of a trace: True, False or "dropped"."""
    kind = policy["type"]
    keys = policy.get(kind) or {}
    parts = keys.get(f"{kind}_sub_policy", []) if kind in LISTS else []
    members = [says(part, number, spans) for part in parts]
    match kind:
        case "always_sample":
            return True
        case "latency":
            return is_slow(keys, spans)
        case "numeric_attribute":
            return anywhere(spans, keys["key"], number_matches(keys)) != keys.get("invert_match", False)
        case "string_attribute":
            return anywhere(spans, keys["key"], text_matches(keys)) != keys.get("invert_match", False)
        case "boolean_attribute":
            wanted = keys.get("value", False)
            found = anywhere(spans, keys["key"], lambda value, _: (value is True) == wanted)
            return found != keys.get("invert_match", False)
        case "status_code":
            return any(span.status in [CODES[code] for code in keys["status_codes"]] for span in spans)
        case "span_count":
            return keys.get("min_spans", 0) <= len(spans) <= (keys.get("max_spans", 0) or len(spans))
        case "trace_state":
            return any(state_of(span.state).get(keys["key"]) in keys["values"] for span in spans)
        case "trace_flags":
            return any(span.flags & 1 for span in spans)
        case "probabilistic":
            return keys["sampling_percentage"] >= 100 or chosen_by_id(identifier(number))
        case "rate_limiting":
            return len(spans) <= keys.get("burst_capacity", 2 * keys["spans_per_second"])
        case "bytes_limiting":
            return keys["bytes_per_second"] > 0
        case "and":
            return all(members)
        case "drop":
            return "dropped" if all(members) else False
        case "not":
            return not says(keys["not_sub_policy"], number, spans)
        case "composite":
            return from_composite(keys, number, spans)
    raise AssertionError(kind)


def from_composite(keys, number, spans):
    """The first that samples, if it has a share; shares here are nothing or more than there is."""
    parts, most = keys["composite_sub_policy"], keys["max_total_spans_per_second"]
    shares = {
        each["policy"]: each["percent"] / 100 * most if each["percent"] > 0 else most / len(parts)
        for each in keys.get("rate_allocation", [])
    }
    for part in parts:
        if says(part, number, spans):
            return shares.get(part["name"], 0) > 0
    return False


def model(policies, number, spans):
    said = [says(policy, number, spans) for policy in policies]
    return True in said and "dropped" not in said


def policy(kind, name="first", **keys):
    return {"name": name, "type": kind, **({kind: keys} if keys else {})}


def text(name="first", **keys):
    return policy("string_attribute", name, **keys)


ERRORS = policy("status_code", "errors", status_codes=["ERROR"])
ALL = policy("always_sample", "all")
PRODUCTION = text("production", key="env", values=["prod"])


def composite(*parts, most=WIDE, **shares):
    allocation = [{"policy": name, "percent": percent} for name, percent in shares.items()]
    keys = {
        "max_total_spans_per_second": most,
        "composite_sub_policy": list(parts),
        "rate_allocation": allocation,
    }
    return policy("composite", "composite", **keys)


def number(**keys):
    return policy("numeric_attribute", key="n", **keys)


CASES = [
    [policy("boolean_attribute", key="flag", value=value, invert_match=inverts)]
    for value in (True, False)
    for inverts in (True, False)
]
CASES += [
    [policy("latency", **keys)]
    for keys in (
        {"threshold_ms": 500},
        {"threshold_ms": 10, "upper_threshold_ms": 500},
        {"upper_threshold_ms": 100},
        {"threshold_ms": 5, "upper_threshold_ms": 50},
        {"threshold_ms": 500, "upper_threshold_ms": 100},
        {"threshold_ms": -10},
        {"threshold_ms": -5},
    )
]
CASES += [
    [number(**bounds, invert_match=inverts)]
    for bounds in (
        {"min_value": 50},
        {"max_value": 10},
        {"min_value": 50, "max_value": 50},
        {"min_value": -10, "max_value": -1},
        {"min_value": -10},
        {"min_value": 60, "max_value": 10},
    )
    for inverts in (True, False)
]
CASES += [
    [text(key=key, values=values, enabled_regex_matching=is_pattern, invert_match=inverts)]
    for key, values, is_pattern in (
        ("env", ["prod"], False),
        ("env", ["dev", "PROD"], False),
        ("env", [""], False),
        ("env", [], False),
        ("n", ["50"], False),
        ("service.name", ["cart", "b"], False),
        ("env", ["pro"], True),
        ("env", ["^prod$"], True),
        ("env", ["(?i)^prod"], True),
        ("env", [""], True),
        ("env", [], True),
        ("n", [".*"], True),
    )
    for inverts in (True, False)
]
CASES += [
    [policy("status_code", status_codes=codes)] for codes in (["OK"], ["UNSET"], ["ERROR"], ["ERROR", "OK"])
]
CASES += [
    [policy("span_count", **keys)]
    for keys in (
        {"min_spans": 2},
        {"max_spans": 1},
        {"min_spans": 2, "max_spans": 3},
        {"min_spans": 3, "max_spans": 2},
    )
]
CASES += [[policy("trace_state", key="tier", values=values)] for values in (["gold"], ["silver"], [])]
CASES += [
    [policy("trace_flags")],
    [policy("probabilistic", sampling_percentage=5)],
    [policy("probabilistic", sampling_percentage=150)],
    [policy("rate_limiting", spans_per_second=0)],
    [policy("rate_limiting", spans_per_second=1, burst_capacity=WIDE)],
    [policy("bytes_limiting", bytes_per_second=0)],
    [policy("bytes_limiting", bytes_per_second=1 << 30)],
    [policy("and", and_sub_policy=[])],
    [policy("and", and_sub_policy=[ERRORS, policy("span_count", "two", min_spans=2)])],
    [policy("and", and_sub_policy=[ERRORS, policy("not", "no", not_sub_policy=PRODUCTION)])],
    [policy("not", not_sub_policy=ALL)],
    [policy("not", not_sub_policy=policy("not", "no", not_sub_policy=ERRORS))],
    [
        policy(
            "not",
            not_sub_policy=policy(
                "and", "both", and_sub_policy=[ERRORS, policy("span_count", "two", min_spans=2)]
            ),
        )
    ],
    [ALL, policy("drop", drop_sub_policy=[ERRORS])],
    [policy("drop", drop_sub_policy=[ERRORS, policy("span_count", "two", min_spans=2)]), ALL],
    [policy("drop", drop_sub_policy=[ERRORS]), policy("drop", "second", drop_sub_policy=[PRODUCTION]), ALL],
    [policy("drop", drop_sub_policy=[policy("not", "no", not_sub_policy=PRODUCTION)]), ALL],
    [policy("drop", drop_sub_policy=[]), ALL],
    [policy("drop", drop_sub_policy=[ERRORS])],
    [text(key="env", values=["prod"], invert_match=True), ERRORS],
    [composite(ERRORS, ALL, errors=50, all=50)],
    [composite(ERRORS, ALL, errors=50)],
    [composite(ERRORS, ALL, errors=0, all=0)],
    [composite(ERRORS, ALL)],
    [composite(ALL, all=500)],
    [composite(ALL, most=0, all=100)],
    [
        composite(
            policy("and", "both", and_sub_policy=[ERRORS, policy("span_count", "two", min_spans=2)]), both=100
        )
    ],
]


def request():
    message = ExportTraceServiceRequest()
    for number, spans in enumerate(TRACES):
        for place, each in enumerate(spans):
            resource = message.resource_spans.add()
            fill(resource.resource.attributes, each.resource)
            span = resource.scope_spans.add().spans.add(
                trace_id=identifier(number),
                span_id=(place + 1).to_bytes(8, "big"),
                name="work",
                start_time_unix_nano=each.start,
                end_time_unix_nano=each.end,
                trace_state=each.state,
                flags=each.flags,
            )
            span.status.code = each.status
            if each.event:
                span.events.add(name=each.event)
            fill(span.attributes, each.attributes)
    return message


def fill(list_of_attributes, values):
    for key, value in values.items():
        slot = list_of_attributes.add(key=key).value
        kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
        setattr(slot, kind, value)


def kept(path):
    """Spans by trace in a file."""
    counts = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        for resource in decode(line)[1].resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    counts[span.trace_id] = counts.get(span.trace_id, 0) + 1
    return counts


@pytest.mark.parametrize("keys", [{}, {"sample_on_first_match": True}], ids=["all", "first match"])
def test_policies_say_what_the_collectors_do(gateway, clients, tmp_path, keys):
    """If it failed, a configuration taken over from a Collector would keep other traces."""
    names = range(len(CASES))
    pipelines = {
        f"traces/{name}": {
            "receivers": ["otlp"],
            "processors": [f"tail_sampling/{name}"],
            "exporters": [f"file/{name}"],
        }
        for name in names
    }
    sampling = {"decision_wait": "1s", "num_traces": 1000, **keys}
    running = gateway(
        {
            "receivers": otlp(),
            "processors": {f"tail_sampling/{name}": {**sampling, "policies": CASES[name]} for name in names},
            "exporters": {f"file/{name}": {"path": str(tmp_path / f"{name}.jsonl")} for name in names},
            "service": {"pipelines": pipelines},
        }
    )
    clients.grpc(running).export(request())
    total = len(TRACES) * len(CASES)
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    wait_until(lambda: running.metrics().sum(decided) == total, "all traces are decided", 30, 0.2)
    running.stop()
    for name in names:
        expected = {
            identifier(number): len(spans)
            for number, spans in enumerate(TRACES)
            if model(CASES[name], number, spans)
        }
        assert kept(tmp_path / f"{name}.jsonl") == expected, CASES[name]
