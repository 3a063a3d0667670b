"""Files by themselves: YAML, shell scripts, the gateway's configurations, the Containerfile."""

import re

from .findings import BIN, Finding, run
from .pinned import PINNED

YAML_RULES = (
    "{extends: default, rules: {document-start: disable, line-length: {max: 140},"
    " braces: {max-spaces-inside: 1}, truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}}}"
)
# A line holds one long thing that cannot be broken: a query of a recorded series.
LONG_LINES = ("config/alerts/",)
SCRIPTS = (
    "config/validate",
    "config/run",
    "config/install-packages",
    "config/image/build",
    "config/image/test",
    "config/semgrep/run",
)
# Configurations of the gateway: file, and what --config takes besides.
GATEWAYS = (
    ("config/gateway.yaml", ()),
    ("config/autoecoops.yaml", ()),
    ("config/deploy/components/tls/tls.yaml", ("config/autoecoops.yaml",)),
)


def check_yaml(tree):
    """yamllint, strictly: duplicate keys, indentation, stray spaces."""
    paths = tree.files("config/**/*.yaml", "config/**/*.yml", ".github/**/*.yml")
    done = run(BIN / "yamllint", "--strict", "--format", "parsable", "--config-data", YAML_RULES, *paths)
    findings = []
    for line in done.stdout.splitlines():
        path, number, _, words = line.split(":", 3)
        if "line-length" in words and tree.name(path).startswith(LONG_LINES):
            continue
        findings.append(Finding(tree.name(path), int(number), "yaml", words.strip()))
    return findings


def check_shell(tree):
    paths = [tree.path(name) for name in SCRIPTS if tree.path(name).exists()]
    done = run("shellcheck", "--format", "gcc", *paths)
    return [gcc_style(tree, line, "shell") for line in done.stdout.splitlines()]


def gcc_style(tree, line, check):
    """FILE:LINE:COLUMN: words"""
    path, number, _, words = line.split(":", 3)
    return Finding(tree.name(path), int(number), check, words.strip())


def check_gateway(tree):
    """`sluice validate` on every configuration of the gateway."""
    findings = []
    for name, below in GATEWAYS:
        path = tree.path(name)
        options = []
        text = path.read_text()
        if below:
            # The certificate is not here: only its keys are checked, which an unreadable file is not about.
            options = [word for each in below for word in ("--config", tree.path(each))]
        done = run(tree.binary, "validate", *options, "--config", path)
        for line in (done.stdout + done.stderr).splitlines():
            named = re.match(r"(\S+?):(\d+):(\d+: error: .*)", line)
            if named and "sluice-certificate" not in line:
                findings.append(Finding(tree.name(path.resolve()), int(named[2]), "gateway", named[3]))
        if done.returncode and not findings and not below:
            findings.append(
                Finding(tree.name(path), 1, "gateway", (done.stdout + done.stderr).strip()[-300:])
            )
        if below and "tls" not in text:
            findings.append(Finding(tree.name(path), 1, "gateway", "it turns no TLS on"))
    return findings


def check_image(tree):
    """hadolint on the Containerfile; every image of a FROM is pinned by digest."""
    findings = []
    for path in tree.files("config/image/Containerfile"):
        done = run(BIN / "hadolint", "--format", "gnu", "--no-color", path)
        for line in done.stdout.splitlines():
            named = re.search(r":(\d+): (DL\d+|SC\d+) (.*)", line)
            number, words = (int(named[1]), f"{named[2]} {named[3]}") if named else (1, line)
            findings.append(Finding(tree.name(path), number, "image", words))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            base = re.match(r"FROM (\S+)", line)
            if base and base[1] != "scratch" and not PINNED.match(base[1]):
                findings.append(
                    Finding(tree.name(path), number, "image", f"{base[1]} is not pinned by a digest")
                )
    return findings
