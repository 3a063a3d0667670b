"""Exporters reach their destinations through proxies."""

import base64
import ssl
import subprocess

import pytest

import data
from conftest import backends, config, exporter
from gateway import LOOPBACK, wait_until
from http_backend import HTTPBackend
from proxy import Proxy


@pytest.fixture
def http_backend(owned):
    return backends(HTTPBackend, owned)


@pytest.fixture
def proxy(owned):
    return backends(Proxy, owned)


@pytest.fixture
def certificate(tmp_path):
    """A certificate for this host that signs itself, and its key."""
    certificate, key = tmp_path / "backend.crt", tmp_path / "backend.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=backend", "-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


def basic(text):
    return "Basic " + base64.b64encode(text).decode()


def test_plain_http_goes_to_the_proxy_whole(gateway, http_backend, proxy, clients):
    """If it failed, a gateway behind a proxy could send to nobody outside."""
    sink, way = http_backend(), proxy(credentials=basic(b"me:secret"))
    url = f"http://me:secret@{LOOPBACK}:{way.port}"
    started = gateway(config(
        {"otlp_http": {"endpoint": sink.url, "compression": "none", "proxy_url": url}}, signals=["traces"]))
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: sink.received("traces"), lambda: started.log)
    assert way.asked == [f"POST {sink.url}/v1/traces HTTP/1.1"]
    assert sink.heads[0]["Host"] == f"{LOOPBACK}:{sink.port}"
    assert "secret" not in started.log


def test_https_goes_through_a_tunnel(gateway, http_backend, proxy, clients, certificate):
    """If it failed, the proxy would see what is sent, or nothing would be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    sink = http_backend(tls=context)
    way = proxy()
    started = gateway(config({"otlp_http": {
        "endpoint": f"https://{LOOPBACK}:{sink.port}", "proxy_url": way.url,
        "tls": {"ca_file": str(certificate[0])}}}, signals=["traces"]))
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: sink.received("traces"), lambda: started.log)
    assert way.asked == [f"CONNECT {LOOPBACK}:{sink.port} HTTP/1.1"]


def test_grpc_goes_through_a_tunnel_that_the_environment_names(gateway, backend, proxy, clients):
    """If it failed, the usual exporter would not work where the Collector's does."""
    sink = backend()
    way = proxy(names={"backend.test": (LOOPBACK, sink.port)})
    started = gateway(config({"otlp": exporter(f"backend.test:{sink.port}")}, signals=["traces"]),
                      env={"HTTPS_PROXY": f"{LOOPBACK}:{way.port}", "NO_PROXY": "other.test,.backend.test"})
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: sink.received("traces"), lambda: started.log)
    assert set(way.asked) == {f"CONNECT backend.test:{sink.port} HTTP/1.1"}


def test_grpc_comes_again_after_a_proxy_that_refused(gateway, backend, proxy, clients):
    """If it failed, a proxy that is away for a moment would end the export until somebody restarts the gateway."""
    sink = backend()
    way = proxy(names={"backend.test": (LOOPBACK, sink.port)}, refused=2)
    started = gateway(config({"otlp": exporter(f"backend.test:{sink.port}")}, signals=["traces"]),
                      env={"HTTPS_PROXY": way.url})
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: sink.received("traces"), lambda: started.log)
    assert f"the proxy {LOOPBACK}:{way.port} refused a connection to backend.test:{sink.port}: 502" in started.log


def test_no_proxy_and_this_host_are_reached_directly(gateway, backend, proxy, clients):
    """If it failed, data for the neighbour in the same pod would leave the house."""
    sink, way = backend(), proxy()
    started = gateway(config({"otlp": exporter(sink)}, signals=["traces"]),
                      env={"HTTPS_PROXY": way.url, "HTTP_PROXY": way.url})
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: sink.received("traces"), lambda: started.log)
    assert way.asked == []


def test_a_proxy_that_refuses_is_named(gateway, http_backend, proxy, clients):
    """If it failed, an operator would look for the fault at the destination."""
    way = proxy(credentials=basic(b"me:secret"))
    started = gateway(config({"otlp_http": {
        "endpoint": "https://backend.test:4318", "proxy_url": way.url,
        "retry_on_failure": {"initial_interval": "20ms", "max_interval": "100ms", "max_elapsed_time": "1s"}}}, signals=["traces"]))
    clients.grpc(started).export(data.spans(3))
    wait_until(lambda: f"the proxy {LOOPBACK}:{way.port} refused a connection to backend.test:4318: 407" in started.log,
               lambda: started.log)
    started.kill()
