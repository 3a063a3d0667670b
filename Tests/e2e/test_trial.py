"""Processors are tried without traffic: `sluice transform` and `sluice test`."""

import json
import subprocess
import xml.etree.ElementTree as ElementTree

from gateway import BINARY

CONFIG = """\
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors:
  transform:
    trace_statements: ['set(span.attributes["seen"], true) where span.name == "a"']
  filter:
    trace_conditions: ['span.name == "b"']
  batch:
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [transform, filter, batch], exporters: [nop]}}}
"""


def span(name):
    return {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": name}


def request(*names):
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span(name) for name in names]}]}]}


def sluice(*words, text=""):
    return subprocess.run([BINARY, *words], input=text, capture_output=True, text=True, timeout=30)


def test_transform_prints_what_comes_out_and_the_difference(tmp_path):
    """An operator who cannot try a statement tries it on production data."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    words = ("transform", "--config", str(tmp_path / "gateway.yaml"), "--pipeline", "traces")
    done = sluice(*words, text=json.dumps(request("a", "b")))
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == ["a"]
    assert spans[0]["attributes"] == [{"key": "seen", "value": {"boolValue": True}}]
    assert '-               "name": "b"' in done.stderr

    wrong = sluice(*words, text="{")
    assert wrong.returncode == 1 and "no OTLP JSON" in wrong.stderr
    assert sluice(*words[:-1], "logs", text="{}").returncode == 1
    assert sluice("transform", "--config", "x").returncode == 2


def test_tests_of_a_configuration_pass_and_fail(tmp_path):
    """A test that cannot fail would let every change of a configuration through."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "in.json").write_text(json.dumps(request("a", "b")))
    good = {"name": "b goes", "pipeline": "traces", "input_file": "in.json", "items": 1}
    good |= {"none": ['span.name == "b"'], "all": ['span.attributes["seen"] == true'], "any": ['span.name == "a"']}
    bad = {"name": "nothing changes", "pipeline": "traces", "input": request("a"), "expect": request("a")}
    bad |= {"items": 2, "any": ['span.name == "zz"']}

    def run(*cases):
        (tmp_path / "tests.yaml").write_text(json.dumps({"config": "gateway.yaml", "tests": list(cases)}))
        return sluice("test", str(tmp_path / "tests.yaml"), "--junit", str(tmp_path / "junit.xml"))

    done = run(good)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(good, bad)
    assert done.returncode == 1
    assert "2 tests, 1 failed" in done.stdout
    assert '"key": "seen"' in done.stdout
    assert "expected 2 items, found 1" in done.stdout
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert suites.find(".//failure").text

    done = run({"name": "x", "pipeline": "traces", "input": {}})
    assert done.returncode == 1 and "expects nothing" in done.stderr


def test_examples_of_every_signal_can_be_tried(tmp_path):
    """Who has no request at hand has nothing to try a statement on."""
    for signal, config in (
        ("traces", "trace_statements: ['set(span.attributes[\"x\"], 1)']"),
        ("metrics", "metric_statements: ['set(datapoint.attributes[\"x\"], 1)']"),
        ("logs", "log_statements: ['set(log.attributes[\"x\"], 1)']"),
    ):
        example = sluice("generate", "--signal", signal, "--items", "7")
        assert example.returncode == 0, example.stderr
        assert example.stdout == sluice("generate", "--signal", signal, "--items=7").stdout
        (tmp_path / "gateway.yaml").write_text(
            "receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}}}}\nexporters: {nop: }\n"
            f"processors: {{transform: {{{config}}}}}\n"
            f"service: {{pipelines: {{{signal}: {{receivers: [otlp], processors: [transform], exporters: [nop]}}}}}}\n"
        )
        words = ("transform", "--config", str(tmp_path / "gateway.yaml"), "--pipeline", signal)
        done = sluice(*words, text=example.stdout)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"key": "x"') == 7
    assert sluice("generate").returncode == 2
    assert sluice("generate", "--signal", "profiles").returncode == 2
    assert "generate" in sluice("help").stdout
