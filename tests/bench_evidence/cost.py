"""What a look costs: time of all verdicts on full records, and the size of what is stored."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from penstock.core import analysis
from penstock.core.looks import Counts, Look
from penstock.core.metric_record import MetricRecord, Part
from penstock.core.record import KEPT_LOOKS, Calibration, Record
from penstock.core.terms import Terms, Tolerance
from tests.bench_evidence import ours
from tests.bench_evidence.outcomes import Median, Met, Row

PODS = 20
TRIALS = 300
SERVICE, BUSY = 1000.0, 6e6
LOOKS = 5000
STEP = 3
CHECKED = (64, 512, 1000, 2000, 3000, 4000, LOOKS)
SHARES = {"over 100 ms": 0.2, "over 250 ms": 0.02, "over 1000 ms": 0.002}
EXPOSURES = (0.05, 0.25, 0.5, 1.0)
KIB = 1024


def rows() -> Iterator[Row]:
    """Yield what is measured on this machine."""
    one = metric(KEPT_LOOKS + 40, SERVICE, {"": 0.005})
    three = metric(KEPT_LOOKS + 40, SERVICE, SHARES)
    record = one.first
    yield _timed("all verdicts of a look, one proportion, 512 rows", lambda: record.weigh(STEP), 1)
    yield _timed("the same with the interval and the sentence", lambda: judged(one), 8)
    yield _timed("three edges, 20 pods, 512 rows", lambda: three.weigh(STEP), 3)
    yield _timed("the same with the interval and the sentence", lambda: judged(three))
    yield stored()


def _timed(what: str, work: Callable[[], object], limit: float | None = None) -> Row:
    spent = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    median = Median.of(np.array(spent))
    target = "" if limit is None else f"median <= {limit:g} ms"
    met = Met.NONE if limit is None else median.at_most(limit)
    return Row(what, f"{median.value:.2f} ms ({median.low:.2f} to {median.high:.2f})", target, met)


def judged(record: MetricRecord) -> analysis.Judgement:
    """Return the whole judgement, which is never taken from the cache."""
    analysis.judge.cache_clear()
    return analysis.judge(
        record, name="errors", step=STEP, alpha=ours.ALPHA, miss_rate=ours.MISS_RATE
    )


def stored(looks: int = LOOKS) -> Row:
    """Return how large the record of a busy service gets, and how many looks it keeps."""
    record, sizes = _empty(SHARES), {}
    for number, look in enumerate(_looks(looks, BUSY, SHARES), 1):
        record = record.with_looks(look)
        if number in CHECKED or number == looks:
            sizes[number] = len(record.encode())
    kept = len(MetricRecord.decode(record.encode()).first)
    largest = max(sizes.values()) / KIB
    return Row(
        f"stored record, three edges, up to {looks:,} looks of {BUSY:,.0f} requests",
        f"at most {largest:.1f} KiB; {kept} looks kept at the end",
        "<= 16 KiB",
        Met.YES if largest <= 16 else Met.NO,
    )


def metric(looks: int, per_look: float, shares: dict[str, float]) -> MetricRecord:
    """Return the record of an equal version on a ladder of four steps."""
    record = _empty(shares)
    for look in _looks(looks, per_look, shares):
        record = record.with_looks(look)
    return record


def _empty(shares: dict[str, float]) -> MetricRecord:
    calibration = Calibration(phi=1.2, spread=0.12, quantile=2.7, history=Counts(10**6, 5000))
    terms = Terms(10.0, Tolerance(ours.MAX_INCREASE, ours.SLACK), EXPOSURES, calibration)
    return MetricRecord(tuple(Part(label, Record(terms)) for label in shares))


def _looks(count: int, per_look: float, shares: dict[str, float]) -> Iterator[list[Look]]:
    """Yield looks of one per share, at weights that rise over the first 512 of them."""
    rng = np.random.default_rng(6)
    for number in range(1, count + 1):
        step = min(4 * number // KEPT_LOOKS, STEP)
        weight = ours.LADDER[step]
        totals = rng.poisson(per_look * weight / PODS, PODS)
        stable = int(rng.poisson(per_look * (1 - weight)))
        yield [_look(rng, number, step, totals, stable, share) for share in shares.values()]


def _look(
    rng: np.random.Generator,
    number: int,
    step: int,
    totals: np.ndarray,
    stable: int,
    share: float,
) -> Look:
    bad = rng.binomial(totals, share)
    worst = int((bad - totals * share).argmax())
    return Look(
        number=number,
        step=step,
        candidate=Counts(int(totals.sum()), int(bad.sum())),
        stable=Counts(stable, int(rng.binomial(stable, share))),
        worst=Counts(int(totals[worst]), int(bad[worst])),
        candidate_pods=PODS,
        stable_pods=PODS,
        warm=number <= ours.WARM_UP / 10,
    )
