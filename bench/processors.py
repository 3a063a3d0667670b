"""What processors add to an item: otlp → processor → otlp and the same road without it, by turns."""

import http.server
import json
import os
import ssl
import statistics
import subprocess
import threading

import harness
from harness import Bench, BenchError, free_ports, progress
from pairs import TURN_SECONDS, turns
from throughput import RunningPath, path, shape_of

PODS = 10_000
# For what attributes of the payload hold in about half of the items: their values are random numbers.
HALF = {
    "traces": 'span.attributes["url.path"] < "/api/v1/products/5"',
    "logs": 'log.attributes["order.id"] < 55000000',
}


def transform(signal):
    item = {"traces": "span", "logs": "log"}[signal]
    route = f'{item}.attributes["http.route"]'
    return {
        f"{'trace' if signal == 'traces' else 'log'}_statements": [
            f'set({item}.attributes["deployment.environment.name"], "prod")',
            f'set({item}.attributes["is.api"], true) where IsMatch({route}, "^/api/")',
            f'replace_pattern({route}, "/v[0-9]+/", "/vN/")',
        ]
    }


def drop_half(signal):
    return {"trace_conditions" if signal == "traces" else "log_conditions": [HALF[signal]]}


INSERT_AND_DELETE = {
    "actions": [
        {"key": "deployment.environment.name", "value": "prod", "action": "insert"},
        {"key": "http.route", "action": "delete"},
    ]
}
KUBERNETES = {
    "auth_type": "none",
    "wait_for_metadata": True,
    "wait_for_metadata_timeout": "60s",
    "extract": {"metadata": ["k8s.pod.name", "k8s.pod.uid", "k8s.deployment.name", "k8s.node.name"]},
    "pod_association": [{"sources": [{"from": "connection"}]}],
}
DETECTION = {"detectors": ["env", "system"], "override": False, "system": {"hostname_sources": ["os"]}}


def cell(name, processors, allowed_ns, published="", signal="traces", in_cluster=False):
    return {
        **path(name, signal=signal, exporter="otlp_grpc"),
        "processors": processors,
        "allowed_ns": allowed_ns,
        "published": published,
        "in_cluster": in_cluster,
    }


CELLS = [
    cell("attributes, insert and delete", {"attributes": INSERT_AND_DELETE}, 250),
    cell(
        "resource, upsert",
        {"resource": {"attributes": [{"key": "env", "value": "prod", "action": "upsert"}]}},
        20,
    ),
    cell("filter, drops half", {"filter": drop_half("traces")}, 150, "219 to 282 ns a body regex (K#22789)"),
    cell(
        "transform, 3 statements",
        {"transform": transform("traces")},
        600,
        "+114 to +179 ns a statement (K#44541)",
    ),
    cell("logs: attributes, insert and delete", {"attributes": INSERT_AND_DELETE}, 250, signal="logs"),
    cell("logs: filter, drops half", {"filter": drop_half("logs")}, 150, signal="logs"),
    cell(
        "logs: transform, 3 statements",
        {"transform": transform("logs")},
        600,
        "8.3 µs for 10 statements (K#33433)",
        signal="logs",
    ),
    cell(f"k8s_attributes, {PODS} pods", {"k8s_attributes": KUBERNETES}, 20, in_cluster=True),
    cell("probabilistic_sampler, 10 %", {"probabilistic_sampler": {"sampling_percentage": 10}}, 40),
    cell(
        "all in a row",
        {
            "k8s_attributes": KUBERNETES,
            "resource_detection": DETECTION,
            "attributes": INSERT_AND_DELETE,
            "filter": drop_half("traces"),
            "transform": transform("traces"),
        },
        None,
        in_cluster=True,
    ),
]


class Cluster:
    """An API server with pods, the last of which has the address from which the load comes."""

    def __init__(self, bench):
        folder = os.path.join(bench.folder, "account")
        os.makedirs(folder)
        self.certificate = (os.path.join(folder, "ca.crt"), os.path.join(bench.folder, "api.key"))
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-subj", "/CN=api", "-days", "2", "-nodes"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        files = ["-out", self.certificate[0], "-keyout", self.certificate[1]]
        subprocess.run(["openssl", "req", "-x509", *key, *names, *files], check=True, capture_output=True)
        self.pages = {"pods": [pod(number) for number in range(PODS)]}
        (self.port,) = free_ports(1)
        place = "/run/secrets/kubernetes.io/serviceaccount"
        script = f'mount -t tmpfs run /run && mkdir -p {place} && mount --bind "$0" {place} && exec "$@"'
        self.launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, folder]
        if subprocess.run([*self.launcher, "true"], capture_output=True, check=False).returncode:
            raise BenchError("mount namespaces are not allowed here, which stand in for a pod")
        self.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}
        self.server = self.serve()

    def serve(self):
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                place, _, query = self.path.partition("?")
                items = cluster.pages.get(place.rpartition("/")[2], [])
                body = {"metadata": {"resourceVersion": "7"}, "items": items}
                data = b"" if "watch=" in query else json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def pod(number):
    """As a Deployment has them."""
    owner = f"service-{number // 10}-5d4f8c7b9"
    address = "127.0.0.1" if number == PODS - 1 else f"10.{number >> 14}.{number >> 7 & 127}.{number & 127}"
    containers = [
        {"name": "app", "image": f"registry.example.com/shop/service-{number // 10}:1.{number % 7}"}
    ]
    return {
        "metadata": {
            "name": f"{owner}-{number:05d}",
            "namespace": "shop",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "5d4f8c7b9", "app.kubernetes.io/name": f"service-{number // 10}"},
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": owner, "uid": f"rs-{number // 10}", "controller": True}
            ],
        },
        "spec": {"nodeName": f"node-{number % 200}", "containers": containers},
        "status": {"podIP": address, "startTime": "2026-01-01T00:00:05Z"},
    }


def measure_cell(bench, each, options, cluster):
    """One line: the ratio and the difference of CPU time an item, over pairs of turns."""
    shape = shape_of(each, 100, options)
    bare = {**each, "processors": {}, "in_cluster": False}
    row = {"path": each["name"], "items": 100, "shape": shape, "allowed_ns": each["allowed_ns"]}
    row["published"] = each["published"]
    running, runs = [], ([], [])
    try:
        for one in (each, bare):
            one = {**one, "cluster": cluster if one["in_cluster"] else None}
            running.append(RunningPath(bench, "sluice", options.gateway, one, shape, options))
            running[-1].measure(options.warmup)
        for which in turns(max(2, round(options.seconds / TURN_SECONDS)) * options.repeat):
            runs[which].append(running[which].measure(TURN_SECONDS))
        row["idle_mib"] = [one.idle_mib for one in running]
    except BenchError as error:
        row["error"] = str(error)
        progress(f"{each['name']}: {error}")
        return row
    finally:
        for one in running:
            one.stop()
    # Of a filter fewer arrive than were accepted: that is no fault.
    row["notes"] = sorted({note for one in running for note in one.notes if "items" not in note})
    with_it, without = ([1e6 / run["kitems_per_cpu_second"] for run in side] for side in runs)
    added = [a - b for a, b in zip(with_it, without)]
    row["ns"] = [statistics.median(with_it), statistics.median(without)]
    row["added_ns"] = statistics.median(added)
    row["error_ns"] = 1.2533 * statistics.stdev(added) / len(added) ** 0.5
    progress(
        f"{each['name']}: {row['added_ns']:.0f} ± {row['error_ns']:.0f} ns (allowed: {each['allowed_ns']})"
    )
    return row


COLUMNS = [
    "<processor",
    "ns an item, with",
    "without",
    "added",
    "±",
    "may add",
    "k items / CPU s, with",
    "MiB idle, with",
    "<the Collector's, published",
    "<notes",
]


def table_row(row):
    if "error" in row:
        return [row["path"]] + [""] * (len(COLUMNS) - 2) + [row["error"][:160]]
    return [
        row["path"],
        *(f"{each:.0f}" for each in row["ns"]),
        f"{row['added_ns']:.0f}",
        f"{row['error_ns']:.0f}",
        "–" if row["allowed_ns"] is None else str(row["allowed_ns"]),
        f"{1e6 / row['ns'][0]:.0f}",
        f"{row['idle_mib'][0]:.0f}",
        row["published"],
        ", ".join(row["notes"]),
    ]


def processors(options):
    """What each processor adds to the CPU time of an item."""
    chosen = [
        each
        for each in CELLS
        if not options.paths or any(wanted.lower() in each["name"].lower() for wanted in options.paths)
    ]
    rows = []
    with Bench() as bench:
        cluster = Cluster(bench) if any(each["in_cluster"] for each in chosen) else None
        try:
            rows = [measure_cell(bench, each, options, cluster) for each in chosen]
        finally:
            if cluster:
                cluster.stop()
    method = (
        "otlp (gRPC) → processor → otlp (gRPC), 100 items a request, and the same road without it, both "
        f"started and loaded by turns of {TURN_SECONDS} s, {options.seconds * options.repeat:g} s each; user and "
        "system time of the gateway ÷ items that it accepted. memory_limiter and batch are in both."
    )
    return rows, ["## Processors", "", method, ""] + harness.table(COLUMNS, [table_row(row) for row in rows])
