"""Panels of Grafana as its classic JSON model wants them (schema 42: Grafana 12 and later)."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
GREEN, BLUE, YELLOW, ORANGE, RED, GREY, PURPLE = (
    "green", "blue", "yellow", "orange", "red", "text", "purple"
)  # fmt: skip

PHASES = {
    "Idle": GREY,
    "Waiting": YELLOW,
    "Progressing": BLUE,
    "Promoting": "light-blue",
    "Promoted": GREEN,
    "RolledBack": RED,
    "Observed": PURPLE,
}
VERDICTS = {
    "Learning": BLUE,
    "Safe": GREEN,
    "Worse": RED,
    "NoData": ORANGE,
    "Untrusted": YELLOW,
}
OUTCOMES = {
    "Promoted": GREEN,
    "Observed": PURPLE,
    "RolledBack": RED,
    "Aborted": ORANGE,
    "Reverted": YELLOW,
    "Superseded": GREY,
    "Deleted": "dark-blue",
}


def codes(metric: str, label: str, states: Mapping[str, str], by: str, more: str = "") -> str:
    """Return a query that gives each state its place in the list: a timeline shows numbers."""
    each = " or ".join(
        f'{metric}{{{label}="{state}"{more}}} * {number}' for number, state in enumerate(states)
    )
    return f"max by ({by}) ({each})"


def mapping(states: Mapping[str, str]) -> list[Json]:
    """Return how the numbers of `codes` are shown."""
    shown = {
        str(number): {"text": state, "color": colour, "index": number}
        for number, (state, colour) in enumerate(states.items())
    }
    return [{"type": "value", "options": shown}]


def words(states: Mapping[str, str]) -> list[Json]:
    """Return in which colour words are shown."""
    shown = {
        state: {"text": state, "color": colour, "index": number}
        for number, (state, colour) in enumerate(states.items())
    }
    return [{"type": "value", "options": shown}]


def query(expression: str, legend: str = "", **more: Any) -> Json:
    """Return one query over time."""
    return {"datasource": SOURCE, "expr": expression, "legendFormat": legend, "range": True, **more}


def instant(expression: str, legend: str = "") -> Json:
    """Return one query at the end of the time that is shown."""
    return query(expression, legend, range=False, instant=True)


def row_of(expression: str) -> Json:
    """Return one query at the end of the time that is shown, as columns of a table."""
    return instant(expression) | {"format": "table"}


def panel(
    kind: str,
    title: str,
    text: str,
    queries: Sequence[Json],
    *,
    size: tuple[int, int] = (12, 8),
    unit: str = "short",
    options: Json | None = None,
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    **defaults: Any,
) -> Json:
    """Return a panel; `defaults` are those of its fields, `size` is width (of 24) and height."""
    targets = [{**one, "refId": chr(ord("A") + number)} for number, one in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "targets": targets,
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": list(overrides)},
        "options": options or {},
        "transformations": list(transformations),
    }


def lines(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return a panel of lines over time; `custom` overrides how they are drawn."""
    custom = {"lineWidth": 2, "fillOpacity": 0, "showPoints": "never", **more.pop("custom", {})}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, text, queries, options=options, custom=custom, **more)


def steps(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return lines of numbers that jump."""
    return lines(title, text, queries, custom={"lineInterpolation": "stepAfter"}, **more)


def bars(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return bars over time, stacked."""
    custom = {
        "drawStyle": "bars",
        "fillOpacity": 80,
        "lineWidth": 0,
        "stacking": {"mode": "normal"},
    }
    return lines(title, text, queries, custom=custom, decimals=0, **more)


def number(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return one number, or a few."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": more.pop("show", "auto"),
    }
    return panel("stat", title, text, queries, options=options, size=(4, 4), **more)


def timeline(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return states over time, a band each."""
    options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
               "tooltip": {"mode": "single"}}  # fmt: skip
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return panel("state-timeline", title, text, queries, options=options, custom=custom, **more)


def table(title: str, text: str, queries: Sequence[Json], **more: Any) -> Json:
    """Return a table: queries with the same labels share a line."""
    shown = more.pop("columns")
    merged: list[Json] = [{"id": "merge", "options": {}}]
    names = {"renameByName": shown, "indexByName": {name: n for n, name in enumerate(shown)},
             "includeByName": dict.fromkeys(shown, True)}  # fmt: skip
    merged.append({"id": "organize", "options": names})
    options = {"showHeader": True, "cellHeight": "sm"}
    return panel("table", title, text, queries, options=options, transformations=merged, **more)


def column(name: str, **properties: Any) -> Json:
    """Return how one column or series is shown; a double underscore stands for a dot."""
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def matching(pattern: str, **properties: Any) -> Json:
    """Return how all series whose name matches are shown."""
    return {**column(pattern, **properties), "matcher": {"id": "byRegexp", "options": pattern}}


def colours(states: Mapping[str, str]) -> list[Json]:
    """Return the colours of series that are named after states."""
    return [
        column(state, color={"mode": "fixed", "fixedColor": colour})
        for state, colour in states.items()
    ]


def variable(name: str, label: str, expression: str, **more: Any) -> Json:
    """Return a variable whose values are asked from Prometheus."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": expression,
        "query": {"query": expression, "refId": name},
        "refresh": 2,
        "sort": 1,
        **more,
    }


def every(**more: Any) -> Json:
    """Return what makes a variable stand for all its values at first."""
    return {
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
        **more,
    }


def choice(name: str, label: str, values: Sequence[str]) -> Json:
    """Return a variable with these values; the first is chosen."""
    options = [{"text": one, "value": one, "selected": one == values[0]} for one in values]
    first = {"text": values[0], "value": values[0]}
    return {"type": "custom", "name": name, "label": label, "query": ",".join(values),
            "options": options, "current": first}  # fmt: skip


DATASOURCE = {
    "type": "datasource",
    "name": "datasource",
    "label": "Prometheus",
    "query": "prometheus",
    "refresh": 1,
}


def dashboard(
    uid: str,
    title: str,
    text: str,
    variables: Sequence[Json],
    rows: Mapping[str, Sequence[Json]],
    annotations: Sequence[Json] = (),
) -> Json:
    """Return a dashboard of rows of panels, laid out from left to right."""
    return {
        "uid": uid,
        "title": title,
        "description": text,
        "tags": ["penstock"],
        "schemaVersion": 42,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [DATASOURCE, *variables]},
        "annotations": {"list": list(annotations)},
        "links": [{"type": "dashboards", "title": "Penstock", "tags": ["penstock"],
                   "asDropdown": False, "includeVars": False, "keepTime": True}],
        "panels": _laid_out(rows),
    }  # fmt: skip


def _laid_out(rows: Mapping[str, Sequence[Json]]) -> list[Json]:
    found: list[Json] = []
    top = 0
    for title, panels in rows.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        found.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                      "gridPos": place})  # fmt: skip
        top, left, height = top + 1, 0, 0
        for one in panels:
            size = one["gridPos"]
            if left + size["w"] > WIDTH:
                top, left, height = top + height, 0, 0
            found.append({**one, "gridPos": {"x": left, "y": top, **size}})
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return [{"id": number, **one} for number, one in enumerate(found, 1)]
