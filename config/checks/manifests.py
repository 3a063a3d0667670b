"""The overlays as kustomize builds them: each resource with the file that it came from."""

import functools
import inspect
import json
import os
import pathlib
import re
import tempfile

import jsonschema
import yaml

from .findings import BIN, Finding, run
from .yaml_lines import documents, line_at

ORIGIN = "config.kubernetes.io/origin"
VERSIONS = ("1.34", "1.35", "1.36", "1.37")
SCHEMAS = pathlib.Path(__file__).parent / "schemas"


class Resource:
    """One resource of a built overlay."""

    def __init__(self, tree, overlay, content, path):
        self.tree, self.overlay, self.content, self.file = tree, overlay, content, tree.name(path)
        self.kind = content.get("kind", "")
        self.name = content["metadata"].get("name", "")
        self.namespace = content["metadata"].get("namespace", "")

    def __str__(self):
        return f"{self.kind} {self.name} (overlay {self.overlay})"

    def finding(self, check, text, path=()):
        """A finding at the place of the source that the path names, or comes nearest to."""
        return Finding(self.file, self.line(path), check, f"{self}: {text}")

    def line(self, path):
        source = self.tree.path(self.file)
        if source.suffix not in (".yaml", ".yml") or not source.is_file():
            return 1
        for document in documents(source.read_text()):
            if not isinstance(document, dict):
                continue
            metadata = document.get("metadata") or {}
            # A component may have changed the kind.
            if (
                metadata.get("name") == self.name
                and metadata.get("namespace", self.namespace) == self.namespace
            ):
                if document.get("kind") == self.kind or {document.get("kind"), self.kind} == {
                    "Deployment",
                    "StatefulSet",
                }:
                    return line_at(document, path)
        return 1


def build(tree, folder):
    """The text that kustomize makes of a folder, and findings."""
    done = run(BIN / "kubectl", "kustomize", folder)
    if done.returncode == 0 and not done.stderr.strip():
        return done.stdout, []
    words = done.stderr.strip().splitlines()[-1:] or ["no output"]
    return done.stdout, [Finding(*place(tree, folder, words[0]), "kustomize", words[0][:400])]


def place(tree, folder, words):
    """The file and line that kustomize's words are about: the key or the name that they quote, or line 1."""
    path = folder / "kustomization.yaml"
    text = path.read_text()
    for word in re.findall(r"'([^' ]+)'|\"([^\" ]+)\"", words):
        name = (word[0] or word[1]).rpartition("/")[2]
        for needle in (f"- {name}", f"{name}:"):
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip().startswith(needle):
                    return tree.name(path), number
    return tree.name(path), 1


def with_origins(tree, folder):
    """The resources that kustomize makes of a folder, each annotated with the file that it came from."""
    with tempfile.TemporaryDirectory(prefix="sluice-kustomize-") as top:
        top = os.path.realpath(top)
        inner = os.path.relpath(folder, top)
        text = f"resources: [{json.dumps(inner)}]\nbuildMetadata: [originAnnotations]\n"
        pathlib.Path(top, "kustomization.yaml").write_text(text)
        done = run(BIN / "kubectl", "kustomize", top)
        found = []
        for content in yaml.safe_load_all(done.stdout if not done.returncode else ""):
            annotations = content["metadata"].get("annotations") or {}
            origin = yaml.safe_load(annotations.pop(ORIGIN, "{}"))
            if not annotations:
                content["metadata"].pop("annotations", None)
            # What is generated comes from the kustomization that says so.
            place = origin.get("path") or origin.get("configuredIn") or inner
            found.append(Resource(tree, folder.name, content, os.path.normpath(os.path.join(top, place))))
        return found


def overlays(tree):
    return sorted(path.parent for path in tree.files("config/deploy/overlays/*/kustomization.yaml"))


@functools.cache
def resources(tree):
    """All resources of all overlays."""
    return [resource for overlay in overlays(tree) for resource in with_origins(tree, overlay)]


def check_kustomize(tree):
    """Every folder that is applied by itself builds without a warning."""
    findings = []
    folders = ["config/alerts", "config/dashboards", "config/deploy/argocd"]
    for folder in [tree.path(name) for name in folders] + overlays(tree):
        findings += build(tree, folder)[1]
    return findings


def own_schema(content):
    """The schema of a custom resource, written by hand; None if there is none."""
    group, _, version = content.get("apiVersion", "").partition("/")
    path = SCHEMAS / f"{content.get('kind', '').lower()}.json"
    if not version or not path.exists():
        return None
    schema = json.loads(path.read_text())
    return schema if schema["properties"]["apiVersion"]["const"] == f"{group}/{version}" else None


def custom_findings(finding, content):
    schema = own_schema(content)
    if schema is None:
        yield finding(f"there is no schema for {content.get('apiVersion')} {content.get('kind')}", ["kind"])
        return
    for error in jsonschema.Draft202012Validator(schema).iter_errors(content):
        yield finding(error.message[:300], [*error.absolute_path, *surplus(error)])


def surplus(error):
    """The key that is too much, not what it is in."""
    if error.validator != "additionalProperties":
        return []
    return [key for key in error.instance if key not in error.schema.get("properties", {})][:1]


def check_schemas(tree):
    """Every resource is what the API servers of the supported versions take."""
    import kubernetes_validate
    from kubernetes_validate import utils

    # It reads megabytes of definitions for every resource anew.
    utils.schema_contents = functools.cache(inspect.unwrap(utils.schema_contents))
    findings, seen = [], set()
    for resource in resources(tree):
        content = resource.content
        key = json.dumps(content, sort_keys=True)
        if key in seen:
            continue
        seen.add(key)
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(content, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                findings += custom_findings(
                    lambda text, path: resource.finding("schemas", text, path), content
                )
                break
            except kubernetes_validate.ValidationError as error:
                text = f"Kubernetes {version}: {error.message[:300]}"
                findings.append(resource.finding("schemas", text, [*error.path, *surplus(error)]))
                break
    return findings + applied_files(tree)


def applied_files(tree):
    """Files that are applied as they are, without an overlay."""
    findings = []
    for path in tree.files("config/deploy/argocd/*.yaml", "config/alerts/prometheus-operator.yaml"):
        if path.name == "kustomization.yaml":
            continue
        for document in documents(path.read_text()):
            findings += custom_findings(
                lambda text, place, document=document, path=path: Finding(
                    tree.name(path), line_at(document, place), "schemas", text
                ),
                document,
            )
    return findings
