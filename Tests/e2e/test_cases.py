"""Cases by hand for processors, as data: `cases/NAME.yaml`.

A case has a `config`, what comes `in` and `out`; or it is `refused`, or the start `fails`, with that in the message.
Items are written short, each with its resource: see `item_json` and `item_facts`.
"""

import json
import pathlib
import subprocess

import pytest
import yaml

from gateway import BINARY, LOOPBACK, command, in_pod
from otlp_values import attributes, entries, plain, wire
from scraped import HTTPServer
from test_tls import certificates  # noqa: F401

FOLDER = pathlib.Path(__file__).parent / "cases"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
CASES = [(name, case) for name, file in FILES.items() for case in file["cases"]]
KINDS = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponential": "exponentialHistogram",
    "summary": "summary",
}
ENVELOPES = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}
# Our name of a field, and OTLP's.
FIELDS = {
    "traces": {"name": "name", "kind": "kind"},
    "logs": {
        "time": "timeUnixNano",
        "observed": "observedTimeUnixNano",
        "severity": "severityNumber",
        "severity_text": "severityText",
        "trace": "traceId",
    },
    "point": {
        "start": "startTimeUnixNano",
        "time": "timeUnixNano",
        "count": "count",
        "sum": "sum",
        "scale": "scale",
        "counts": "bucketCounts",
        "bounds": "explicitBounds",
    },
}
TEXTS = {"timeUnixNano", "observedTimeUnixNano", "startTimeUnixNano", "count"}


def fields_json(item, names):
    return {
        wide: str(item[short]) if wide in TEXTS else item[short]
        for short, wide in names.items()
        if short in item
    }


def fields_facts(item, names):
    facts = {
        short: item[wide] for short, wide in names.items() if item.get(wide) not in (None, "", 0, "0", [])
    }
    for short, wide in names.items():
        if short in facts and wide in TEXTS:
            facts[short] = int(facts[short])
    if "counts" in facts:
        facts["counts"] = [int(count) for count in facts["counts"]]
    return facts


def point_json(point):
    whole = fields_json(point, FIELDS["point"]) | {"attributes": attributes(point.get("attributes", {}))}
    if "value" in point:
        is_int = isinstance(point["value"], int)
        whole["asInt" if is_int else "asDouble"] = str(point["value"]) if is_int else point["value"]
    return whole


def point_facts(point):
    facts = fields_facts(point, FIELDS["point"])
    if "asInt" in point or "asDouble" in point:
        facts["value"] = int(point["asInt"]) if "asInt" in point else float(point["asDouble"])
    if found := entries(point.get("attributes")):
        facts["attributes"] = found
    return facts


def item_json(item, signal):
    if signal == "metrics":
        data = {"dataPoints": [point_json(point) for point in item["points"]]}
        if item["type"] not in ("gauge", "summary"):
            data["aggregationTemporality"] = 1 if item.get("temporality") == "delta" else 2
        if item["type"] == "sum":
            data["isMonotonic"] = item.get("monotonic", True)
        return {"name": item["metric"], KINDS[item["type"]]: data}
    whole = fields_json(item, FIELDS[signal]) | {"attributes": attributes(item.get("attributes", {}))}
    if "body" in item:
        whole["body"] = wire(item["body"])
    if "events" in item:
        whole["events"] = [
            {"name": event["name"], "attributes": attributes(event["attributes"])} for event in item["events"]
        ]
    return whole


def item_facts(item, signal):
    if signal == "metrics":
        kind = next(short for short, wide in KINDS.items() if wide in item)
        data = item[KINDS[kind]]
        facts = {"metric": item["name"], "type": kind, "points": list(map(point_facts, data["dataPoints"]))}
        if data.get("aggregationTemporality") in (1, "AGGREGATION_TEMPORALITY_DELTA"):
            facts["temporality"] = "delta"
        if kind == "sum" and not data.get("isMonotonic"):
            facts["monotonic"] = False
        return facts
    facts = fields_facts(item, FIELDS[signal])
    if found := entries(item.get("attributes")):
        facts["attributes"] = found
    if "body" in item:
        facts["body"] = plain(item["body"])
    if events := item.get("events"):
        facts["events"] = [
            {"name": event["name"], "attributes": entries(event.get("attributes"))} for event in events
        ]
    return facts


def request(items, signal, joined):
    """Each item in a resource of its own, or all in that of the first."""
    outer, middle, inner = ENVELOPES[signal]
    resources = []
    for item in items:
        if joined and resources:
            resources[0][middle][0][inner].append(item_json(item, signal))
            continue
        scope = dict(item.get("scope", {}))
        resources.append(
            {
                "resource": {"attributes": attributes(item.get("resource", {}))},
                middle: [{"scope": scope, inner: [item_json(item, signal)]}],
            }
        )
    return {outer: resources}


def facts(whole, signal):
    outer, middle, inner = ENVELOPES[signal]
    found = []
    for resource in whole.get(outer, []):
        for scope in resource.get(middle, []):
            for item in scope.get(inner, []):
                fact = item_facts(item, signal)
                if known := entries(resource.get("resource", {}).get("attributes")):
                    fact["resource"] = known
                if scope.get("scope"):
                    fact["scope"] = scope["scope"]
                found.append(fact)
    return found


def agrees(wanted, found):
    """Whether they are equal; `*` is anything. Points come in any order."""
    if wanted == "*":
        return found is not None
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(
            (
                agree_in_any_order(wanted[key], found[key])
                if key == "points"
                else agrees(wanted[key], found[key])
            )
            for key in wanted
        )
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(agrees, wanted, found))
    return wanted == found and isinstance(wanted, bool) == isinstance(found, bool)


def agree_in_any_order(wanted, found):
    left = list(found)
    for one in wanted:
        place = next((place for place, other in enumerate(left) if agrees(one, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


class StandIn(HTTPServer):
    """Answers paths with texts, and lists what is in a cluster."""

    def __init__(self, answers, cluster, **options):
        self.answers, self.cluster = answers, cluster
        super().__init__(**options)
        self._server.RequestHandlerClass.do_PUT = self._server.RequestHandlerClass.do_GET

    def handle(self, handler):
        path, _, query = handler.path.partition("?")
        answer = self.answers.get(path)
        kind = path.rpartition("/")[2]
        if self.cluster and "watch=" in query:
            answer = ""
        elif self.cluster and path.startswith("/api"):
            items = self.cluster.get(kind, [])
            answer = json.dumps({"metadata": {"resourceVersion": "7"}, "items": items})
        handler.send_response(404 if answer is None else 200)
        handler.send_header("Content-Length", str(len((answer or "").encode())))
        handler.end_headers()
        handler.wfile.write((answer or "").encode())


@pytest.fixture
def account(certificates, tmp_path):  # noqa: F811
    """What puts a gateway into a pod."""
    folder = tmp_path / "account"
    folder.mkdir()
    launcher = in_pod(folder)
    if launcher is None:
        pytest.skip("mount namespaces are not allowed here")
    for name, text in {"token": "t", "namespace": "shop", "ca.crt": open(certificates.ca).read()}.items():
        (folder / name).write_text(text)
    return launcher, (certificates.server, certificates.server_key)


def put_in(value, old, new):
    return json.loads(json.dumps(value).replace(old, new))


@pytest.mark.parametrize("file, case", CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_case(file, case, tmp_path, owned, request_fixtures):
    """What a processor does is what its users configured it for; each case is one promise of its page."""
    about = FILES[file]
    signal = case.get("signal", about["signal"])
    processor = case.get("processor", about["processor"])
    cluster = about.get("cluster") if "refused" not in case else None
    env, launcher = dict(case.get("env", {})), []
    config = about.get("defaults", {}) | case["config"]
    if cluster:
        launcher, identity = request_fixtures("account")
        server = StandIn({}, cluster, certificate=identity)
        env |= {"KUBERNETES_SERVICE_HOST": LOOPBACK, "KUBERNETES_SERVICE_PORT": str(server.port)}
        owned.callback(server.stop)
    elif "server" in case:
        server = StandIn(case["server"], None)
        owned.callback(server.stop)
        env, config = put_in([env, config], "{server}", server.address)
    whole = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "processors": {processor: config},
        "exporters": {"nop": None},
        "service": {
            "pipelines": {signal: {"receivers": ["otlp"], "processors": [processor], "exporters": ["nop"]}}
        },
    }
    (tmp_path / "gateway.yaml").write_text(json.dumps(whole))
    words = [
        "transform",
        "--config",
        str(tmp_path / "gateway.yaml"),
        "--pipeline",
        signal,
        "--show",
        "result",
    ]
    if "refused" in case:
        done = command("validate", "--config", tmp_path / "gateway.yaml")
        assert done.returncode == 1 and case["refused"] in done.stderr, done.stderr
        return
    text = json.dumps(request(case["in"], signal, case.get("joined", False)))
    done = run([*launcher, BINARY, *words], text, env)
    if "fails" in case:
        assert done.returncode == 1 and case["fails"] in done.stderr, done.stderr
        return
    assert done.returncode == 0, done.stderr
    found = facts(json.loads(done.stdout), signal)
    assert agree_in_any_order(case["out"], found), f"wanted: {case['out']}\ncame:   {found}\n{done.stderr}"


@pytest.fixture
def request_fixtures(request):  # noqa: F811
    """Fixtures that only some cases need."""
    return request.getfixturevalue


def run(words, text, env):
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SWIFT_BACKTRACE": "enable=no", **env}
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, env=environment)
