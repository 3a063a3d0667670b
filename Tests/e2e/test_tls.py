"""TLS: who has the wrong certificate gets in nowhere, who has the right one everywhere."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import types
import urllib.request

import grpc
import pytest

import data
from backend import SIGNALS, Backend
from client import PROTOBUF
from conftest import backends, config, exporter, otlp
from gateway import LOOPBACK, command, free_port, wait_until
from http2_backend import HTTP2Backend
from http_backend import HTTPBackend, server_context
from loki_backend import LokiBackend
from test_backend import SMALL_BATCH, counts, settled
from test_loki import loki_exporter, records
from test_loki import settled as settled_logs
from test_otlp_http import http_exporter

TRACES, _, RESPONSE = SIGNALS["traces"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, a server and a client that it signed, and an authority that nobody trusts; as paths."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        openssl("req", "-x509", *key, *files, "-days", "2", "-subj", f"/CN={name}")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    signers = {"server": "ca", "client": "ca", "stranger": "other"}
    for name, signer in signers.items():
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        by = ["-CA", f"{signer}.crt", "-CAkey", f"{signer}.key", "-CAcreateserial", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", "-days", "2", *by)
    paths = {name: str(folder / f"{name}.crt") for name in ("ca", "other", *signers)}
    keys = {f"{name}_key": str(folder / f"{name}.key") for name in signers}
    return types.SimpleNamespace(folder=folder, **paths, **keys)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def identity(certificates, name):
    return {
        "cert_file": getattr(certificates, name),
        "key_file": getattr(certificates, f"{name}_key"),
    }


def grpc_export(port, request, authority, certificate=None, key=None):
    """One export over TLS; grpc.RpcError when it fails."""
    credentials = grpc.ssl_channel_credentials(
        read(authority), read(key) if key else None, read(certificate) if certificate else None
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"{LOOPBACK}:{port}", credentials, options) as channel:
        call = channel.unary_unary(
            TRACES,
            request_serializer=type(request).SerializeToString,
            response_deserializer=RESPONSE.FromString,
        )
        return call(request, timeout=5)


def https_export(port, request, context, path="/v1/traces"):
    connection = http.client.HTTPSConnection(LOOPBACK, port, timeout=5, context=context)
    try:
        connection.request("POST", path, request.SerializeToString(), {"Content-Type": PROTOBUF})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def receiving(gateway, backend, certificates):
    """A gateway that takes TLS only, with these further keys."""

    def start(**keys):
        store = backend()
        tls = {**identity(certificates, "server"), **keys}
        receivers = otlp(grpc={"tls": tls}, http={"tls": tls})
        running = gateway(config({"otlp": exporter(store)}, receivers=receivers))
        return running, store

    return start


def test_clients_over_tls(receiving, certificates):
    """If it failed, telemetry could not cross a network that is not trusted."""
    running, store = receiving()
    grpc_export(running.grpc_port, data.spans(3), certificates.ca)
    context = ssl.create_default_context(cafile=certificates.ca)
    assert https_export(running.http_port, data.spans(4, first=3), context) == 200
    settled(running, 7)
    assert sorted(map(int, data.span_names(store.received()))) == list(range(7))


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_agrees_on_a_protocol(receiving, certificates, tmp_path, version):
    """If it failed, HTTP/2 over TLS, which is agreed upon in the handshake only, would not work."""
    running, _ = receiving()
    body = tmp_path / "body"
    body.write_bytes(data.spans(2).SerializeToString())
    url = f"https://localhost:{running.http_port}/v1/traces"
    done = subprocess.run(
        ["curl", "-sS", version, "--cacert", certificates.ca, "-H", f"content-type: {PROTOBUF}"]
        + ["--data-binary", f"@{body}", "-o", str(tmp_path / "out")]
        + ["-w", "%{http_code} %{http_version}", url],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == ("200 2" if version == "--http2" else "200 1.1"), done.stderr
    settled(running, 2)


def test_plain_clients_are_turned_away(receiving, certificates, clients):
    """If it failed, one client could be made to send in plain text, and nobody would notice."""
    running, _ = receiving()
    with pytest.raises(grpc.RpcError):
        clients.grpc(running).export(data.spans(1), timeout=2)
    # As Go's servers answer.
    status, _, body = clients.http(running).post(data.spans(1).SerializeToString(), "/v1/traces")
    assert (status, body) == (400, b"Client sent an HTTP request to an HTTPS server.\n")
    grpc_export(running.grpc_port, data.spans(1), certificates.ca)
    settled(running, 1)


def test_clients_show_certificates(receiving, certificates):
    """If it failed, anybody could send."""
    running, _ = receiving(client_ca_file=certificates.ca)
    known = (certificates.client, certificates.client_key)
    stranger = (certificates.stranger, certificates.stranger_key)
    grpc_export(running.grpc_port, data.spans(1), certificates.ca, *known)
    for nobody in [(), stranger]:
        with pytest.raises(grpc.RpcError):
            grpc_export(running.grpc_port, data.spans(1), certificates.ca, *nobody)
    context = ssl.create_default_context(cafile=certificates.ca)
    with pytest.raises(OSError):
        https_export(running.http_port, data.spans(1), context)
    context.load_cert_chain(*known)
    assert https_export(running.http_port, data.spans(1, first=1), context) == 200
    settled(running, 2)


def test_old_versions_are_refused(receiving, certificates):
    """If it failed, min_version would promise what it does not do."""
    running, _ = receiving(min_version="1.3")
    context = ssl.create_default_context(cafile=certificates.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        https_export(running.http_port, data.spans(1), context)
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    assert https_export(running.http_port, data.spans(1), context) == 200


def test_new_certificates_are_taken_up(receiving, certificates, tmp_path):
    """If it failed, a certificate that is renewed would end all connections until somebody restarts it."""
    live = {"cert_file": str(tmp_path / "live.crt"), "key_file": str(tmp_path / "live.key")}
    for target, source in zip(live.values(), ("stranger", "stranger_key")):
        shutil.copy(getattr(certificates, source), target)
    running, _ = receiving(reload_interval="10ms", **live)
    grpc_export(running.grpc_port, data.spans(1), certificates.other)
    for target, source in zip(live.values(), ("server", "server_key")):
        shutil.copy(getattr(certificates, source), target)

    def is_new():
        try:
            return grpc_export(running.grpc_port, data.spans(1), certificates.ca)
        except grpc.RpcError:
            return None

    wait_until(lambda: is_new() is not None, "the new certificate")


def test_scrapes_over_tls(gateway, certificates, clients):
    """If it failed, metrics could not be scraped across a network that is not trusted."""
    port = free_port()
    tls = {**identity(certificates, "server"), "client_ca_file": certificates.ca}
    url = f"https://localhost:{port}/metrics"
    running = gateway(
        config({"prometheus": {"endpoint": f"{LOOPBACK}:{port}", "tls": tls}}, signals=["metrics"])
    )
    clients.grpc(running).export(data.points(1))
    context = ssl.create_default_context(cafile=certificates.ca)
    with pytest.raises(OSError):
        urllib.request.urlopen(url, context=context, timeout=5).read()
    context.load_cert_chain(certificates.client, certificates.client_key)

    def page():
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:
            return answer.read().decode()

    wait_until(lambda: "load" in page(), "the metric")


# The way out


def secure_backend(certificates, needs_client):
    pairs = [(read(certificates.server_key), read(certificates.server))]
    authority = read(certificates.ca) if needs_client else None
    return Backend(credentials=grpc.ssl_server_credentials(pairs, authority, needs_client))


@pytest.mark.parametrize("needs_client", [False, True], ids=["server's", "both"])
@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_backends_over_tls(gateway, owned, clients, certificates, kind, needs_client):
    """If it failed, telemetry could not be sent over a network that is not trusted."""
    name = "otlp" if kind == "grpc" else "otlp_http"
    tls = {"ca_file": certificates.ca, **(identity(certificates, "client") if needs_client else {})}
    if kind == "grpc":
        store = backends(lambda: secure_backend(certificates, needs_client), owned)()
        running = gateway(config({"otlp": {**exporter(store), "tls": tls}}))
    else:
        context = server_context(certificates, certificates.ca if needs_client else None)
        store = backends(HTTPBackend, owned)(tls=context)
        url = store.url.replace("http:", "https:")
        running = gateway(config({name: http_exporter(url, tls=tls)}))
    clients.grpc(running).export(data.spans(5))
    settled(running, 5, name=name)
    assert len(data.span_names(store.received())) == 5


@pytest.mark.parametrize("is_known", [True, False])
def test_loki_over_tls(gateway, owned, clients, certificates, is_known):
    """If it failed, a Loki on the internet could not be used, or anybody could pretend to be it."""
    loki = backends(LokiBackend, owned)(tls=server_context(certificates, certificates.ca))
    tls = {"ca_file": certificates.ca if is_known else certificates.other, **identity(certificates, "client")}
    keys = {"retry_on_failure": {"max_elapsed_time": "300ms"}}
    exporter = loki_exporter(loki.url.replace("http:", "https:"), tls=tls, **keys)
    running = gateway(config({"loki": exporter}, signals=("logs",)))
    clients.grpc(running).export(records(["a", "b"]))
    settled_logs(running, *((2, 0) if is_known else (0, 2)))
    assert loki.lines() == (["a", "b"] if is_known else []) and loki.faults == []
    assert is_known or "CERTIFICATE_VERIFY_FAILED" in running.log


def test_http2_by_alpn(gateway, owned, clients, certificates):
    """If it failed, a backend that speaks HTTP/2 only would get nothing, or one connection for each request."""
    context = server_context(certificates)
    context.set_alpn_protocols(["h2"])
    store = backends(HTTP2Backend, owned)(tls=context)
    tls = {"ca_file": certificates.ca}
    exporter = http_exporter(store.url, tls=tls, compression="gzip", sending_queue={"num_consumers": 4})
    running = gateway(config({"otlp_http": exporter}, SMALL_BATCH))
    client = clients.grpc(running)
    for number in range(30):
        client.export(data.spans(10, first=10 * number))
    settled(running, 300, name="otlp_http")
    assert store.faults == [] and store.connections == 1
    # What it closes without a word, as idle, costs nothing.
    store.closes = 1
    client.export(data.spans(10, first=300))
    settled(running, 310, name="otlp_http")
    assert store.connections == 2 and "Will retry" not in running.log
    assert sorted(map(int, data.span_names(store.received()))) == list(range(310))


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize("fault", ["another authority", "another name", "no certificate"])
def test_other_backends_get_nothing(gateway, owned, clients, certificates, kind, fault):
    """If it failed, telemetry and credentials would go to whoever sits on the way."""
    needs_client = fault == "no certificate"
    name = "otlp" if kind == "grpc" else "otlp_http"
    if kind == "grpc":
        store = backends(lambda: secure_backend(certificates, needs_client), owned)()
    else:
        context = server_context(certificates, certificates.ca if needs_client else None)
        store = backends(HTTPBackend, owned)(tls=context)
    tls = {"ca_file": certificates.other if fault == "another authority" else certificates.ca}
    if fault == "another name":
        tls["server_name_override"] = "elsewhere"
    keys = {"retry_on_failure": {"max_elapsed_time": "300ms"}}
    if kind == "grpc":
        running = gateway(config({"otlp": {**exporter(store, **keys), "tls": tls}}))
    else:
        url = store.url.replace("http:", "https:")
        running = gateway(config({name: http_exporter(url, tls=tls, **keys)}))
    clients.grpc(running).export(data.spans(5))
    wait_until(lambda: counts(running, name)[1] == 5, lambda: running.log)
    assert store.received() == []
    words = {
        "another authority": "CERTIFICATE_VERIFY_FAILED",
        "another name": "elsewhere",
        "no certificate": "CERTIFICATE_REQUIRED" if kind == "http" else "client certificate",
    }
    assert words[fault] in running.log, running.log


def test_a_backend_without_tls_is_named(gateway, backend, clients):
    """If it failed, who forgets `insecure: true` would search for a network fault."""
    store = backend()
    keys = {"retry_on_failure": {"max_elapsed_time": "300ms"}}
    running = gateway(config({"otlp": {**exporter(store, **keys), "tls": {}}}))
    clients.grpc(running).export(data.spans(1))
    wait_until(lambda: counts(running)[1] == 1, lambda: running.log)
    assert "tls::insecure: true" in running.log, running.log


def test_a_client_without_tls_is_told(receiving):
    """If it failed, who forgets the s of https would search for a network fault, at either end."""
    running, _ = receiving()
    with socket.create_connection((LOOPBACK, running.http_port), timeout=10) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 400 ") and b"HTTP request to an HTTPS server" in answer, answer
    wait_until(lambda: "A client without TLS came to a server with tls" in running.log, lambda: running.log)


def test_http_is_sent_to_a_grpc_port_with_tls(gateway, receiving, certificates, clients):
    """If it failed, an operator would not learn that 4317 and 4318 are swapped where the port speaks TLS."""
    server, _ = receiving()
    running = gateway(config({"otlp_http": {
        "endpoint": f"https://{LOOPBACK}:{server.grpc_port}", "tls": {"ca_file": str(certificates.ca)}}}))
    clients.grpc(running).export(data.spans(1))
    wait_until(lambda: "write otlp_grpc instead of otlp_http" in running.log, lambda: running.log)


@pytest.mark.parametrize(
    "tls, words",
    [
        ({"cert_file": "SERVER", "key_file": "CLIENT_KEY"}, "the key does not belong to the certificate"),
        ({"client_ca_file": "CA"}, "a server needs a certificate"),
        ({"cert_file": "SERVER_KEY", "key_file": "SERVER_KEY"}, "holds no certificate in PEM form"),
    ],
)
def test_mistakes(tmp_path, certificates, tls, words):
    """If it failed, an operator would learn of a mistake from clients."""
    tls = {key: getattr(certificates, path.lower(), path) for key, path in tls.items()}
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config({"nop": {}}, receivers=otlp(grpc={"tls": tls}))))
    done = command("validate", "--config", file)
    assert done.returncode == 1
    assert words in done.stdout + done.stderr


@pytest.mark.parametrize("needs_client", [False, True])
def test_the_page_for_prometheus_over_tls(gateway, certificates, needs_client):
    """If it failed, metrics would have to be scraped in the clear, or anybody could read them."""
    port = free_port()
    tls = identity(certificates, "server") | ({"client_ca_file": certificates.ca} if needs_client else {})
    running = gateway(config({"prometheus": {"endpoint": f"{LOOPBACK}:{port}", "tls": tls}}, signals=["metrics"]))

    def scrape(authority, name=None):
        context = ssl.create_default_context(cafile=authority)
        if name:
            context.load_cert_chain(getattr(certificates, name), getattr(certificates, f"{name}_key"))
        connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().status
        finally:
            connection.close()

    assert scrape(certificates.ca, "client") == 200
    with pytest.raises(OSError):
        scrape(certificates.other, "client")
    if needs_client:
        for name in (None, "stranger"):
            with pytest.raises((OSError, http.client.HTTPException)):
                scrape(certificates.ca, name)
        # And the operator can see that somebody tried.
        wait_until(
            lambda: running.metrics().sum("sluice_exporter_refused_clients", exporter="prometheus") == 2, "both counted"
        )
    else:
        assert scrape(certificates.ca) == 200
    plain = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        plain.request("GET", "/metrics")
        answer = plain.getresponse()
        assert (answer.status, answer.read()) == (400, b"Client sent an HTTP request to an HTTPS server.\n")
    finally:
        plain.close()
