"""`tail_sampling` with `storage`: a sampler that is killed again and again loses no span that it acknowledged.

SLUICE_KILLS sets how often it is killed (5; 100 take three minutes).
"""

import os
import random
import threading
import time

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from client import GRPCClient
from conftest import config, exporter, one_load_at_a_time, otlp
from gateway import LOOPBACK, free_port, wait_until
from test_tail_sampling import received_ids

KILLS = int(os.environ.get("SLUICE_KILLS", "5"))
WAIT_SECONDS = 3
POLICIES = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]


class Sender(threading.Thread):
    """Sends traces of four spans in two requests each; what is not acknowledged is sent again."""

    def __init__(self, port, seed):
        super().__init__()
        # A client that waited longer and longer for its next try would come when the traces are decided.
        backoff = [(f"grpc.{which}_reconnect_backoff_ms", 100) for which in ("initial", "min", "max")]
        self.client, self.chance = GRPCClient(port, options=backoff), random.Random(seed)
        self.is_over = False
        self.acknowledged = {}
        self.with_error = set()
        self.retries = self.late = 0

    def run(self):
        while not self.is_over:
            traces = [self.chance.randbytes(16) for _ in range(20)]
            halves = [
                {trace: [self.chance.randbytes(8) for _ in range(2)] for trace in traces} for _ in range(2)
            ]
            bad = {trace: self.chance.randrange(2) for trace in traces if self.chance.random() < 0.4}
            begin = time.monotonic()
            for which, half in enumerate(halves):
                self.send(half, {trace for trace, place in bad.items() if place == which})
            if time.monotonic() - begin > WAIT_SECONDS - 1.5:
                # The second half may have come after the decision.
                self.late += len(traces)
                continue
            for trace in traces:
                self.acknowledged[trace] = halves[0][trace] + halves[1][trace]
            self.with_error |= set(bad)
        self.client.close()

    def send(self, half, bad):
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add().scope_spans.add()
        for trace, spans in half.items():
            for span in spans:
                scope.spans.add(trace_id=trace, span_id=span, name="work").status.code = (
                    2 if trace in bad else 0
                )
        while True:
            try:
                return self.client.export(request, timeout=2)
            except grpc.RpcError:
                self.retries += 1
                time.sleep(0.02)


def durable(folder, behind, port):
    sampling = {
        "decision_wait": f"{WAIT_SECONDS}s",
        "num_traces": 500_000,
        "decision_cache": {"sampled_cache_size": 100_000, "non_sampled_cache_size": 100_000},
        "storage": "file_storage",
        "policies": POLICIES,
    }
    queue = {"wait_for_result": True}
    base = config(
        {"otlp_grpc": exporter(behind, sending_queue=queue)},
        {"tail_sampling": sampling},
        otlp(grpc={"endpoint": f"{LOOPBACK}:{port}"}),
        signals=["traces"],
        extensions=["file_storage"],
    )
    return {
        **base,
        "extensions": {"file_storage": {"directory": str(folder / "store"), "create_directory": True}},
    }


@one_load_at_a_time
def test_a_killed_sampler_loses_nothing(gateway, backend, tmp_path):
    """If it failed, spans that a client believes to be safe would be missing in traces that somebody needs."""
    behind, port, chance = backend(), free_port(), random.Random(11)
    configuration = durable(tmp_path, behind, port)
    running = gateway(configuration)
    senders = [Sender(port, seed) for seed in range(3)]
    for sender in senders:
        sender.start()
    recovered = 0
    try:
        for _ in range(KILLS):
            time.sleep(
                chance.uniform(0.1, 2 * WAIT_SECONDS) if chance.random() < 0.2 else chance.uniform(0.1, 0.8)
            )
            running.kill()
            running = gateway(configuration)
            recovered += running.metrics().sum("sluice_processor_tail_sampling_recovered_spans")
    finally:
        for sender in senders:
            sender.is_over = True
        for sender in senders:
            sender.join()
    # An orderly stop leaves what waits on disk as well.
    running.stop()
    running = gateway(configuration)

    def is_idle():
        page = running.metrics()
        waiting = page.sum("otelcol_processor_tail_sampling_sampling_traces_on_memory")
        return not waiting and not page.sum("sluice_exporter_pending_items")

    wait_until(is_idle, "all traces are decided", 30, 0.2)
    found = {trace: set(spans) for trace, spans in received_ids(behind).items()}
    acknowledged = {trace: set(spans) for sender in senders for trace, spans in sender.acknowledged.items()}
    with_error = set().union(*(sender.with_error for sender in senders))
    wanted = {trace: spans for trace, spans in acknowledged.items() if trace in with_error}
    missing = {trace.hex() for trace, spans in wanted.items() if not spans <= found.get(trace, set())}
    assert missing == set(), f"{len(missing)} of {len(wanted)} sampled traces are not whole"
    assert recovered > 0 and len(wanted) > 100 * KILLS
    assert sum(sender.retries for sender in senders) >= KILLS
    assert sum(sender.late for sender in senders) < len(acknowledged) / 5
    assert not [trace for trace in found if trace in acknowledged and trace not in with_error]
