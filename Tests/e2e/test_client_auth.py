"""Exporters send the credentials that extensions hold."""

import base64
import json

import pytest

import data
from conftest import backends, config, exporter, otlp
from gateway import command, wait_until
from http_backend import HTTPBackend


@pytest.fixture
def http_backend(owned):
    return backends(HTTPBackend, owned)


def with_auth(sink, extension, keys, **more):
    settings = config(
        {"otlp_http": {"endpoint": sink.url, "auth": {"authenticator": extension}, **more}}, signals=["traces"])
    settings["extensions"] = {**settings.get("extensions", {}), extension: keys}
    service = settings["service"]
    service["extensions"] = [*service.get("extensions", []), extension]
    return settings


def heads(sink):
    return [{name.lower(): value for name, value in head.items()} for head in sink.heads]


def test_basic_credentials_come_from_files_that_are_replaced(gateway, http_backend, clients, tmp_path):
    """If it failed, every rotated password would stop the data until somebody restarts the gateway."""
    sink = http_backend()
    password = tmp_path / "password"
    password.write_text("first\n")
    keys = {"client_auth": {"username": "me", "password": "unused", "password_file": str(password)}}
    started = gateway(with_auth(sink, "basicauth/backend", keys))
    client = clients.grpc(started)

    def sends(text):
        client.export(data.spans(1))
        expected = "Basic " + base64.b64encode(text).decode()
        return any(head.get("authorization") == expected for head in heads(sink))

    wait_until(lambda: sends(b"me:first"), lambda: heads(sink), interval=0.1)
    password.write_text("second")
    wait_until(lambda: sends(b"me:second"), lambda: heads(sink), interval=0.1)
    assert "second" not in started.log and "first" not in started.log


def test_a_token_goes_out_with_its_scheme(gateway, http_backend, clients):
    """If it failed, no backend of the field that wants a token would take anything."""
    sink = http_backend()
    started = gateway(with_auth(sink, "bearertokenauth", {"token": "abc", "scheme": "Api-Token"},
                                headers={"authorization": "older"}))
    clients.grpc(started).export(data.spans(1))
    wait_until(lambda: sink.received("traces"), "the spans")
    assert heads(sink)[-1]["authorization"] == "Api-Token abc"


def test_the_clients_tenant_goes_on_with_its_data(gateway, http_backend, clients):
    """If it failed, the data of one tenant would be stored as another's."""
    sink = http_backend()
    keys = {"headers": [
        {"action": "upsert", "key": "X-Scope-OrgID", "from_context": "X-Tenant", "default_value": "nobody"},
        {"action": "insert", "key": "X-Source", "value": "gateway"},
        {"action": "update", "key": "X-Absent", "value": "no"},
        {"action": "delete", "key": "x-old"},
    ]}
    settings = with_auth(sink, "headers_setter", keys, headers={"X-Old": "1"})
    settings["receivers"]["otlp"]["protocols"]["grpc"]["include_metadata"] = True
    started = gateway(settings)
    client = clients.grpc(started)
    client.export(data.spans(1), metadata=[("x-tenant", "acme")])
    client.export(data.spans(2))
    client.export(data.spans(3), metadata=[("x-tenant", "a"), ("x-tenant", "b")])
    wait_until(lambda: len(sink.received("traces")) == 2, "the spans")
    assert sorted(head["x-scope-orgid"] for head in heads(sink)) == ["acme", "nobody"]
    for head in heads(sink):
        assert head["x-source"] == "gateway" and "x-absent" not in head and "x-old" not in head
    wait_until(lambda: "2 source keys found in the context" in started.log, "the refusal")


def test_an_extension_that_is_not_built_is_one_error(tmp_path):
    """If it failed, an operator would look for two mistakes where there is one."""
    settings = config({"otlp_http": {"endpoint": "https://h", "auth": {"authenticator": "oauth2client"}}},
                      signals=["traces"])
    settings["extensions"] = {"oauth2client": {"client_id": "a"}}
    settings["service"]["extensions"] = ["oauth2client"]
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(settings, indent=1))
    result = command("validate", "--config", file)
    assert result.returncode != 0 and result.stderr.count(": error: ") == 1, result.stderr
    assert 'extension "oauth2client" is not built into this version yet' in result.stderr
