"""The k6 scripts of bench/k6, run by a JavaScript engine with k6's modules played by this test, against a real gateway: what
they send is OTLP that is taken, they try again as OTLP prescribes, and their thresholds are the guide's."""

import json
import re
import urllib.error
import urllib.request

import grpc
import pytest
import quickjs
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc

import data
from backend import Backend
from conftest import config, exporter
from gateway import LOOPBACK, ROOT, wait_until

FOLDER = ROOT / "bench/k6"
SCRIPTS = ("capacity", "rollout", "node-failure")
# Of k6's modules, what the scripts use; what leaves the engine goes through `outside`.
MODULES = """
const __ENV = JSON.parse(environment);
const outside = (name, ...values) => JSON.parse(call(name, JSON.stringify(values)));
const exec = { vu: { idInTest: 1 }, scenario: { iterationInTest: 7 } };
const check = (value, wanted) => Object.values(wanted).every((each) => each(value));
const sleep = (seconds) => outside("sleep", seconds);
class Counter { constructor(name) { this.name = name; } add(value) { outside("count", this.name, value); } }
const http = { post: (url, body, options) => outside("post", url, body, options) };
const grpc = {
    StatusOK: 0, StatusDeadlineExceeded: 4, StatusResourceExhausted: 8, StatusAborted: 10, StatusUnavailable: 14,
    Client: class {
        load(folders, file) { outside("load", folders, file); }
        connect(target, options) { outside("connect", target, options); }
        invoke(method, message) {
            const status = outside("invoke", method, message);
            if (status < 0) throw new Error("not connected");
            return { status };
        }
    },
};
"""


class K6:
    """A script, loaded. `overHTTP` and `overGRPC` are called with JSON arguments."""

    def __init__(self, name, **environment):
        self.slept, self.counted, self.loaded = [], {}, []
        self.channel = None
        context = quickjs.Context()
        context.set("environment", json.dumps(environment))
        context.add_callable(
            "call", lambda name, values: json.dumps(getattr(self, name)(*json.loads(values)))
        )
        text = self.plain("otlp") + self.plain(name)
        context.eval(MODULES + text + "\nglobalThis.options = options;")
        self.context = context
        self.options = json.loads(context.eval("JSON.stringify(options)"))

    @staticmethod
    def plain(name):
        """A module without its imports and exports, which must be of what is there."""
        text = (FOLDER / f"{name}.js").read_text()
        for names, module in re.findall(r'^import (.*) from "(.*)";$', text, re.M):
            known = {
                "k6": "{ check, sleep }",
                "k6/execution": "exec",
                "k6/net/grpc": "grpc",
                "k6/http": "http",
            }
            known |= {"k6/metrics": "{ Counter }", "./otlp.js": "{ overGRPC, overHTTP }"}
            assert known[module] == names
        return re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.M), flags=re.M) + "\n"

    def run(self, call):
        return self.context.eval(call)

    # What the scripts call.

    def sleep(self, seconds):
        self.slept.append(seconds)

    def count(self, name, value):
        self.counted[name] = self.counted.get(name, 0) + value

    def post(self, url, body, options):
        request = urllib.request.Request(url, body.encode(), options["headers"])
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return {"status": answer.status, "headers": dict(answer.headers)}
        except urllib.error.HTTPError as error:
            return {"status": error.code, "headers": dict(error.headers)}
        except OSError:
            return {"status": 0, "headers": {}}

    def load(self, folders, file):
        found = [(FOLDER / folder / file).resolve() for folder in folders]
        assert any(each.is_file() for each in found), f"{file} is not in {folders}"
        self.loaded.append(file)

    def connect(self, target, options):
        assert options["plaintext"] is True
        self.channel = grpc.insecure_channel(target)

    def invoke(self, method, message):
        assert method == "opentelemetry.proto.collector.logs.v1.LogsService/Export"
        request = json_format.ParseDict(message, logs_service_pb2.ExportLogsServiceRequest())
        try:
            logs_service_pb2_grpc.LogsServiceStub(self.channel).Export(request, timeout=5)
        except grpc.RpcError as error:
            return error.code().value[0]
        return 0


@pytest.fixture
def running(gateway):
    backend = Backend()
    yield gateway(config({"otlp_grpc": exporter(backend)}, signals=("logs",))), backend
    backend.stop()


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_scripts_send_is_taken(running, name):
    """If it failed, an operator's load test of a real cluster would measure refusals."""
    gateway, backend = running
    script = K6(
        name,
        OTLP_HTTP=f"http://{LOOPBACK}:{gateway.http_port}",
        OTLP_GRPC=f"{LOOPBACK}:{gateway.grpc_port}",
        PLAINTEXT="true",
    )
    assert script.loaded == ["logs_service.proto"]
    for each in script.options["scenarios"].values():
        assert script.run(f"{each['exec']}()") is True
    wait_until(lambda: sum(map(data.item_count, backend.requests)) == 40, "all 40 records")
    assert not script.counted


def test_the_scripts_try_again():
    """If it failed, a rollout that OTLP's retries hide from every client would fail the test of it."""
    nobody = K6("rollout", OTLP_HTTP=f"http://{LOOPBACK}:1", OTLP_GRPC=f"{LOOPBACK}:1", PLAINTEXT="true")
    assert nobody.run("overHTTP(1, 3)") is False and nobody.run("overGRPC(1, 3)") is False
    assert nobody.counted == {"otlp_repeated_attempts": 4}
    assert nobody.slept == [0.2, 0.4, 0.2, 0.4]


def test_the_thresholds_are_the_guides():
    """If it failed, a cluster that misses the guide's limits would pass."""
    limits = {name: K6(name).options["thresholds"] for name in SCRIPTS}
    assert limits["capacity"]["http_req_duration"] == limits["capacity"]["grpc_req_duration"] == ["p(95)<500"]
    assert limits["capacity"]["http_req_failed"] == ["rate<0.001"]
    assert limits["rollout"]["checks"] == limits["node-failure"]["checks"] == ["rate==1"]
    assert limits["node-failure"]["iteration_duration"] == ["max<30000"]
