"""`python -m tests.bench_evidence [section ...]`: our rule beside others, and beside its targets.

Prints what was measured; a missed target is no error. Times and sizes are measured first, alone.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench_evidence import tables
from tests.bench_evidence.jobs import PROCESSES, simulate
from tests.bench_evidence.outcomes import Met, Row
from tests.bench_evidence.points import POINTS, Point

TABLES = "tables"
NAMES = (TABLES, *(point.name for point in POINTS))
REPLICATES = 1000
_WIDTH = 160
_STYLES = {Met.YES: "green", Met.WITHIN: "yellow", Met.NO: "bold red"}


def main() -> int:
    """Return 0: what is missed is shown, not judged."""
    options = _options()
    began = time.monotonic()
    names = options.sections or NAMES
    chosen = [point for point in POINTS if point.name in names]
    measured = {point.name: list(point.rows({})) for point in chosen if not point.jobs}
    jobs = [job for point in chosen for job in point.jobs]
    jobs += tables.JOBS if TABLES in names else ()
    results = simulate(jobs, options.replicates, _tell)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    if TABLES in names:
        for table in tables.tables(results):
            console.print(table, "")
    for point in chosen:
        rows = measured.get(point.name) or list(point.rows(results))
        console.print(_section(point, rows), "")
    _sum_up(console, options.replicates, time.monotonic() - began)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench_evidence", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(NAMES))
    parser.add_argument(
        "--replicates", type=int, default=REPLICATES, help="releases per scenario (1000)"
    )
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in NAMES]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.replicates < 1:
        parser.error("at least one replicate is needed")
    return options


def _section(point: Point, rows: Sequence[Row]) -> Table:
    table = Table(title=point.title, box=box.SIMPLE_HEAD, show_edge=False, title_justify="left")
    for heading in ("what", "measured (95 % interval)", "target", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.what, row.measured, row.target, f"[{_STYLES.get(row.met, 'none')}]{row.met}[/]"
        )
    return table


def _sum_up(console: Console, replicates: int, seconds: float) -> None:
    console.print(
        f"{replicates:,} releases per scenario (more where a target is rare), {seconds:.0f} s, "
        f"{PROCESSES} processes on {os.cpu_count()} cores"
    )


def _tell(text: str) -> None:
    print(f"bench-evidence: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
