"""Programs that look at whole folders: checkov, actionlint, zizmor, Terraform; the SBOM and the admission policy."""

import json
import pathlib
import re

import cel
import yaml

from .findings import BIN, Finding, line_of, run
from .manifests import build, overlays, resources
from .overlay import WORKLOADS
from .yaml_lines import documents, line_at

CHECKOV = BIN.parent.parent / "checkov" / "bin" / "checkov"
USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)")
ACTION = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
# What checkov asks for and we do not do, with the reason.
CHECKOV_SKIPS = {
    "CKV_K8S_43": "the digest is there; checkov wants a tag beside it",
    "CKV_K8S_40": "images are made for users 65534 and 10001, 472: above 10000 is not theirs to choose",
    "CKV_K8S_38": "Prometheus asks the API server for pods and Tempo takes its role: both need the token",
    "CKV_K8S_15": "digests never move: Always would only stop a node that the registry does not answer",
    "CKV_K8S_35": "no secret is in a variable; the check takes GF_SECURITY_ADMIN_PASSWORD__FILE for one",
    "CKV2_K8S_6": "it looks for a NetworkPolicy in one file; the graph check follows selectors",
    "CKV_K8S_21": "it takes cluster-wide resources for ones in the namespace default",
    "CKV_K8S_9": "no readiness probe is missing: graph says so where one is",
    "CKV_K8S_153": "annotations of ingress-nginx are its only way to say these things; no snippet is used",
}


def check_checkov(tree):
    """checkov's policies for Kubernetes on the built production overlay, and for the Containerfile and workflows."""
    import tempfile

    findings = []
    skip = ",".join(CHECKOV_SKIPS)
    with tempfile.TemporaryDirectory() as folder:
        for overlay in overlays(tree):
            text, _ = build(tree, overlay)
            pathlib.Path(folder, f"{overlay.name}.yaml").write_text(text)
        done = run(
            CHECKOV,
            "-d",
            folder,
            "--framework",
            "kubernetes",
            "--skip-download",
            "--compact",
            "--quiet",
            "-o",
            "json",
            "--skip-check",
            skip,
            cwd=folder,
        )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [
            Finding("config/deploy", 1, "checkov", f"checkov gave no report: {done.stderr.strip()[-300:]}")
        ]
    by_name = {
        (each.overlay, f"{each.kind}.{each.namespace or 'default'}.{each.name}"): each
        for each in resources(tree)
    }
    for each in report.get("results", {}).get("failed_checks", []):
        overlay = pathlib.Path(each["file_path"]).stem
        words = f"{each['check_id']} {each['resource']}: {each['check_name']}"
        resource = by_name.get((overlay, each["resource"]))
        if resource is None:
            place = f"config/deploy/overlays/{overlay}/kustomization.yaml"
            findings.append(Finding(place, 1, "checkov", words))
        else:
            findings.append(resource.finding("checkov", words, key_of(each)))
    return findings


def key_of(failed):
    """The path of the first key that a check of checkov looked at: "[spec/]containers/[0]/securityContext"."""
    keys = (failed.get("check_result") or {}).get("evaluated_keys") or []
    if not keys or not isinstance(keys[0], str):
        return ["kind"]
    steps = [int(step[1:-1]) if step.startswith("[") else step for step in keys[0].split("/") if step]
    return steps if steps[:1] == ["spec"] and "template" in steps else ["spec", "template", *steps]


def check_workflows(tree):
    """actionlint, zizmor, and every action by its commit."""
    findings = []
    paths = tree.files(".github/workflows/*.yml")
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            used = USES.match(line)
            if used and not ACTION.match(used[1]) and not used[1].startswith("./"):
                words = f"the action {used[1]} is not pinned by a commit (40 hex digits)"
                findings.append(Finding(tree.name(path), number, "workflows", words))
        findings += permissions(tree, path)
    if not paths:
        return findings
    done = run(BIN / "actionlint", "-no-color", "-oneline", "-shellcheck", "shellcheck", *paths)
    for line in done.stdout.splitlines():
        path, number, _, words = line.split(":", 3)
        findings.append(
            Finding(tree.name(pathlib.Path.cwd() / path), int(number), "workflows", words.strip())
        )
    done = run(BIN / "zizmor", "--offline", "--no-config", "--persona", "regular", "--format", "json", *paths)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [
            *findings,
            Finding(".github/workflows", 1, "workflows", f"zizmor: {done.stderr.strip()[-300:]}"),
        ]
    for each in report:
        for place in each["locations"]:
            if place["symbolic"].get("kind") != "Primary":
                continue
            path = tree.root / next(iter(place["symbolic"]["key"]["Local"].values()))
            row = place["concrete"]["location"]["start_point"]["row"] + 1
            findings.append(
                Finding(tree.name(path), row, "workflows", f"zizmor {each['ident']}: {each['desc']}")
            )
    return findings


def permissions(tree, path):
    """A workflow grants nothing; each job names what it needs, and that is never everything."""
    (content,) = documents(path.read_text())
    places = [("the workflow", content, content.get("permissions") == {})]
    places += [(f"the job {name}", job, job.get("permissions")) for name, job in content["jobs"].items()]
    for name, holder, well in places:
        given = holder.get("permissions")
        if well and not isinstance(given, str):
            continue
        words = f"{name} has the permissions {given}; a workflow has {{}}, a job those that it needs, by name"
        yield Finding(tree.name(path), line_at(holder, ["permissions"]), "workflows", words)


def check_policies(tree):
    """The admission policy's expressions on pods that it must take, pods that it must not, and the overlays' own pods."""
    findings = []
    path = tree.path("config/deploy/policies/admission/images.yaml")
    text = path.read_text()
    policy = next(yaml.safe_load_all(text))
    cases = yaml.safe_load((pathlib.Path(__file__).parent / "admission.yaml").read_text())
    for case in cases:
        refused, wanted = refusals(policy, case["spec"]), case.get("refused")
        if bool(refused) != bool(wanted) or wanted and not any(wanted in words for words in refused):
            words = (
                f"the pod \"{case['pod']}\" gives {refused or 'no refusal'}, to be {wanted or 'no refusal'}"
            )
            line = line_of(text, wanted or refused[0][:40])
            findings.append(Finding(tree.name(path), line, "policies", words))
    for resource in resources(tree):
        if resource.kind not in WORKLOADS:
            continue
        for words in refusals(policy, resource.content["spec"]["template"]["spec"]):
            place = ["spec", "template", "spec", "containers" if "mage" in words else "securityContext"]
            findings.append(resource.finding("policies", f"our own policy refuses its pods: {words}", place))
    return findings


def refusals(policy, spec):
    """What a ValidatingAdmissionPolicy says against a pod."""
    pod, variables = {"object": {"spec": spec}}, {}
    for each in policy["spec"]["variables"]:
        variables[each["name"]] = cel.evaluate(each["expression"], pod)
    return [
        each["message"]
        for each in policy["spec"]["validations"]
        if not cel.evaluate(each["expression"], {**pod, "variables": variables})
    ]


def check_sbom(tree):
    """The SBOM can be made of the binary and is valid CycloneDX 1.6."""
    script = tree.path("config/sbom/make")
    done = run(BIN / "python", script, "--binary", tree.binary, "--check")
    if done.returncode == 0:
        return []
    words = (done.stderr or done.stdout).strip()[-400:]
    named = re.match(r"(\S+?):(\d+): (.*)", words)
    if named:
        return [Finding(named[1], int(named[2]), "sbom", named[3])]
    quoted = re.search(r'"([\w.+-]+)"', words)
    line = line_of(script.read_text(), f'"{quoted[1]}"') if quoted else 1
    return [Finding(tree.name(script), line, "sbom", words)]
