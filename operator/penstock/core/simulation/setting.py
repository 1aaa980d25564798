"""What all runs of a simulation have in common: the Rollout, and the traffic that comes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from penstock.api.v1alpha1.metric_template import Better, MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import StepStatus
from penstock.core import analysis, ledger, phases, plan
from penstock.core.ledger import Guardrail

LAG, PROPAGATION = timedelta(seconds=15), timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Values:
    """What answers are worth: values above 0 with a gamma distribution, for metrics of means.

    Attributes:
        stable: The mean of stable, > 0.
        candidate: The candidate's, > 0.
        deviation: Standard deviation of single answers of stable, > 0; the candidate's is greater
            or less as its mean is.
    """

    stable: float = 100.0
    candidate: float = 100.0
    deviation: float = 100.0

    @property
    def shape(self) -> float:
        """The shape of the distribution; the skewness is 2 over its root."""
        return (self.stable / self.deviation) ** 2


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests that come, how many of the answers are bad, and what answers are worth.

    Attributes:
        per_second: Requests per second of both versions together; they come at random (Poisson).
        stable_rate: Stable's share of bad answers, 0 to 1.
        candidate_rate: The candidate's.
        bad_from: Weight in percent from which on the candidate has its own share; below it, it
            has stable's.
        pods: Pods of stable, at least 1.
        candidate_pods: Pods of the candidate, at least 1.
        spread: Standard deviation of single pods' log rates, and of their log means, >= 0.
        burst: Requests that share one fate, good or bad, or one value; 1 where each has its own.
        values: What answers are worth.
    """

    per_second: float
    stable_rate: float
    candidate_rate: float
    bad_from: float = 0.0
    pods: int = 20
    candidate_pods: int = 2
    spread: float = 0.0
    burst: int = 1
    values: Values = Values()

    def candidate_mean_at(self, weight: float) -> float:
        """Return the mean of the candidate's answers at a weight, or a mirror, in percent."""
        return self.values.candidate if weight >= self.bad_from else self.values.stable

    def candidate_at(self, weight: float) -> float:
        """Return the candidate's share of bad answers at a weight, or a mirror, in percent."""
        return self.candidate_rate if weight >= self.bad_from else self.stable_rate


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs have in common.

    Attributes:
        name: Name of the Rollout.
        spec: Its spec; `version` is the candidate.
        templates: MetricTemplates by name of the metric; every metric that compares needs one.
        traffic: What comes in.
        approve_after: Time until a person approves a step that asks for it.
        gate_after: Time until a gate opens, from when it is asked.
        lag: Time until a sample is there.
        propagation: Time until every proxy follows a weight.
        horizon: Virtual time at which a run ends that has not ended; None for the sum of all
            deadlines, approvals and gates.
    """

    name: str
    spec: RolloutSpec
    templates: Mapping[str, MetricTemplateSpec]
    traffic: Traffic
    approve_after: timedelta = timedelta(0)
    gate_after: timedelta = timedelta(0)
    lag: timedelta = LAG
    propagation: timedelta = PROPAGATION
    horizon: timedelta | None = None

    @property
    def rails(self) -> tuple[Guardrail, ...]:
        """The guardrails; of blue/green, which compares nothing, only the thresholds."""
        rails = ledger.guardrails(self.spec.analysis, self.templates)
        if self.spec.strategy.blue_green is None:
            return rails
        return tuple(rail for rail in rails if rail.threshold)

    @property
    def rules(self) -> RolloutSpec:
        """The spec with the level of one phase: copies and live requests are judged apart."""
        return phases.rules(self.spec, plan.expand(self.spec))

    def counts_good(self, rail: Guardrail) -> bool:
        """Return whether what a metric counts is good answers."""
        return self.templates[rail.name].better is Better.HIGHER

    @property
    def end(self) -> timedelta:
        """The horizon."""
        if self.horizon is not None:
            return self.horizon
        steps = plan.expand(self.spec)
        comes = [self.comes_after(step) for step in steps]
        waits = [
            plan.deadline(step) if wait is None else wait
            for wait, step in zip(comes, steps, strict=True)
        ]
        return sum(waits, self.propagation * (len(steps) + 1) + self.lag)

    def comes_after(self, step: StepStatus) -> timedelta | None:
        """Return the time until what a step waits for comes; None for a step with traffic."""
        if step.approval:
            return self.approve_after
        return self.gate_after if step.gate else None

    @property
    def alpha(self) -> float:
        """The chance of a false alarm of each metric that compares and acts, 0 to 1."""
        acting = sum(1 for rail in self.rails if rail.acts and rail.compares)
        return analysis.guardrail_alpha(self.rules.analysis.false_alarm_rate, acting)

    @property
    def log_needed(self) -> tuple[float, float]:
        """Natural logs of the evidence needed for worse and for safe."""
        return -math.log(self.alpha), -math.log(self.spec.analysis.miss_rate / 100)
