"""How fast users are safe: from the first bad answer, and from `abort`, to weight 0 in Envoy."""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.bed.processes import wait_until
from tests.bench.rig import Rig, Row, quantile, spread
from tests.e2e import stage as stages

RUNS, RUNS_PER_PLACE = 20, 10  # a place has one load, which is bounded in time and number
WEIGHT = 10.0
ERRORS, BAD = 0.004, 0.5
WARM_UP = 5.0
TARGET_SECONDS, TARGET_OURS, TARGET_ABORT = 3.5, 1.2, 0.3
_LOOK_SECONDS = 0.004
_LAST_SCRAPE = 'max(timestamp(istio_requests_total{destination_service_namespace="%s"}))'


@dataclass
class Trial:
    """A Rollout whose releases of v2 stay at one weight until something ends them."""

    rig: Rig
    stage: stages.Stage
    release: int = 0
    _ids: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def start(cls, rig: Rig, name: str, warm_up: str) -> "Trial":
        """Deploy v1 and v2 with few errors, apply root and Rollout, start the traffic."""
        plan = [stages.step(WEIGHT, "10m")]
        analysis = {"warmUp": warm_up, "metrics": [{"template": "istio-errors"}]}
        place = rig.bed.place(name)
        stage = stages.set_up(place, stages.rollout(plan=plan, analysis=analysis))
        for version in ("v1", "v2"):
            place.behave(version, errors=ERRORS)
        return cls(rig, stage)

    def begin(self) -> None:
        """Start the first release, or try v2 again."""
        self.release += 1
        if self.release == 1:
            self.stage.release("v2")
        else:
            self.command("retry", self.release - 1)

    def command(self, verb: str, release: int) -> float:
        """Say a command; return when the API server had it."""
        text = f"{stages.ROLLOUT}-{release}#{next(self._ids)}"
        patch = {"metadata": {"annotations": {f"penstock.dev/{verb}": text}}}
        self.stage.place.merge("rollout", stages.ROLLOUT, patch)
        return time.time()

    def share(self) -> float:
        """Return v2's share in Envoy, in percent."""
        edge = self.rig.bed.mesh.edge
        for split in edge.routes(self.stage.place.hostname).values():
            return 100.0 * dict(split).get("v2", 0) / sum(weight for _, weight in split)
        return 0.0

    def await_share(self, share: float, timeout: float = 60.0) -> float:
        """Return when Envoy has given v2 this share."""
        there = lambda: self.share() == share  # noqa: E731
        wait_until(f"share {share:g} in Envoy", there, timeout, _LOOK_SECONDS)
        return time.time()

    def await_end(self) -> dict[str, Any]:
        """Return the status, once the release has ended."""
        name = f"{stages.ROLLOUT}-{self.release}"
        ended = lambda: self.stage.status.get("ended", {}).get("release") == name  # noqa: E731
        self.stage.place.wait(ended, 20, f"end of {name}")
        return self.stage.status


@dataclass(frozen=True, slots=True)
class Fall:
    """One disaster, in seconds.

    Attributes:
        total: From the first bad answer, as the client got it, to weight 0 in Envoy.
        ours: From the scrape that made the evidence sufficient to weight 0 in Envoy. That is the
            newest scrape before the instant of the look that decided.
        decided: From the instant of that look to weight 0 in Envoy.
        bad: Bad answers that users got.
    """

    total: float
    ours: float
    decided: float
    bad: int


def disaster(rig: Rig) -> list[Row]:
    """Half of the candidate's answers become errors."""
    late = _falls(rig, "late", f"{WARM_UP:g}s", hold=True)
    early = _falls(rig, "early", "3m", hold=False)
    total, ours = [fall.total for fall in late], [fall.ours for fall in late]
    way = "first bad answer → weight 0 in Envoy"
    return [
        Row(f"half bad after a while at weight {WEIGHT:g}: {way}", spread(total),
            f"p95 ≤ {TARGET_SECONDS} s", quantile(total, 0.95) <= TARGET_SECONDS),
        Row("  of that ours: the scrape that sufficed → weight 0", spread(ours),
            f"p95 ≤ {TARGET_OURS} s", quantile(ours, 0.95) <= TARGET_OURS),
        Row("  the instant of the look that decided → weight 0", spread([f.decided for f in late])),
        Row("  bad answers that users got", _bad(late)),
        Row(f"half bad from the start, in warm-up: {way}", spread([f.total for f in early])),
        Row("  of that ours", spread([fall.ours for fall in early])),
        Row("  bad answers that users got", _bad(early)),
    ]  # fmt: skip


def _bad(falls: list[Fall]) -> str:
    counts = [float(fall.bad) for fall in falls]
    return (
        f"p50 {quantile(counts, 0.5):.0f}, p95 {quantile(counts, 0.95):.0f}, max {max(counts):.0f}"
    )


def _falls(rig: Rig, name: str, warm_up: str, *, hold: bool) -> list[Fall]:
    found: list[Fall] = []
    while len(found) < RUNS:
        trial = Trial.start(rig, name, warm_up)
        with trial.stage.place:
            for _ in range(min(RUNS_PER_PLACE, RUNS - len(found))):
                found.append(_fall(trial, hold=hold))
                fall = f"{found[-1].total:.2f} s, of that ours {found[-1].ours:.2f} s"
                rig.say(f"disaster ({name}) {len(found)} of {RUNS}: {fall}")
    return found


def _fall(trial: Trial, *, hold: bool) -> Fall:
    """Turn v2 bad before the release, or at weight 10 after its warm-up; wait for the end."""
    place = trial.stage.place
    place.behave("v2", errors=ERRORS if hold else BAD)
    began = time.time()
    trial.begin()
    trial.await_share(WEIGHT)
    if hold:
        time.sleep(WARM_UP + 1 + random.random())
        began = time.time()
        place.behave("v2", errors=BAD)
    cut = trial.await_share(0)
    status = trial.await_end()
    place.behave("v2", errors=ERRORS)
    return _measured(trial, began, cut, status)


def _measured(trial: Trial, began: float, cut: float, status: dict[str, Any]) -> Fall:
    answers = trial.stage.load.results(began)
    bad = [a for a in answers if a.version == "v2" and a.failed]
    look = datetime.fromisoformat(status["analysis"]["at"]).timestamp()
    query = _LAST_SCRAPE % trial.stage.place.namespace
    ((_, scraped),) = trial.rig.bed.prometheus.query(query, look)
    first = min(answer.sent + answer.ms / 1000 for answer in bad)
    return Fall(total=cut - first, ours=cut - scraped, decided=cut - look, bad=len(bad))


def abort(rig: Rig) -> list[Row]:
    """From the moment at which the API server has taken `abort`."""
    trial, taken = Trial.start(rig, "abort", "5s"), []
    with trial.stage.place:
        for number in range(1, RUNS + 1):
            trial.begin()
            trial.await_share(WEIGHT)
            time.sleep(0.5 + random.random())
            said = trial.command("abort", trial.release)
            taken.append(trial.await_share(0) - said)
            trial.await_end()
            rig.say(f"abort {number} of {RUNS}: {taken[-1] * 1000:.0f} ms")
    return [
        Row("`abort` taken by the API server → weight 0 in Envoy", spread(taken, "ms"),
            f"p95 ≤ {TARGET_ABORT * 1000:.0f} ms", quantile(taken, 0.95) <= TARGET_ABORT),
    ]  # fmt: skip
