"""The demo from the start of the bed to its end."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

from rich.console import Console

from tests.bed.api import ApiError
from tests.bed.bed import Bed
from tests.bed.binaries import BuildError, find_or_build, istio_crds
from tests.bed.operator import REPOSITORY
from tests.bed.processes import BedError
from tests.demo import summary
from tests.demo.lines import Lines
from tests.demo.story import Story
from tests.demo.view import View

TITLE = "Penstock"


def run(*, stay: bool) -> int:
    """Build or find the bed, start it, play, and end it; return the exit code.

    Args:
        stay: Keep the bed after the story, until Ctrl-C.
    """
    console = Console(highlight=False)
    try:
        find_or_build()
        istio_crds()
        with Bed.start(_progress(console), crds=REPOSITORY / "crds") as bed:
            _play(bed, console, stay=stay)
            _say(console, "ending the bed")
    except (ApiError, BedError, BuildError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _play(bed: Bed, console: Console, *, stay: bool) -> None:
    view = View(console, TITLE) if console.is_terminal else None
    story = Story(bed, view or Lines(), _progress(console))
    with view or nullcontext():
        told = story.play()
    summary.show(console, told)
    print(summary.around(bed, story.place.namespace), flush=True)
    if stay:
        _stay(bed, console)
    else:
        _say(console, "`python -m tests.demo --stay` keeps it for looking around")


def _stay(bed: Bed, console: Console) -> None:
    _say(console, "the bed stays up, with traffic for ten minutes; Ctrl-C ends it")
    while True:
        time.sleep(1)


def _progress(console: Console) -> Callable[[str], None]:
    return lambda text: _say(console, text)


def _say(console: Console, text: str) -> None:
    console.print(f"demo: {text}", style="dim", markup=False)
