"""From a metric as its template says it to the expressions that are asked.

A proportion is read by ONE expression: both arms, both counters and the facts about their scrape
targets come from one replica of Prometheus and one state of its storage, so they fit together.
Each row of the answer carries the label `penstock`, which says what it is (`Row`).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core.samples import Query

ROW_LABEL = "penstock"

_BY_TARGET = "by (job, instance)"
_ON_TARGET = "and on (job, instance)"
_VARIABLE = re.compile(r"\$(args\.\w+|[A-Za-z_]\w*)")
_FORBIDDEN = re.compile(r"[\"'`{}\\$\x00-\x1f\x7f]")
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_MATCHER = r"[A-Za-z_]\w*\s*(?:=~|!~|!=|=)\s*\"[^\"\\{}$\x00-\x1f]*\""
_MATCHERS = re.compile(rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*")
_SELECTOR = re.compile(rf"\s*(?P<name>[A-Za-z_:][\w:]*)?\s*\{{(?:[^{{}}#\"'`]|{_QUOTED})*\}}\s*")
_UPTIME = "(timestamp(envoy_server_uptime) - envoy_server_uptime)"
_AGENT, _PROCESS = "istio_agent_process_start_time_seconds", "process_start_time_seconds"
_ENVOY_FIRST, _APPLICATION_FIRST = (_UPTIME, _AGENT, _PROCESS), (_PROCESS, _AGENT, _UPTIME)


class Row(StrEnum):
    """What a row of the answer to a proportion's query is; counters end in `/<arm>`.

    OFFSET, always there, has the seconds back to the previous look (0 without one) and ends in
    `/bad` or `/good`. Per scrape target (job, instance): SAMPLED is the time of its newest sample
    (Unix seconds); BEFORE is the time of its last successful scrape at the previous look; KNOWN is
    the number of its series of this metric at the previous look; STARTED is when its process
    started. Of these only what can be known is there.
    """

    TOTAL = "total"
    BAD = "bad"
    GOOD = "good"
    OFFSET = "offset"
    SAMPLED = "sampled"
    BEFORE = "before"
    KNOWN = "known"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class Unusable:
    """No expression can be made; `reason` is a sentence that says what to mend."""

    reason: str


@dataclass(frozen=True, slots=True)
class Arm:
    """One version as metrics see it. `variant` is matcher text, `host` what its clients call."""

    version: str
    host: str
    variant: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a release's metrics are about.

    Attributes:
        reporter: source, destination or waypoint.
        args: What a metric gives its template, by name.
    """

    namespace: str
    rollout: str
    service: str
    stable: Arm
    candidate: Arm
    reporter: str = "source"
    args: Mapping[str, str] = field(default_factory=dict)

    def with_args(self, args: Mapping[str, str]) -> "Subject":
        """Return the same with what one metric gives its template."""
        return replace(self, args=args)


def proportion_query(
    template: Proportion,
    connection: str,
    subject: Subject,
    at: datetime,
    previous: datetime | None,
) -> Query | Unusable:
    """Return the query that reads both counters of a proportion at one instant, for both arms.

    Args:
        template: The selectors, with variables.
        connection: Name of a connection in the operator's configuration.
        subject: What the variables stand for.
        at: The instant that is read.
        previous: The instant of the reading it will be differenced with; None for the first.
    """
    part, text = (Row.GOOD, template.good) if template.bad is None else (Row.BAD, template.bad)
    selectors: dict[str, str] = {}
    for row, text_of in ((Row.TOTAL, template.total), (part, text or "")):
        for name, arm in (("stable", subject.stable), ("candidate", subject.candidate)):
            expanded = selector(text_of, subject, arm)
            if isinstance(expanded, Unusable):
                return Unusable(f"{row}: {expanded.reason}")
            selectors[f"{row}/{name}"] = expanded
    back = round((at - previous).total_seconds() * 1000) if previous else 0
    mark = (f"{Row.OFFSET}/{part}", f"vector({back / 1000})")
    rows = [*selectors.items(), mark, *_facts(selectors, back)]
    expression = "\nor ".join(
        f'label_replace({body}, "{ROW_LABEL}", "{row}", "", "")' for row, body in rows
    )
    return Query(connection, expression, subject.namespace, at)


def value_query(text: str, connection: str, subject: Subject, at: datetime) -> Query | Unusable:
    """Return the query of a plain threshold; its variables stand for the candidate."""
    expanded = expand(text, subject, subject.candidate)
    if isinstance(expanded, Unusable):
        return expanded
    return Query(connection, expanded, subject.namespace, at)


def expand(text: str, subject: Subject, arm: Arm) -> str | Unusable:
    """Return the text with its variables replaced for one arm."""
    values = {
        "variant": arm.variant,
        "version": arm.version,
        "host": arm.host,
        "service": subject.service,
        "namespace": subject.namespace,
        "rollout": subject.rollout,
        "reporter": subject.reporter,
    } | {f"args.{name}": value for name, value in subject.args.items()}
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if name not in values and name.startswith("args."):
            return Unusable(f"${name} is not given: write it into args of the metric")
        if name not in values:
            known = ", ".join(f"${known}" for known in values if "." not in known)
            return Unusable(f"${name} is not a variable; there are {known}")
        if wrong := _wrong(name, values[name]):
            return wrong
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def _wrong(name: str, value: str) -> Unusable | None:
    if name == "variant":
        if _MATCHERS.fullmatch(value):
            return None
        return Unusable(f'$variant must be matchers such as destination_workload="a", not {value}')
    if not value:
        return Unusable(f"${name} is empty")
    if _FORBIDDEN.search(value):
        return Unusable(f"${name} has a character that a query must not get: {value!r}")
    return None


def selector(text: str, subject: Subject, arm: Arm) -> str | Unusable:
    """Return the plain selector of a counter for one arm."""
    if not {"$variant", "$version"} & set(_variables(text)):
        return Unusable("must contain $variant (or a label of your own with $version), the matcher "
                        "that tells the versions apart")  # fmt: skip
    expanded = expand(text, subject, arm)
    if isinstance(expanded, str) and not _SELECTOR.fullmatch(expanded):
        return Unusable(
            f'{text} must be a plain selector such as name{{label="x",$variant}}: counters are '
            "read raw and differenced by the operator, without rate, sum, offset or arithmetic"
        )
    return expanded.strip() if isinstance(expanded, str) else expanded


def _variables(text: str) -> Collection[str]:
    return {f"${name}" for name in _VARIABLE.findall(text)}


def _facts(selectors: Mapping[str, str], back_ms: int) -> Iterator[tuple[str, str]]:
    totals = [selectors[f"{Row.TOTAL}/{arm}"] for arm in ("stable", "candidate")]
    ours = f"({' or '.join(totals)})"
    stamps = " or ".join(f"timestamp({total})" for total in totals)
    yield Row.SAMPLED, f"max {_BY_TARGET} ({stamps})"
    yield Row.STARTED, _started(totals[0], ours)
    if back_ms > 0:
        offset = f"offset {back_ms}ms"
        yield (
            Row.BEFORE,
            f"max {_BY_TARGET} (timestamp(up {offset}) "
            f"{_ON_TARGET} (up {offset} == 1) {_ON_TARGET} {ours})",
        )
        earlier = " or ".join(f"{total} {offset}" for total in totals)
        yield Row.KNOWN, f"count {_BY_TARGET} ({earlier})"


def _started(total: str, ours: str) -> str:
    """Return when the process that counts started: Envoy's own start for metrics of the mesh.

    The endpoint of an Istio sidecar has the start of up to three processes, and one of them may
    begin anew without the others. Whole seconds of uptime are taken from the time of their own
    sample; from the time of the question they would wander by a scrape interval.
    """
    mesh = total.startswith(("istio_", "envoy_"))
    starts = _ENVOY_FIRST if mesh else _APPLICATION_FIRST
    return " or ".join(f"min {_BY_TARGET} ({start} {_ON_TARGET} {ours})" for start in starts)
