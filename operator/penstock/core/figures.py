"""What monitoring is shown of one Rollout: numbers with a name and labels, each from its status.

The names are an interface: `docs/metrics-of-the-operator.md`. Of one Rollout there are about ten
series at rest, about twenty during a release, and eight more per metric.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import Candidate, MetricStatus, RolloutStatus, Serving
from penstock.core import phases, plan
from penstock.core.analysis import guardrail_alpha
from penstock.core.judging import Opinion


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of number.

    Attributes:
        name: Without the prefix `penstock_rollout_`.
        text: What it is, with its unit.
        labels: Names of the labels beside namespace and rollout.
        lasts: It stays as it is after a release, until the next one has one.
    """

    name: str
    text: str
    labels: tuple[str, ...] = ()
    lasts: bool = False

    def of(self, value: float, *labels: str) -> "Figure":
        """Return a number of this kind."""
        return Figure(self, labels, value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number."""

    measure: Measure
    labels: tuple[str, ...]
    value: float


RECONCILED = Measure(
    "last_reconcile_timestamp_seconds", "When the Rollout was last reconciled without an error."
)
PHASE = Measure("phase", "1 for the phase in which the Rollout is.", ("phase",))
TROUBLE = Measure(
    "trouble",
    "1 for each condition that somebody should look at: Stalled that is True; DataTrusted, "
    "RollbackCapacity or SufficientTraffic that is False.",
    ("condition", "reason"),
)
VERSION = Measure("version", "1 for the version of each arm.", ("arm", "version"))
WORKLOAD = Measure(
    "workload",
    "1 for each workload of each arm: Istio's destination_workload.",
    ("arm", "workload"),
)
WEIGHT = Measure("weight_percent", "Candidate's share as decided, in percent.")
MIRROR = Measure("mirror_percent", "Share of stable's requests that are copied, in percent.")
OBSERVED = Measure(
    "observed_share_percent", "Candidate's share of the requests in the looks, in percent."
)
RELEASE_STARTED = Measure(
    "release_started_timestamp_seconds", "When the release in flight started."
)
STEP = Measure("step", "Index of the step that runs; -1 before the first.")
STEPS = Measure("steps", "How many steps the release in flight has.")
STEP_STARTED = Measure("step_started_timestamp_seconds", "When the step that runs began.")
STEP_DEADLINE = Measure(
    "step_deadline_timestamp_seconds", "When the step that runs must be over; an approval has none."
)
ENDED = Measure(
    "last_release_timestamp_seconds",
    "When the newest release ended, by outcome and its cause.",
    ("outcome", "cause"),
)
REFUSED = Measure(
    "refused_timestamp_seconds", "When the newest version that is refused was refused.", ("reason",)
)
VERDICT = Measure("verdict", "1 for the verdict of the whole analysis.", ("verdict",))
METRIC_VERDICT = Measure(
    "metric_verdict", "1 for the verdict on one metric.", ("metric", "verdict")
)
METRIC_VALUE = Measure(
    "metric_value",
    "Rate of one metric and arm, in percent; of a mean or a threshold its value, in its own unit.",
    ("metric", "arm"),
)
METRIC_RATIO = Measure(
    "metric_ratio",
    "Candidate to stable: bound is low, middle or high; no unit.",
    ("metric", "bound"),
)
EVIDENCE = Measure(
    "metric_evidence_log10",
    "Evidence of one metric in the newest release, as log10 of the odds.",
    ("metric", "question"),
    lasts=True,
)
NEEDED = Measure(
    "evidence_needed_log10",
    "Evidence that a verdict takes, as log10 of the odds.",
    ("question",),
    lasts=True,
)
MEASURES = (
    RECONCILED, PHASE, TROUBLE, VERSION, WORKLOAD, WEIGHT, MIRROR, OBSERVED, RELEASE_STARTED,
    STEP, STEPS, STEP_STARTED, STEP_DEADLINE, ENDED, REFUSED, VERDICT, METRIC_VERDICT,
    METRIC_VALUE, METRIC_RATIO, EVIDENCE, NEEDED,
)  # fmt: skip

_TROUBLE = {
    "Stalled": "True",
    "DataTrusted": "False",
    "RollbackCapacity": "False",
    "SufficientTraffic": "False",
}


def of_status(status: RolloutStatus, at: datetime) -> tuple[Figure, ...]:
    """Return what a status says, reconciled at a time."""
    found = [RECONCILED.of(at.timestamp()), PHASE.of(1, str(status.phase))]
    found += [
        TROUBLE.of(1, one.type, one.reason)
        for one in status.conditions
        if _TROUBLE.get(one.type) == one.status
    ]
    found += [*_traffic(status), *_arm("stable", status.stable), *_past(status)]
    if status.candidate is not None:
        found += [*_arm("candidate", status.candidate), *_flight(status, status.candidate)]
    if status.analysis.verdict:
        found.append(VERDICT.of(1, status.analysis.verdict))
    for metric in status.analysis.metrics:
        found += _metric(metric)
    return tuple(found)


def of_evidence(
    rules: RolloutSpec, status: RolloutStatus, said: Sequence[Opinion]
) -> tuple[Figure, ...]:
    """Return what the metrics of a release say, and what a verdict takes.

    Args:
        rules: The spec that the release runs on.
        status: Its steps are those of the release.
        said: What each guardrail says; empty for nothing.
    """
    compared = [one for one in said if one.rail.compares]
    if not compared:
        return ()
    found = []
    for one in compared:
        found.append(EVIDENCE.of(one.log_worse / math.log(10), one.rail.name, "worse"))
        found.append(EVIDENCE.of(one.log_safe / math.log(10), one.rail.name, "safe"))
    levels = phases.rules(rules, status.steps).analysis
    alpha = guardrail_alpha(levels.false_alarm_rate, sum(one.rail.acts for one in compared))
    found.append(NEEDED.of(-math.log10(alpha), "worse"))
    found.append(NEEDED.of(-math.log10(levels.miss_rate / 100), "safe"))
    return tuple(found)


def _traffic(status: RolloutStatus) -> Iterator[Figure]:
    traffic = status.traffic
    yield WEIGHT.of(traffic.weight)
    yield MIRROR.of(traffic.mirror)
    if traffic.observed_share is not None:
        yield OBSERVED.of(traffic.observed_share)


def _arm(name: str, version: Serving | Candidate | None) -> Iterator[Figure]:
    if version is not None:
        yield VERSION.of(1, name, version.version)
        yield from (WORKLOAD.of(1, name, workload) for workload in version.workloads)


def _past(status: RolloutStatus) -> Iterator[Figure]:
    if status.ended is not None:
        ended = status.ended
        yield ENDED.of(ended.at.timestamp(), ended.outcome, ended.cause)
    refused = [(one.at, one.reason) for one in status.refused if one.at is not None]
    if refused:
        at, reason = max(refused)
        yield REFUSED.of(at.timestamp(), reason)


def _flight(status: RolloutStatus, candidate: Candidate) -> Iterator[Figure]:
    yield RELEASE_STARTED.of(candidate.since.timestamp())
    yield STEP.of(candidate.step)
    yield STEPS.of(len(status.steps))
    if not 0 <= candidate.step < len(status.steps):
        return
    step = status.steps[candidate.step]
    if step.since is not None:
        yield STEP_STARTED.of(step.since.timestamp())
        if not step.approval:
            yield STEP_DEADLINE.of((step.since + plan.deadline(step)).timestamp())


def _metric(said: MetricStatus) -> Iterator[Figure]:
    if said.verdict:
        yield METRIC_VERDICT.of(1, said.name, said.verdict)
    for arm, value in (("candidate", said.candidate), ("stable", said.stable)):
        if value is not None:
            yield METRIC_VALUE.of(value, said.name, arm)
    bounds = zip(("low", "middle", "high"), said.ratio, strict=False)
    yield from (METRIC_RATIO.of(value, said.name, bound) for bound, value in bounds)
