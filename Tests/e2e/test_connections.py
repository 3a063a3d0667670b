"""Clients that use their connection in a way of their own: slowly, by halves, not at all as they should."""

import os
import re
import socket
import struct
import threading
import time

import grpc
import pytest

import data
from backend import SIGNALS
from client import PROTOBUF, RawHTTP2, frame, grpc_message, raw_http
from conftest import MIB, config, exporter, otlp
from gateway import LOOPBACK, wait_until

pytestmark = pytest.mark.usefixtures("others")

GOOD = data.spans(2).SerializeToString()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def post(body=GOOD, path="/v1/traces", fields=""):
    """The bytes of an HTTP/1.1 request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: {PROTOBUF}\r\n"
        f"Content-Length: {len(body)}\r\n{fields}\r\n"
    ).encode() + body


def chunked(body, size, fields=""):
    head = (
        f"POST /v1/traces HTTP/1.1\r\nHost: gateway\r\nContent-Type: {PROTOBUF}\r\n{fields}"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def statuses(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def accepted(target, transport):
    return target.gateway.metrics().sum("otelcol_receiver_accepted_spans", transport=transport)


# HTTP/1.1


def test_pipelined_requests_are_answered_in_order(target):
    """If it failed, a client that does not wait for answers would take one request's answer for another's."""
    requests = [post(), post(path="/nothing"), post(b"\xff"), post(b"")] * 25
    assert statuses(raw_http(target.gateway.http_port, b"".join(requests))) == [200, 404, 400, 200] * 25


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunked_bodies(target, size):
    """If it failed, clients that stream their body would not be understood."""
    assert statuses(raw_http(target.gateway.http_port, chunked(GOOD, size))) == [200]


def test_a_chunked_body_that_is_too_large(target):
    """If it failed, a body without a declared length would have no limit."""
    answer = raw_http(target.gateway.http_port, chunked(bytes(3 * MIB // 2), 1 << 16) + post())
    assert statuses(answer)[0] == 413


def test_expect_100_continue(target):
    """If it failed, clients that ask before they send would wait for ever."""
    with socket.create_connection((LOOPBACK, target.gateway.http_port), timeout=10) as client:
        head, body = post(fields="Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (2 * MIB))
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_comes_slowly(target):
    """If it failed, a client on a bad line would be cut off, or hold others up."""
    with socket.create_connection((LOOPBACK, target.gateway.http_port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = post()
        for at in range(0, len(request), 3):
            client.sendall(request[at : at + 3])
            if at % 60 == 0:
                target.http.export(data.spans(1))
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_http_1_0_and_connection_close(target):
    """If it failed, an old client would wait for an end that does not come."""
    for request in (post().replace(b"HTTP/1.1", b"HTTP/1.0"), post(fields="Connection: close\r\n")):
        with socket.create_connection((LOOPBACK, target.gateway.http_port), timeout=10) as client:
            client.sendall(request)
            answer = b""
            while part := client.recv(4096):
                answer += part
            assert b" 200 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00" * 100,
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nContent-Length: 1\r\n" b"Content-Length: 2\r\n\r\nab",
        b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("port", ["http_port", "grpc_port"])
def test_bytes_that_are_no_request(target, port, garbage):
    """If it failed, whoever connects by mistake or for a scan could hang or break the gateway."""
    try:
        codes = statuses(raw_http(getattr(target.gateway, port), garbage))
    except OSError:
        codes = []
    assert all(400 <= code < 500 for code in codes)


@pytest.mark.parametrize("cut", [1, 30, len(post()) - len(GOOD), len(post()) - 1])
def test_a_client_that_goes_away_in_the_middle_of_http(target, cut):
    """If it failed, half a request would be taken for a whole one, or its memory be kept."""
    before = accepted(target, "http")
    raw_http(target.gateway.http_port, post()[:cut])
    assert accepted(target, "http") == before
    wait_until(
        lambda: target.gateway.metrics().sum("sluice_memory_ledger_bytes") == 0, "all memory given back"
    )


# HTTP/2


def test_many_streams_at_once(target):
    """If it failed, one connection with many requests would mix them up."""
    client = RawHTTP2(target.gateway.grpc_port)
    while not client.h2.remote_settings.max_concurrent_streams < 1 << 30:
        client.read()
    opened = [client.open() for _ in range(100)]
    for stream in reversed(opened):
        client.send(stream, grpc_message(GOOD) if stream % 4 == 1 else grpc_message(b"\xff"))
    for stream in opened:
        assert client.grpc_status(stream)[0] == (0 if stream % 4 == 1 else 13)
    client.close()


def test_streams_that_are_reset_in_the_middle(target):
    """If it failed, a client that gives up often would fill the gateway's memory with half requests."""
    before = accepted(target, "grpc")
    client = RawHTTP2(target.gateway.grpc_port)
    for _ in range(300):
        stream = client.open()
        client.send(stream, grpc_message(bytes(1000), length=MIB), end_stream=False)
        client.h2.reset_stream(stream, 8)
        client.flush()
    stream = client.open()
    client.send(stream, grpc_message(GOOD))
    assert client.grpc_status(stream)[0] == 0
    client.close()
    assert accepted(target, "grpc") == before + 2
    wait_until(
        lambda: target.gateway.metrics().sum("sluice_memory_ledger_bytes") == 0, "all memory given back"
    )


def test_streams_that_are_opened_and_reset_at_once(target):
    """If it failed, one client could keep the gateway busy with requests that it never sends."""
    client = RawHTTP2(target.gateway.grpc_port)
    try:
        for _ in range(3000):
            stream = client.open()
            client.h2.reset_stream(stream, 8)
        client.flush()
    except ConnectionError:
        pass  # To be cut off for it is an answer, too.
    client.close()


def test_a_stream_that_ends_its_half_without_a_body(target):
    """If it failed, a call without a message would hang."""
    client = RawHTTP2(target.gateway.grpc_port)
    assert client.grpc_status(client.open(end_stream=True))[0] == 13
    client.close()


def test_a_client_that_goes_away_in_the_middle_of_grpc(target):
    """If it failed, half a message would be taken for a whole one, or its memory be kept."""
    before = accepted(target, "grpc")
    for _ in range(20):
        client = RawHTTP2(target.gateway.grpc_port)
        client.send(client.open(), grpc_message(GOOD)[:-1], end_stream=False)
        client.close()
    assert accepted(target, "grpc") == before
    wait_until(
        lambda: target.gateway.metrics().sum("sluice_memory_ledger_bytes") == 0, "all memory given back"
    )


def test_a_head_that_is_too_large_costs_only_its_stream(target):
    """If it failed, one request with a huge cookie would end all requests of its connection."""
    client = RawHTTP2(target.gateway.grpc_port)
    good = client.open()
    bad = client.open(cookie="x" * 60_000)
    client.send(good, grpc_message(GOOD))
    assert client.grpc_status(good)[0] == 0
    assert client.grpc_status(bad)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    client.close()


@pytest.mark.parametrize(
    "name, frames",
    {
        "a frame larger than allowed": frame(0, 0, 1, bytes(2 * MIB)),
        "data on a stream that was never opened": frame(0, 0, 1, b"abc"),
        "a head that is no HPACK": frame(1, 4, 1, b"\xff" * 20),
        "an even stream": frame(1, 5, 2, b"\x82"),
        "a window update of nothing": frame(8, 0, 0, bytes(4)),
        "windows that overflow": frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
        "settings of a wrong size": frame(4, 0, 0, b"abc"),
        "an initial window beyond 2^31": frame(4, 0, 0, struct.pack(">HI", 4, 1 << 31)),
        "a ping of a wrong size": frame(6, 0, 0, b"abc"),
        "a push promise": frame(5, 4, 1, bytes(4) + b"\x82"),
        "a continuation of nothing": frame(9, 4, 1, b"\x82"),
        "a continuation that does not come": frame(1, 0, 1, b"\x82") + frame(6, 0, 0, bytes(8)),
        "padding longer than the frame": frame(1, 0xC, 1, b"\x82") + frame(0, 8, 1, b"\xffab"),
        "continuations without end": frame(1, 0, 1, b"\x82")
        + frame(9, 0, 1, b"\x00\x01a\x7f\x80\x01" + b"a" * 255) * 2000,
    }.items(),
)
@pytest.mark.parametrize("port", ["http_port", "grpc_port"])
def test_frames_against_the_rules(target, port, name, frames):
    """If it failed, a broken client could hang or break the gateway: the connection must end, and only that
    one."""
    with socket.create_connection((LOOPBACK, getattr(target.gateway, port)), timeout=10) as client:
        try:
            client.sendall(PREFACE + frame(4, 0, 0) + frames)
            while client.recv(65536):
                pass
        except ConnectionError:
            pass


def flood(target, port, first, again, seconds=1.5):
    """Sends the same bytes again and again without ever reading; stops when the gateway takes no more."""
    sent = 0
    with socket.create_connection((LOOPBACK, port), timeout=0.3) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(first)
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and sent < 64 * MIB:
                client.sendall(again)
                sent += len(again)
        except (TimeoutError, ConnectionError):
            pass
        target.check()
    return sent


def test_a_client_that_does_not_read_its_http_answers(target):
    """If it failed, answers that nobody reads would fill the gateway's memory."""
    flood(target, target.gateway.http_port, b"", post(path="/nothing", body=b"") * 500)


@pytest.mark.parametrize("kind", ["ping", "settings"])
def test_a_client_that_does_not_read_its_http2_answers(target, kind):
    """If it failed, answers that nobody reads would fill the gateway's memory."""
    again = {"ping": frame(6, 0, 0, bytes(8)), "settings": frame(4, 0, 0)}[kind]
    flood(target, target.gateway.grpc_port, PREFACE + frame(4, 0, 0), again * 4000)


def test_a_client_that_does_not_read_its_grpc_answers(target):
    """If it failed, answers that nobody reads would fill the gateway's memory."""
    client = RawHTTP2(target.gateway.grpc_port, timeout=0.5)
    path = "/" + "x" * 2000
    try:
        for _ in range(4000):
            client.h2.send_headers(
                client.h2.get_next_available_stream_id(),
                [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", path),
                    (":authority", "gateway"),
                    ("content-type", "application/grpc"),
                ],
                end_stream=True,
            )
            client.flush()
    except (TimeoutError, ConnectionError):
        pass
    target.check()
    client.close()


def test_a_client_that_opens_no_window_for_its_answers(target):
    """If it failed, a client could make the gateway hold answers that it never lets it send."""
    client = RawHTTP2(target.gateway.grpc_port)
    client.h2.update_settings({4: 0})
    client.flush()
    while client.h2.local_settings.initial_window_size != 0:
        client.read()
    for _ in range(50):
        client.send(client.open(SIGNALS["traces"][0]), grpc_message(GOOD))
    target.check()
    client.close()


def test_many_idle_connections(target):
    """If it failed, clients that only connect would take the place of those that send."""
    idle = [socket.create_connection((LOOPBACK, target.gateway.grpc_port)) for _ in range(300)]
    target.check()
    for client in idle:
        client.close()


def test_clients_beside_each_other(target):
    """If it failed, clients that send at the same time would disturb each other."""
    before = accepted(target, "grpc")
    faults = []

    def run(number):
        client = RawHTTP2(target.gateway.grpc_port)
        try:
            for turn in range(30):
                good = (turn + number) % 2 == 0
                stream = client.open()
                client.send(stream, grpc_message(GOOD if good else GOOD[:-1]))
                if client.grpc_status(stream)[0] != (0 if good else 13):
                    faults.append((number, turn))
        finally:
            client.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert accepted(target, "grpc") == before + 8 * 15 * 2


@pytest.mark.parametrize("key", ["read_timeout", "write_timeout"])
def test_timeouts_hold_for_http_2(gateway, backend, key):
    """If it failed, a client could hold a request open for a minute that the operator gave a second."""
    protocols = otlp(grpc={}, http={key: "500ms"})
    running = gateway(config({"otlp": exporter(backend())}, receivers=protocols))
    client = RawHTTP2(running.http_port)
    try:
        stream = client.open("/v1/traces", content_type=PROTOBUF)
        began = time.monotonic()
        for _ in range(20):
            # Enough a time that the request does not count as stalled.
            client.send(stream, bytes(2048), end_stream=False)
            time.sleep(0.05)
        assert client.answer(stream)["end"] == "reset 8"
        assert 0.4 < time.monotonic() - began < 5
        again = client.open("/v1/traces", content_type=PROTOBUF)
        client.send(again, GOOD)
        assert client.answer(again)["head"][":status"] == "200"
    finally:
        client.close()


def cpu_seconds(running):
    fields = open(f"/proc/{running.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("crowd", ["silent", "beginnings of heads", "pages"])
def test_files_are_left(gateway, backend, clients, crowd):
    """If it failed, clients that open connections could take all the files that a gateway may have: its pages and its
    destinations would have none, its cores would be busy with nothing and its log fill the disk."""
    tempo = backend()
    limit = 128
    few_files = ["sh", "-c", f'ulimit -n {limit} && exec "$0" "$@"']
    running = gateway(
        config({"otlp": exporter(tempo)}, receivers=otlp(grpc={}, http={})), launcher=few_files
    )
    port = {"silent": running.grpc_port, "pages": running.metrics_port}.get(crowd, running.http_port)
    sockets = [socket.create_connection((LOOPBACK, port), timeout=10) for _ in range(200)]
    if crowd == "beginnings of heads":
        for client in sockets:
            try:
                client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Le")
            except OSError:
                pass  # One of those that there was no room for.
    time.sleep(1.5)
    before = cpu_seconds(running)
    assert len(os.listdir(f"/proc/{running.process.pid}/fd")) < limit - 16
    for _ in range(10):
        assert running.health("ready")[0] == 200
        running.metrics()
        time.sleep(0.1)
    clients.grpc(running).export(data.spans(1))
    assert statuses(raw_http(running.http_port, post())) == [200]
    wait_until(lambda: len(data.span_names(tempo.received())) == 3, "the spans arrived")
    assert cpu_seconds(running) - before < 0.5
    assert running.log.count("Cannot accept connections") <= 1
    for client in sockets:
        client.close()
