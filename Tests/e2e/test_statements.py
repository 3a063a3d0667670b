"""Random statements on random requests, by the gateway and by a plain model of what they mean.

SLUICE_SEED gives another sequence, SLUICE_SECONDS makes it run longer.
"""

import json
import os
import random
import subprocess
import time

import pytest

import ottl_model as model
from gateway import BINARY
from otlp_values import attributes, entries, plain, wire
from ottl_maker import Maker

SEED = int(os.environ.get("SLUICE_SEED", "1"))
SECONDS = float(os.environ.get("SLUICE_SECONDS", "6"))
RECORDS = 25
SHAPES = {
    "logs": (model.LOG, "resourceLogs", "scopeLogs", "logRecords", "log_statements"),
    "traces": (model.SPAN, "resourceSpans", "scopeSpans", "spans", "trace_statements"),
}


def random_value(source, depth=2):
    options = [None, True, 0, 7, -3, 500, 1.5, 2.0, 0.25, *Maker.TEXTS]
    roll = source.random()
    if depth and roll < 0.15:
        return [random_value(source, depth - 1) for _ in range(source.randrange(4))]
    if depth and roll < 0.35:
        return {
            key: random_value(source, depth - 1)
            for key in source.sample(["x", "y", "z"], source.randrange(3))
        }
    return source.choice(options)


def random_map(source):
    keys = source.sample(Maker.KEYS, source.randrange(len(Maker.KEYS)))
    return {key: random_value(source) for key in keys}


def random_resources(source, places):
    """Resources, each a list of records that share it."""
    resources = []
    for _ in range(RECORDS // 5):
        shared = random_map(source)
        records = []
        for _ in range(5):
            record = {
                "resource": shared,
                "attributes": random_map(source),
                places["number"]: source.randrange(1, 5),
            }
            record[places["text"]] = source.choice(["INFO", "GET /a", "aXb"])
            if places["any"]:
                record[places["any"]] = random_value(source)
            records.append(record)
        resources.append(records)
    return resources


def item_json(record, places, names):
    item = {"attributes": attributes(record["attributes"])}
    item[names[places["text"]]] = record[places["text"]]
    item[names[places["number"]]] = record[places["number"]]
    if places["any"]:
        item[names[places["any"]]] = wire(record[places["any"]])
    return item


NAMES = {
    "severity_text": "severityText",
    "severity_number": "severityNumber",
    "body": "body",
    "name": "name",
    "kind": "kind",
}


def request(resources, signal):
    places, outer, middle, inner, _ = SHAPES[signal]
    return {
        outer: [
            {
                "resource": {"attributes": attributes(records[0]["resource"])},
                middle: [{inner: [item_json(record, places, NAMES) for record in records]}],
            }
            for records in resources
        ]
    }


def facts(resource, signal):
    """What is compared of a resource of a request: values, whatever the order of keys."""
    places, _, middle, inner, _ = SHAPES[signal]
    items = []
    for item in resource[middle][0][inner]:
        fact = {"attributes": entries(item.get("attributes"))}
        for place in (places["text"], places["number"]):
            fact[place] = item.get(NAMES[place], "" if place == places["text"] else 0)
        if places["any"]:
            fact["body"] = plain(item.get("body"))
        items.append(fact)
    return {"resource": entries(resource.get("resource", {}).get("attributes")), "items": items}


def typed(value):
    """Tells 1 from 1.0 and true."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value).__name__, value)


def transformed(folder, signal, statements, text):
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "processors": {
            "transform": {
                "error_mode": "silent",
                SHAPES[signal][4]: [
                    {
                        "context": SHAPES[signal][0]["context"],
                        "statements": [line.replace("$", "$$") for line in statements],
                    }
                ],
            }
        },
        "exporters": {"nop": None},
        "service": {
            "pipelines": {signal: {"receivers": ["otlp"], "processors": ["transform"], "exporters": ["nop"]}}
        },
    }
    (folder / "gateway.yaml").write_text(json.dumps(config))
    words = [
        BINARY,
        "transform",
        "--config",
        str(folder / "gateway.yaml"),
        "--pipeline",
        signal,
        "--show",
        "result",
    ]
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, "\n".join([done.stderr, *statements])
    return json.loads(done.stdout)


@pytest.mark.parametrize("signal", SHAPES)
def test_statements_do_what_a_plain_model_says(tmp_path, signal):
    """Editing the wire is intricate: what it does must be what the language says, on every request."""
    places, outer = SHAPES[signal][:2]
    end = time.monotonic() + SECONDS
    compared = 0
    number = 0
    while time.monotonic() < end or compared < 3:
        number += 1
        source = random.Random(f"{SEED} {signal} {number}")
        maker = Maker(source, places)
        statements = [maker.statement() for _ in range(source.randrange(1, 9))]
        resources = random_resources(source, places)
        before = request(resources, signal)
        text = json.dumps(before)
        try:
            for records in resources:
                for record in records:
                    model.run([run for _, run in statements], record)
        except (model.Unknown, OverflowError):
            continue
        expected = request(resources, signal)[outer]
        lines = [line for line, _ in statements]
        found = transformed(tmp_path, signal, lines, text)[outer]
        for old, one, two in zip(before[outer], expected, found, strict=True):
            wanted, came = facts(one, signal), facts(two, signal)
            assert typed(wanted) == typed(came), "\n".join(
                [
                    f"SLUICE_SEED={SEED}, number {number}",
                    *lines,
                    f"before: {facts(old, signal)}",
                    f"wanted: {wanted}",
                    f"came:   {came}",
                ]
            )
        compared += 1
    assert compared > 2
