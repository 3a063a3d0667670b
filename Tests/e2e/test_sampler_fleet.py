"""`loadbalancing` by trace in front of several tail samplers: one that comes or dies costs the traces that move, no others."""

import random
import signal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import config, exporter, one_load_at_a_time, otlp
from gateway import free_port, wait_until
from test_load_balancing import BATCH, HOSTS, ID, Name, balancing, spans_of
from test_tail_sampling import received_ids, sampler

ERRORS = [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]
GROUP = 600
WAIT_SECONDS = 3


class Trace:
    """Four spans, sent in two halves; with an error in the first or the second half, or in none."""

    def __init__(self, chance):
        self.id = chance.randbytes(16)
        self.spans = [chance.randbytes(8) for _ in range(4)]
        self.error = chance.choice([None, None, 0, 1, 2, 3])

    def half(self, which):
        return self.spans[:2] if which == 0 else self.spans[2:]

    def has_error_in(self, which):
        return self.error is not None and self.error // 2 == which

    def expected(self, halves):
        """What arrives when the halves were decided together, or each by itself."""
        return [span for half in halves for span in self.half(half)] if self.error is not None else []

    def expected_split(self, halves=(0, 1)):
        return [span for half in halves if self.has_error_in(half) for span in self.half(half)]


def send(client, traces, halves=(0, 1)):
    for begin in range(0, len(traces), 50):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "shop"
        scope = resource.scope_spans.add()
        for trace in traces[begin : begin + 50]:
            for half in halves:
                for span in trace.half(half):
                    added = scope.spans.add(trace_id=trace.id, span_id=span, name="work")
                    added.status.code = 2 if trace.error == trace.spans.index(span) else 0
        client.export(request)


class Fleet:
    """A router, and samplers at the addresses of a name that all send to one backend."""

    def __init__(self, gateway, backend, clients, folder):
        self.gateway, self.port = gateway, free_port()
        self.name = Name(folder, HOSTS)
        resolver = {"dns": {"hostname": "samplers", "port": self.port, "interval": "50ms"}}
        self.router = gateway(
            config({ID: balancing([], resolver=resolver)}, BATCH, signals=("traces",)),
            launcher=self.name.launcher,
        )
        self.client = clients.grpc(self.router)
        self.behind = backend()
        self.make_backend = backend

    def route(self, hosts):
        self.name.set(hosts)
        backends = lambda: self.router.metrics().sum("otelcol_loadbalancer_num_backends")
        wait_until(lambda: backends() == len(hosts), f"{len(hosts)} backends")

    def wait_sent(self):
        def is_all_sent():
            page = self.router.metrics()
            return page.sum("sluice_exporter_pending_items", exporter=ID) == 0

        wait_until(is_all_sent, lambda: f"all spans are sent\n{self.router.log}")

    def owners(self, traces, counts):
        """To which host each trace goes, with so many of the hosts."""
        plain = [self.make_backend(port=self.port, host=host) for host in HOSTS]
        result = []
        for count in counts:
            self.route(HOSTS[:count])
            send(self.client, traces, halves=(0,))
            self.wait_sent()
            result.append({trace: host for host, one in zip(HOSTS, plain) for _, trace, _ in spans_of(one)})
            assert len(result[-1]) == len(traces)
            for one in plain:
                one.clear()
        for one in plain:
            one.stop()
        return result

    def start_sampler(self, host):
        processors = sampler(WAIT_SECONDS, policies=ERRORS)
        receivers = otlp(grpc={"endpoint": f"{host}:{self.port}"})
        configuration = config({"otlp_grpc": exporter(self.behind)}, processors, receivers, signals=["traces"])
        return self.gateway(configuration)

    def wait_decided(self, *samplers):
        def is_idle():
            waiting = [one.metrics().sum("otelcol_processor_tail_sampling_sampling_traces_on_memory") for one in samplers]
            pending = [one.metrics().sum("sluice_exporter_pending_items") for one in samplers]
            return not any(waiting) and not any(pending)

        wait_until(is_idle, "all traces are decided", WAIT_SECONDS + 20, 0.1)


def check(found, traces, what):
    """How many traces are not as `what` says, which is a list of span ids."""
    wrong = [trace for trace in traces if sorted(found.get(trace.id, [])) != sorted(what(trace))]
    assert not wrong, f"{len(wrong)} of {len(traces)}"


@one_load_at_a_time
def test_only_traces_that_move_are_split_or_lost(gateway, backend, clients, tmp_path):
    """If it failed, each scaling of the samplers would cost traces all over the fleet."""
    chance = random.Random(3)
    groups = [[Trace(chance) for _ in range(GROUP)] for _ in range(4)]
    while_added, after_added, while_killed, after_killed = groups
    fleet = Fleet(gateway, backend, clients, tmp_path)
    with_two, with_three = fleet.owners([trace for group in groups for trace in group], [2, 3])

    # A third one comes while the traces of the first group are half sent.
    fleet.route(HOSTS[:2])
    samplers = [fleet.start_sampler(host) for host in HOSTS]
    send(fleet.client, while_added, halves=(0,))
    fleet.wait_sent()
    fleet.route(HOSTS)
    send(fleet.client, while_added, halves=(1,))
    send(fleet.client, after_added)
    fleet.wait_sent()
    fleet.wait_decided(*samplers)
    found = received_ids(fleet.behind)
    moved = [trace for trace in while_added if with_two[trace.id] != with_three[trace.id]]
    assert all(with_three[trace.id] == HOSTS[2] for trace in moved)
    assert GROUP / 6 < len(moved) < GROUP / 2
    stayed = [trace for trace in while_added if with_two[trace.id] == with_three[trace.id]]
    check(found, stayed, lambda trace: trace.expected((0, 1)))
    check(found, moved, lambda trace: trace.expected_split())
    check(found, after_added, lambda trace: trace.expected((0, 1)))

    # It dies while the traces of the third group are half sent: what it had is lost, and nothing else.
    fleet.behind.clear()
    send(fleet.client, while_killed, halves=(0,))
    fleet.wait_sent()
    samplers[2].process.send_signal(signal.SIGKILL)
    samplers[2].process.wait()
    send(fleet.client, while_killed, halves=(1,))
    fleet.route(HOSTS[:2])
    send(fleet.client, after_killed)
    fleet.wait_sent()
    fleet.wait_decided(*samplers[:2])
    found = received_ids(fleet.behind)
    lost = [trace for trace in while_killed if with_three[trace.id] == HOSTS[2]]
    assert GROUP / 6 < len(lost) < GROUP / 2
    stayed = [trace for trace in while_killed if with_three[trace.id] != HOSTS[2]]
    check(found, stayed, lambda trace: trace.expected((0, 1)))
    check(found, lost, lambda trace: trace.expected_split((1,)))
    check(found, after_killed, lambda trace: trace.expected((0, 1)))
    page = fleet.router.metrics()
    # Of all that was sent (the owners were asked with two spans a trace, twice), nothing is missing in the account.
    assert page.sum("otelcol_exporter_sent_spans", exporter=ID) == 4 * GROUP * (2 * 2 + 4)
    assert page.sum("otelcol_exporter_enqueue_failed_spans", exporter=ID) == 0
