"""compose.yaml: images by digest, volumes that are declared and used, files that are there, services that are named."""

import re

import yaml

from .findings import Finding
from .pinned import PINNED
from .yaml_lines import documents, line_at


def check_compose(tree):
    findings = []
    for path in tree.files("config/compose/compose.yaml"):
        (content,) = documents(path.read_text())
        for words, place in problems(content, path):
            findings.append(Finding(tree.name(path), line_at(content, place), "compose", words))
    return findings


def problems(content, path):
    services, declared, mounted = content["services"], content.get("volumes") or {}, set()
    for name, service in services.items():
        here = ["services", name]
        # The gateway's image is built here and never pulled.
        if not PINNED.match(service["image"]) and service.get("pull_policy") != "never":
            yield f"{name}: the image {service['image']} is not pinned by a digest", [*here, "image"]
        for index, volume in enumerate(service.get("volumes") or []):
            source = volume.split(":")[0]
            if source.startswith((".", "/")):
                if not (path.parent / source).exists():
                    yield f"{name} mounts {source}, which is not there", [*here, "volumes", index]
            elif source not in declared:
                yield f'{name} mounts the volume "{source}", which nothing declares', [
                    *here,
                    "volumes",
                    index,
                ]
            mounted.add(source)
        for index, port in enumerate(service.get("ports") or []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name} listens on every address of this machine: 127.0.0.1:{port}", [
                    *here,
                    "ports",
                    index,
                ]
        for key, value in (service.get("environment") or {}).items():
            host = re.match(r"(?:http://)?([a-z][\w-]*):\d+$", str(value))
            if host and host[1] not in services:
                yield f"{name}: {key} names {host[1]}, which is no service", [*here, "environment", key]
    for name in declared:
        if name not in mounted:
            yield f'the volume "{name}" is not mounted', ["volumes", name]
    yield from scraped(content, path)


def scraped(content, path):
    """What Prometheus scrapes and what Grafana asks are services, or names that the network gives them."""
    names = set(content["services"])
    for service in content["services"].values():
        networks = service.get("networks")
        for network in networks.values() if isinstance(networks, dict) else ():
            names.update((network or {}).get("aliases") or [])
    wanted = [
        target.rpartition(":")[0]
        for job in yaml.safe_load((path.parent / "prometheus.yml").read_text())["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    ]
    sources = path.parents[1] / "deploy/base/platform-03/grafana/datasources.yaml"
    wanted += re.findall(r"url: http://([\w.-]+):\d+", sources.read_text())
    for host in wanted:
        if host not in names and host != "localhost":
            yield f"{host} is scraped or asked, and no service has that name", ["services"]
