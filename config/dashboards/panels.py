"""What dashboards are made of: queries, panels, variables, and their places on the grid."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
POD = 'job="sluice", namespace=~"$namespace", pod=~"$pod"'
NOUNS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}


def rate(name, labels=POD, by="pod"):
    """The summed rate of a counter, whose name may end in _total."""
    return f'sum by ({by}) (rate({{__name__=~"{name}(_total)?", {labels}}}[$__rate_interval]))'


def each_signal(prefix, by, labels=POD):
    """One query a signal: what the counters of that prefix count."""
    return [
        (rate(f"{prefix}_{noun}", labels, by), f"{signal} {{{{{by}}}}}") for signal, noun in NOUNS.items()
    ]


def graph(
    title, queries, unit="short", width=8, description="", stack=False, exemplars=False, kind="timeseries"
):
    targets = [
        {
            "refId": chr(65 + index),
            "datasource": DATASOURCE,
            "expr": expression,
            "legendFormat": legend,
            **({"exemplar": True} if exemplars else {}),
            **({"format": "heatmap"} if kind == "heatmap" else {}),
            **({"instant": True} if kind == "stat" else {}),
        }
        for index, (expression, legend) in enumerate(queries)
    ]
    options = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    if kind == "stat":
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "value_and_name",
        }
    if kind == "heatmap":
        options = {"calculate": False, "yAxis": {"unit": unit}}
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if stack else {"fillOpacity": 5}
    defaults = {"unit": unit} if kind != "timeseries" else {"unit": unit, "min": 0, "custom": custom}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "width": width,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def variable(name, metric, label, labels=""):
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({metric}{labels}, {label})", "refId": name},
        "definition": f"label_values({metric}{labels}, {label})",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def dashboard(uid, title, description, variables, rows):
    panels, y = [], 0
    for name, graphs in rows:
        panels.append({"type": "row", "title": name, "collapsed": False, "panels": []})
        panels[-1]["gridPos"] = {"x": 0, "y": y, "w": 24, "h": 1}
        y, x = y + 1, 0
        for panel in graphs:
            width = panel.pop("width")
            if x + width > 24:
                x, y = 0, y + 8
            panel["gridPos"] = {"x": x, "y": y, "w": width, "h": 8}
            panels.append(panel)
            x += width
        y += 8
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["autoecoops"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }
