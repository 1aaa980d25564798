"""`python -m tests.bench [names]`: measure on a fresh bed each, and print a table."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bed.api import ApiError
from tests.bed.binaries import find_or_build, istio_crds
from tests.bed.processes import BedError
from tests.bench import alert, many, reaction
from tests.bench.rig import Rig, Row

BENCHES: dict[str, Callable[[Rig], list[Row]]] = {
    "disaster": reaction.disaster,
    "abort": reaction.abort,
    "alert": alert.alert,
    "idle": many.idle,
    "restart": many.restart,
    "busy": many.busy,
    "crowd": many.crowd,
}
_WIDTH = 150
_QUIET_LOAD = 0.5


def main() -> int:
    """Return 0 when every target was met."""
    options = _options()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _interrupt)
    rows: dict[str, list[Row]] = {}
    try:
        find_or_build()
        istio_crds()
        _warn_of_load()
        for name in options.names or BENCHES:
            with Rig.fresh(_teller(name)) as rig:
                rows[name] = BENCHES[name](rig)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
    except (ApiError, BedError) as error:
        print(f"bench: {error}", file=sys.stderr)
    if rows:
        _show(rows)
    finished = len(rows) == len(options.names or BENCHES)
    return 0 if finished and all(_met(found) for found in rows.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHES))
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    return options


def _warn_of_load() -> None:
    load = os.getloadavg()[0]
    if load > _QUIET_LOAD:
        _tell(
            f"this machine is busy (load {load:.1f} on {os.cpu_count()} cores): do not rely on it"
        )


def _teller(name: str) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: _tell(f"{name}, {time.monotonic() - began:.0f} s: {text}")


def _tell(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _met(rows: Sequence[Row]) -> bool:
    return all(row.met is not False for row in rows)


def _show(rows: dict[str, list[Row]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left")
    for title in ("what", "measured", "target", "", "command"):
        table.add_column(title, overflow="fold")
    for name, found in rows.items():
        for number, row in enumerate(found):
            command = f"python -m tests.bench {name}" if number == 0 else ""
            mark = {True: "[green]met[/]", False: "[bold red]missed[/]", None: ""}[row.met]
            table.add_row(row.what, row.measured, row.target, mark, command)
        table.add_section()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(table)


def _interrupt(_: int, __: FrameType | None) -> None:
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
