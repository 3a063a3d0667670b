"""Fixtures: what a test starts, the end of the test stops. Those named module_… last for a whole file."""

import contextlib

import pytest

import data
from backend import Backend, RawBackend
from client import GRPCClient, HTTPClient
from gateway import Gateway

MIB = 1 << 20

# Workers run tests beside each other, but one at a time of those that load all cores for seconds or measure under load,
one_load_at_a_time = pytest.mark.xdist_group("load")
# and of those that mount file systems from the machine's few loop devices.
one_mount_at_a_time = pytest.mark.xdist_group("mount")


def otlp(**protocols):
    return {"otlp": {"protocols": protocols or {"grpc": {}, "http": {}}}}


def exporter(backend, **keys):
    """An otlp exporter that is quick to try again; keys of its parts are merged."""
    base = {
        "endpoint": backend if isinstance(backend, str) else backend.endpoint,
        "tls": {"insecure": True},
        "compression": "none",
        "timeout": "5s",
        "retry_on_failure": {"initial_interval": "20ms", "max_interval": "100ms", "max_elapsed_time": "60s"},
    }
    for key, value in keys.items():
        base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) else value
    return base


def config(exporters, processors=None, receivers=None, signals=("traces", "metrics", "logs"), **service):
    """A configuration whose pipelines all have all these components."""
    processors = processors or {}
    pipeline = {
        "receivers": list(receivers or otlp()),
        "processors": list(processors),
        "exporters": list(exporters),
    }
    return {
        "receivers": receivers or otlp(),
        "processors": processors,
        "exporters": exporters,
        "service": {"pipelines": {signal: pipeline for signal in signals}, **service},
    }


class Clients:
    """Makes clients of a gateway."""

    def __init__(self, owned):
        self.owned = owned

    def grpc(self, gateway, **options):
        client = GRPCClient(gateway.grpc_port, **options)
        self.owned.callback(client.close)
        return client

    def http(self, gateway, **options):
        client = HTTPClient(gateway.http_port, **options)
        self.owned.callback(client.close)
        return client


def gateways(folder, owned):
    """Starts gateways; each that the test has not ended itself must end well on SIGTERM."""

    def start(configuration, *arguments, **options):
        started = Gateway(folder, configuration, arguments, **options)
        owned.callback(started.kill)
        owned.callback(lambda: started.process.returncode is None and started.stop())
        return started

    return start


def backends(kind, owned):
    """Starts backends of a kind."""

    def start(*arguments, **options):
        started = kind(*arguments, **options)
        owned.callback(started.stop)
        return started

    return start


@pytest.fixture
def owned():
    """Collects what must be stopped at the test's end, last first, whatever fails on the way."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def gateway(tmp_path, owned):
    return gateways(tmp_path, owned)


@pytest.fixture
def backend(owned):
    return backends(Backend, owned)


@pytest.fixture
def raw_backend(owned):
    return backends(RawBackend, owned)


@pytest.fixture
def clients(owned):
    return Clients(owned)


@pytest.fixture(scope="module")
def module_owned():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def module_gateway(tmp_path_factory, module_owned):
    return gateways(tmp_path_factory.mktemp("module"), module_owned)


@pytest.fixture(scope="module")
def module_backend(module_owned):
    return backends(Backend, module_owned)


@pytest.fixture(scope="module")
def module_clients(module_owned):
    return Clients(module_owned)


class Target:
    """The gateway that gets the bad requests, and another client of it."""

    def __init__(self, owned, gateway, backend, clients):
        self.backend = backend()
        self.gateway = gateway(
            config(
                {"otlp": exporter(self.backend)},
                {"batch": {"timeout": "20ms"}},
                otlp(grpc={"max_recv_msg_size_mib": 1}, http={"max_request_body_size": MIB}),
            )
        )
        self.grpc, self.http = clients.grpc(self.gateway), clients.http(self.gateway)
        # A gateway that has seen large requests keeps their memory for the next ones.
        large = data.spans(900, padding=900)
        for _ in range(4):
            self.grpc.export(large)
            self.http.export(large, compressed=True)
        self.begin()

    def begin(self):
        self.gateway.forget_peak()
        self.resident = self.gateway.peak_bytes()

    def check(self):
        """Another client's exports work, and memory has never grown by more than what some buffers take."""
        self.grpc.export(data.spans(1))
        self.http.export(data.spans(1))
        grown = self.gateway.peak_bytes() - self.resident
        assert grown < 32 * MIB, f"resident memory has grown by {grown / MIB:.1f} MiB"


@pytest.fixture(scope="module")
def target(module_owned, module_gateway, module_backend, module_clients):
    return Target(module_owned, module_gateway, module_backend, module_clients)


@pytest.fixture
def others(target):
    """After each bad request: if it failed, one client could harm another, or fill the gateway's memory."""
    target.begin()
    yield
    target.check()
