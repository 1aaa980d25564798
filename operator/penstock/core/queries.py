"""From a metric as its template says it to the expressions that are asked.

A proportion is read by one expression, see `core.rows`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core.rows import UNREACHED, Counters, Row, expression
from penstock.core.samples import Query

_VARIABLE = re.compile(r"\$(args\.\w+|[A-Za-z_]\w*)")
_FORBIDDEN = re.compile(r"[\"'`{}\\$\x00-\x1f\x7f]")
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_MATCHER = r"[A-Za-z_]\w*\s*(?:=~|!~|!=|=)\s*\"[^\"\\{}$\x00-\x1f]*\""
_MATCHERS = re.compile(rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*")
_SELECTOR = re.compile(rf"\s*(?P<name>[A-Za-z_:][\w:]*)?\s*\{{(?:[^{{}}#\"'`]|{_QUOTED})*\}}\s*")


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
        route: Pattern for the names of the routes whose requests are shared out.
        args: What a metric gives its template, by name.
    """

    namespace: str
    rollout: str
    service: str
    stable: Arm
    candidate: Arm
    reporter: str = "source"
    route: str = ""
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
    unreached = _unreached(template, subject)
    if isinstance(unreached, Unusable):
        return Unusable(f"unreached: {unreached.reason}")
    back = round((at - previous).total_seconds() * 1000) if previous else 0
    lost = [(f"{Row.TOTAL}/{UNREACHED}", one) for one in unreached]
    counters = Counters(
        selectors=(*selectors.items(), *lost),
        constants=((f"{Row.OFFSET}/{part}", back / 1000),),
        back_ms=back,
    )
    return counters_query(counters, connection, subject, at)


def counters_query(counters: Counters, connection: str, subject: Subject, at: datetime) -> Query:
    """Return the query that reads these counters."""
    return Query(connection, expression(counters), subject.namespace, at, counters)


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
        "route": subject.route,
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
    return _plain(text, subject, arm)


def _unreached(template: Proportion, subject: Subject) -> Sequence[str] | Unusable:
    """Return the selectors of what reached no pod: none, one, or one per host."""
    text = template.unreached
    if not text:
        return ()
    if {"$variant", "$version"} & set(_variables(text)):
        return Unusable("must not contain $variant: what reached no pod belongs to no version")
    found = [_plain(text, subject, arm) for arm in (subject.stable, subject.candidate)]
    wrong = next((one for one in found if isinstance(one, Unusable)), None)
    return wrong or tuple(dict.fromkeys(one for one in found if isinstance(one, str)))


def _plain(text: str, subject: Subject, arm: Arm) -> str | Unusable:
    """Return the text with its variables replaced, if it is a plain selector."""
    expanded = expand(text, subject, arm)
    if isinstance(expanded, str) and not _SELECTOR.fullmatch(expanded):
        return Unusable(
            f'{text} must be a plain selector such as name{{label="x",$variant}}: counters are '
            "read raw and differenced by the operator, without rate, sum, offset or arithmetic"
        )
    return expanded.strip() if isinstance(expanded, str) else expanded


def _variables(text: str) -> Collection[str]:
    return {f"${name}" for name in _VARIABLE.findall(text)}
