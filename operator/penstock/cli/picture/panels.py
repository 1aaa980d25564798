"""Pictures in files: what all of them have in common. matplotlib is an extra, loaded late."""

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penstock.cli.refusal import InputError
from penstock.core.looks import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
INSTALL = "a picture needs matplotlib: pip install 'penstock[plot]' (or draw here with --plot -)"
LOG_LEAST, LOG_MOST = math.log(0.1), math.log(1e6)
WORSE, SAFE = "worse than tolerated?", "safe for the next weight?"


def check(target: Path | None) -> None:
    """Refuse a picture that could not be drawn, before any work is done for it.

    Args:
        target: The file of the picture; None for none, and - for the terminal.

    Raises:
        InputError: Its format is not known, or there is nothing to draw it with.
    """
    if target is None or str(target) == "-":
        return
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: a picture's name ends with {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(INSTALL)


def two(height: float) -> "tuple[Figure, Axes, Axes]":
    """Return a figure with two panels over the same time, the upper one first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    return figure, upper, lower


def save(figure: "Figure", target: Path) -> None:
    """Write a figure to a file."""
    figure.savefig(target, dpi=110)


def odds(log_evidence: Floats) -> Floats:
    """Return natural logs of evidence as odds to 1 that an axis can hold."""
    result: Floats = np.exp(np.clip(log_evidence, LOG_LEAST, LOG_MOST))
    return result
