"""Our rule beside those of others: one row per rule, one column per scenario."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich import box
from rich.table import Table

from tests.bench_evidence.jobs import OURS, Errors, Job, Latency, Results, Split
from tests.bench_evidence.outcomes import Fates
from tests.bench_evidence.streams import FAULTS, HELD_OUT, LATENCY, NULLS, SHARES

Cell = Callable[[Fates], str]

NULL_JOBS = tuple(Errors(scenario, peers=True) for scenario in NULLS)
HELD_OUT_JOBS = tuple(Errors(scenario, peers=True) for scenario in HELD_OUT)
FAULT_JOBS = tuple(Errors(scenario, peers=True) for scenario in FAULTS)
LATENCY_JOBS = tuple(Latency(scenario, peers=True) for scenario in LATENCY)
SHARE_JOBS = tuple(Split(scenario) for scenario in SHARES)
JOBS: tuple[Job, ...] = (
    *NULL_JOBS,
    *HELD_OUT_JOBS,
    *FAULT_JOBS,
    *LATENCY_JOBS,
    *SHARE_JOBS,
)
_AT_ONCE = 6
_NULL_TITLE = "False rollbacks, % of releases (60 looks of 60 s, level 1 %)"
_HELD_OUT_TITLE = f"{_NULL_TITLE}: held out, not used to shape the rule"
_FAULT_TITLE = (
    "Faults: % found / median candidate requests from the onset to the rollback / "
    "mean bad answers served until then"
)
_LATENCY_TITLE = (
    "Latency: % rolled back (false for H0) / median candidate requests until then "
    "(ours: edges of 250 and 1,000 ms, no warm-up)"
)


def tables(results: Results) -> Iterator[Table]:
    """Yield every table."""
    for title, jobs, cell in (
        (_NULL_TITLE, NULL_JOBS, stopped),
        (_HELD_OUT_TITLE, HELD_OUT_JOBS, stopped),
        (_FAULT_TITLE, FAULT_JOBS, found),
        (_LATENCY_TITLE, LATENCY_JOBS, latency),
    ):
        for some in np.array_split(np.arange(len(jobs)), math.ceil(len(jobs) / _AT_ONCE)):
            yield _table(title, [jobs[index] for index in some], results, cell)
    yield _shares(results)


def _table(title: str, jobs: Sequence[Job], results: Results, cell: Cell) -> Table:
    table = _empty(title, [job.scenario.name for job in jobs])
    for rule in results[jobs[0]]:
        row = [cell(results[job][rule]) for job in jobs]
        table.add_row(rule, *row, style="bold" if rule.startswith(OURS) else "")
    return table


def _shares(results: Results) -> Table:
    title = "Shares of traffic, 10 % asked: % alarmed / median requests of both versions"
    rules = tuple(results[SHARE_JOBS[0]])
    table = _empty(title, rules, first="truth")
    for job in SHARE_JOBS:
        cells = [latency(results[job][rule]) for rule in rules]
        table.add_row(job.scenario.name, *cells)
    return table


def _empty(title: str, columns: Sequence[str], first: str = "rule") -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    return table


def stopped(fates: Fates) -> str:
    """Return the percentage that was rolled back."""
    return f"{100 * fates.stopped.mean():.1f}"


def found(fates: Fates) -> str:
    """Return how many faults were found, after how many requests and bad answers."""
    early = 100 * fates.early.mean()
    text = f"{100 * fates.found.mean():.0f} % / {_median(fates)} / {fates.bad.mean():,.0f}"
    return f"{text} ({early:.0f} % early)" if early >= 0.5 else text


def latency(fates: Fates) -> str:
    """Return how many were rolled back, after how many requests."""
    return f"{100 * fates.stopped.mean():.1f} % / {_median(fates)}"


def _median(fates: Fates) -> str:
    median = float(np.sort(fates.requests)[len(fates.requests) // 2])
    return "-" if math.isinf(median) else f"{float(f'{median:.3g}'):,.0f}"
