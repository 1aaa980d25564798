"""The counts of a whole release: the record of each metric, packed into the Release's status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from penstock.api.stream import StreamMetric
from penstock.api.v1alpha1.analysis import Analysis as AnalysisSpec
from penstock.api.v1alpha1.analysis import Metric, OnWorse, Threshold
from penstock.api.v1alpha1.metric_template import (
    Better,
    Categories,
    CountedUnit,
    Mean,
    MetricTemplateSpec,
    Proportion,
    Told,
)
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import classes, plan
from penstock.core.means.calibration import MeanChance
from penstock.core.means.record import MeanRecord
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import Record
from penstock.core.terms import Calibration, Terms, Tolerance
from penstock.core.thresholds import ThresholdRecord

CHANGE, SLACK = 20.0, 0.1
DEFAULT_CONNECTION = "prometheus"


@dataclass(frozen=True, slots=True)
class Counted:
    """One proportion that is counted: what its share is called, and its two counters.

    Attributes:
        label: Empty where the metric has but one proportion.
        proportion: `bad` is what is counted as a hit, good or not.
    """

    label: str
    proportion: Proportion


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric with its template filled in: proportions, or a threshold, on one connection.

    Attributes:
        counted: The proportions that it compares; of categories they are not known beforehand.
        categories: The counter of classes.
        mean: The counters of a mean.
        args: What the variables $args.<name> stand for.
        by: Labels by which rates are reported per segment.
        separates: What else its series tell apart.
        by_unit: Whether each randomised unit is counted once, not each request.
    """

    name: str
    connection: str
    on_worse: OnWorse
    counted: tuple[Counted, ...] = ()
    categories: Categories | None = None
    mean: Mean | None = None
    threshold: Threshold | None = None
    tolerance: Tolerance = field(default_factory=lambda: Tolerance(CHANGE, SLACK))
    args: Mapping[str, str] = field(default_factory=dict)
    by_unit: bool = False
    separates: tuple[Told, ...] = ()
    by: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        """Return whether it can stop or hold a release."""
        return self.on_worse is not OnWorse.REPORT

    @property
    def compares(self) -> bool:
        """Return whether stable and candidate are compared by it."""
        return bool(self.counted) or self.categories is not None or self.mean is not None

    def of_classes(self, names: Sequence[str]) -> "Guardrail":
        """Return the same with a proportion per class, and one for the rest."""
        if self.categories is None:
            return self
        counted = [
            Counted(
                classes.label_of(self.categories, name),
                classes.proportion(self.categories, name, names),
            )
            for name in ((*names, classes.REST) if names else ())
        ]
        return replace(self, counted=tuple(counted))


def guardrails(
    analysis: AnalysisSpec, templates: Mapping[str, MetricTemplateSpec]
) -> tuple[Guardrail, ...]:
    """Return the guardrails of a release; a metric without its template is left out."""
    found = [guardrail(metric, templates.get(metric.title)) for metric in analysis.metrics]
    return tuple(one for one in found if one is not None)


def guardrail(metric: Metric, template: MetricTemplateSpec | None) -> Guardrail | None:
    """Return one metric with its template filled in; None where the template is not there."""
    if metric.value is not None:
        return Guardrail(metric.title, DEFAULT_CONNECTION, metric.on_worse, threshold=metric.value)
    if template is None:
        return None
    return Guardrail(
        name=metric.title,
        connection=template.connection,
        on_worse=metric.on_worse,
        counted=_counted(metric, template),
        categories=template.categories,
        mean=template.mean,
        threshold=template.value,
        tolerance=_tolerance(metric, template),
        args=metric.args or {},
        by_unit=template.counts is CountedUnit.UNITS,
        separates=template.separates or (),
        by=template.by or (),
    )


def _tolerance(metric: Metric, template: MetricTemplateSpec) -> Tolerance:
    if template.categories is None:
        return tolerance_of(metric, template.better)
    changes = (metric.max_increase, metric.max_decrease)
    more, less = (CHANGE if change is None else change for change in changes)
    return Tolerance(more, SLACK if metric.slack is None else metric.slack, less)


def tolerance_of(metric: Metric | StreamMetric, better: Better) -> Tolerance:
    """Return what a metric tolerates; the harmful direction is always bounded."""
    more, less = metric.max_increase, metric.max_decrease
    if better is Better.LOWER:
        more = CHANGE if more is None else more
    else:
        less = CHANGE if less is None else less
    return Tolerance(more, SLACK if metric.slack is None else metric.slack, less)


def _counted(metric: Metric, template: MetricTemplateSpec) -> tuple[Counted, ...]:
    one, many = template.proportion, template.distribution
    if one is not None:
        if template.better is Better.HIGHER:
            one = Proportion(total=one.total, bad=one.good, unreached=one.unreached)
        return (Counted("", one),)
    if many is None:
        return ()
    return tuple(
        Counted(f"over {edge:g} {many.unit}".rstrip(), many.beyond(edge))
        for edge in metric.edges or ()
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    """All counts of a release, by the name of the metric."""

    proportions: Mapping[str, MetricRecord] = field(default_factory=dict)
    thresholds: Mapping[str, ThresholdRecord] = field(default_factory=dict)
    means: Mapping[str, MeanRecord] = field(default_factory=dict)

    @property
    def compared(self) -> Mapping[str, MetricRecord | MeanRecord]:
        """The records of metrics that compare stable and candidate."""
        return {**self.proportions, **self.means}

    def with_mean(self, name: str, record: MeanRecord) -> "Ledger":
        """Return the ledger with the record of a mean replaced."""
        return replace(self, means={**self.means, name: record})

    def with_proportion(self, name: str, record: MetricRecord) -> "Ledger":
        """Return the ledger with one record replaced."""
        return replace(self, proportions={**self.proportions, name: record})

    def with_threshold(self, name: str, record: ThresholdRecord) -> "Ledger":
        """Return the ledger with one threshold's record replaced."""
        return replace(self, thresholds={**self.thresholds, name: record})

    def calibrated(self, learned: Mapping[str, Sequence[Calibration] | MeanChance]) -> "Ledger":
        """Return the ledger with what stable's history says, by metric and proportion."""
        proportions, means = dict(self.proportions), dict(self.means)
        for name, known in learned.items():
            if isinstance(known, MeanChance):
                if name in means:
                    means[name] = means[name].calibrated(
                        known.calibration, known.between, known.noise
                    )
            elif name in proportions:
                proportions[name] = proportions[name].calibrated(known)
        return replace(self, proportions=proportions, means=means) if learned else self

    @property
    def last_number(self) -> int:
        """Return the number of the newest look that any metric has; 0 for none."""
        numbers = [record.last_number for record in self.compared.values()]
        numbers += [record.last_number for record in self.thresholds.values()]
        return max(numbers, default=0)

    def baked(self, step: int, interval: timedelta, acting: frozenset[str]) -> timedelta:
        """Return the least time with data of the metrics that act, in a step.

        Thresholds count only where nothing is compared: they are silent on missing data.
        """
        if step < 0:
            return timedelta(0)
        compared = [
            timedelta(seconds=record.baked_seconds(step))
            for name, record in self.compared.items()
            if name in acting or not acting
        ]
        plain = [record.baked(step, interval) for record in self.thresholds.values()]
        return min(compared or plain, default=timedelta(0))

    def encode(self) -> dict[str, str]:
        """Return each record as text."""
        texts = {name: record.encode() for name, record in self.compared.items()}
        return texts | {name: record.encode() for name, record in self.thresholds.items()}


def empty(spec: RolloutSpec, rails: tuple[Guardrail, ...]) -> Ledger:
    """Return the ledger of a release before its first look."""
    return Ledger(
        {rail.name: empty_record(spec, rail) for rail in rails if rail.counted},
        {rail.name: ThresholdRecord() for rail in rails if rail.threshold},
        {rail.name: MeanRecord(_terms(spec, rail)) for rail in rails if rail.mean},
    )


def _terms(spec: RolloutSpec, rail: Guardrail) -> Terms:
    exposures = plan.next_exposures(plan.expand(spec))
    return Terms(spec.analysis.interval.total_seconds(), rail.tolerance, exposures)


def empty_record(spec: RolloutSpec, rail: Guardrail) -> MetricRecord:
    """Return the record of a metric whose proportions are known, before its first look."""
    terms = _terms(spec, rail)
    return MetricRecord(tuple(Part(counted.label, Record(terms)) for counted in rail.counted))


def decode(
    texts: Mapping[str, str], spec: RolloutSpec, rails: tuple[Guardrail, ...]
) -> tuple[Ledger, tuple[str, ...]]:
    """Return the ledger that was packed, and the names of the metrics whose record is damaged.

    A damaged record begins anew: nothing is proven then, so no weight rises on it.
    """
    ledger, damaged = empty(spec, rails), []
    for rail in rails:
        text = texts.get(rail.name)
        if not text:
            continue
        try:
            if rail.mean is not None:
                ledger = ledger.with_mean(rail.name, MeanRecord.decode(text))
            elif rail.compares:
                ledger = ledger.with_proportion(rail.name, _fitting(text, rail))
            else:
                ledger = ledger.with_threshold(rail.name, ThresholdRecord.decode(text))
        except ValueError:
            damaged.append(rail.name)
    return ledger, tuple(damaged)


def _fitting(text: str, rail: Guardrail) -> MetricRecord:
    record = MetricRecord.decode(text)
    if rail.categories is not None:
        return record
    if [part.label for part in record.parts] != [counted.label for counted in rail.counted]:
        raise ValueError(f"the record of {rail.name} counts something else")
    return record


def known(rail: Guardrail, ledger: Ledger) -> Guardrail:
    """Return a metric of categories with the classes that its record counts; others as they are."""
    record = ledger.proportions.get(rail.name)
    if rail.categories is None or record is None:
        return rail
    prefix = classes.label_of(rail.categories, "")
    names = [part.label.removeprefix(prefix) for part in record.parts]
    return rail.of_classes([name for name in names if name != classes.REST])
