"""Secrets in plain text: keys that are recognised by their form, values of keys that are named so, Secret resources."""

import re

from .findings import Finding

FILES = ("config/**/*", ".github/**/*")
# Cases of the checks themselves.
EXAMPLES = ("config/checks/", "config/semgrep/cases.swift")
FORMS = (
    (re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an access key of AWS"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"), "a token of GitHub"),
    (
        re.compile(r"https://hooks\.slack\.com/services/\S+"),
        "the address of a webhook, which is its password",
    ),
)
NAME = r"[\w.-]*(?:password|passwd|secret[_-]?key|api[_-]?key|access[_-]?key|auth[_-]?token|bearer[_-]?token)"
# key: value and KEY = "value"; a reference, a placeholder or a file's name is none.
VALUE = re.compile(rf"""(?i)^\s*(?:- )?["']?({NAME})["']?\s*[:=]\s*["']?([^\s"'#]+)""")
VARIABLE = re.compile(rf"""(?i)^\s*- name:\s*["']?({NAME})["']?\s*$""")
LITERAL = re.compile(r"""^\s*value:\s*["']?([^\s"'#]+)""")
REFERENCE = re.compile(r"^(\$|/|\{|\[|var\.|local\.|true$|false$|null$)")


def check_secrets(tree):
    findings = []
    for path in tree.files(*FILES):
        name = tree.name(path)
        if name.startswith(EXAMPLES) or "__pycache__" in name:
            continue
        findings += [
            Finding(name, line, "secrets", words) for line, words in found(path.read_text(errors="replace"))
        ]
    return findings


def found(text):
    variable = None
    for number, line in enumerate(text.splitlines(), 1):
        for form, words in FORMS:
            if form.search(line):
                yield number, f"{words} in plain text"
        if re.match(r"kind: Secret\b", line):
            yield number, "a Secret is made by hand or by the cloud's store, never from a file in Git"
        named = VALUE.match(line)
        if named and not REFERENCE.match(named[2]):
            yield number, f"{named[1]} has its value in plain text"
        literal = LITERAL.match(line)
        if variable and literal and not REFERENCE.match(literal[1]):
            yield number, f"{variable} has its value in plain text"
        variable = named[1] if (named := VARIABLE.match(line)) else None
