"""Grafana's files: dashboards that it takes as they are, data sources that the panels and links name."""

import json
import re

import yaml

from .findings import Finding, line_of

DASHBOARDS = "config/dashboards/*.json"
PANELS = {"row", "timeseries", "stat", "heatmap", "table", "gauge", "bargauge", "text", "logs"}
DATASOURCES = "config/**/datasources.yaml"


def panels(dashboard):
    for panel in dashboard.get("panels") or []:
        yield panel
        yield from panel.get("panels") or []


def panel_line(text, panel):
    """The line at which a panel's title is."""
    return line_of(text, f'"title": {json.dumps(panel.get("title", ""), ensure_ascii=False)}')


def expressions(tree):
    """(path, line, query) of every panel and variable."""
    found = []
    for path in tree.files(DASHBOARDS):
        text = path.read_text()
        dashboard = json.loads(text)
        for panel in panels(dashboard):
            for target in panel.get("targets") or []:
                query = target.get("expr", "")
                line = line_of(text, json.dumps(query, ensure_ascii=False), panel_line(text, panel))
                found.append((path, line, query))
        for variable in dashboard["templating"]["list"]:
            named = re.match(r"label_values\((.*), \w+\)$", variable.get("definition", ""))
            if named:
                found.append((path, line_of(text, json.dumps(variable["definition"])), named[1]))
    return found


def check_dashboards(tree):
    findings = []
    uids = {}
    for path in tree.files(DASHBOARDS):
        text = path.read_text()
        try:
            dashboard = json.loads(text)
        except ValueError as error:
            findings.append(Finding(tree.name(path), getattr(error, "lineno", 1), "dashboards", str(error)))
            continue
        problems = [*top(dashboard), *layout(dashboard, text), *foreign(dashboard, text)]
        for panel in panels(dashboard):
            line = panel_line(text, panel)
            problems += [(line, words) for words in panel_problems(panel, dashboard)]
            for target in panel.get("targets") or []:
                query = line_of(text, json.dumps(target.get("expr", ""), ensure_ascii=False), line)
                problems += [(query, words) for words in query_problems(target, dashboard)]
        uid = dashboard.get("uid")
        if uid in uids:
            problems.append((line_of(text, '"uid"'), f"the uid {uid} is that of {uids[uid]}, too"))
        uids[uid] = path.name
        findings += [Finding(tree.name(path), line, "dashboards", words) for line, words in problems]
    return findings + datasources(tree)


def top(dashboard):
    if "dashboard" in dashboard:
        yield 1, 'it is the body of the HTTP API; files hold what is inside of "dashboard"'
    for key in ("uid", "title", "schemaVersion", "panels", "templating", "time"):
        if not dashboard.get(key):
            yield 1, f"it has no {key}"
    if dashboard.get("id") is not None:
        yield 1, 'it has an "id", which is of one Grafana\'s own database'


def foreign(dashboard, text):
    """What Grafana's own schema of dashboards does not know: it would be lost, or is misspelt."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    try:
        kept = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        yield 1, f"Grafana's schema does not take it: {type(error).__name__}: {error}"
        return
    for key, where in lost(dashboard, kept, ""):
        # Grafana writes the definition of a variable itself, for people; its schema has only the query.
        if key != "definition":
            yield line_of(text, f'"{key}":'), f"Grafana's schema has no {where}.{key}"


def lost(given, kept, where):
    """(key, path) of what is in the first and not in the second."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key not in kept:
                yield key, where
            else:
                yield from lost(value, kept[key], f"{where}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, pair in enumerate(zip(given, kept)):
            yield from lost(*pair, f"{where}[{index}]")
    elif given != kept:
        yield where.rpartition(".")[2], f"{where.rpartition('.')[0]} with the value {given!r}"


def layout(dashboard, text):
    """Panels lie on the grid of 24 columns, none on another; ids are unique."""
    taken, ids = {}, set()
    for panel in panels(dashboard):
        line = panel_line(text, panel)
        if panel.get("id") in ids or panel.get("id") is None:
            yield line, f"the panel has no id of its own: {panel.get('id')}"
        ids.add(panel.get("id"))
        grid = panel.get("gridPos") or {}
        if set(grid) != {"x", "y", "w", "h"}:
            yield line, "the panel has no gridPos"
            continue
        if grid["x"] + grid["w"] > 24:
            yield line, "the panel reaches beyond the grid's 24 columns"
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if (x, y) in taken:
                    yield line, f'the panel lies on "{taken[x, y]}"'
                    return
                taken[x, y] = panel["title"]


def panel_problems(panel, dashboard):
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    if panel.get("type") not in PANELS:
        yield f"the panel's type {panel.get('type')!r} is none that we use"
    if panel.get("type") in ("row", "text"):
        return
    for holder in [panel, *(panel.get("targets") or [])]:
        source = holder.get("datasource") or {}
        if not source.get("uid") or not source.get("type"):
            yield "the panel or one of its queries has no data source (type and uid)"
        elif source["uid"].startswith("${") and source["uid"][2:-1] not in variables:
            yield f"the data source {source['uid']} is no variable of the dashboard"
    if not panel.get("targets"):
        yield "the panel asks nothing"


def query_problems(target, dashboard):
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    query = target.get("expr", "")
    if not query:
        yield f"query {target.get('refId')} is empty"
    for name in re.findall(r"\$\{?(\w+)", query):
        if name not in variables and not name.startswith("__"):
            yield f"${name} is no variable of the dashboard"
    if (
        re.search(r"\b(rate|increase)\([^()]*\[\d+[smh]\]", query)
        and "[1h]" not in query
        and "[15m]" not in query
    ):
        yield "a rate over a fixed time misses samples at other resolutions: $__rate_interval"
    if "histogram_quantile" in query and not re.search(r"by \([^)]*\ble\b", query):
        yield "histogram_quantile needs sum by (le)"


def datasources(tree):
    """Links lead to data sources that are there."""
    findings = []
    for path in tree.files(DATASOURCES):
        text = path.read_text()
        content = yaml.safe_load(text)
        uids = [each.get("uid") for each in content["datasources"]]
        for number, line in enumerate(text.splitlines(), 1):
            named = re.search(r"datasourceUid: (\S+)", line)
            if named and named[1] not in uids:
                findings.append(
                    Finding(tree.name(path), number, "dashboards", f"there is no data source {named[1]}")
                )
        for each in content["datasources"]:
            if uids.count(each.get("uid")) > 1 or not each.get("uid"):
                words = f"{each['name']} has no uid of its own"
                findings.append(
                    Finding(tree.name(path), line_of(text, f"name: {each['name']}"), "dashboards", words)
                )
    return findings
