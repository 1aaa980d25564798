"""From all counts of a release to what they say together; pure, and so the same after a restart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from penstock.api.v1alpha1.rollout import OnWorse, RolloutSpec
from penstock.api.v1alpha1.rollout_status import MetricStatus, SegmentStatus, StepStatus
from penstock.core import analysis, drift, forecast, plan, sentences
from penstock.core.analysis import Judgement
from penstock.core.facts import Analysis, Finding
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.mean_judging import MeanJudgement, judge_mean
from penstock.core.mean_record import MeanRecord
from penstock.core.metric_record import MetricRecord
from penstock.core.record import Record
from penstock.core.stats import shares
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the counts.

    Attributes:
        spec: The spec that the release runs on.
        rails: Its guardrails.
        steps: Its steps.
        step: Index of the step whose weight is in force; -1 for none.
        quiet: Why there is no data, by metric; metrics with data are absent.
        at: End of the newest look.
    """

    spec: RolloutSpec
    rails: tuple[Guardrail, ...]
    steps: Sequence[StepStatus]
    step: int
    quiet: Mapping[str, str]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one guardrail says; log evidence is natural."""

    rail: Guardrail
    verdict: Verdict
    status: MetricStatus
    log_worse: float = 0.0
    log_safe: float = 0.0
    notes: tuple[str, ...] = ()


def opinions(ledger: Ledger, question: Question) -> tuple[Opinion, ...]:
    """Return what each guardrail says."""
    acting = sum(1 for rail in question.rails if rail.acts and rail.compares)
    alpha = analysis.guardrail_alpha(question.spec.analysis.false_alarm_rate, acting)
    found = []
    for rail in question.rails:
        if rail.compares:
            found.append(_compared(rail, ledger.compared.get(rail.name), question, alpha))
        elif rail.threshold:
            found.append(_plain(rail, ledger, question))
    return tuple(found)


def _compared(
    rail: Guardrail, record: MetricRecord | MeanRecord | None, question: Question, alpha: float
) -> Opinion:
    if record is None:
        why = question.quiet.get(rail.name, f"{rail.name}: its classes are not known yet")
        status = MetricStatus(name=rail.name, verdict=Verdict.NO_DATA, why=why)
        return Opinion(rail, Verdict.NO_DATA, status)
    judged = _judged(rail, record, question, alpha)
    quiet = question.quiet.get(rail.name, "")
    silent = bool(quiet) and judged.verdict is not Verdict.WORSE
    early = judged.verdict is Verdict.NO_DATA
    verdict = Verdict.NO_DATA if silent else Verdict.LEARNING if early else judged.verdict
    return Opinion(
        rail=rail,
        verdict=verdict,
        status=_status(
            rail.name, verdict, judged, quiet if silent else _why(rail, record, judged)
        ).model_copy(update={"segments": _segments(record)}),
        log_worse=judged.evidence.worse,
        log_safe=judged.evidence.safe,
        notes=tuple(f"{rail.name}: {text}" for text in _notes(rail, judged, question)),
    )


def _judged(
    rail: Guardrail, record: MetricRecord | MeanRecord, question: Question, alpha: float
) -> Judgement | MeanJudgement:
    step, miss_rate = max(question.step, 0), question.spec.analysis.miss_rate / 100
    if isinstance(record, MeanRecord):
        return judge_mean(record, name=rail.name, step=step, alpha=alpha, miss_rate=miss_rate)
    return analysis.judge(record, name=rail.name, step=step, alpha=alpha, miss_rate=miss_rate)


def _segments(record: MetricRecord | MeanRecord) -> tuple[SegmentStatus, ...]:
    if isinstance(record, MeanRecord):
        return ()
    return tuple(
        SegmentStatus(
            name=one.name,
            candidate=_percent(one.candidate.rate),
            stable=_percent(one.stable.rate),
            requests=one.candidate.total,
        )
        for one in record.segments
    )


def _why(
    rail: Guardrail, record: MetricRecord | MeanRecord, judged: Judgement | MeanJudgement
) -> str:
    drifts = rail.categories is not None
    far = drift.text(record) if drifts and isinstance(record, MetricRecord) else ""
    return f"{judged.why}; {far}" if far else judged.why


def _notes(rail: Guardrail, judged: Judgement | MeanJudgement, question: Question) -> list[str]:
    clustered = question.spec.traffic.sticky is not None and not rail.by_unit
    more = [sentences.sticky_requests()] if clustered else []
    return [note.text for note in judged.notes] + more


def _status(
    name: str, verdict: Verdict, judged: Judgement | MeanJudgement, why: str
) -> MetricStatus:
    ratio = judged.ratio
    if isinstance(judged, MeanJudgement):
        candidate, stable = _digits(judged.candidate.mean), _digits(judged.stable.mean)
    else:
        candidate, stable = _percent(judged.candidate.rate), _percent(judged.stable.rate)
    return MetricStatus(
        name=name,
        verdict=verdict,
        candidate=candidate,
        stable=stable,
        ratio=_finite((ratio.low, ratio.mid, ratio.high)) if ratio else (),
        why=why,
    )


def _finite(values: tuple[float | None, ...]) -> tuple[float, ...]:
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return tuple(round(value, 4) for value in numbers) if len(numbers) == len(values) else ()


def _digits(mean: float | None) -> float | None:
    return None if mean is None else float(f"{mean:.6g}")


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 4)


def _plain(rail: Guardrail, ledger: Ledger, question: Question) -> Opinion:
    record, threshold = ledger.thresholds[rail.name], rail.threshold
    if threshold is None or record.value is None:
        status = MetricStatus(name=rail.name, verdict=Verdict.NO_DATA, why="no value yet")
        return Opinion(rail, Verdict.NO_DATA, status)
    worse = record.worse(threshold, question.spec.analysis.interval)
    verdict = Verdict.WORSE if worse else Verdict.SAFE
    bounds = [f"at least {threshold.min:g}"] if threshold.min is not None else []
    bounds += [f"at most {threshold.max:g}"] if threshold.max is not None else []
    why = f"{rail.name}: {record.value:g}, should be {' and '.join(bounds)}"
    if record.bad_looks:
        why += f"; bad for {record.bad_looks} looks"
    status = MetricStatus(name=rail.name, verdict=verdict, candidate=record.value, why=why)
    return Opinion(rail, verdict, status)


def together(ledger: Ledger, question: Question, said: Sequence[Opinion]) -> Analysis:
    """Return what all metrics say together."""
    acting = [o for o in said if o.rail.acts]
    silence = _silence(acting, question)
    mistrust, observed = _shares(ledger, question)
    names = frozenset(o.rail.name for o in acting)
    return Analysis(
        verdict=_verdict(acting, silence, mistrust),
        metrics=tuple(o.status for o in said),
        baked=ledger.baked(question.step, question.spec.analysis.interval, names),
        worse=_finding(acting, OnWorse.ROLLBACK),
        held=_finding(acting, OnWorse.HOLD),
        silence=silence,
        mistrust=mistrust,
        observed_share=observed,
        notes=tuple(note for o in said for note in o.notes) + _skipped(question),
        at=question.at,
    )


def _silence(acting: Sequence[Opinion], question: Question) -> str:
    texts = [f"{o.rail.name}: {question.quiet[o.rail.name]}" for o in acting
             if o.rail.name in question.quiet and o.rail.compares]  # fmt: skip
    return "; ".join(texts)


def _finding(acting: Sequence[Opinion], on_worse: OnWorse) -> Finding | None:
    for o in acting:
        if o.verdict is Verdict.WORSE and o.rail.on_worse is on_worse:
            return Finding(o.rail.name, str(on_worse), o.status.why)
    return None


def _verdict(acting: Sequence[Opinion], silence: str, mistrust: str) -> Verdict:
    verdicts = [o.verdict for o in acting if o.rail.compares or o.verdict is Verdict.WORSE]
    if Verdict.WORSE in verdicts:
        return Verdict.WORSE
    if silence or Verdict.NO_DATA in verdicts:
        return Verdict.NO_DATA
    if mistrust:
        return Verdict.UNTRUSTED
    return Verdict.SAFE if all(v is Verdict.SAFE for v in verdicts) else Verdict.LEARNING


def _skipped(question: Question) -> tuple[str, ...]:
    return (sentences.shares_skipped(),) if question.spec.traffic.sticky is not None else ()


def _shares(ledger: Ledger, question: Question) -> tuple[str, float | None]:
    """Return why the share of requests is not the weight, and the share seen on this step."""
    record = next(iter(ledger.compared.values()), None)
    if record is None or question.step < 0:
        return "", None
    candidate, stable = (float(answers) for answers in record.answers(question.step))
    if not candidate + stable:
        return "", None
    observed = round(100 * candidate / (candidate + stable), 2)
    weight = question.steps[question.step].weight
    if question.spec.traffic.sticky is not None or not weight:
        return "", observed
    counts = np.array([[candidate], [stable], [weight / 100]])
    if shares.log_evidence(*counts)[-1] < shares.ALARM:
        return "", observed
    return (
        f"the candidate gets {observed:g} % of the requests where the weight is {weight:g} %: "
        f"a proxy does not follow, or something retries or filters requests of one version"
    ), observed


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
