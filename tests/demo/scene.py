"""What is to be seen at one moment: the Rollout, Envoy, the evidence, and what clients got."""

import contextlib
import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import sentences
from penstock.core.analysis import guardrail_alpha
from tests.bed.operator import Operator
from tests.bed.place import Place
from tests.bed.traffic import Answer, Load

EVIDENCE = "penstock_rollout_metric_evidence_log10"
VERDICT = "penstock_rollout_verdict"
RATE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Odds:
    """The evidence of one metric for one question, as natural logs of the odds."""

    metric: str
    question: str  # safe | worse
    log_has: float
    log_needs: float

    @property
    def enough(self) -> bool:
        """Return whether the evidence suffices."""
        return self.log_has >= self.log_needs

    @property
    def text(self) -> str:
        """Return both in plain odds."""
        return f"needs {sentences.odds(self.log_needs)}, has {sentences.odds(self.log_has)}"


@dataclass(frozen=True, slots=True)
class Tally:
    """What clients got from one version: in all, and per second just now."""

    requests: int = 0
    errors: int = 0
    per_second: float = 0.0
    errors_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the release; `eta` is the median and the 90 % bound, in epoch seconds."""

    weight: float
    state: str
    since: float | None
    eta: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. Weights are of the version `subject`, in percent, from status and from Envoy."""

    at: float
    subject: str
    phase: str
    message: str
    stable: str
    candidate: str
    release: str
    weight: float
    envoy: float
    verdict: str
    steps: tuple[Step, ...]
    odds: tuple[Odds, ...]
    tallies: Mapping[str, Tally]

    @property
    def asked(self) -> float:
        """Return the share, in percent, for which the version must be safe to go on."""
        running = [i for i, one in enumerate(self.steps) if one.state in ("Running", "Failed")]
        following = running[0] + 1 if running else len(self.steps)
        return self.steps[following].weight if following < len(self.steps) else 100.0


@dataclass
class Clients:
    """Counts what clients saw, by version."""

    load: Load
    totals: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    _seen: int = 0
    _recent: deque[Answer] = field(default_factory=deque)

    def tallies(self, now: float) -> dict[str, Tally]:
        """Return the tally of each version, up to now."""
        answers = self.load.results()
        for answer in answers[self._seen :]:
            total = self.totals[answer.version]
            total[0] += 1
            total[1] += answer.failed
            self._recent.append(answer)
        self._seen = len(answers)
        while self._recent and self._recent[0].sent < now - RATE_SECONDS:
            self._recent.popleft()
        rates = rates_of(self._recent, RATE_SECONDS)
        return {
            version: Tally(total[0], total[1], *rates.get(version, (0.0, 0.0)))
            for version, total in sorted(self.totals.items())
        }


def rates_of(answers: Iterable[Answer], seconds: float) -> dict[str, tuple[float, float]]:
    """Return requests and errors per second of each version."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for answer in answers:
        counts[answer.version][0] += 1
        counts[answer.version][1] += answer.failed
    return {version: (n / seconds, bad / seconds) for version, (n, bad) in counts.items()}


class Scene:
    """Looks at everything at once."""

    def __init__(self, place: Place, operator: Operator, rollout: str, load: Load) -> None:
        self.place, self.operator, self.name = place, operator, rollout
        self.clients = Clients(load)
        self._tried = ""

    def snapshot(self, subject: str) -> Snapshot:
        """Return what is to be seen now; `subject` is the version that the act is about."""
        body, now = self.place.get("rollout", self.name), time.time()
        status, spec = body.get("status", {}), RolloutSpec.model_validate(body["spec"])
        candidate = status.get("candidate") or {}
        self._tried = candidate.get("version") or self._tried
        series = dict(self._series()) if self._tried == subject else {}
        return Snapshot(
            at=now,
            subject=subject,
            phase=str(status.get("phase", "")),
            message=str(status.get("message", "")),
            stable=str(status.get("stable", {}).get("version", "")),
            candidate=str(candidate.get("version", "")),
            release=str(candidate.get("release", "")),
            weight=_weight(status, subject),
            envoy=self._envoy_weight(subject),
            verdict=next((k[1] for k in series if k[0] == VERDICT), ""),
            steps=tuple(_step(found) for found in status.get("steps", ())),
            odds=tuple(_odds(series, spec)),
            tallies=self.clients.tallies(now),
        )

    def _envoy_weight(self, subject: str) -> float:
        edge = self.place.cluster.edge()
        splits = edge.routes(self.place.hostname).values() if edge else ()
        for split in splits:
            total = sum(weight for _, weight in split)
            return 100 * sum(weight for name, weight in split if name == subject) / total
        return 0.0

    def _series(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the operator's own series of this Rollout: verdict, and evidence by metric."""
        with contextlib.suppress(requests.RequestException):
            for family in text_string_to_metric_families(self.operator.metrics()):
                for sample in family.samples:
                    labels = sample.labels
                    if (labels.get("namespace"), labels.get("rollout")) != self._key:
                        continue
                    if sample.name == EVIDENCE:
                        yield (EVIDENCE, labels["metric"], labels["question"]), sample.value
                    elif sample.name == VERDICT:
                        yield (VERDICT, labels["verdict"]), sample.value

    @property
    def _key(self) -> tuple[str, str]:
        return self.place.namespace, self.name


def _weight(status: Mapping[str, Any], subject: str) -> float:
    """Return the share that the status gives to a version, in percent."""
    candidate = (status.get("candidate") or {}).get("version", "")
    weight = float(status.get("traffic", {}).get("weight", 0.0))
    if candidate == subject:
        return weight
    stable = status.get("stable", {}).get("version", "")
    return 100.0 - weight if stable == subject else 0.0


def _step(found: Mapping[str, Any]) -> Step:
    since = found.get("since")
    return Step(
        weight=float(found.get("weight", 0.0)),
        state=str(found.get("state", "")),
        since=_seconds(since) if since else None,
        eta=tuple(_seconds(stamp) for stamp in found.get("eta", ())),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _odds(series: Mapping[tuple[str, ...], float], spec: RolloutSpec) -> Iterator[Odds]:
    """Yield the evidence in the order of the spec: safe first, then worse."""
    rules = spec.analysis
    acting = sum(metric.on_worse != "Report" for metric in rules.metrics)
    needs = {
        "safe": -math.log(rules.miss_rate / 100),
        "worse": -math.log(guardrail_alpha(rules.false_alarm_rate, acting)),
    }
    for metric in rules.metrics:
        for question, needed in needs.items():
            value = series.get((EVIDENCE, metric.title, question))
            if value is not None:
                yield Odds(metric.title, question, value * math.log(10), needed)
