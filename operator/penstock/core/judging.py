"""From all counts of a release to what they say together; pure, and so the same after a restart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.api.v1alpha1.analysis import OnWorse
from penstock.api.v1alpha1.rollout_status import MetricStatus, SegmentStatus
from penstock.core import analysis, drift, sentences, trust
from penstock.core.analysis import Judgement
from penstock.core.facts import Analysis, Finding
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.means.judging import MeanJudgement, judge_mean
from penstock.core.means.record import MeanRecord
from penstock.core.metric_record import MetricRecord
from penstock.core.question import Question
from penstock.core.trust import Doubt, Reason
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one guardrail says; log evidence is natural.

    Attributes:
        doubt: Which pod most of what speaks against the candidate is; empty where none stands out.
    """

    rail: Guardrail
    verdict: Verdict
    status: MetricStatus
    log_worse: float = 0.0
    log_safe: float = 0.0
    notes: tuple[str, ...] = ()
    doubt: str = ""


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
        doubt=judged.doubt if isinstance(judged, Judgement) and not (silent or early) else "",
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
    far = ""
    if isinstance(record, MetricRecord) and len(rail.counted) > 1:
        far = drift.gap(record)
    elif isinstance(record, MetricRecord) and rail.categories is not None:
        far = drift.text(record)
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
    names = frozenset(o.rail.name for o in acting)
    doubts, observed = trust.check(ledger, question, names)
    doubts += tuple(Doubt(Reason.ONE_POD, o.doubt) for o in acting if o.doubt)
    mistrust = "; ".join(one.text for one in doubts)
    return Analysis(
        verdict=_verdict(acting, silence, mistrust),
        metrics=tuple(o.status for o in said),
        baked=ledger.baked(question.step, question.spec.analysis.interval, names),
        worse=_finding(acting, OnWorse.ROLLBACK),
        held=_finding(acting, OnWorse.HOLD),
        silence=silence,
        mistrust=mistrust,
        mistrust_reason=doubts[0].reason if doubts else "",
        observed_share=observed,
        notes=tuple(note for o in said for note in o.notes) + _skipped(ledger, question),
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


def _skipped(ledger: Ledger, question: Question) -> tuple[str, ...]:
    """Return why shares of requests are not compared with the weights."""
    if question.spec.traffic.sticky is not None:
        return (sentences.shares_skipped(),)
    apart = [record.apart for record in ledger.compared.values()]
    return (sentences.shares_apart(),) if apart and all(apart) else ()
