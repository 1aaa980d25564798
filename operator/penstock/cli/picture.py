"""The evidence over time as a picture: in a file, or as blocks in the terminal."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import typer

from penstock.core import sentences
from penstock.core.replay import Said

WIDTH = 72
BLOCKS = " ▁▂▃▄▅▆▇█"
MOST_LOG = math.log(1e6)
INSTALL = "a picture needs matplotlib: pip install 'penstock[plot]' (or draw here with --plot -)"


def draw(drawn: Mapping[str, Sequence[Said]], target: str) -> None:
    """Draw the evidence of some streams: to a file, or to the terminal for "-".

    Raises:
        ValueError: There is nothing to draw it with, or the file's format is not known.
    """
    if target == "-":
        for stream, said in drawn.items():
            for line in _lines(stream, said):
                typer.echo(line, err=True)
        return
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(INSTALL) from error
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for stream, said in drawn.items():
        times = [one.end for one in said]
        for panel, part in zip(axes, ("worse", "safe"), strict=True):
            panel.plot(times, np.exp(_clipped(said, part)), lw=1.2, label=stream)
    for panel, part in zip(
        axes, ("worse than tolerated?", "safe for the next weight?"), strict=True
    ):
        panel.set(yscale="log", ylabel=f"{part}\nodds to 1")
    axes[0].legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    axes[-1].set(xlabel="seconds")
    figure.savefig(Path(target), dpi=110)


def _clipped(said: Sequence[Said], part: str) -> np.typing.NDArray[np.float64]:
    values = np.array([getattr(one.evidence, part) for one in said])
    result: np.typing.NDArray[np.float64] = np.clip(values, math.log(0.1), MOST_LOG)
    return result


def _lines(stream: str, said: Sequence[Said]) -> list[str]:
    """Return two rows of blocks, from 1 to 1 up to 10⁶ to 1 on a logarithmic scale."""
    rows = []
    for part in ("worse", "safe"):
        values = np.maximum(_clipped(said, part), 0.0)
        groups = np.array_split(values, min(WIDTH, len(values)))
        cells = [BLOCKS[round(float(one.max()) / MOST_LOG * 8)] for one in groups]
        most = sentences.odds(max(getattr(one.evidence, part) for one in said))
        rows.append(f"{stream} {part:>5} |{''.join(cells)}| at most {most}")
    return rows
