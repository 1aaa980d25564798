"""Draw two releases from a real run on the bed: `python -m tests.picture docs/release.png`."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.bed.bed import Bed
from tests.bed.operator import REPOSITORY, Operator, OperatorSetup
from tests.bed.traffic import Answer
from tests.e2e import stage as stages

mpl.use("Agg")

import matplotlib.pyplot as plt

STABLE, CANDIDATE = "#4c78a8", "#e4572e"
QUESTIONS = {"safe": ("safe for the next step?", 20), "worse": ("worse than tolerated?", 100)}
SHADES = {"safe": "#54a24b", "worse": "#b279a2"}
BREAKS_AT, BROKEN = 25, 0.3
EVIDENCE = re.compile(r'penstock_rollout_metric_evidence_log10\{.*question="(\w+)".*\} (\S+)')


@dataclass
class Run:
    """One release as it was seen; times in seconds from its start."""

    title: str
    began: float
    weights: list[tuple[float, float]] = field(default_factory=list)
    evidence: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    phase: str = ""
    seconds: float = 0.0


def record(play: stages.Stage, operator: Operator, version: str, title: str,
           on_weight: Callable[[float], None]) -> Run:  # fmt: skip
    """Release a version and return what was seen until it ended."""
    run = Run(title, time.time())
    play.release(version)
    while not run.phase and time.time() - run.began < 120:
        status = play.status
        now = time.time() - run.began
        _note_evidence(run, operator.metrics(), play.place.namespace, now)
        on_weight(status.get("traffic", {}).get("weight", 0))
        ended = status.get("ended", {}).get("message", "") and not status.get("candidate")
        run.phase = status["phase"] if ended and now > 3 else ""
        time.sleep(0.2)
    time.sleep(2)
    run.seconds = time.time() - run.began
    changes = [c for c in play.recorder.used if c.time > run.began - 5]
    run.weights = [(max(c.time - run.began, 0), c.share(version)) for c in changes]
    run.answers = play.load.results(run.began)
    return run


def _note_evidence(run: Run, metrics: str, namespace: str, now: float) -> None:
    for line in metrics.splitlines():
        found = EVIDENCE.match(line)
        if found and f'namespace="{namespace}"' in line:
            run.evidence.setdefault(found[1], []).append((now, float(found[2])))


def rates(run: Run, version: str) -> list[tuple[float, float]]:
    """Return the share of errors that clients saw from a version, in percent, by seconds."""
    seconds: dict[int, list[bool]] = {}
    for answer in run.answers:
        if answer.version == version:
            seconds.setdefault(int((answer.sent - run.began) / 2), []).append(answer.failed)
    return [(2 * s + 1, 100 * sum(f) / len(f)) for s, f in sorted(seconds.items())]


def draw(runs: list[tuple[Run, str, str]], target: Path) -> None:
    """Draw weights, errors and evidence of the runs side by side."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(3, len(runs), figsize=(12, 7.2), sharex="col", sharey="row")
    for column, (run, stable, candidate) in enumerate(runs):
        _weights(axes[0][column], run)
        _errors(axes[1][column], run, stable, candidate)
        _evidence(axes[2][column], run)
        axes[0][column].set_title(run.title, loc="left", fontweight="bold")
        axes[2][column].set_xlabel("seconds since the new version was named")
        axes[2][column].set_xlim(0, run.seconds)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def _weights(axis: Any, run: Run) -> None:
    points = [*run.weights, (run.seconds, run.weights[-1][1])]
    axis.step([t for t, _ in points], [w for _, w in points], where="post", color=CANDIDATE, lw=2)
    axis.fill_between([t for t, _ in points], [w for _, w in points], step="post",
                      color=CANDIDATE, alpha=0.15)  # fmt: skip
    axis.set_ylabel("candidate's weight, %")
    axis.set_ylim(0, 105)


def _errors(axis: Any, run: Run, stable: str, candidate: str) -> None:
    for version, colour, name in (
        (stable, STABLE, "stable"),
        (candidate, CANDIDATE, "candidate"),
    ):
        points = rates(run, version)
        axis.plot([t for t, _ in points], [r for _, r in points], color=colour, label=name, lw=1.6)
    axis.set_ylabel("errors seen by clients, %")
    axis.set_ylim(0, 40)
    axis.legend(frameon=False, loc="upper left")


def _evidence(axis: Any, run: Run) -> None:
    for question, (label, needed) in QUESTIONS.items():
        points = run.evidence.get(question, [])
        odds = [10 ** min(max(value, -1), 5) for _, value in points]
        axis.plot([t for t, _ in points], odds, color=SHADES[question], label=label, lw=1.6)
        axis.axhline(needed, color=SHADES[question], lw=0.9, ls="--")
        axis.text(run.seconds, needed * 1.15, f"{needed} to 1", color=SHADES[question], ha="right")
    axis.set_yscale("log")
    axis.set_ylim(0.1, 1e5)
    axis.set_ylabel("evidence, odds to 1")
    axis.legend(frameon=False, loc="upper left")


def main(target: Path) -> None:
    """Run a good and a bad release, and draw them."""
    with Bed.start(lambda text: print(f"picture: {text}", file=sys.stderr),
                   crds=REPOSITORY / "crds") as bed:  # fmt: skip
        operator = bed.operator(OperatorSetup(manifests=REPOSITORY / "manifests" / "testbed"))
        operator.start()
        with bed.place("picture") as place:
            runs = _two_releases(stages.set_up(place, stages.rollout()), operator)
    draw(runs, target)


def _two_releases(play: stages.Stage, operator: Operator) -> list[tuple[Run, str, str]]:
    good = record(play, operator, "v2", "A good version: promoted", lambda _: None)
    play.place.deploy(stages.SERVICE, "v3")
    play.place.behave("v3", errors=stages.STABLE_ERRORS)

    def spoil(weight: float) -> None:
        if weight == BREAKS_AT:
            play.place.behave("v3", errors=BROKEN)

    title = f"A version that breaks at {BREAKS_AT} %: rolled back"
    bad = record(play, operator, "v3", title, spoil)
    return [(good, "v1", "v2"), (bad, "v2", "v3")]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
