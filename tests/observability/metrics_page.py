"""The page `docs/metrics-of-the-operator.md`, made from the metrics themselves."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from penstock.alarm_metrics import AlarmMetrics
from penstock.core.figures import MEASURES
from penstock.notification_metrics import NotificationMetrics
from penstock.rollout_metrics import LABELS, PREFIX
from penstock.telemetry import Metrics

_SUFFIX = {"counter": "_total", "histogram": "_bucket, _sum, _count"}
_HEAD = """\
# The operator's metrics

<!-- Made by `make dashboards`; do not edit. -->

Served on `metricsPort` under `/metrics`. Names and labels are an interface: what changes is in the
change log. How to install alerts and dashboards is in [observability.md](observability.md).

A time is in seconds since 1970. `arm` is stable or candidate. The label `namespace` is that of the
Rollout: scrape with `honorLabels`, as the component `podmonitor` does.

"""


def page() -> str:
    """Return the page."""
    rollouts = [(PREFIX + one.name, "gauge", (*LABELS, *one.labels), one.text) for one in MEASURES]
    return (
        f"{_HEAD}## Of each Rollout\n\nThey go with it; a state that has ended has no series.\n\n"
        f"{_table(rollouts)}\n## Of the operator\n\n"
        "Operations: `query` and `history` ask Prometheus, `read` and `write` the API server, "
        "`reconcile` is a whole turn, `look_lateness` the time from when a look was due until its "
        f"data could be judged.\n\n{_table(list(_of_the_operator()))}"
    )


def names() -> set[str]:
    """Return every name that a query may use."""
    found = {PREFIX + one.name for one in MEASURES}
    for name, kind, _, _ in _of_the_operator():
        ends = _SUFFIX.get(kind, "").split(", ")
        found |= {name + end for end in ends} if kind == "histogram" else {name}
    return found


def _of_the_operator() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    registry = CollectorRegistry()
    Metrics(registry)
    AlarmMetrics(registry)
    NotificationMetrics(registry)
    for one in registry._collector_to_names:
        if isinstance(one, MetricWrapperBase):
            kind = str(one._type)
            suffix = "_total" if kind == "counter" else ""
            yield one._name + suffix, kind, tuple(one._labelnames), one._documentation


def _table(rows: list[tuple[str, str, tuple[str, ...], str]]) -> str:
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {', '.join(labels)} | {text} |"
              for name, kind, labels, text in rows]  # fmt: skip
    return "\n".join(lines) + "\n"
