"""The evidence of streams over time, as `penstock replay` draws it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from penstock.cli.picture import panels
from penstock.cli.picture.blocks import WIDTH, blocks
from penstock.core import sentences
from penstock.core.looks import Floats
from penstock.core.replay import Said


def sketch(drawn: Mapping[str, Sequence[Said]]) -> Iterator[str]:
    """Yield two rows of blocks per stream, from 1 to 1 up to 10⁶ to 1 on a logarithmic scale."""
    for stream, said in drawn.items():
        for part in ("worse", "safe"):
            values = _logs(said, part)
            shares = np.maximum(values / panels.LOG_MOST, 0.0)
            groups = np.array_split(shares, min(WIDTH, len(shares)))
            (row,) = blocks([float(one.max()) for one in groups], 1)
            yield f"{stream} {part:>5} |{row}| at most {_odds(float(values.max()))}"


def draw(drawn: Mapping[str, Sequence[Said]], target: Path) -> None:
    """Draw the evidence of some streams, for worse above and for safe below."""
    figure, upper, lower = panels.two(height=5)
    for panel, part, title in ((upper, "worse", panels.WORSE), (lower, "safe", panels.SAFE)):
        for stream, said in drawn.items():
            times = [one.end for one in said]
            panel.plot(times, panels.odds(_logs(said, part)), lw=1.2, label=stream)
        panel.set(yscale="log", ylabel=f"{title}\nodds to 1")
    upper.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    lower.set(xlabel="seconds")
    panels.save(figure, target)


def _logs(said: Sequence[Said], part: str) -> Floats:
    return np.array([getattr(one.evidence, part) for one in said])


def _odds(log_evidence: float) -> str:
    return "∞ to 1" if log_evidence == math.inf else sentences.odds(log_evidence)
