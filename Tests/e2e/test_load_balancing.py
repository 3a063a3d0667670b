"""Several backends: a trace's spans at one of them, whatever happens to the others."""

import collections
import random
import threading

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import data
from backend import refuse
from conftest import config, exporter
from gateway import LOOPBACK, Balance, command, free_port, wait_until, with_names

BATCH = {"batch": {"timeout": "20ms", "send_batch_size": 100}}
ID = "loadbalancing"


def balancing(backends, routing_key=None, resolver=None, **keys):
    """A loadbalancing exporter to backends, or to endpoints."""
    otlp = exporter("unused", **keys)
    del otlp["endpoint"]
    names = [one if isinstance(one, str) else one.endpoint for one in backends]
    base = {"protocol": {"otlp": otlp}, "resolver": resolver or {"static": {"hostnames": names}}}
    if routing_key:
        base["routing_key"] = routing_key
    return base


def spans_of(backend):
    """Name, trace and service of every span that a backend has."""
    return [
        (span.name, span.trace_id, resource.resource.attributes[0].value.string_value)
        for request in backend.received()
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def request_of(traces, first, count, service):
    """So many spans, each of one of the traces."""
    request = data.spans(count, first=first, service=service)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = random.choice(traces)
    return request


def check_affinity(backends):
    homes = collections.defaultdict(set)
    for index, backend in enumerate(backends):
        for _, trace, _ in spans_of(backend):
            homes[trace].add(index)
    assert all(len(places) == 1 for places in homes.values())
    return homes


def test_all_spans_of_a_trace_at_one_backend(gateway, backend, clients):
    """If it failed, tail samplers would decide about halves of traces, or spans would be lost or doubled."""
    three = [backend() for _ in range(3)]
    running = gateway(config({ID: balancing(three)}, BATCH, signals=("traces",)))
    traces = [random.randbytes(16) for _ in range(150)]
    count = 40 * 50

    def send(thread):
        client = clients.grpc(running)
        for turn in range(10):
            first = (thread * 10 + turn) * 50
            client.export(request_of(traces, first, 50, f"service-{thread}"))

    with Balance(running, [ID]):
        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sum(len(spans_of(one)) for one in three) >= count, "all spans")
    everything = [span for one in three for span in spans_of(one)]
    assert sorted(int(name) for name, _, _ in everything) == list(range(count))
    assert all(service == f"service-{int(name) // 500}" for name, _, service in everything)
    assert len(check_affinity(three)) <= 150
    assert all(len(spans_of(one)) > count / 3 * 0.5 for one in three)
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_spans", exporter=ID) == count
    assert page.sum("otelcol_loadbalancer_num_backends", exporter=ID) == 3
    for one in three:
        labels = {"exporter": ID, "endpoint": one.endpoint}
        assert page.sum("sluice_loadbalancer_routed_items", **labels) == len(spans_of(one))


def test_traces_of_the_sdk(gateway, backend):
    """If it failed, it would only work with requests that we made up."""
    three = [backend() for _ in range(3)]
    running = gateway(config({ID: balancing(three)}, BATCH, signals=("traces",)))
    providers = []
    for service in ("cart", "shop"):
        provider = TracerProvider(resource=Resource({"service.name": service}))
        target = OTLPSpanExporter(endpoint=f"http://{LOOPBACK}:{running.grpc_port}", insecure=True)
        provider.add_span_processor(BatchSpanProcessor(target, schedule_delay_millis=20))
        providers.append(provider)
    tracers = [provider.get_tracer("tests") for provider in providers]
    for number in range(60):
        with tracers[0].start_as_current_span(f"{number} outer"):
            with tracers[1].start_as_current_span(f"{number} inner"):
                with tracers[0].start_as_current_span(f"{number} innermost"):
                    pass
    for provider in providers:
        provider.shutdown()
    wait_until(lambda: sum(len(spans_of(one)) for one in three) >= 180, "all spans")
    assert len(check_affinity(three)) == 60
    assert all(spans_of(one) for one in three)
    for one in three:
        counts = collections.Counter(name.split()[0] for name, _, _ in spans_of(one))
        assert set(counts.values()) == {3}


def test_a_dead_backend_costs_its_own_queue_only(gateway, backend, clients):
    """If it failed, one backend that dies would stop or lose the traces of all others."""
    three = [backend() for _ in range(3)]
    running = gateway(
        config({ID: balancing(three, sending_queue={"queue_size": 3})}, BATCH, signals=("traces",)),
        "--shutdown-timeout",
        1,
    )
    client = clients.grpc(running)
    client.export(data.spans(300))
    wait_until(lambda: sum(len(spans_of(one)) for one in three) == 300, "all spans")
    shares = [len(spans_of(one)) for one in three]
    three[1].stop()
    alive = [three[0], three[2]]

    def owed(turn):
        """What of all spans sent so far is not the dead backend's."""
        page = running.metrics()
        routed = sum(page.sum("sluice_loadbalancer_routed_items", endpoint=one.endpoint) for one in alive)
        assert page.sum("otelcol_receiver_accepted_spans") == 300 * (turn + 1)
        return routed or -1

    with Balance(running, [ID]):
        for turn in range(1, 21):
            client.export(data.spans(300, first=turn * 300))
            # The others have what is theirs while the dead one's queue is full.
            wait_until(
                lambda: sum(len(spans_of(one)) for one in alive) == owed(turn), "the living backends' share"
            )

        def arrived():
            page = running.metrics()
            sent = page.sum("otelcol_exporter_sent_spans", exporter=ID)
            dropped = page.sum("otelcol_exporter_enqueue_failed_spans", exporter=ID)
            pending = page.sum("sluice_exporter_pending_items", exporter=ID)
            held = page.sum("otelcol_exporter_queue_size", endpoint=three[1].endpoint)
            # Three batches, and no more, wait for the dead one.
            return held == 3 and sent + dropped + pending == 6300 and sent == sum(
                len(spans_of(one)) for one in three
            ) and dropped > 0 and len(spans_of(alive[0])) + len(spans_of(alive[1])) > 3000

        wait_until(arrived, lambda: running.metrics().text)
    check_affinity(three)
    # Its traces stay with it: nobody else has got them.
    page = running.metrics()
    lost = page.sum("otelcol_exporter_enqueue_failed_spans", exporter=ID)
    pending = page.sum("sluice_exporter_pending_items", exporter=ID)
    assert len(spans_of(alive[0])) + len(spans_of(alive[1])) + shares[1] + lost + pending == 6300
    three[1].start()
    wait_until(
        lambda: running.metrics().sum("sluice_exporter_pending_items", exporter=ID) == 0, "its queue, late"
    )
    assert sum(len(spans_of(one)) for one in three) == 6300 - lost
    check_affinity(three)


def test_metrics_and_logs(gateway, backend, clients):
    """If it failed, a service's metrics would be torn apart, or logs lost."""
    two = [backend() for _ in range(2)]
    running = gateway(config({ID: balancing(two)}, BATCH))
    client = clients.grpc(running)
    metrics, logs = [], []
    for number in range(20):
        metric = data.points(5)
        resource = metric.resource_metrics[0].resource
        resource.attributes.add(key="service.name").value.string_value = f"service-{number}"
        log = data.records(10)
        for index, record in enumerate(log.resource_logs[0].scope_logs[0].log_records):
            record.trace_id = random.randbytes(16) if index % 2 else b""
        metrics.append(metric)
        logs.append(log)
        client.export(metric)
        client.export(log)

    def all_of(signal):
        return [request for one in two for request in one.received(signal)]

    wait_until(lambda: sum(map(data.item_count, all_of("metrics"))) >= 100, "all points")
    wait_until(lambda: sum(map(data.item_count, all_of("logs"))) >= 200, "all records")
    assert data.flat(all_of("metrics")) == data.flat(metrics)
    assert data.flat(all_of("logs")) == data.flat(logs)
    assert all(one.received("metrics") and one.received("logs") for one in two)
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_metric_points", exporter=ID) == 100
    assert page.sum("otelcol_exporter_sent_log_records", exporter=ID) == 200


def test_backends_of_a_name(gateway, backend, clients):
    """If it failed, backends behind DNS would not be found."""
    one = backend()
    resolver = {"dns": {"hostname": "localhost", "port": one.port, "interval": "100ms"}}
    running = gateway(config({ID: balancing([], resolver=resolver)}, BATCH, signals=("traces",)))
    ipv4 = f"{LOOPBACK}:{one.port}"
    wait_until(
        lambda: running.metrics().sum("otelcol_loadbalancer_num_resolutions", success="true") > 2,
        "several answers",
    )
    assert running.metrics().sum("otelcol_exporter_queue_capacity", endpoint=ipv4) == 1000
    if running.metrics().sum("otelcol_loadbalancer_num_backends") == 1:
        clients.grpc(running).export(data.spans(10))
        wait_until(lambda: len(spans_of(one)) == 10, "all spans")


class Name:
    """A name of backends at several loopback addresses with one port, as /etc/hosts of a gateway has it."""

    def __init__(self, folder, hosts):
        self.file = folder / "hosts"
        self.set(hosts)
        self.launcher = with_names(self.file)
        if self.launcher is None:
            pytest.skip("needs a mount namespace")

    def set(self, hosts):
        # In place: another file would not be the one that is mounted.
        self.file.write_text("".join(f"{host} samplers\n" for host in hosts))


HOSTS = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]


def test_a_backend_that_is_gone_from_the_name(gateway, backend, clients, tmp_path):
    """If it failed, what waits for a pod that was removed would be lost, or come twice."""
    name = Name(tmp_path, HOSTS)
    port = free_port()
    three = [backend(port=port, host=host) for host in HOSTS]
    resolver = {"dns": {"hostname": "samplers", "port": port, "interval": "50ms"}}
    base = balancing([], resolver=resolver, retry_on_failure={"initial_interval": "30s", "max_interval": "30s"})
    running = gateway(config({ID: base}, BATCH, signals=("traces",)), launcher=name.launcher)
    client = clients.grpc(running)

    def count():
        return sum(len(spans_of(one)) for one in three)

    def backends():
        return running.metrics().sum("otelcol_loadbalancer_num_backends")

    with Balance(running, [ID]):
        assert backends() == 3
        client.export(data.spans(300))
        wait_until(lambda: count() == 300, "all spans")
        assert all(spans_of(one) for one in three)
        before = check_affinity(three)
        three[2].stop()
        client.export(data.spans(300, first=300))

        def others_have_theirs():
            page = running.metrics()
            routed = [page.sum("sluice_loadbalancer_routed_items", endpoint=one.endpoint) for one in three]
            return sum(routed) == 600 and routed[:2] == [len(spans_of(one)) for one in three[:2]]

        wait_until(others_have_theirs, "the others' share")
        assert count() < 600
        assert running.metrics().sum("otelcol_exporter_queue_size", endpoint=three[2].endpoint) > 0
        name.set(HOSTS[:2])
        wait_until(lambda: count() == 600, lambda: f"what waited for it\n{running.log}", timeout=10)
        assert backends() == 2
        client.export(data.spans(300, first=600))
        wait_until(lambda: count() == 900, "all spans, at two backends")
        homes = check_affinity(three)
        # It comes back, and has its own again.
        three[2].start()
        name.set(HOSTS)
        wait_until(lambda: backends() == 3, "its return")
        client.export(data.spans(300))
        wait_until(lambda: count() == 1200, "all spans, at three backends")
    assert all(check_affinity(three)[trace] == home for trace, home in before.items())
    assert len(homes) == 900
    everything = collections.Counter(name for one in three for name, _, _ in spans_of(one))
    assert everything == {str(number): 2 if number < 300 else 1 for number in range(900)}
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_spans", exporter=ID) == 1200
    assert page.sum("sluice_exporter_pending_items", exporter=ID) == 0


def test_otlp_spreads_over_addresses(gateway, backend, clients, tmp_path):
    """If it failed, all data would go to one of the replicas behind a headless service."""
    name = Name(tmp_path, HOSTS)
    port = free_port()
    three = [backend(port=port, host=host) for host in HOSTS]
    running = gateway(
        config({"otlp": exporter(f"samplers:{port}")}, signals=("traces",)), launcher=name.launcher
    )
    client = clients.grpc(running)

    def count():
        return sum(len(spans_of(one)) for one in three)

    with Balance(running, ["otlp"]):
        for number in range(60):
            client.export(data.spans(10, first=number * 10))
            wait_until(lambda: count() == (number + 1) * 10, "all spans")
        # The first call waits for one connection only.
        assert all(len(one.received()) >= 15 for one in three)
        three[0].stop()
        for number in range(60, 90):
            client.export(data.spans(10, first=number * 10))
        wait_until(lambda: count() == 900, "all spans, without one of them")
    everything = sorted(int(name) for one in three for name, _, _ in spans_of(one))
    assert everything == list(range(900))


def test_the_destinations_word_goes_back(gateway, backend, clients):
    """If it failed, a client that waits for the result would hear of success where a backend refused."""
    good = backend()
    bad = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.INVALID_ARGUMENT))
    dead_letters = backend()
    exporters = {
        ID: balancing(
            [good, bad], sending_queue={"wait_for_result": True}, on_permanent_failure="otlp/dead"
        ),
        "otlp/dead": exporter(dead_letters),
    }
    configuration = config(exporters, signals=("traces",))
    configuration["service"]["pipelines"]["traces"]["exporters"] = [ID]
    running = gateway(configuration)
    client = clients.grpc(running)
    try:
        client.export(data.spans(100))
    except grpc.RpcError as error:
        assert "as told" in error.details()
    else:
        raise AssertionError("the client was told that everything arrived")
    sent = len(spans_of(good))
    assert 0 < sent < 100
    wait_until(lambda: len(spans_of(dead_letters)) == 100 - sent, "what was refused, elsewhere")
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_spans", exporter=ID) == sent
    assert page.sum("otelcol_exporter_send_failed_spans", exporter=ID) == 100 - sent


def test_an_orderly_end(gateway, backend, clients):
    """If it failed, a restart would lose what the backends' queues held, or not say so."""
    alive, dead = backend(), f"{LOOPBACK}:{free_port()}"
    running = gateway(
        config({ID: balancing([alive, dead])}, BATCH, signals=("traces",)), "--shutdown-timeout", 2
    )
    clients.grpc(running).export(data.spans(200))
    running.terminate()
    assert running.wait() == 3
    left = 200 - len(spans_of(alive))
    assert 0 < left < 200
    line = [line for line in running.log.splitlines() if "not delivered" in line][0]
    assert str(left) in line and ID in line


def test_configurations_that_cannot_work(tmp_path):
    """If it failed, somebody would find out in production."""
    path = tmp_path / "gateway.yaml"
    text = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters:
  loadbalancing:
    routing_key: traceID
    protocol: {otlp: {tls: {insecure: true}, sending_queue: {storage: file_storage}}}
    resolver: {aws_cloud_map: {namespace: tempo}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [loadbalancing]}}}
"""
    path.write_text(text)
    answer = command("validate", "--config", path)
    assert answer.returncode == 1
    for words in (
        "exporters::loadbalancing::routing_key",
        '"traceID" is none for metrics',
        "exporters::loadbalancing::resolver::aws_cloud_map",
        "is not supported yet; write dns",
        "exporters::loadbalancing::protocol::otlp::sending_queue::storage",
    ):
        assert words in answer.stdout + answer.stderr


def test_keys_beside_the_protocol_are_every_backends(gateway, backend, clients):
    """If it failed, a configuration that the Collector takes would not start, or its limits would not count."""
    two = [backend() for _ in range(2)]
    balancer = balancing(two)
    for key in ("timeout", "retry_on_failure"):
        balancer[key] = balancer["protocol"]["otlp"].pop(key)
    balancer["sending_queue"] = {"queue_size": 77}
    running = gateway(config({ID: balancer}, signals=("traces",)))
    clients.grpc(running).export(data.spans(20))
    wait_until(lambda: sum(len(spans_of(one)) for one in two) == 20, "all spans")
    for one in two:
        assert running.metrics().sum("otelcol_exporter_queue_capacity", endpoint=one.endpoint) == 77
