"""Clients that are silent for a while: their connections take little then, and go on as if nothing had been."""

import contextlib
import socket
import ssl
import time

import pytest

import data
from client import RawHTTP2, grpc_message
from conftest import MIB, config, one_load_at_a_time, otlp
from gateway import LOOPBACK, wait_until
from test_tls import certificates, identity  # noqa: F401

GOOD = data.spans(2).SerializeToString()
# A connection is idle after 5 s; it is looked at as often as the keepalive's limits ask for.
IDLE_SECONDS = 5


def serving(gateway, tls=None, **parameters):
    """A gateway whose gRPC server has these `server_parameters`."""
    keys = {"keepalive": {"server_parameters": parameters}}
    if tls:
        keys["tls"] = tls
    return gateway(config({"nop": {}}, receivers=otlp(grpc=keys), signals=("traces",)))


def ask(client):
    """A call whose fields are in the tables of both ends from the first time on."""
    stream = client.open(user_agent="grpc-go/1.71.0", x_request="the same in each call")
    client.send(stream, grpc_message(GOOD))
    assert client.grpc_status(stream)[0] == 0


@contextlib.contextmanager
def connected(port, context=None):
    wrap = (lambda one: context.wrap_socket(one, server_hostname="localhost")) if context else None
    client = RawHTTP2(port, timeout=30, wrap=wrap)
    yield client
    client.close()


def accepted(running):
    return running.metrics().sum("otelcol_receiver_accepted_spans")


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_client_goes_on_after_a_silence(gateway, certificates, is_secure):  # noqa: F811
    """If it failed, a client that sends now and then would lose its connection, and perhaps its data, each time."""
    tls = identity(certificates, "server") if is_secure else None
    running = serving(gateway, tls, time="16s")
    context = None
    if is_secure:
        context = ssl.create_default_context(cafile=certificates.ca)
        context.set_alpn_protocols(["h2"])
    with connected(running.grpc_port, context) as client:
        for turn in range(2):
            for _ in range(3):
                ask(client)
            time.sleep(IDLE_SECONDS + 3)
            # One byte of a frame, then the rest of it.
            client.h2.ping(b"12345678")
            ping = client.h2.data_to_send()
            client.socket.sendall(ping[:1])
            time.sleep(0.1 + turn)
            client.socket.sendall(ping[1:])
            assert client.read()
        ask(client)
        assert client.goaway is None
    wait_until(lambda: accepted(running) == 7 * 2, lambda: f"all spans: {accepted(running)}")


def test_an_idle_client_is_pinged(gateway):
    """If it failed, connections whose clients have vanished would stay, or living clients be closed."""
    running = serving(gateway, time="8s", timeout="2s")
    with connected(running.grpc_port) as client, connected(running.grpc_port) as dead:
        ask(client)
        ask(dead)
        begun = time.monotonic()
        assert client.read()
        assert 7 < time.monotonic() - begun < 12
        # Its answer to the ping has been sent; the other says nothing.
        time.sleep(4)
        ask(client)
        assert dead.socket.recv(17)[3] == 6
        with pytest.raises((OSError, EOFError)):
            while True:
                if not dead.socket.recv(4096):
                    raise EOFError


def test_an_idle_client_is_asked_to_go(gateway):
    """If it failed, a balancer in front would never get idle clients to come again to another gateway."""
    running = serving(gateway, max_connection_age="9s")
    with connected(running.grpc_port) as client:
        ask(client)
        begun = time.monotonic()
        while client.read():
            pass
        assert client.goaway is not None and client.goaway.error_code == 0
        assert 7 < time.monotonic() - begun < 13


@one_load_at_a_time
def test_idle_connections_take_little(gateway):
    """If it failed, ten thousand clients that send once a minute would take 150 MB of what is meant for data."""
    running = serving(gateway, time="40s")
    count = 2000
    with contextlib.ExitStack() as owned:
        # One of them says what bytes a call takes.
        model = RawHTTP2.__new__(RawHTTP2)
        model.begin()
        stream = model.h2.get_next_available_stream_id()
        fields = model.head(user_agent="grpc-go/1.71.0", x_request="the same in each call")
        model.h2.send_headers(stream, fields)
        model.h2.send_data(stream, grpc_message(GOOD), end_stream=True)
        call = model.h2.data_to_send()
        before = running.resident_bytes()
        clients = [
            owned.enter_context(socket.create_connection((LOOPBACK, running.grpc_port), timeout=30))
            for _ in range(count)
        ]
        for client in clients:
            client.sendall(call)
        wait_until(lambda: accepted(running) == 2 * count, "all requests")
        # At 6 to 10 s, and in small portions.
        time.sleep(IDLE_SECONDS + 7)
        each = (running.resident_bytes() - before) / count
        assert each < 11 << 10, f"{each / 1024:.1f} KiB a connection"
        assert running.metrics().sum("sluice_memory_ledger_bytes") == 0
        # All of them go on, at once.
        for client in clients:
            client.sendall(b"\0\0\x08\x06\0\0\0\0\0" + b"12345678")
        for client in clients:
            seen = b""
            while not seen.endswith(b"12345678"):
                more = client.recv(4096)
                assert more, "a connection that was idle is gone"
                seen += more
    wait_until(lambda: running.resident_bytes() - before < 24 * MIB, "memory of connections that have ended")


@one_load_at_a_time
@pytest.mark.parametrize("port", ["grpc_port", "http_port"])
def test_silent_connections_take_next_to_nothing(gateway, port):
    """If it failed, clients that keep connections in reserve would take 36 MB for ten thousand, not 25."""
    running = gateway(config({"nop": {}}, signals=("traces",)))
    count = 4000
    before = running.resident_bytes()
    with contextlib.ExitStack() as owned:
        for _ in range(count):
            owned.enter_context(socket.create_connection((LOOPBACK, getattr(running, port)), timeout=30))
        time.sleep(2)
        each = (running.resident_bytes() - before) / count
        assert each < 2.7 * 1024, f"{each / 1024:.2f} KiB a connection"


@pytest.mark.parametrize("is_secure", [False, True])
def test_connections_have_a_share_of_the_memory(gateway, certificates, is_secure):  # noqa: F811
    """If it failed, twenty thousand clients that say nothing would take the gateway above its memory limit, or, with TLS,
    five thousand that do not even answer a farewell."""
    limiter = {"memory_limiter": {"check_interval": "1s", "limit_mib": 30}}
    keys, context = {}, None
    if is_secure:
        keys["tls"] = identity(certificates, "server")
        context = ssl.create_default_context(cafile=certificates.ca)
        context.set_alpn_protocols(["h2"])
    running = gateway(
        config({"nop": {}}, processors=limiter, receivers=otlp(grpc=keys), signals=("traces",)))
    # What is left for requests is a quarter of the limit at least; some is the process's own.
    each = 28 << 10 if is_secure else 8192
    most = 24 * MIB * 3 // 4 // each
    with contextlib.ExitStack() as owned:
        clients = []
        for _ in range(2):
            for _ in range(most):
                client = owned.enter_context(socket.create_connection((LOOPBACK, running.grpc_port), timeout=30))
                clients.append(client)
                if context:
                    # One that is closed at once ends in the middle of it.
                    with contextlib.suppress(OSError):
                        clients[-1] = owned.enter_context(context.wrap_socket(client, server_hostname="localhost"))
            # From then on they are idle.
            time.sleep(1.5)
        with connected(running.grpc_port, context) as polite:
            ask(polite)
        time.sleep(0.5)
        alive = 0
        for client in clients:
            try:
                client.setblocking(False)
                while client.recv(4096):
                    pass
            except (BlockingIOError, ssl.SSLWantReadError):
                alive += 1
            except OSError:
                pass
        assert 100 < alive <= most
        charged = running.metrics().sum("sluice_memory_ledger_bytes")
        assert 0 < charged <= alive * each
    wait_until(lambda: running.metrics().sum("sluice_memory_ledger_bytes") == 0, "memory of connections that have ended")
