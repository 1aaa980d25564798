"""One expression for all counters of a metric and for the facts about what is scraped.

Both arms, both counters and the facts come from one replica of Prometheus and one state of its
storage, so they fit together. Each row of the answer carries the label `penstock`, which says what
it is (`Row`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

ROW_LABEL = "penstock"
UNREACHED = "unreached"
"""Stands in the place of the arm for requests that reached no pod of any version."""

TARGET = ("job", "instance")
"""The labels of a scrape target."""

_BY_TARGET = "by (job, instance)"
_ON_TARGET = "and on (job, instance)"
_UPTIME = "(timestamp(envoy_server_uptime) - envoy_server_uptime)"
_AGENT, _PROCESS = "istio_agent_process_start_time_seconds", "process_start_time_seconds"
_ENVOY_FIRST, _APPLICATION_FIRST = (_UPTIME, _AGENT, _PROCESS), (_PROCESS, _AGENT, _UPTIME)


class Row(StrEnum):
    """What a row of the answer to a proportion's query is; counters end in `/<arm>`.

    TOTAL has a third arm, UNREACHED.

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
class Counters:
    """What is read by a query that reads counters and the facts about their scrape targets.

    Attributes:
        selectors: What each row is, and the plain selector of its series.
        constants: Rows that say what was asked, with their values.
        back_ms: Milliseconds back to the previous look; 0 without one.
    """

    selectors: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, float], ...]
    back_ms: int

    @property
    def totals(self) -> tuple[str, ...]:
        """The selectors of the totals: a target without any of their series is not ours."""
        return tuple(text for row, text in self.selectors if row.startswith(f"{Row.TOTAL}/"))


def expression(counters: Counters) -> str:
    """Return the expression that reads all of it."""
    totals, back = counters.totals, counters.back_ms
    rows = [
        *counters.selectors,
        *((row, f"vector({value})") for row, value in counters.constants),
        (Row.SAMPLED, sampled(totals)),
        *facts_of_targets(totals, back),
    ]
    if back:
        rows.append((Row.KNOWN, known(totals, back)))
    return joined(rows)


def joined(rows: Sequence[tuple[str, str]]) -> str:
    """Return the expression of all rows, each marked with what it is."""
    return "\nor ".join(
        f'label_replace({body}, "{ROW_LABEL}", "{row}", "", "")' for row, body in rows
    )


def sampled(totals: Sequence[str], labels: Sequence[str] = ()) -> str:
    """Return the expression for the newest sample per target and value of more labels."""
    stamps = " or ".join(f"timestamp({total})" for total in totals)
    return f"max by ({', '.join((*TARGET, *labels))}) ({stamps})"


def known(totals: Sequence[str], back_ms: int, labels: Sequence[str] = ()) -> str:
    """Return the expression for the number of series at the previous look, likewise."""
    earlier = " or ".join(f"{total} offset {back_ms}ms" for total in totals)
    return f"count by ({', '.join((*TARGET, *labels))}) ({earlier})"


def facts_of_targets(totals: Sequence[str], back_ms: int) -> Iterator[tuple[str, str]]:
    """Yield what is asked about scrape targets that have series of ours, whichever they are."""
    ours = f"({' or '.join(totals)})"
    yield Row.STARTED, _started(totals[0], ours)
    if back_ms > 0:
        offset = f"offset {back_ms}ms"
        yield (
            Row.BEFORE,
            f"max {_BY_TARGET} (timestamp(up {offset}) "
            f"{_ON_TARGET} (up {offset} == 1) {_ON_TARGET} {ours})",
        )


def of_mesh(total: str) -> bool:
    """Return whether the mesh's proxies count it."""
    return total.startswith(("istio_", "envoy_"))


def _started(total: str, ours: str) -> str:
    """Return when the process that counts started: Envoy's own start for metrics of the mesh.

    The endpoint of an Istio sidecar has the start of up to three processes, and one of them may
    begin anew without the others. Whole seconds of uptime are taken from the time of their own
    sample; from the time of the question they would wander by a scrape interval.
    """
    starts = _ENVOY_FIRST if of_mesh(total) else _APPLICATION_FIRST
    return " or ".join(f"min {_BY_TARGET} ({start} {_ON_TARGET} {ours})" for start in starts)
