"""When the steps of a release are expected to pass."""

from datetime import timedelta

from penstock.core import forecast, plan
from penstock.core.ledger import Ledger
from penstock.core.question import Question
from penstock.core.record import Record


def eta(
    ledger: Ledger, question: Question, spent: timedelta
) -> dict[int, tuple[timedelta, timedelta]]:
    """Return when this step and the following ones are expected to pass, from now.

    Before the first weight: from then on, by stable's history.

    Args:
        ledger: The counts so far; their rate of requests is taken to go on.
        question: What is asked.
        spent: Time already spent on the step.

    Returns:
        Median and 90 % bound by index of the step; steps beyond what can be told are absent.
    """
    result: dict[int, tuple[timedelta, timedelta]] = {}
    sums = [-spent.total_seconds() if question.step >= 0 else 0.0] * 2
    for index in range(max(question.step, 0), len(question.steps)):
        if question.steps[index].weight is not None:
            bounds = _slowest(ledger, question, index)
            if bounds is None:
                return result
            sums = [max(s, 0.0 if index > question.step else s) + b
                    for s, b in zip(sums, bounds, strict=True)]  # fmt: skip
            sums = [max(s, 0.0) for s in sums]
        result[index] = timedelta(seconds=sums[0]), timedelta(seconds=sums[1])
    return result


def _slowest(ledger: Ledger, question: Question, index: int) -> tuple[float, float] | None:
    """Return median and bound of the metric that takes longest on a step, in seconds."""
    found: list[tuple[float, float]] = []
    for rail in question.rails:
        if rail.acts and rail.compares:
            if rail.name not in ledger.proportions:
                return None
            for part in ledger.proportions[rail.name].parts:
                one = _forecast(part.record, question, index)
                if one.median is None or one.bound is None:
                    return None
                found.append((one.median, one.bound))
    bake = plan.bake(question.steps[index]).total_seconds()
    return (max((f[0] for f in found), default=bake), max((f[1] for f in found), default=bake))


def _forecast(record: Record, question: Question, index: int) -> forecast.Forecast:
    table, spec = record.table, question.spec.analysis
    seconds, past = len(record) * spec.interval.total_seconds(), record.terms.calibration
    requests = float(table.candidate_total.sum() + table.stable_total.sum())
    rate = float(table.stable_bad.sum()) / max(float(table.stable_total.sum()), 1.0)
    if not seconds:
        seconds, requests, rate = past.seconds, past.history.total, past.history.rate or 0.0
    if not seconds:
        return forecast.Forecast(None, None)
    share = (question.steps[index].weight or 0) / 100
    per_second = requests / seconds
    first = index == plan.weight_step(question.steps, 0) or index == 0
    return forecast.until_safe(
        forecast.Traffic(rate, per_second * share, per_second * (1 - share)),
        forecast.Proof(
            tolerance=record.terms.tolerance,
            exposure=record.terms.exposure(index),
            miss_rate=spec.miss_rate / 100,
            phi=record.terms.calibration.phi,
            interval_seconds=spec.interval.total_seconds(),
            bake_seconds=plan.bake(question.steps[index]).total_seconds(),
            warm_up_seconds=spec.warm_up.total_seconds() if first else 0.0,
        ),
    )
