"""When the steps of a release are expected to pass."""

from datetime import timedelta

from penstock.core import forecast, plan
from penstock.core.forecast import Forecast
from penstock.core.ledger import Ledger
from penstock.core.means import forecast as mean_forecast
from penstock.core.means.record import MeanRecord
from penstock.core.means.weighing import tolerated
from penstock.core.question import Question
from penstock.core.record import Record
from penstock.core.terms import Terms, Tolerance

UNKNOWN = Forecast(None, None)


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
            for one in _forecasts(ledger, rail.name, question, index):
                if one.median is None or one.bound is None:
                    return None
                found.append((one.median, one.bound))
    bake = plan.bake(question.steps[index]).total_seconds()
    return (max((f[0] for f in found), default=bake), max((f[1] for f in found), default=bake))


def _forecasts(ledger: Ledger, name: str, question: Question, index: int) -> tuple[Forecast, ...]:
    """Return when each part of a metric is expected to pass a step."""
    if name in ledger.means:
        return (_mean_forecast(ledger.means[name], question, index),)
    if name in ledger.proportions:
        parts = ledger.proportions[name].parts
        return tuple(_forecast(part.record, question, index) for part in parts)
    return (UNKNOWN,)


def _forecast(record: Record, question: Question, index: int) -> Forecast:
    table, past = record.table, record.terms.calibration
    seconds = len(record) * question.spec.analysis.interval.total_seconds()
    requests = float(table.candidate_total.sum() + table.stable_total.sum())
    rate = float(table.stable_bad.sum()) / max(float(table.stable_total.sum()), 1.0)
    if not seconds:
        seconds, requests, rate = past.seconds, past.history.total, past.history.rate or 0.0
    if not seconds:
        return UNKNOWN
    candidate, stable = _split(requests / seconds, question, index)
    proof = _proof(record.terms, record.terms.tolerance, question, index)
    return forecast.until_safe(forecast.Traffic(rate, candidate, stable), proof)


def _mean_forecast(record: MeanRecord, question: Question, index: int) -> Forecast:
    table, past = record.table, record.terms.calibration
    seconds = len(record) * question.spec.analysis.interval.total_seconds()
    answers = float(table.candidate_count.sum() + table.stable_count.sum())
    if not seconds:
        seconds, answers = past.seconds, past.history.total
    noise = mean_forecast.noise(record)
    if not seconds or noise is None:
        return UNKNOWN
    candidate, stable = _split(answers / seconds, question, index)
    proof = _proof(record.terms, tolerated(record.terms), question, index)
    traffic = mean_forecast.MeanTraffic(noise, record.between, candidate, stable)
    return mean_forecast.until_safe(traffic, proof)


def _split(per_second: float, question: Question, index: int) -> tuple[float, float]:
    """Return what candidate and stable answer per second on a step."""
    share = (question.steps[index].weight or 0) / 100
    return per_second * share, per_second * (1 - share)


def _proof(terms: Terms, tolerance: Tolerance, question: Question, index: int) -> forecast.Proof:
    spec = question.spec.analysis
    first = index == plan.traffic_step(question.steps, 0) or index == 0
    return forecast.Proof(
        tolerance=tolerance,
        exposure=terms.exposure(index),
        miss_rate=spec.miss_rate / 100,
        phi=terms.calibration.phi,
        interval_seconds=spec.interval.total_seconds(),
        bake_seconds=plan.bake(question.steps[index]).total_seconds(),
        warm_up_seconds=spec.warm_up.total_seconds() if first else 0.0,
    )
