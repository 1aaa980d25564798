"""Weight and evidence of one run, as `penstock simulate` draws them."""

import math
from collections.abc import Iterator
from pathlib import Path as File
from typing import TYPE_CHECKING

import numpy as np

from penstock.cli.picture import panels
from penstock.cli.picture.blocks import WIDTH, blocks
from penstock.cli.simulation.text import clock, head
from penstock.core.looks import Floats
from penstock.core.simulation.course import Course, Path
from penstock.core.simulation.setting import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RED, PURPLE, GREEN = "#e4572e", "#8e4585", "#3c8d40"


def sketch(setting: Setting, course: Course) -> Iterator[str]:
    """Yield the lines of a plot for the terminal."""
    path, (worse_needed, safe_needed) = course.path, setting.log_needed
    yield "weight of the candidate; all rows full: 100 %"
    yield from _panel(_weights(course) / 100, 5)
    if path is not None:
        yield "evidence that it is safe for the next weight; all rows full: enough"
        yield from _panel(_evidence(path, path.safe, course.seconds) / safe_needed, 3)
        yield "evidence that it is worse than tolerated; all rows full: enough"
        yield from _panel(_evidence(path, path.worse, course.seconds) / worse_needed, 3)
    yield f"   {clock(0)}{clock(course.seconds):>{WIDTH - 8}}"


def _panel(shares: Floats, rows: int) -> Iterator[str]:
    yield from (f"  │{line}" for line in blocks(shares.tolist(), rows))
    yield f"  └{'─' * WIDTH}"


def _weights(course: Course) -> Floats:
    """Return the weight in the middle of each column, in percent."""
    times = (np.arange(WIDTH) + 0.5) * course.seconds / WIDTH
    began = [moment.seconds for moment in course.moments]
    weights = np.array([0.0, *(moment.weight for moment in course.moments)])
    result: Floats = weights[np.searchsorted(began, times, "right")]
    return result


def _evidence(path: Path, values: Floats, seconds: float) -> Floats:
    """Return the most evidence in each column; what there was before where no look was taken."""
    column = np.minimum((path.seconds * WIDTH / seconds).astype(int), WIDTH - 1)
    result = np.zeros(WIDTH)
    for index in range(WIDTH):
        mine = values[column == index]
        result[index] = mine.max() if mine.size else result[max(index - 1, 0)]
    return np.maximum(result, 0.0)


def draw(setting: Setting, course: Course, target: File) -> None:
    """Draw weight and evidence, one above the other."""
    figure, upper, lower = panels.two(height=6)
    times = [0.0, *(moment.seconds for moment in course.moments), course.seconds]
    weights = [0.0, *(moment.weight for moment in course.moments)]
    upper.step(times, [*weights, weights[-1]], where="post", color=RED)
    upper.fill_between(times, [*weights, weights[-1]], step="post", color=RED, alpha=0.15, lw=0)
    upper.set(ylabel="weight, %", ylim=(0, 105))
    upper.set_title("\n".join(head(setting)), loc="left", fontsize=9)
    if course.path is not None:
        _draw_evidence(lower, course.path, setting.log_needed)
    panels.save(figure, target)


def _draw_evidence(panel: "Axes", path: Path, log_needed: tuple[float, float]) -> None:
    """Draw the evidence weight by weight, and what is needed."""
    rows = (panels.WORSE, path.worse, PURPLE), (panels.SAFE, path.safe, GREEN)
    for (name, values, colour), needed in zip(rows, log_needed, strict=True):
        for weight in dict.fromkeys(path.weight.tolist()):
            mine = path.weight == weight
            odds = panels.odds(values[mine])
            panel.plot(path.seconds[mine], odds, color=colour, marker="o", ms=2, label=name)
            name = ""
        panel.axhline(math.exp(needed), color=colour, lw=0.9, ls="--", alpha=0.7)
    panel.set(yscale="log", ylabel="evidence, odds to 1 (dashed: needed)", xlabel="seconds")
    panel.legend(loc="upper left", frameon=False)
