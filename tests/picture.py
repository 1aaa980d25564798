"""Draw two releases from a real run of the demo: `python -m tests.picture docs/release.png`."""

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

from penstock.core.looks import ROW_BYTES
from penstock.core.metric_record import MetricRecord
from tests.bed.bed import Bed
from tests.bed.operator import REPOSITORY
from tests.bed.recorder import Change
from tests.demo.lines import Lines
from tests.demo.story import RATE, Act, Story, Told
from tests.demo.summary import Fall, arrived, fall_of

mpl.use("Agg")

import matplotlib.pyplot as plt

STABLE, CANDIDATE, SAFE, WORSE, QUIET = "#4c78a8", "#e4572e", "#3c8d40", "#8e4585", "#666666"
NEEDED = {"safe": 20, "worse": 200}  # defaults of missRate and falseAlarmRate, the latter halved
QUESTIONS = {"safe": "safe enough for the next weight?", "worse": "worse than tolerated?"}
COLOURS = {"safe": SAFE, "worse": WORSE}
AFTER = 2.0
_LEAST, _MOST = 0.2, 1e5


@dataclass(frozen=True, slots=True)
class Release:
    """One release; all times are in seconds from its start.

    Attributes:
        weights: When Envoy gave the candidate which weight, in percent.
        errors: Per second of time the errors that stable's and the candidate's clients got.
        odds: Per look and question the logarithm of the odds, of the metric that decides.
        fall: How the version fell, in epoch seconds; None for the good one.
    """

    title: str
    began: float
    seconds: float
    weights: Sequence[tuple[float, float]]
    errors: Sequence[tuple[int, int]]
    odds: dict[str, Sequence[tuple[float, float]]]
    fall: Fall | None


def releases(told: Told, recorded: Sequence[dict[str, Any]]) -> list[Release]:
    """Return the releases of the story, with the evidence from what the operator recorded."""
    found = []
    for act, release in zip(told.acts, recorded, strict=True):
        began = datetime.fromisoformat(release["spec"]["startedAt"]).timestamp()
        seconds = (act.ended or act.began) - began + AFTER
        fall = fall_of(act, told.answers, told.envoy)
        one = Release(
            title=_title(act, fall, seconds - AFTER),
            began=began,
            seconds=seconds,
            weights=[w for w in _weights(told.envoy, act.version, began) if w[0] < seconds],
            errors=_errors(told, act.version, began, seconds),
            odds=_odds(release),
            fall=fall,
        )
        found.append(one)
    return found


def _title(act: Act, fall: Fall | None, seconds: float) -> str:
    if fall is None:
        return f"A good version: promoted after {seconds:.0f} s"
    return f"A version that breaks: no more traffic {fall.seconds:.1f} s later"


def _weights(envoy: Sequence[Change], version: str, began: float) -> list[tuple[float, float]]:
    changes = [(change.time - began, change.share(version)) for change in envoy]
    before = [share for time, share in changes if time <= 0]
    return [(0.0, before[-1] if before else 0.0), *(one for one in changes if one[0] > 0)]


def _errors(told: Told, version: str, began: float, seconds: float) -> list[tuple[int, int]]:
    counts = [[0, 0] for _ in range(math.ceil(seconds))]
    for answer in told.answers:
        second = math.floor(arrived(answer) - began)
        if answer.failed and 0 <= second < len(counts):
            counts[second][answer.version == version] += 1
    return [(stable, candidate) for stable, candidate in counts]


def _odds(release: dict[str, Any]) -> dict[str, Sequence[tuple[float, float]]]:
    """Return the evidence after each look, computed anew from the counts on record.

    A step passes when every metric is safe, and one that is worse suffices: so the least of the
    odds for safe, the greatest for worse.
    """
    records = [MetricRecord.decode(text).first for text in release["status"]["records"].values()]
    safe: dict[float, float] = {}
    worse: dict[float, float] = {}
    for record in records:
        for count, look in enumerate(record.looks, 1):
            seen = replace(record, rows=record.rows[: count * ROW_BYTES]).weigh(look.step)
            at = look.number * record.terms.interval_seconds
            safe[at] = min(safe.get(at, math.inf), seen.safe)
            worse[at] = max(worse.get(at, -math.inf), seen.worse)
    return {"safe": sorted(safe.items()), "worse": sorted(worse.items())}


def draw(found: Sequence[Release], target: Path) -> None:
    """Draw weight, errors and evidence of the releases, side by side."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    widths = [release.seconds for release in found]
    figure, axes = plt.subplots(
        3, len(found), figsize=(13, 7.4), sharex="col", sharey="row",
        gridspec_kw={"width_ratios": widths, "hspace": 0.18, "wspace": 0.06},
    )  # fmt: skip
    for column, release in enumerate(found):
        _draw_weight(axes[0][column], release)
        _draw_errors(axes[1][column], release)
        _draw_odds(axes[2][column], release)
        axes[0][column].set_title(release.title, loc="left", fontweight="bold", fontsize=11)
        axes[2][column].set_xlabel("seconds since the version was named in the spec")
        axes[2][column].set_xlim(0, release.seconds)
    for row, text in zip(axes, ("weight of the new\nversion in Envoy, %",
                                "errors that clients\ngot, per second",
                                "evidence,\nodds to 1"), strict=True):  # fmt: skip
        row[0].set_ylabel(text)
    axes[1][0].legend(loc="upper left", frameon=False)
    axes[2][0].legend(loc="upper left", frameon=False, bbox_to_anchor=(0, 1.08))
    figure.align_ylabels()
    figure.savefig(target, dpi=110, bbox_inches="tight")


def _draw_weight(axis: Any, release: Release) -> None:
    times = [*(time for time, _ in release.weights), release.seconds]
    shares = [*(share for _, share in release.weights), release.weights[-1][1]]
    axis.step(times, shares, where="post", color=CANDIDATE, lw=2)
    axis.fill_between(times, shares, step="post", color=CANDIDATE, alpha=0.15, lw=0)
    for time, share in release.weights[1:]:
        axis.annotate(f"{share:g}", (time, share), xytext=(4, 4), color=CANDIDATE,
                      textcoords="offset points")  # fmt: skip
    axis.set_ylim(0, 115)
    axis.set_yticks([0, 25, 50, 75, 100])
    _mark_fault(axis, release)


def _draw_errors(axis: Any, release: Release) -> None:
    seconds = [second + 0.5 for second in range(len(release.errors))]
    stable = [one[0] for one in release.errors]
    candidate = [one[1] for one in release.errors]
    axis.bar(seconds, stable, width=0.85, color=STABLE, label="from the stable version")
    axis.bar(seconds, candidate, width=0.85, bottom=stable, color=CANDIDATE,
             label="from the new version")  # fmt: skip
    _mark_fault(axis, release)
    if release.fall is not None:
        everybody = round(release.fall.share * RATE)
        text = f"{release.fall.bad} bad answers;\nwith all traffic on it\n{everybody} a second"
        cut = release.fall.cut - release.began
        axis.annotate(text, (0, 1), xytext=(cut - 4.5, 0.96), xycoords="axes fraction",
                      textcoords=("data", "axes fraction"), color=CANDIDATE,
                      ha="right", va="top")  # fmt: skip


def _draw_odds(axis: Any, release: Release) -> None:
    steps = [time for time, _ in release.weights[1:]]
    for question, points in release.odds.items():
        colour, needed = COLOURS[question], NEEDED[question]
        for part in _parts(points, steps) if question == "safe" else [points]:
            label = QUESTIONS[question] if part is points or part[0] == points[0] else None
            odds = [min(max(math.exp(value), _LEAST), _MOST) for _, value in part]
            axis.plot([time for time, _ in part], odds, color=colour, lw=1.8, marker="o", ms=2.5,
                      label=label)  # fmt: skip
        axis.axhline(needed, color=colour, lw=0.9, ls="--", alpha=0.7)
        axis.text(0.4, needed * 1.25, f"{needed} to 1 needed", color=colour, fontsize=9)
    axis.set_yscale("log")
    axis.set_ylim(_LEAST, _MOST * 3)
    _mark_fault(axis, release)


def _parts(
    points: Sequence[tuple[float, float]], steps: Sequence[float]
) -> list[list[tuple[float, float]]]:
    """Return the points between changes of weight: each weight is asked a question of its own."""
    bounds = [-math.inf, *steps, math.inf]
    parts = [[p for p in points if a < p[0] <= b] for a, b in itertools.pairwise(bounds)]
    return [part for part in parts if part]


def _mark_fault(axis: Any, release: Release) -> None:
    if release.fall is not None:
        first, cut = (t - release.began for t in (release.fall.first_bad, release.fall.cut))
        axis.axvspan(first, cut, color=QUIET, alpha=0.12, lw=0)


def main(target: Path) -> None:
    """Play the demo and draw it."""
    say = lambda text: print(f"picture: {text}", file=sys.stderr)  # noqa: E731
    with Bed.start(say, crds=REPOSITORY / "crds") as bed:
        story = Story(bed, Lines(), say)
        told = story.play()
        recorded = story.place.objects("release")
    recorded.sort(key=lambda release: release["spec"]["startedAt"])
    draw(releases(told, recorded), target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
