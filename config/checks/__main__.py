"""config/validate [--list | --self-test | CHECK...]"""

import concurrent.futures
import os
import pathlib
import sys
import time
import traceback

from . import compose, dashboards, files, graph, manifests, rules, secrets, selftest, terraform, tools
from .findings import Finding, Tree

CHECKS = {
    "yaml": files.check_yaml,
    "shell": files.check_shell,
    "kustomize": manifests.check_kustomize,
    "schemas": manifests.check_schemas,
    "graph": graph.check_graph,
    "checkov": tools.check_checkov,
    "policies": tools.check_policies,
    "gateway": files.check_gateway,
    "rules": rules.check_rules,
    "metrics": rules.check_metrics,
    "dashboards": dashboards.check_dashboards,
    "workflows": tools.check_workflows,
    "image": files.check_image,
    "compose": compose.check_compose,
    "secrets": secrets.check_secrets,
    "sbom": tools.check_sbom,
    "terraform": terraform.check_terraform,
}


def timed(name, tree):
    """What a check finds, and its seconds. A file that it cannot even read does not keep the others from theirs."""
    begin = time.monotonic()
    try:
        found = CHECKS[name](tree)
    except Exception as error:  # pylint: disable=broad-except
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"the check did not end: {type(error).__name__} in {place.name}: {' '.join(str(error).split())[:300]}"
        found = [Finding("config/checks/__main__.py", 1, name, words)]
    return found, time.monotonic() - begin


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(CHECKS))
        return 0
    root = pathlib.Path.cwd()
    binary = os.environ["SLUICE_BINARY"]
    if arguments == ["--self-test"]:
        return selftest.main(root, binary, CHECKS)
    unknown = [name for name in arguments if name not in CHECKS]
    if unknown:
        print(f"config/validate: there is no check {unknown[0]}; --list shows them", file=sys.stderr)
        return 2
    begin, findings, tree = time.monotonic(), [], Tree(root, binary)
    # Most of them wait for a program of their own.
    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
        started = {name: pool.submit(timed, name, tree) for name in arguments or CHECKS}
        for name, future in started.items():
            found, seconds = future.result()
            findings += found
            print(
                f"{name}: {len(found) or 'no'} finding{'' if len(found) == 1 else 's'} in {seconds:.1f} s",
                file=sys.stderr,
            )
    for finding in sorted(findings):
        print(finding)
    print(f"{len(findings)} findings in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
