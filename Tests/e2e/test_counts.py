"""Every count adds up while everything fails at random. SLUICE_LONG=1: for ten minutes."""

import os
import random
import socket
import time

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import data
from backend import refuse
from client import GRPCClient
from conftest import exporter, one_load_at_a_time
from gateway import Balance, wait_until
from load import Load, take_numbers
from metrics import repeatedly
from tally import Tally, tallied
from test_delivery import on_disk, stored_config

pytestmark = one_load_at_a_time
LONG = bool(os.environ.get("SLUICE_LONG"))
CODES = [
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DEADLINE_EXCEEDED,
]
SIZED = {"sizer": "items"}
QUICK = {"initial_interval": "20ms", "max_interval": "40ms", "max_elapsed_time": "300ms"}


class Fickle:
    """A destination's answers: everything that it may say."""

    def __init__(self):
        self.works = False
        self.kinds = {}

    def __call__(self, request, context):
        if self.works:
            return None
        dice = random.random()
        if dice < 0.3:
            self._note("refused")
            refuse(context, random.choice(CODES), random.choice([None, 0.01]))
        elif dice < 0.38:
            self._note("too slow")
            time.sleep(0.4)
        elif dice < 0.42:
            self._note("too large")
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (9 vs. 8)")
        elif dice < 0.5:
            self._note("rejected in part")
            response = ExportTraceServiceResponse()
            response.partial_success.rejected_spans = random.randrange(1, 4)
            return response
        return None

    def _note(self, kind):
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def parts(page, name):
    """What became of the items of an exporter, each number counted by somebody else."""
    labels = {"exporter": name}
    found = {
        each: page.sum(f"otelcol_exporter_{each}_spans", **labels) for each in ("sent", "send_failed", "enqueue_failed")
    }
    # The queue's own count, not what is missing from the others.
    found["queued"] = page.sum("otelcol_exporter_queue_size", **labels)
    return found


def check(running, names):
    """With nothing new coming, accepted = sent + failed + dropped + queued, exactly, for every exporter."""
    seen = {}

    def adds_up():
        page = running.metrics()
        accepted = page.sum("otelcol_receiver_accepted_spans")
        seen.update({name: (accepted, parts(page, name)) for name in names})
        return all(accepted == sum(found.values()) for accepted, found in seen.values())

    # A page that is made while a batch moves from one number to another is not a fault; one that stays so is.
    wait_until(adds_up, lambda: f"accepted and its parts: {seen}", timeout=20)
    return {name: found["queued"] for name, (_, found) in seen.items()}


def breaks_off(running):
    """A client that goes away in the middle of a request."""
    with socket.create_connection(("127.0.0.1", running.http_port)) as client:
        body = data.spans(10, first=take_numbers(10)).SerializeToString()
        head = f"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body[: random.randrange(len(body))])


def sends_nonsense(running):
    client = GRPCClient(running.grpc_port)
    try:
        client.export(data.spans(3, first=take_numbers(3)), timeout=0.001)
    except grpc.RpcError:
        pass
    finally:
        client.close()
    with socket.create_connection(("127.0.0.1", running.http_port)) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 3\r\n\r\n\x0a\xff\xff")
        client.recv(4096)


def test_everything_fails_at_random(gateway, backend, tmp_path):
    """If it failed, items would disappear without a count, or be counted twice."""
    seed = int(os.environ.get("SLUICE_SEED", "7"))
    random.seed(seed)
    answers = Fickle()
    flaky, keeper, fine, disk = backend(answer=answers), backend(), backend(), backend(answer=answers)
    at_keeper, at_fine = tallied(keeper), tallied(fine)
    tallied(flaky), tallied(disk)
    exporters = {
        "otlp/flaky": exporter(
            flaky,
            timeout="200ms",
            on_permanent_failure="otlp/keeper",
            max_request_bytes=20_000,
            sending_queue={"queue_size": 400, **SIZED},
            retry_on_failure=QUICK,
        ),
        "otlp/keeper": exporter(keeper, sending_queue={"queue_size": 1_000_000, **SIZED}),
        "otlp/disk": on_disk(disk, queue_size=400, **SIZED),
        "otlp/gathered": exporter(
            flaky,
            timeout="200ms",
            sending_queue={
                "queue_size": 3000,
                **SIZED,
                "batch": {"flush_timeout": "30ms", "min_size": 40, "max_size": 70, "sizer": "items"},
            },
            retry_on_failure={**QUICK, "enabled": False},
        ),
        "otlp/fine": exporter(fine, sending_queue={"queue_size": 1_000_000, **SIZED}),
    }
    configuration = stored_config(tmp_path, exporters, max_size_mib=4)
    configuration["processors"] = {"batch": {"timeout": "20ms", "send_batch_size": 50, "send_batch_max_size": 120}}
    pipeline = configuration["service"]["pipelines"]["traces"]
    pipeline["processors"] = ["batch"]
    names = ["otlp/flaky", "otlp/disk", "otlp/gathered", "otlp/fine"]
    pipeline["exporters"] = names
    running = gateway(configuration)
    acknowledged, looks, refusals, most = Tally(), 0, 0, {}
    begun = time.monotonic()
    with Balance(running, names) as balance:
        balance.pause = 0.05
        while time.monotonic() - begun < (600 if LONG else 6):
            loads = [
                Load(running, clients=2, padding=random.choice([0, 300, 1000]), pause=0.01 if LONG else 0),
                Load(running, clients=2, spans=7, transport="http", pause=0.01 if LONG else 0),
            ]
            for load in loads:
                load.acknowledged = acknowledged
                load.start()
            with repeatedly(lambda: breaks_off(running), 0.05), repeatedly(lambda: sends_nonsense(running), 0.1):
                end = time.monotonic() + random.uniform(0.5, 2)
                while time.monotonic() < end:
                    time.sleep(random.uniform(0.1, 0.4))
                    victim = random.choice([flaky, disk])
                    victim.stop()
                    time.sleep(random.uniform(0.0, 0.5))
                    victim.start()
            for load in loads:
                load.stop()
                refusals += len(load.refusals)
            # Nothing new comes; what fails goes on failing.
            for name, queued in check(running, names).items():
                most[name] = max(most.get(name, 0), queued)
            looks += 1
    # However fast the machine: queues run over once.
    flaky.stop()
    load = Load(running, clients=2, padding=1000)
    load.acknowledged = acknowledged
    load.start()
    wait_until(lambda: running.metrics().sum("otelcol_exporter_enqueue_failed_spans") > 0, "a full queue", 60)
    load.stop()
    refusals += len(load.refusals)
    for name, queued in check(running, names).items():
        most[name] = max(most.get(name, 0), queued)
    flaky.start()
    answers.works = True
    wait_until(lambda: not any(check(running, names).values()), lambda: running.metrics().text, timeout=90)
    page = running.metrics()
    accepted = page.sum("otelcol_receiver_accepted_spans")
    letters = page.sum("sluice_exporter_dead_letter_spans")
    print(f"seed {seed}: {accepted} spans accepted, {acknowledged.distinct()} acknowledged, {refusals} requests refused")
    print(f"{looks} looks with nothing new coming, all exact; most queued then: {most}; answers: {answers.kinds}")
    for name in (*names, "otlp/keeper"):
        print(name, parts(page, name))
    # Backends that always work have exactly what is counted as sent, and every acknowledged span once.
    assert at_fine.total() == page.sum("otelcol_exporter_sent_spans", exporter="otlp/fine") == accepted
    assert at_fine.most() == 1 and at_fine.lacks(acknowledged) == 0
    assert letters == at_keeper.total() == page.sum("otelcol_exporter_sent_spans", exporter="otlp/keeper") > 0
    for name in ("otlp/flaky", "otlp/gathered", "otlp/disk"):
        assert page.sum("otelcol_exporter_send_failed_spans", exporter=name) > 0, name
    assert page.sum("otelcol_exporter_enqueue_failed_spans") > 0
    assert max(most.values()) > 0, "something was queued when it was looked at"
    assert len(answers.kinds) == 4
    running.stop()
