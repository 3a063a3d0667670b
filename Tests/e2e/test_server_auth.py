"""Receivers let in who shows the credentials that `auth` asks for."""

import base64
import json
import socket

import grpc
import pytest

import data
from conftest import config, exporter, otlp
from gateway import LOOPBACK, command, free_port, wait_until

BCRYPT = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
# Of the highest cost that is taken: a third of a second.
SLOW = "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
SPANS = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s","name":"x"}]}]}]}' % (b"01" * 16, b"02" * 8)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def guarded(sink, extension, keys, **more):
    auth = {"auth": {"authenticator": extension}}
    settings = config({"otlp_grpc": exporter(sink)}, receivers=otlp(grpc=auth, http={**auth, **more}))
    settings["extensions"] = {extension: keys}
    settings["service"]["extensions"] = [extension]
    return settings


KINDS = {
    "basicauth/server": ({"htpasswd": {"inline": f"me:{BCRYPT}\nyou:plain\n"}}, basic("me", "secret"),
                         basic("me", "wrong"), "invalid credentials", "no basic auth provided", "Basic realm="),
    "bearertokenauth": ({"tokens": ["one", "two"]}, "Bearer two", "Bearer three",
                        "provided authorization does not match expected scheme or token",
                        "missing or empty authorization header: Authorization", "Bearer"),
}


@pytest.mark.parametrize("extension", KINDS)
def test_strangers_stay_outside(gateway, backend, clients, extension):
    """If it failed, whoever reaches the port would write into everybody's data, or clients with credentials could not."""
    sink = backend()
    keys, good, bad, wrong, missing, challenge = KINDS[extension]
    started = gateway(guarded(sink, extension, keys))
    over_grpc, over_http = clients.grpc(started), clients.http(started)

    # First, so that it is known when somebody guesses.
    over_grpc.export(data.spans(1), metadata=(("authorization", good),))
    for metadata, words in [(None, missing), ((("authorization", bad),), wrong)]:
        with pytest.raises(grpc.RpcError) as failure:
            over_grpc.export(data.spans(1), metadata=metadata)
        assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED and failure.value.details() == words

    def post(value, kind="application/json", path="/v1/traces"):
        headers = {"Content-Type": kind, **({"Authorization": value} if value else {})}
        return over_http.post(SPANS if kind.endswith("json") else b"", path, headers)

    status, headers, body = post(None)
    assert status == 401 and json.loads(body) == {"code": 16, "message": missing}
    assert headers["www-authenticate"].startswith(challenge)
    # Nobody learns without credentials what is served.
    assert post(None, path="/nothing")[0] == 401
    if extension == "bearertokenauth":
        status, headers, body = post(bad, "application/x-protobuf")
        assert status == 401 and wrong.encode() in body and headers["content-type"] == "application/x-protobuf"
    assert post(good)[0] == 200 and post(good, path="/nothing")[0] == 404
    wait_until(lambda: len(sink.received("traces")) == 2, lambda: started.log)
    refused = started.metrics().sum("sluice_receiver_unauthenticated_requests")
    assert refused == (5 if extension == "bearertokenauth" else 4)
    assert "secret" not in started.log and "three" not in started.log


def test_a_slow_password_holds_up_nobody(gateway, backend, clients):
    """If it failed, every client that comes for the first time would keep all others of its event loop waiting for a third of a
    second, or lose what it has sent behind its password."""
    sink = backend()
    slow = {"htpasswd": {"inline": f"me:{SLOW}\nyou:{SLOW}\n"}}
    settings = guarded(sink, "basicauth", slow)
    settings["service"]["telemetry"] = {"metrics": {"level": "detailed"}}
    started = gateway(settings)
    over_grpc, over_http = clients.grpc(started), clients.http(started)
    # More than one read: the rest waits in the socket until the password is known to be right.
    large = data.spans(2000)
    over_grpc.export(large, metadata=(("authorization", basic("me", "secret")),))

    def post(credentials, path="/v1/traces", **more):
        headers = {"Content-Type": "application/x-protobuf", "Authorization": basic(*credentials), **more}
        return over_http.post(large.SerializeToString(), path, headers)[0]

    # Whose password is not known to be right does not learn what is served.
    assert post(("me", "wrong"), "/nothing") == 401
    wait_until(lambda: post(("you", "secret"), "/nothing") == 404, lambda: started.log)
    assert post(("you", "secret")) == 200
    with pytest.raises(grpc.RpcError) as failure:
        wait_until(lambda: not turned_away(over_grpc, large, basic("you", "wrong")), lambda: started.log)
    assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED
    wait_until(lambda: len(sink.received("traces")) == 2, lambda: started.log)
    assert started.long_looks(0.1) == 0


def test_strangers_do_not_learn_what_else_is_wrong(gateway, backend, clients):
    """If it failed, whoever knows no password would learn what the receiver takes; or who knows one would not learn what is wrong
    with a request."""
    settings = guarded(backend(), "basicauth", {"htpasswd": {"inline": f"me:{SLOW}\n"}})
    settings["receivers"]["otlp"]["protocols"]["grpc"]["max_recv_msg_size_mib"] = 1
    started = gateway(settings)
    over_grpc = clients.grpc(started)
    large = data.spans(20_000)
    assert large.ByteSize() > 1 << 20

    def code(user):
        with pytest.raises(grpc.RpcError) as failure:
            over_grpc.export(large, metadata=(("authorization", basic(user, "secret")),))
        return failure.value.code()

    assert code("you") == grpc.StatusCode.UNAUTHENTICATED
    # A wrong password may hold up other names for half a second.
    wait_until(lambda: code("me") == grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: started.log)


def turned_away(client, request, credentials):
    """Whether a wrong password before this one still has an effect."""
    try:
        client.export(request, metadata=(("authorization", credentials),))
    except grpc.RpcError as failure:
        if failure.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return True
    return False


def test_browsers_may_ask_before_they_show_credentials(gateway, backend, clients):
    """If it failed, no page could send anything to a receiver that wants credentials."""
    started = gateway(guarded(
        backend(), "bearertokenauth", {"token": "t"},
        cors={"allowed_origins": ["https://shop.example.com"], "allowed_headers": ["authorization"]}))
    client = clients.http(started)
    origin = {"Origin": "https://shop.example.com"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    status, headers, _ = client.post(b"", "/v1/traces", asked, method="OPTIONS")
    assert status == 204 and headers["access-control-allow-origin"] == origin["Origin"]
    status, headers, _ = client.post(SPANS, "/v1/traces", {**origin, "Content-Type": "application/json"})
    assert status == 401 and headers["access-control-allow-origin"] == origin["Origin"]


def test_zipkin_and_jaeger_ask_too(gateway, backend):
    """If it failed, the oldest protocols would be the way around a password."""
    zipkin, thrift = free_port(), free_port()
    auth = {"auth": {"authenticator": "bearertokenauth"}}
    settings = config({"otlp_grpc": exporter(backend())}, signals=["traces"], receivers={
        **otlp(),
        "zipkin": {"endpoint": f"{LOOPBACK}:{zipkin}", **auth},
        "jaeger": {"protocols": {"thrift_http": {"endpoint": f"{LOOPBACK}:{thrift}", **auth}}},
    })
    settings["extensions"] = {"bearertokenauth": {"token": "t"}}
    settings["service"]["extensions"] = ["bearertokenauth"]
    gateway(settings)

    def status(port, path, kind, body, *fields):
        with socket.create_connection((LOOPBACK, port), timeout=10) as client:
            head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", "Connection: close",
                    f"Content-Length: {len(body)}", *fields, "", ""]
            client.sendall("\r\n".join(head).encode() + body)
            return client.makefile("rb").read()

    spans = b'[{"traceId":"0102030405060708","id":"0102030405060708","name":"x"}]'
    refused = status(zipkin, "/api/v2/spans", "application/json", spans)
    assert refused.startswith(b"HTTP/1.1 401 ") and b"missing or empty authorization header" in refused
    good = "Authorization: Bearer t"
    assert status(zipkin, "/api/v2/spans", "application/json", spans, good).startswith(b"HTTP/1.1 202 ")
    assert status(thrift, "/api/traces", "application/x-thrift", b"").startswith(b"HTTP/1.1 401 ")
    assert not status(thrift, "/api/traces", "application/x-thrift", b"", good).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("side, keys, words", [
    ("receiver", {"client_auth": {"username": "a", "password": "b"}},
     "requested authenticator is not a server authenticator"),
    ("exporter", {"htpasswd": {"inline": "a:b"}}, "requested authenticator is not a client authenticator"),
    ("receiver", None, 'references extension "basicauth", which is not a started basicauth or bearertokenauth'),
])
def test_mistakes(tmp_path, side, keys, words):
    """If it failed, a gateway would start open, or without the password that its backend wants."""
    auth = {"auth": {"authenticator": "basicauth"}}
    settings = config(
        {"otlp_http": {"endpoint": "https://127.0.0.1:1", **(auth if side == "exporter" else {})}},
        receivers=otlp(http=auth if side == "receiver" else {}))
    if keys:
        settings["extensions"] = {"basicauth": keys}
        settings["service"]["extensions"] = ["basicauth"]
    file = tmp_path / "auth.yaml"
    file.write_text(json.dumps(settings))
    result = command("validate", "--config", file)
    assert result.returncode == 1 and words in result.stderr and result.stderr.count("error:") == 1, result.stderr
